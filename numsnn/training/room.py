"""The number of samples per batch for which a device has memory."""

import numpy as np

from ..data import Batch
from ..errors import DeviceMemoryError
from ..layers import Layer, Mode
from ..layers.inputs import each
from ..losses import Loss


def advice(net: Layer, loss: Loss, slots: int, samples: int, data, recompute: bool = False) -> str:
    """Return the part of an error message that names the largest batch for which a training step fits into memory.

    Smaller and smaller halves are tried. What the network keeps of its last pass is lost; parameters and statistics do
    not change.

    Args:
        net, loss: the built network and the loss of the training.
        slots: number of arrays per parameter that the optimiser stores.
        samples: number of samples of the batch that did not fit.
        data: source of batches.
        recompute: that of the training. Default False.
    """
    fitting = largest_batch(net, loss, slots, samples, data, recompute)
    return "not even a single sample fits" if fitting is None else f"{fitting} fit: batch_size={fitting}"


def largest_batch(net: Layer, loss: Loss, slots: int, samples: int, data, recompute: bool = False) -> int | None:
    """Return the number of samples of the largest batch that fits, or None if not even one sample does; arguments as
    for `advice`."""
    while samples > 1:
        samples //= 2
        batch = Batch.of(data.batch(np.zeros(samples, np.int64)))
        try:
            _step(net, loss, slots, batch, recompute)
        except DeviceMemoryError:  # its arrays are free again: the next try has all of the memory
            continue
        return samples
    return None


def _step(net, loss, slots, batch, recompute):
    """Use as much memory as a training step, the optimiser and the next batch need together."""
    net.to()
    kernels = net.kernels
    copies = range(slots + 2)  # one vector per moment, one of the values and one of the gradients
    held = [kernels.zeros(p.value.shape, p.value.dtype) for _, p in net.parameters() for _ in copies]
    held.append(each(batch.x, lambda part: kernels.zeros(part.shape, net.dtype)))
    x = each(batch.x, lambda part: kernels.from_host(part, net.dtype))
    z = net.forward(x, Mode(training=True, store=True, recompute=recompute, lengths=batch.lengths))
    _, dz = loss(z, batch.y, kernels, batch.lengths, dtype=net.dtype)
    net.backward(dz, need_dx=False)
    kernels.to_host(dz)
