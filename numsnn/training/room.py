"""The number of samples per batch for which a device has memory."""

import numpy as np

from ..errors import DeviceMemoryError
from ..layers import Layer, Mode
from ..layers.inputs import each, first_timed, timed
from ..losses import Loss


def largest_batch(net: Layer, loss: Loss, slots: int, samples: int) -> int | None:
    """Return the largest batch for which a training step fits into memory, by trying smaller and smaller halves.

    What the network keeps of its last pass is lost; parameters and statistics do not change.

    Args:
        net, loss: the built network and the loss of the training.
        slots: number of arrays per parameter that the optimiser stores.
        samples: number of samples of the batch that did not fit.

    Returns:
        the number of samples, or None if not even one sample fits.
    """
    while samples > 1:
        samples //= 2
        try:
            _step(net, loss, slots, samples)
        except DeviceMemoryError:  # its arrays are free again: the next try has all of the memory
            continue
        return samples
    return None


def _step(net, loss, slots, samples):
    """Use as much memory as a training step, the optimiser and the next batch need together."""
    net.to()
    shape = timed(net, net.input_shape, lambda one: one[1:])
    shape = each(shape, lambda one: (samples, *one[1:]))
    if (steps := first_timed(net, net.input_shape)) is not None:
        shape = timed(net, shape, lambda one: (steps[0], *one))
    copies = range(slots + 2)  # one vector per moment, one of the values and one of the gradients
    held = [net.kernels.zeros(p.value.shape, p.value.dtype) for _, p in net.parameters() for _ in copies]
    x, following = (each(shape, lambda one: net.kernels.zeros(one, net.dtype)) for _ in range(2))
    held.append(following)
    z = net.forward(x, Mode(training=True, store=True))
    _, dz = loss(net.kernels, z, np.zeros(samples, np.int64), net.dtype)
    net.backward(dz, need_dx=False)
    net.kernels.to_host(dz)
