"""What a pass of a neuron measures for PDA and for its user. Only real steps count if the batch has padding."""

import numpy as np

from ..kernels.types import Moments, Norm
from ..pda import RealPotentials


def current_moments(neuron, trace, shape, padding) -> Moments:
    """Return mean and variance of the input current, each ``[C]``.

    Args:
        neuron: the neuron.
        trace: the `Trace` of the pass.
        shape: shape of the neuron's input, ``[T, N, ...]``.
        padding: the `Padding` of the pass, or None.
    """
    kernels, channels = neuron.kernels, shape[-1]
    mean, var = kernels.empty((2, 1, channels), neuron.dtype)
    norm = trace.norm
    if norm is not None and norm.var is not None:
        kernels.copy(norm.centre, mean[0])
        kernels.copy(norm.var, var[0])
    else:
        rows = trace.current if padding is None else padding.gather(neuron, trace.current.reshape(shape))
        kernels.moments(rows.reshape(1, -1, channels), mean, var)
    moments = Moments(mean[0], var[0])
    if norm is not None:
        kernels.normalised_moments(moments, Norm(norm.centre, norm.factor, norm.offset), moments)
    return moments


def real_potentials(neuron, u, shape, padding) -> RealPotentials:
    """Return what PDA measures of the potentials u ``[T, M, C]`` at the real steps; the arguments are those of
    `current_moments`."""
    kernels, channels = neuron.kernels, shape[-1]
    rows = padding.gather(neuron, u.reshape(shape))
    mean, var = neuron.buffer("moments", (2, padding.longest, channels))
    for t, (first, end) in enumerate(padding.spans):
        kernels.moments(rows[first:end].reshape(1, -1, channels), mean[t : t + 1], var[t : t + 1])
    rows = rows.reshape(1, -1, channels)
    total = Moments(*neuron.buffer("moments of all steps", (2, 1, channels)))
    kernels.moments(rows, *total)
    ends = padding.ends(u.shape[1] // shape[1])
    return RealPotentials(mean, Moments(total.mean[0], total.var[0]), rows.shape[1], ends)


def real_share(neuron, visible, shape, padding) -> float:
    """Return the share of the potentials at real steps that the visible mask marks; the arguments are those of
    `current_moments`."""
    kernels, channels = neuron.kernels, shape[-1]
    rows = padding.gather(neuron, visible.reshape(shape), "real marks")
    shares, unused = neuron.buffer("shares", (2, channels))
    kernels.rate_power(rows.reshape(-1, channels), 1, 1.0, shares, unused)  # shares of the channels, divided by C
    return float(kernels.to_host(shares).sum(dtype=np.float64))
