"""The keyword arguments of neurons: their types, and checks of their values.

`Neuron` and its derived classes pass the keyword arguments of their base class on as ``**options``. The classes of
options in this module tell a type checker the names and types; the constructors hold the defaults.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypedDict, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ..pda import PDA
from ..psg import Surrogate
from ..shown import shown
from ..validate import LARGEST_FLOAT, flag, real_array, truth

Numbers = float | Sequence[float] | NDArray[Any]
"""One number, or one number per channel."""

Learned = bool | Literal["layer", "channel"]
"""Whether a value is trained, with one number per layer ("layer" or True) or one number per channel ("channel")."""


Resets = float | Literal["delayed", "none"] | None
"""The potential after a hard reset, None for a soft reset, or the name of another kind of reset."""


class NeuronOptions(TypedDict, total=False):
    """The keyword arguments of `Neuron`."""

    v_threshold: Numbers
    v_reset: Resets
    v_init: Numbers
    learn_v_init: Learned
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
    """The keyword arguments that `PLIF` passes on to `LIF`. `PLIF` takes no beta, so beta may only be None."""

    beta: None


def granularity(what, value, start):
    """Return False, "layer" or "channel" for a valid argument. True means "layer", which needs a single start value."""
    if truth(value):
        value = "layer" if value else False
    if value is not False and not (isinstance(value, str) and value in ("layer", "channel")):
        raise ValueError(f"{what} must be False, True, 'layer' or 'channel'; got {shown(value)}")
    if isinstance(value, str) and value == "layer" and several(start):
        raise ValueError(f"{what} must be 'channel' if there is one start value per channel; got {shown(value)}")
    return value


def several(value) -> bool:
    """Return whether a value is anything but one number."""
    array = real_array(value)
    return array is None or array.ndim > 0


def numbers(what, value):
    """Return a finite number, or one finite number per channel, as an array."""
    array = real_array(value)
    if array is None or array.dtype.kind == "b" or array.ndim > 1 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"{what} must be one finite number or one per channel; got {shown(value)}")
    wide = array.astype(np.float64)
    if (np.abs(wide) > LARGEST_FLOAT).any():
        raise ValueError(f"{what} must be at most 3.4e38, the largest number in float32; got {shown(value)}")
    return wide


def positive_numbers(what, value):
    """Return a positive number, or one positive number per channel, as an array; also as float32 they are positive."""
    array = numbers(what, value)
    if (array <= 0).any():
        raise ValueError(f"{what} must be positive; got {shown(value)}")
    if (array.astype(np.float32) == 0).any():
        raise ValueError(f"{what} must be positive, and this number becomes 0 in float32; got {shown(value)}")
    return array


def tau_of(kind, tau, factor, names=("tau", "beta")):
    """Refuse a time constant and a decay factor that are given together, and return the time constant. It is 2 if
    neither is given."""
    if tau is not None and factor is not None:
        given = ", ".join(f"{name}={shown(value)}" for name, value in zip(names, (tau, factor), strict=True))
        raise ValueError(f"{kind}: give {' or '.join(names)}, not both; got {given}")
    return 2.0 if tau is None and factor is None else tau


def decay_of(kind, tau, factor, learn, names=("tau", "beta")):
    """Check a time constant in steps or, if it is not None, a decay factor, and return the decay factor.

    Args:
        kind: class of the layer; a message begins with it.
        tau, factor: the arguments; the decay factor is 1 - 1/tau if factor is None.
        learn: whether the decay factor is learned.
        names: names of the two arguments. Default ("tau", "beta").
    """
    if factor is None:
        tau = numbers(f"{kind}: {names[0]}", tau)
        if (tau < 1).any():
            raise ValueError(f"{kind}: {names[0]} must be at least 1 (steps); got {shown(tau.tolist())}")
        decay = 1 - 1 / tau
    else:
        decay = numbers(f"{kind}: {names[1]}", factor)
        if ((decay < 0) | (decay > 1)).any():
            raise ValueError(f"{kind}: {names[1]} must lie in [0, 1]; got {shown(factor)}")
    if learn and ((decay == 0) | (decay == 1)).any():
        raise ValueError(
            f"{kind}: a learned leak must start strictly between {names[1]} = 0 ({names[0]} = 1) and {names[1]} = 1"
        )
    return decay


def check_reset(kind, v_threshold, v_reset, refractory):
    """Refuse a threshold and a reset that do not fit each other."""
    threshold = positive_numbers(f"{kind}: v_threshold", v_threshold)
    if isinstance(v_reset, str) and v_reset == "delayed" and refractory:
        raise ValueError(
            f"{kind}: v_reset='delayed' acts while the neuron is refractory; use v_reset=None or refractory=0; "
            f"got refractory={refractory}"
        )
    if not resets_hard(v_reset) and v_reset in (None, "delayed", "none"):
        return
    if not resets_hard(v_reset) or several(v_reset):
        raise ValueError(f"{kind}: v_reset must be one number, None (soft), 'delayed' or 'none'; got {shown(v_reset)}")
    if (numbers(f"{kind}: v_reset", v_reset) >= threshold).any():
        raise ValueError(
            f"{kind}: v_reset must lie below v_threshold; got v_reset={shown(v_reset)}, "
            f"v_threshold={shown(v_threshold)}"
        )


def check_delayed(kind, factor):
    """Refuse a leak factor that a delayed reset cannot have; factor is None for a neuron without one."""
    if factor is None:
        raise ValueError(f"{kind}: v_reset='delayed' needs the leak of a LIF; use v_reset=None (soft)")
    if (factor == 0).any():
        raise ValueError(f"{kind}: v_reset='delayed' needs beta > 0 (tau > 1); got beta = 0")


def resets_hard(v_reset: Any) -> TypeGuard[float]:
    """Return whether a spike sets the potential to a number."""
    return not (v_reset is None or isinstance(v_reset, str))


class Leak(NamedTuple):
    """The arguments of a leak, checked, and the leak factor that follows from them."""

    tau: Numbers | None
    beta: Numbers | None
    decay_input: bool
    learn_tau: Literal[False, "layer", "channel"]
    factor: NDArray[np.float64]


def leak_of(kind, tau, beta, decay_input, learn_tau) -> Leak:
    """Check the arguments of a leak. tau is 2 if neither tau nor beta is given."""
    tau = tau_of(kind, tau, beta)
    numbers(f"{kind}: {'tau' if beta is None else 'beta'}", tau if beta is None else beta)
    decay_input = flag(f"{kind}: decay_input", decay_input)
    learn_tau = granularity(f"{kind}: learn_tau", learn_tau, tau if beta is None else beta)
    factor = decay_of(kind, tau, beta, learn_tau)
    if decay_input and (factor == 1).any():
        raise ValueError(f"{kind}: decay_input scales the input by 1 - beta, which is 0 for beta = 1")
    return Leak(tau, beta, decay_input, learn_tau, factor)
