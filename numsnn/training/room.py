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
    axis = 0 if net.takes_pictures else 1
    before, after = net.input_shape[:axis], net.input_shape[axis + 1 :]
    while samples > 1:
        samples //= 2
        try:
            net.to()
            # what else there is in a step: moments, values and gradients as one vector each, and the next batch
            copies = range(slots + 2)
            held = [net.kernels.zeros(p.value.shape, p.value.dtype) for _, p in net.parameters() for _ in copies]
            x, following = (net.kernels.zeros((*before, samples, *after), net.dtype) for _ in range(2))
            z = net.forward(x, Mode(training=True, store=True))
            _, dz = loss(net.kernels, z, np.zeros(samples, np.int64), net.dtype)
            net.backward(dz, need_dx=False)
            net.kernels.to_host(dz)
            del held, following
            return samples
        except DeviceMemoryError:
            continue
    return None
