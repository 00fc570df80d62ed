"""Fusing two neighbouring layers: a batch normalisation and the neuron behind it run as one kernel."""

from .recompute import allows


class Pair:
    """Two layers that are fused: the kernels of the second layer also do the arithmetic of the first one, so that the
    signal between them is never written to memory. Both layers keep their parameters, statistics and names, but
    ``output`` of the first one is None, because this array does not exist.

    Args:
        first, second: neighbouring layers for which `fits` returns True.
    """

    def __init__(self, first, second):
        self.first, self.second = first, second

    @staticmethod
    def fits(first, second) -> bool:
        """Return whether these neighbours can be fused: ``hands_over`` of the first one equals ``takes_over`` of the
        second one. The class of the first one must define ``hands_over`` itself and not inherit it."""
        handed = vars(type(first)).get("hands_over")
        return handed is not None and handed == second.takes_over

    foreign = from_input = False
    reads_input = True

    @property
    def recomputes(self) -> bool:
        """Whether the second layer returns its output once more: see `recompute`."""
        return allows(self.second, "recomputes")

    @property
    def receives(self) -> bool:
        """Whether both layers take an input that was dropped: see `recompute`."""
        return allows(self.first, "receives") and allows(self.second, "receives")

    def writer(self):
        """Return the second layer."""
        return self.second

    def again(self):
        """Return the output of the second layer once more."""
        return self.second.again()

    def receive(self, x):
        """Put the input in its place in both layers; None forgets it."""
        self.first.receive(x)
        self.second.receive(x)

    def lacks_output(self):
        """Return whether the output of the second layer was dropped."""
        return self.second.lacks_output()

    def recall(self, s):
        """Give the second layer its spikes again; None forgets them."""
        self.second.recall(s)

    def drop(self, y, mode):
        """Forget the output, which the next layer has read."""
        self.second.drop(y, mode)

    def forward(self, x, mode):
        """Return the output of the second layer for x."""
        self.first.enter(x, mode)
        self.first.output = None
        x, handed = self.first.hand_over(x, self.first.own_mode(mode))
        self.second.enter(x, mode)
        y = self.second.output = self.second.compute(x, self.second.own_mode(mode), handed)
        return y

    def backward(self, dy, need_dx):
        """Return dL/dx for dL/dy. The second layer stores the sums that the first one needs in what it took over."""
        into_first = need_dx or self.first in self.first.plan.learning
        dy = self.second.backward(dy, into_first)
        return self.first.backward(dy, need_dx) if into_first else None


def stages(layers) -> list:
    """Return the layers of a chain, with a `Pair` in place of every two neighbours that can be fused."""
    found: list = []
    for layer in layers:
        if found and Pair.fits(found[-1], layer):
            found[-1] = Pair(found[-1], layer)
        else:
            found.append(layer)
    return found
