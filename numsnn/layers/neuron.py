"""What all spiking neurons share: where PSG and PDA act, and the kernels are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ..kernels.rules import Rule
from ..kernels.types import Firing, Moments, Norm, Reset
from ..pda import PDA, ShiftTracker
from ..psg import FAMILIES, PSG, Surrogate
from ..validate import flag, whole
from .base import Layer
from .neuron_arguments import Learned, Numbers, granularity, numbers
from .neuron_run import ByRule, Extended, Trace
from .norm import Normalisation
from .parameter import ConstrainedValue, Parameter
from .shapes import keep_channels

LEAK_BOUNDS = (1e-4, 1 - 1e-4)
"""Of a learned decay: nearer to 1 the float32 logistic function rounds to 1, and the decay stops moving."""

VISIBLE_DENSITY = 0.2
"""Share of the potentials in a window around the threshold that is one threshold wide, as expected: measured behind a
batch normalisation, where it is 0.21."""

MARGIN = 1e-3
"""A learned threshold stays at least this far above 0 and above v_reset, and below its inverse."""


class Neuron(Layer):
    """Base of the spiking neurons: threshold, reset, surrogate, PDA. Use `LIF` and its relatives.

    Args:
        v_threshold: potential from which on the neuron fires; a number or one a channel. Default 1.
        v_reset: potential after a spike (hard reset, default 0), None: the threshold is subtracted (soft reset), or
            "none": a spike leaves the potential as it is.
        detach_reset: the backward pass treats the reset's spikes as constants. Default False.
        learn_threshold: False (default), True or "layer" (one a layer), "channel" (one a channel); trained as a
            logarithm, so that it stays positive.
        refractory: steps after a spike for which the potential is held and cannot fire. Default 0.
        surrogate: a `PSG` (width learned; the default is ``PSG("triangle")``), a `Surrogate` (fixed), or a family's
            name for a fixed one of width 1.
        pda: a `PDA`, True for its defaults, or None or False (default) for none.
        record: which of "u" (potential after charging), "v" (after reset), "s" (spikes), "j" (synaptic current) and
            "a" (adaptation) every pass leaves as copies in ``recorded``.
        name: shown in reports and errors; by default the class's name and a number.

    Attributes:
        want_visible: find out in every stored pass where the surrogate sees (`visible`). False (default) leaves that to
            the layers that compute dL/ds: it is done where the width lets expect that they save more than it costs.
        visible_share: the share of the potentials it saw, between 0 and 1; None where that was not asked for.

    Raises:
        ValueError: a threshold that is not positive or does not exceed v_reset, values out of range.
    """

    transient = Layer.transient | {"recorded": dict}
    carries = fires = True
    adaptive = recurrent = False
    lateral = None
    growing_statistics = ("correction",)
    want_visible = False
    visible_share = None

    takes_steps = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        unused = [name for name in ("step", "step_back", "charge", "fire", "density", "cdf") if name in vars(cls)]
        if unused and not cls.takes_steps:
            raise TypeError(
                f"{cls.__name__}.{unused[0]} would not be used: derive a neuron with a step of its own from "
                "snn.CustomNeuron; a surrogate of your own is snn.register_surrogate"
            )

    def __init__(
        self,
        v_threshold: Numbers = 1.0,
        v_reset: float | Literal["none"] | None = 0.0,
        detach_reset: bool = False,
        learn_threshold: Learned = False,
        refractory: int = 0,
        surrogate: Surrogate | str | None = None,
        pda: PDA | bool | None = None,
        record: str | Sequence[str] = (),
        name: str | None = None,
    ):
        super().__init__(name)
        kind = type(self).__name__
        self.v_threshold, self.v_reset = v_threshold, v_reset
        self.detach_reset = flag(f"{kind}: detach_reset", detach_reset)
        self.learn_threshold = granularity(f"{kind}: learn_threshold", learn_threshold, v_threshold)
        self.refractory = whole(f"{kind}: refractory", refractory, 0)
        if isinstance(surrogate, str):
            surrogate = Surrogate(surrogate)
        self.surrogate = PSG() if surrogate is None else surrogate
        if not isinstance(self.surrogate, Surrogate):
            raise ValueError(f"{kind}: surrogate must be a Surrogate, a PSG or a family's name; got {surrogate!r}")
        self.pda = PDA() if pda is True else (pda or None)
        if self.pda is not None and not isinstance(self.pda, PDA):
            raise ValueError(f"{kind}: pda must be a PDA, True, False or None; got {pda!r}")
        self.record = (record,) if isinstance(record, str) else tuple(record)
        self.recorded: dict[str, np.ndarray] = {}
        self.tracker: Any = None
        self._starts: dict[str, np.ndarray] = {}
        self._check_reset(kind)

    def _check_reset(self, kind):
        threshold = numbers(f"{kind}: v_threshold", self.v_threshold)
        if (threshold <= 0).any():
            raise ValueError(f"{kind}: v_threshold must be positive; got {self.v_threshold!r}")
        if self.v_reset is None or self.v_reset == "none":
            return
        if isinstance(self.v_reset, str) or np.ndim(self.v_reset):
            raise ValueError(f"{kind}: v_reset must be one number, None (soft) or 'none'; got {self.v_reset!r}")
        if (numbers(f"{kind}: v_reset", self.v_reset) >= threshold).any():
            raise ValueError(
                f"{kind}: v_reset must lie below v_threshold; got v_reset={self.v_reset!r}, "
                f"v_threshold={self.v_threshold!r}"
            )

    def check_record(self):
        """Refuse to record what this neuron does not have; subclasses call it when they know what they have."""
        kind = type(self).__name__
        known = ["u", "v", "s", *self.recordable()]
        if unknown := [key for key in self.record if key not in known]:
            raise ValueError(f"{kind}: record takes {', '.join(map(repr, known))}; got {unknown[0]!r}")
        if "v" in self.record and self.v_reset is None and self.adaptive:
            raise ValueError(f"{kind}: 'v' cannot be recorded with a soft reset by an adapting threshold; got 'v'")

    # --- what a kind of neuron says of itself ---

    def rule(self) -> Rule | None:
        """How the potential is charged; None for a neuron with extensions (docs/method.md, group X), whose kernels are
        others."""
        raise TypeError(f"{type(self).__name__} has no rule()")

    @property
    def run(self) -> ByRule | Extended:
        """How the kernels are called."""
        rule = self.rule()
        return Extended(self) if rule is None else ByRule(self, rule)

    def recordable(self) -> tuple[str, ...]:
        """Names of what the neuron carries from step to step beside its potential, as far as it can be recorded."""
        return ()

    def create_values(self) -> dict[str, ConstrainedValue]:
        """The values of its charge, by the names of the rule, made with `decay` and `scale`."""
        raise TypeError(f"{type(self).__name__} has no create_values()")

    @property  # of the other layers it is a constant of the class
    def takes_over(self):  # type: ignore[override]
        """What the neuron's kernels can do for the layer in front: see `layers.fused`."""
        return "normalisation" if self.rule() is not None and type(self).compute is Neuron.compute else None

    def infer(self, shape):
        if len(shape) not in ((3,) if self.recurrent else (3, 4, 5)):
            self.refuse(shape, "[T, N, C]" if self.recurrent else "[T, N, C], [T, N, L, C] or [T, N, H, W, C]")
        for what, value in {**self._starts, "threshold": np.asarray(self.v_threshold)}.items():
            if value.ndim and value.shape != (shape[-1],):
                self.refuse(shape, f"[..., {len(value)}]: there is one {what} per channel")
        keep_channels(self, shape)
        return shape

    def width_bounds(self) -> tuple[float, float]:
        """Smallest and largest width of a surrogate that is learned."""
        psg: Any = self.surrogate
        return psg.bounds_at(float(np.min(self.v_threshold)), self.recurrent)

    def create(self, shape, rng):
        channels = shape[-1]
        self._shared = channels, self.kernels, self.dtype
        psg: Any = self.surrogate
        learning = {}
        if psg.learned:
            learning = {"lr": psg.lr, "bounds": self.width_bounds()}
        per = psg.per if psg.learned else False
        above = 0.0 if self.v_reset is None or self.v_reset == "none" else max(self.v_reset, 0.0)
        self.threshold = self.scale(
            "threshold", "threshold", self.v_threshold, self.learn_threshold, bounds=(above + MARGIN, 1 / MARGIN)
        )
        self.width = self.scale("width", "width", psg.width, per, **learning)
        self.own_values = self.create_values()
        first, *others = self.own_values.values()
        self.constrained = [first, self.threshold, self.width, *others]
        for value in self.constrained:
            if value.parameter is not None:
                self.add_parameter(value.parameter)
        if self.recurrent:
            bound = np.sqrt(3 / channels)
            weight = self.kernels.from_host(rng.uniform(-bound, bound, (channels, channels)), self.dtype)
            self.lateral = self.add_parameter(Parameter("lateral", weight, "weight"))
        if self.pda is not None:
            self.tracker = ShiftTracker(self.pda, channels, self.kernels, self.dtype)

    def decay(self, name, value, learn):
        """A decay factor between 0 and 1, one a channel."""
        return ConstrainedValue(name, "leak", value, "unit", learn, *self._shared, bounds=LEAK_BOUNDS)

    def scale(self, name, group, value, learn, **options):
        """A positive value, one a channel."""
        return ConstrainedValue(name, group, value, "positive", learn, *self._shared, **options)

    # --- forward ---

    def compute(self, x, mode, norm: Normalisation | None = None):
        """The spikes for x, or for what norm makes of x."""
        steps, channels = x.shape[0], x.shape[-1]
        current = self.as_real(x).reshape(steps, -1, channels)
        for value in self.constrained:
            value.refresh()
        rows = current.shape[1:]
        state, first = self.carried_state(mode, self.run.state_shape(rows), steps)
        start = self.keep_start(state, mode)
        d = self.kernels.zeros((steps, channels), self.dtype)
        if self.tracker is not None:
            d = self.tracker.correction_for(steps, first)
        s = self.buffer("s", current.shape, self.dtype if mode.relaxed else np.uint8)
        need_u = mode.inspect or not {"u", "v"}.isdisjoint(self.record) or self.run.stores_potentials
        u = self.buffer("u", current.shape) if need_u else None
        visible = self.buffer("visible", s.shape, np.uint8) if mode.store and self._sees() else None
        trace = Trace(current, norm, u, s, d, mode.relaxed, start, visible, self.run.parts(current.shape))
        moments = None
        if self.tracker is not None and self.tracker.wants_potentials(mode):
            moments = self.buffer("moments", (2, steps, channels))
        self.visible_share = self.run.forward(trace, state, moments)
        if self.tracker is not None and (mode.store or mode.track):
            current_moments = self._current_moments(trace) if mode.track else None
            self.tracker.observe(current_moments, *((None, None) if moments is None else moments), rows[0], mode, first)
        if mode.store:
            self.kept = trace
        if self.record:
            self._record(trace, x.shape)
        return s.reshape(x.shape)

    def firing(self) -> Firing:
        """Where and how the neuron fires, as the kernels take it."""
        return Firing(self.threshold.natural, self.width.natural, self.surrogate.family, self.surrogate.reach)

    def _current_moments(self, trace):
        """Mean and variance ``[C]`` of the input current."""
        channels = trace.current.shape[-1]
        mean, var = self.kernels.empty((2, 1, channels), self.dtype)
        norm = trace.norm
        if norm is not None and norm.var is not None:
            self.kernels.copy(norm.centre, mean[0])
            self.kernels.copy(norm.var, var[0])
        else:
            self.kernels.moments(trace.current.reshape(1, -1, channels), mean, var)
        moments = Moments(mean[0], var[0])
        if norm is not None:
            self.kernels.normalised_moments(moments, Norm(norm.centre, norm.factor, norm.offset), moments)
        return moments

    def potentials(self) -> np.ndarray:
        """Potentials after charging of the last stored pass, ``[T, M, C]``, on the host; computed again, unless the
        pass kept them."""
        trace = self.kept
        if trace.u is None:
            start = None
            if trace.start is not None:
                start = self.kernels.empty(trace.start.shape, self.dtype)
                self.kernels.copy(trace.start, start)
            trace = replace(trace, u=self.kernels.empty(trace.current.shape, self.dtype), visible=None)
            self.run.forward(trace, start)
        return self.kernels.to_host(trace.u)

    def _record(self, trace, shape):
        arrays = {"u": trace.u, "s": trace.s, **trace.parts}
        if "v" in self.record:
            arrays["v"] = self.buffer("v", trace.u.shape)
            self.kernels.neuron_reset(trace.u, trace.s, self.threshold.natural, Reset(self.v_reset), arrays["v"])
        self.recorded = {key: self.kernels.to_host(arrays[key]).reshape(shape) for key in self.record}

    # --- backward ---

    def propagate(self, dy, need_dx):
        trace = self.kept
        shape = trace.s.shape
        direct = None if self.tracker is None else self.tracker.direct_gradient
        dx = self.gradient(dy.shape) if self.run.stores_potentials else self.overwrite(dy)
        self.run.backward(trace, dy.reshape(shape), direct, dx.reshape(shape))
        for value in self.constrained:
            value.collect()
        return dx

    # --- looking inside, saving, moving ---

    @property
    def penalty(self) -> float:
        """What the divergence objective added to the loss in the last pass that stored its potentials."""
        return 0.0 if self.tracker is None else self.tracker.penalty

    def thresholds(self) -> np.ndarray:
        """The threshold in the last stored pass: ``[C]``, or ``[T, M, C]`` where it adapts; on the host."""
        theta = self.kernels.to_host(self.threshold.natural)
        if not self.adaptive:
            return theta
        a = self.kernels.to_host(self.kept.parts["a"])
        start = np.zeros_like(a[:1]) if self.kept.start is None else self.kernels.to_host(self.kept.start)[2][None]
        return theta + self.kernels.to_host(self.own_values["kappa"].natural) * np.concatenate([start, a[:-1]])

    def spikes(self) -> np.ndarray:
        """Spikes of the last stored pass, ``[T, M, C]``, on the host."""
        return self.kernels.to_host(self.kept.s)

    def currents(self) -> np.ndarray:
        """Input currents of the last stored pass, ``[T, M, C]``, on the host; normalised, where the normalisation in
        front was run as one with the neuron."""
        current, norm = self.kernels.to_host(self.kept.current), self.kept.norm
        if norm is None:
            return current
        centre, factor, offset = map(self.kernels.to_host, norm[:3])
        return (current - centre) * factor + offset

    def signals(self):
        if self.kept is None:
            return [self.output]
        return [self.output, self.potentials(), *vars(self.kept).values(), *self.kept.parts.values()]

    def _sees(self):
        """Whether to find out in this pass where the surrogate sees."""
        return self.rule() is not None and FAMILIES[self.surrogate.family].compact and self.plan.asks(self)

    def expected_share(self) -> float:
        """The share of the potentials that the surrogate is expected to see, without looking at them; above 1 where it
        sees farther than they spread."""
        widths = self.kernels.to_host(self.width.natural) / self.kernels.to_host(self.threshold.natural)
        return VISIBLE_DENSITY * 2 * self.surrogate.reach * float(widths.mean(dtype=np.float64))

    def visible(self):
        """Where the surrogate saw the potentials of the last stored pass, so that dL/ds matters: uint8 of the output's
        shape; None where that was not found out."""
        return None if self.kept.visible is None else self.kept.visible.reshape(self.output_shape)

    def pieces(self):
        breaks = FAMILIES[self.surrogate.family].breaks
        x = self.potentials() - self.thresholds()
        pieces = np.searchsorted(breaks, x / self.kernels.to_host(self.width.natural))
        if self.refractory:  # who rests is a matter of who has crossed the threshold; at rest nothing depends on x
            pieces = np.where(self.kernels.to_host(self.kept.parts["held"]), -1, 2 * pieces + (x >= 0))
        return pieces

    def own_statistics(self):
        if self.tracker is None:
            return {}
        tracker = self.tracker
        return {"correction": tracker.correction, "target": tracker.target, "batches": tracker.batches}

    def set_statistic(self, name, value):
        array = np.array(value, np.int64) if name == "batches" else self.kernels.from_host(value, self.dtype)
        setattr(self.tracker, name, array)

    def move(self, kernels, dtype):
        if self.built:
            for value in self.constrained:
                value.move(kernels, self.kernels, dtype)
        if self.tracker is not None:
            self.tracker.kernels, self.tracker.dtype = kernels, dtype
        super().move(kernels, dtype)
