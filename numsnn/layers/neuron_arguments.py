"""What neurons are constructed with: the types of their keyword arguments, and checks of the values.

`Neuron` and its relatives pass the keyword arguments of the class above on as ``**options``. The classes of options
here tell a type checker their names and types; defaults stand in the constructors.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..pda import PDA
from ..psg import Surrogate

Numbers = float | Sequence[float] | NDArray[Any]
"""One number, or one per channel."""

Learned = bool | Literal["layer", "channel"]
"""Whether a value is trained, and whether there is one per layer or one per channel; True stands for "layer"."""


class NeuronOptions(TypedDict, total=False):
    """The keyword arguments of `Neuron`."""

    v_threshold: Numbers
    v_reset: float | Literal["none"] | None
    detach_reset: bool
    learn_threshold: Learned
    refractory: int
    surrogate: Surrogate | str | None
    pda: PDA | bool | None
    record: str | Sequence[str]
    name: str | None


class LIFOptions(NeuronOptions, total=False):
    """The keyword arguments of `LIF`."""

    tau: Numbers | None
    beta: Numbers | None
    decay_input: bool
    learn_tau: Learned


class PLIFOptions(NeuronOptions, total=False):
    """The keyword arguments that `PLIF` passes on to `LIF`; it takes no beta, so that beta may only be None."""

    beta: None


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
