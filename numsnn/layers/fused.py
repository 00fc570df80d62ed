"""A batch normalisation and the neuron behind it, run as one."""

from .neuron import Neuron
from .norm import BatchNorm


class NormalisedNeuron:
    """A pass through both at once: the neuron's kernels normalise what they read, and the normalised current is never
    in memory. The layers stay what they are, with their parameters, statistics and names, but for the normalisation's
    ``output``, which is None, as there is none.

    Args:
        norm, neuron: neighbours for which `fits` holds.
    """

    def __init__(self, norm: BatchNorm, neuron: Neuron):
        self.norm, self.neuron = norm, neuron

    @staticmethod
    def fits(first, second) -> bool:
        """Whether these neighbours can be run as one."""
        return type(first) is BatchNorm and isinstance(second, Neuron) and second.plain

    def forward(self, x, mode):
        """The spikes for x."""
        self.norm.enter(x, mode)
        self.norm.output = None
        x = self.norm.as_real(x)
        norm = self.norm.normalisation(x, mode)
        self.neuron.enter(x, mode)
        self.neuron.output = self.neuron.compute(x, mode, norm)
        return self.neuron.output

    def visible(self, before=None):
        """Where dL/d spikes matters."""
        return self.neuron.visible()

    def backward(self, dy, need_dx, needed=None):
        """dL/dx for dL/d spikes. The neuron leaves with the normalisation the sums that it needs."""
        return self.norm.backward(self.neuron.backward(dy), need_dx, needed)


def stages(layers) -> list:
    """Layers that follow one another, those that can be run as one put together."""
    found = []
    for layer in layers:
        if found and NormalisedNeuron.fits(found[-1], layer):
            found[-1] = NormalisedNeuron(found[-1], layer)
        else:
            found.append(layer)
    return found
