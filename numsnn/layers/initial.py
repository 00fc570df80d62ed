"""Initial potentials: what a neuron starts a sequence from."""

import numpy as np

from .carry import carried_state
from .neuron_arguments import granularity, numbers
from .parameter import ConstrainedValue


def arguments(kind, v_init, learn):
    """Return the checked arguments v_init and learn_v_init of a neuron."""
    numbers(f"{kind}: v_init", v_init)
    return v_init, granularity(f"{kind}: learn_v_init", learn, v_init)


def potential(layer, channels):
    """Return the `ConstrainedValue` of the initial potential, or None for a neuron that starts from rest."""
    if not layer.learn_v_init and not np.any(layer.v_init):
        return None
    learn = layer.learn_v_init
    return ConstrainedValue("v_init", "bias", layer.v_init, "free", learn, channels, layer.kernels, layer.dtype)


def state(layer, mode, shape, steps):
    """Return what `Layer.carried_state` returns, and whether the pass starts from the initial potential.

    N21: where a sequence begins, the potentials are v_init. They are the first numbers of the state, whose shape
    is ``[..., M, C]``.
    """
    carried, first = carried_state(layer, mode, shape, steps)
    begins = layer.initial is not None and first == 0
    if begins:
        if carried is None:
            carried = layer.buffer("state", shape)
            layer.kernels.fill(carried, 0)
        potentials = carried.reshape(-1, *shape[-2:])[0]
        layer.kernels.add_row(potentials, layer.initial.natural, potentials)
    return carried, first, begins


def gradient_array(layer, begins, rows):
    """Return an array ``[M, C]`` for the gradient of the potentials before the first step, or None if it is not needed.

    Args:
        layer: the neuron.
        begins: whether the pass started from the initial potential.
        rows: the shape (M, C).
    """
    return layer.buffer("start gradient", rows) if begins and _learned(layer) else None


def sum_gradient(layer, dstart):
    """N21: set the gradient of a learned initial potential to the sum of dstart over rows, or to 0 without dstart."""
    if not _learned(layer):
        return
    if dstart is None:
        layer.kernels.fill(layer.initial.gradient, 0)
    else:
        layer.kernels.bias_backward(dstart, layer.initial.gradient)


def _learned(layer):
    """Return whether the gradient of the initial potential is needed."""
    return layer.initial is not None and layer.initial.parameter is not None and not layer.frozen
