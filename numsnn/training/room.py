"""How many samples a device has memory for."""

import numpy as np

from ..errors import DeviceMemoryError
from ..layers import Layer, Mode
from ..losses import Loss


def largest_batch(net: Layer, loss: Loss, slots: int, samples: int) -> int | None:
    """The largest batch, halving the one that did not fit, for which a training step fits; found by trying.

    What passes left in memory is lost; parameters and statistics are not touched.

    Args:
        net, loss: as trained, the network built.
        slots: arrays of all parameters' size that the optimiser keeps.
        samples: of the batch that did not fit.

    Returns:
        so many samples, or None where not even one fits.
    """
    while samples > 1:
        samples //= 2
        try:
            _step(net, loss, slots, samples)
        except DeviceMemoryError:  # its arrays went with it: the next try has all the memory there is
            continue
        return samples
    return None


def _step(net, loss, slots, samples):
    """As much memory as a training step takes, with what the optimiser and the next batch take beside it."""
    net.to()
    axis = 0 if net.takes_pictures else 1
    shape = (*net.input_shape[:axis], samples, *net.input_shape[axis + 1 :])
    copies = range(slots + 2)  # moments, values and gradients, each as one vector
    held = [net.kernels.zeros(p.value.shape, p.value.dtype) for _, p in net.parameters() for _ in copies]
    held.append(net.kernels.zeros(shape, net.dtype))
    z = net.forward(net.kernels.zeros(shape, net.dtype), Mode(training=True, store=True))
    _, dz = loss(net.kernels, z, np.zeros(samples, np.int64), net.dtype)
    net.backward(dz, need_dx=False)
    net.kernels.to_host(dz)
