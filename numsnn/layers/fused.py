"""Neighbours that are run as one: a batch normalisation and the neuron behind it."""


class Pair:
    """A pass through two layers at once: the second one's kernels also do the first one's arithmetic, and what would
    lie between them is never in memory. The layers stay what they are, with their parameters, statistics and names;
    but the first one's ``output`` is None, as there is none.

    Args:
        first, second: neighbours for which `fits` holds.
    """

    def __init__(self, first, second):
        self.first, self.second = first, second

    @staticmethod
    def fits(first, second) -> bool:
        """Whether these neighbours can be run as one: the first one's own class, and not one it inherits from, says
        that it hands over what the second one takes over."""
        handed = vars(type(first)).get("hands_over")
        return handed is not None and handed == second.takes_over

    def forward(self, x, mode):
        """The second layer's output for x."""
        self.first.enter(x, mode)
        self.first.output = None
        x, handed = self.first.hand_over(x, mode)
        self.second.enter(x, mode)
        self.second.output = self.second.compute(x, mode, handed)
        return self.second.output

    def backward(self, dy, need_dx):
        """dL/dx for dL/dy. The second layer leaves with what it was handed the sums that the first one needs."""
        return self.first.backward(self.second.backward(dy), need_dx)


def stages(layers) -> list:
    """Layers that follow one another, those that can be run as one put together."""
    found: list = []
    for layer in layers:
        if found and Pair.fits(found[-1], layer):
            found[-1] = Pair(found[-1], layer)
        else:
            found.append(layer)
    return found
