"""Checks of what neurons are constructed with."""

import numpy as np


def granularity(what, value, start):
    """False, "layer" or "channel"; True stands for "layer", which needs one start value for all channels."""
    value = "layer" if value is True else value
    if value not in (False, "layer", "channel"):
        raise ValueError(f"{what} must be False, True, 'layer' or 'channel'; got {value!r}")
    if value == "layer" and np.ndim(start):
        raise ValueError(f"{what} must be 'channel' where there is one value per channel; got {value!r}")
    return value


def numbers(what, value):
    """A finite number, or one a channel, as an array."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim > 1 or not np.isfinite(array).all():
        raise ValueError(f"{what} must be a finite number or one a channel; got {value!r}")
    return array.astype(np.float64)


def decay_of(what, tau, beta, learn):
    """The decay factor of a time constant in steps (1 - 1/tau), or the factor itself; checked."""
    if beta is None:
        tau = numbers(f"{what}tau", tau)
        if (tau < 1).any():
            raise ValueError(f"{what}tau must be at least 1 (steps); got {tau.tolist()!r}")
        decay = 1 - 1 / tau
    else:
        decay = numbers(f"{what}beta", beta)
        if ((decay < 0) | (decay > 1)).any():
            raise ValueError(f"{what}beta must lie in [0, 1]; got {beta!r}")
    if learn and ((decay == 0) | (decay == 1)).any():
        raise ValueError(f"{what}a learned leak must start strictly between beta = 0 (tau = 1) and beta = 1")
    return decay
