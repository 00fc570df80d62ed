"""The leaky integrate-and-fire layer: where PSG and PDA act."""

import numpy as np

from ..pda import PDA, ShiftTracker
from ..psg import FAMILIES, PSG, Surrogate
from ..validate import flag
from .base import Layer
from .parameter import ConstrainedValue

RECORDABLE = ("u", "v", "s")

LEAK_BOUNDS = (1e-4, 1 - 1e-4)
"""Of a learned beta: nearer to 1 the float32 logistic function rounds to 1, and beta stops moving."""


class LIF(Layer):
    """Leaky integrate-and-fire neurons, one a feature; all T steps in one pass, starting from rest.

        charge   u[t] = beta v[t-1] + i[t] - d[t]        beta = 1 - 1/tau, d = PDA correction
        fire     s[t] = H(u[t] - v_threshold)
        reset    v[t] = u[t] - s[t] (u[t] - v_reset)     hard;  v[t] = u[t] - s[t] v_threshold  soft

    ``[T, N, C]`` or ``[T, N, H, W, C]`` in, spikes (uint8) of the same shape out. Source: README.md, "The method",
    section 1.

    Args:
        tau: time constant in steps, at least 1; a number or one a channel. Default 2.
        beta: leak factor in [0, 1] instead of tau; 1 does not leak (integrate-and-fire).
        v_threshold: potential from which on the neuron fires; a number or one a channel. Default 1.
        v_reset: potential after a spike (hard reset, default 0), or None: the threshold is subtracted (soft reset).
        detach_reset: the backward pass treats the reset's spikes as constants. Default False.
        decay_input: scale the input current by 1/tau, as SpikingJelly does by default. Default False.
        learn_tau, learn_threshold: False (default), True or "layer" (one a layer), "channel" (one a channel). Trained
            as logit of beta and logarithm of the threshold, so that they stay in range.
        surrogate: a `PSG` (width learned; the default is ``PSG("triangle")``), a `Surrogate` (fixed), or a family's
            name for a fixed one of width 1.
        pda: a `PDA`, True for its defaults, or None or False (default) for none.
        record: which of "u" (potential after charging), "v" (after reset) and "s" (spikes) every pass leaves as copies
            in ``recorded``.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters, where learned: logit_beta, log_threshold, log_width, each ``[1]`` or ``[C]``. Statistics, with PDA:
    correction ``[T, C]``, target ``[2, C]``, batches ``[1]``.

    Raises:
        ValueError: tau and beta together, tau below 1, beta outside [0, 1], a threshold that is not positive or does
            not exceed v_reset, a learned beta of 0 or 1.
    """

    def __init__(
        self, tau=None, beta=None, v_threshold=1.0, v_reset: float | None = 0.0, detach_reset: bool = False,
        decay_input: bool = False, learn_tau: bool | str = False, learn_threshold: bool | str = False,
        surrogate: Surrogate | str | None = None, pda: PDA | bool | None = None, record=(), name: str | None = None,
    ):  # fmt: skip
        super().__init__(name)
        if tau is not None and beta is not None:
            raise ValueError(f"LIF: give tau or beta, not both; got tau={tau!r}, beta={beta!r}")
        if tau is None and beta is None:
            tau = 2.0
        self.tau, self.beta = tau, beta
        self.v_threshold, self.v_reset = v_threshold, v_reset
        self.detach_reset = flag("LIF: detach_reset", detach_reset)
        self.decay_input = flag("LIF: decay_input", decay_input)
        self.learn_tau = _granularity("LIF: learn_tau", learn_tau)
        self.learn_threshold = _granularity("LIF: learn_threshold", learn_threshold)
        if isinstance(surrogate, str):
            surrogate = Surrogate(surrogate)
        self.surrogate = PSG() if surrogate is None else surrogate
        if not isinstance(self.surrogate, Surrogate):
            raise ValueError(f"LIF: surrogate must be a Surrogate, a PSG or a family's name; got {surrogate!r}")
        self.pda = PDA() if pda is True else (pda or None)
        if self.pda is not None and not isinstance(self.pda, PDA):
            raise ValueError(f"LIF: pda must be a PDA, True, False or None; got {pda!r}")
        self.record = (record,) if isinstance(record, str) else tuple(record)
        if unknown := [key for key in self.record if key not in RECORDABLE]:
            raise ValueError(f"LIF: record takes {', '.join(map(repr, RECORDABLE))}; got {unknown[0]!r}")
        self.recorded = {}
        self.tracker = None
        self._check_values()

    def _check_values(self):
        threshold = _numbers("LIF: v_threshold", self.v_threshold)
        if (threshold <= 0).any():
            raise ValueError(f"LIF: v_threshold must be positive; got {self.v_threshold!r}")
        if self.v_reset is not None and (_numbers("LIF: v_reset", self.v_reset) >= threshold).any():
            raise ValueError(
                f"LIF: v_reset must lie below v_threshold; got v_reset={self.v_reset!r}, "
                f"v_threshold={self.v_threshold!r}"
            )
        if self.v_reset is not None and np.ndim(self.v_reset):
            raise ValueError(f"LIF: v_reset must be one number or None; got {self.v_reset!r}")
        if self.beta is None:
            tau = _numbers("LIF: tau", self.tau)
            if (tau < 1).any():
                raise ValueError(f"LIF: tau must be at least 1 (steps); got {self.tau!r}")
            self._leak = 1 - 1 / tau
        else:
            self._leak = _numbers("LIF: beta", self.beta)
            if ((self._leak < 0) | (self._leak > 1)).any():
                raise ValueError(f"LIF: beta must lie in [0, 1]; got {self.beta!r}")
        for learn, what, value in (
            (self.learn_tau, "learn_tau", self._leak),
            (self.learn_threshold, "learn_threshold", threshold),
        ):
            if learn == "layer" and value.ndim:
                raise ValueError(f"LIF: {what} must be 'channel' where there is one value a channel; got {learn!r}")
        if self.learn_tau and ((self._leak == 0) | (self._leak == 1)).any():
            raise ValueError("LIF: a learned leak must start strictly between beta = 0 (tau = 1) and beta = 1")
        if self.decay_input and (self._leak == 1).any():
            raise ValueError("LIF: decay_input scales the input by 1 - beta, which is 0 for beta = 1")

    def infer(self, shape):
        if len(shape) not in (3, 5):
            self.refuse(shape, "[T, N, C] or [T, N, H, W, C]")
        for what, value in (("leak", self._leak), ("threshold", np.asarray(self.v_threshold))):
            if value.ndim and value.shape != (shape[-1],):
                self.refuse(shape, f"[..., {len(value)}]: there is one {what} a channel")
        return shape

    def create(self, shape, rng):
        channels = shape[-1]
        shared = channels, self.kernels, self.dtype
        self.leak = ConstrainedValue("beta", "leak", self._leak, "unit", self.learn_tau, *shared, bounds=LEAK_BOUNDS)
        self.threshold = ConstrainedValue(
            "threshold", "threshold", self.v_threshold, "positive", self.learn_threshold, *shared
        )
        psg = self.surrogate
        learning = {"lr": psg.lr, "bounds": psg.bounds} if psg.learned else {}
        granularity = psg.per if psg.learned else False
        self.width = ConstrainedValue("width", "width", psg.width, "positive", granularity, *shared, **learning)
        for value in self._values():
            if value.parameter is not None:
                self.add_parameter(value.parameter)
        if self.pda is not None:
            self.tracker = ShiftTracker(self.pda, channels, self.kernels, self.dtype)

    def _values(self):
        return self.leak, self.threshold, self.width

    def compute(self, x, mode):
        steps, channels = x.shape[0], x.shape[-1]
        flat = steps, -1, channels
        current = x.reshape(flat) if x.dtype == self.dtype else self._as_real(x).reshape(flat)
        beta, theta, alpha = (value.refresh() for value in self._values())
        d = self.kernels.zeros((steps, channels), self.dtype)
        if self.tracker is not None:
            d = self.tracker.correction_for(steps)
        s = self.buffer("s", current.shape, self.dtype if mode.relaxed else np.uint8)
        need_u = mode.store or mode.track or self.record
        u = self.buffer("u", current.shape) if need_u else None
        family = self.surrogate.family if mode.relaxed else None
        self.kernels.lif_forward(current, beta, theta, d, self.v_reset, self.decay_input, family, alpha, u, s)
        if self.tracker is not None and (mode.store or mode.track):
            self.tracker.observe(current, u, mode)
        if mode.store:
            self.kept = u, s, d, mode.relaxed
        if self.record:
            self._record(u, s, theta, x.shape)
        return s.reshape(x.shape)

    def _as_real(self, spikes):
        """Spikes as input current, in the layer's dtype."""
        real = self.buffer("current", spikes.shape)
        real[...] = spikes
        return real

    def propagate(self, dy, need_dx):
        u, s, d, relaxed = self.kept
        p_offset, p_slope = (None, None) if self.tracker is None else self.tracker.direct_gradient
        dx = self.buffer("dx", u.shape)
        self.kernels.lif_backward(
            dy.reshape(u.shape), u, s, self.leak.natural, self.threshold.natural, d, self.v_reset,
            self.detach_reset and not relaxed, self.decay_input, self.surrogate.family, self.width.natural,
            p_offset, p_slope, dx, self.leak.gradient if self.learn_tau else None, self.threshold.gradient,
            self.width.gradient,
        )  # fmt: skip
        for value in self._values():
            value.collect()
        return dx.reshape(dy.shape) if need_dx else None

    def _record(self, u, s, theta, shape):
        arrays = {"u": u, "s": s}
        if "v" in self.record:
            arrays["v"] = self.buffer("v", u.shape)
            self.kernels.lif_reset(u, s, theta, self.v_reset, arrays["v"])
        self.recorded = {key: self.kernels.to_host(arrays[key]).reshape(shape) for key in self.record}

    @property
    def penalty(self) -> float:
        """What the divergence objective added to the loss in the last pass that stored its potentials."""
        return 0.0 if self.tracker is None else self.tracker.penalty

    def pieces(self):
        breaks = FAMILIES[self.surrogate.family].breaks
        u = self.kernels.to_host(self.kept[0])
        z = (u - self.kernels.to_host(self.threshold.natural)) / self.kernels.to_host(self.width.natural)
        return np.searchsorted(breaks, z)

    def own_statistics(self):
        if self.tracker is None:
            return {}
        return {
            "correction": self.tracker.correction,
            "target": self.tracker.target,
            "batches": self.tracker.batches,
        }

    def set_statistic(self, name, value):
        dtype = np.int64 if name == "batches" else self.dtype
        setattr(self.tracker, name, self.kernels.from_host(value, dtype))

    def move(self, kernels, dtype):
        if self.built:
            for value in self._values():
                value.move(kernels, self.kernels, dtype)
        if self.tracker is not None:
            self.tracker.kernels, self.tracker.dtype = kernels, dtype
        statistics = {name: self.kernels.to_host(value) for name, value in self.own_statistics().items()}
        self._kernels, self.dtype = kernels, dtype
        for name, value in statistics.items():
            self.set_statistic(name, value)


def _granularity(what, value):
    """False, "layer" or "channel"; True stands for "layer"."""
    if value is True:
        return "layer"
    if value not in (False, "layer", "channel"):
        raise ValueError(f"{what} must be False, True, 'layer' or 'channel'; got {value!r}")
    return value


def _numbers(what, value):
    """A finite number, or one a channel, as an array."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim > 1 or not np.isfinite(array).all():
        raise ValueError(f"{what} must be a finite number or one a channel; got {value!r}")
    return array.astype(np.float64)
