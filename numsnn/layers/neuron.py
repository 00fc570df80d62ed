"""The base of all spiking neurons: it applies PSG and PDA and calls the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels.rules import Rule
from ..kernels.types import Firing, Moments, Reset
from ..names import nearest
from ..pda import PDA, ShiftTracker
from ..portable import nothing
from ..psg import FAMILIES, PSG, Surrogate
from ..shown import shown
from ..validate import flag, truth, whole
from ..window import WindowTracker
from . import initial, observe
from .allowance import claim
from .base import Layer
from .neuron_arguments import Learned, Numbers, Resets, check_delayed, check_reset, granularity, resets_hard
from .neuron_docs import complete
from .neuron_kept import KeptTrace
from .neuron_run import ByRule, Extended, Trace
from .norm import Normalisation
from .parameter import ConstrainedValue, Parameter
from .recorded import Recorded, wanted
from .shapes import need_features

LEAK_BOUNDS = (1e-4, 1 - 1e-4)
"""Bounds of a learned decay. Nearer to 1 the logistic function rounds to 1 in float32, and the decay stops changing."""

VISIBLE_DENSITY = 0.2
"""Expected share of the potentials that lie in a window around the threshold whose width is one threshold. Behind a
batch normalisation 0.21 was measured."""

MARGIN = 1e-3
"""A learned threshold stays above 0 and above v_reset by at least this number, and below the inverse of this number."""


class Neuron(KeptTrace):
    """Base of the spiking neurons: threshold, reset, surrogate and PDA. Use `LIF` and the other derived classes.

    Args:
        v_threshold: potential from which on the neuron fires; one number, or one number per channel. Default 1.
        v_reset: a number is the potential after a spike (hard reset). None: a spike subtracts the threshold (soft
            reset). "delayed": the threshold is subtracted one step later, behind the leak (snnTorch's default). "none":
            a spike does not change the potential. Default 0.
        v_init: potential before the first step of a sequence; one number, or one number per channel. Default 0.
        learn_v_init: False (default), True or "layer" (one initial potential per layer), or "channel" (one per
            channel).
        detach_reset: whether the backward pass treats the spikes in the reset as constants. Default False.
        learn_threshold: False (default), True or "layer" (one threshold per layer), or "channel" (one threshold per
            channel). The logarithm is trained, so that the threshold stays positive.
        refractory: number of steps after a spike during which the potential is held and cannot fire. Default 0.
        surrogate: a `PSG` (the width is learned), a `Surrogate` (the width is fixed), or the name of a family (fixed
            width 1). Default None: ``PSG("triangle")``.
        pda: a `PDA`, or True for a `PDA` with its defaults. Default None: no PDA, as with False.
        record: name or names of what every pass copies into ``recorded``: "u" (potential after charging), "v"
            (potential after the reset), "s" (spikes), "j" (synaptic current) or "a" (adaptation). Default: nothing.
        name: shown in reports and errors. Default: the class's name and a number.

    Attributes:
        recorded: what the last pass recorded, by name: NumPy arrays of the shape of the output.
        want_visible: whether every stored pass computes the visible mask (`visible`). Default False: the mask is
            computed only if the width of the surrogate suggests that it saves the layers that compute dL/ds more time
            than it costs.
        visible_share: share of the potentials that the surrogate saw in the last pass (padding does not count), between
            0 and 1; None if the mask was not computed.

    Raises:
        ValueError: a threshold is not positive or does not exceed v_reset, a value is out of range, or a delayed reset
            is combined with a refractory time or with beta = 0.
    """

    transient = Layer.transient | {"recorded": Recorded, "_objective": nothing, "_run": nothing}
    _objective: Any = None
    _run: Any = None
    carries = fires = True
    adaptive = recurrent = False
    lateral = None
    growing_statistics = ("correction",)
    want_visible = False
    visible_share = None

    takes_steps = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        complete(cls)
        unused = [name for name in ("step", "step_back", "charge", "fire", "density", "cdf") if name in vars(cls)]
        if unused and not cls.takes_steps:
            raise TypeError(
                f"{cls.__name__}.{unused[0]} would not be used: derive a neuron with its own step from "
                "snn.CustomNeuron, and add a surrogate with snn.register_surrogate"
            )

    def __init__(
        self,
        v_threshold: Numbers = 1.0,
        v_reset: Resets = 0.0,
        v_init: Numbers = 0.0,
        learn_v_init: Learned = False,
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
        self.v_init, self.learn_v_init = initial.arguments(kind, v_init, learn_v_init)
        self.detach_reset = flag(f"{kind}: detach_reset", detach_reset)
        self.learn_threshold = granularity(f"{kind}: learn_threshold", learn_threshold, v_threshold)
        self.refractory = whole(f"{kind}: refractory", refractory, 0)
        if isinstance(surrogate, str):
            surrogate = Surrogate(surrogate)
        self.surrogate = PSG() if surrogate is None else surrogate
        if not isinstance(self.surrogate, Surrogate):
            raise ValueError(f"{kind}: surrogate must be a Surrogate, a PSG or a family's name; got {shown(surrogate)}")
        if truth(pda):
            pda = PDA() if pda else None
        if pda is not None and not isinstance(pda, PDA):
            raise ValueError(f"{kind}: pda must be a PDA, True, False or None; got {shown(pda)}")
        self.pda = None if pda is None else pda.of_layer(self.recurrent)
        self.record = wanted(kind, record)
        self.recorded: dict[str, np.ndarray] = Recorded()
        self.tracker: Any = None
        self.window: Any = None
        self._starts: dict[str, np.ndarray] = {}
        self.initial: Any = None
        check_reset(kind, v_threshold, v_reset, self.refractory)

    def check_options(self):
        """Refuse options that this kind of neuron does not take; subclasses call it at the end of construction."""
        kind = type(self).__name__
        known = ["u", "v", "s", *self.recordable()]
        if unknown := [key for key in self.record if key not in known]:
            hint = nearest(unknown[0], known)
            raise ValueError(f"{kind}: record takes {', '.join(map(repr, known))}; got {shown(unknown[0])}{hint}")
        delayed = self.v_reset == "delayed"
        if delayed:
            check_delayed(kind, self._starts.get("leak"))
        if "v" in self.record and (delayed or (self.v_reset is None and self.adaptive)):
            reset = (
                "a delayed reset, which acts in the next step" if delayed else "a soft reset by an adapting threshold"
            )
            raise ValueError(f"{kind}: 'v' cannot be recorded with {reset}; got 'v'")

    # --- what a kind of neuron declares ---

    def rule(self) -> Rule | None:
        """Return the rule by which the potential is charged, or None for a neuron with extensions (docs/method.md,
        group X), which uses other kernels."""
        raise TypeError(f"{type(self).__name__} has no rule()")

    @property
    def run(self) -> ByRule | Extended:
        """The object that calls the kernels for this neuron."""
        rule = self.rule()
        if self._run is None or self._run.rule != rule:
            self._run = Extended(self) if rule is None else ByRule(self, rule)
        return self._run

    def recordable(self) -> tuple[str, ...]:
        """Return the names of the states beside the potential that can be recorded."""
        return ()

    def create_values(self) -> dict[str, ConstrainedValue]:
        """Return the values of the charge by the names in the rule; they are made with `decay` and `scale`."""
        raise TypeError(f"{type(self).__name__} has no create_values()")

    @property  # in other layers this is a constant of the class
    def takes_over(self):  # type: ignore[override]
        """What the kernels of the neuron can compute for the layer in front of it: see `layers.fused`."""
        return "normalisation" if self.rule() is not None and type(self).compute is Neuron.compute else None

    def infer(self, shape):
        values = {**self._starts, "threshold": np.asarray(self.v_threshold), "v_init": np.asarray(self.v_init)}
        need_features(self, shape, (3,) if self.recurrent else (3, 4, 5), values)
        return shape

    def width_bounds(self) -> tuple[float, float]:
        """Return the smallest and the largest width of a learned surrogate."""
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
        above = max(self.v_reset, 0.0) if resets_hard(self.v_reset) else 0.0
        self.threshold = self.scale(
            "threshold", "threshold", self.v_threshold, self.learn_threshold, bounds=(above + MARGIN, 1 / MARGIN)
        )
        self.width = self.scale("width", "width", psg.width, per, **learning)
        if psg.follows:
            self.window = WindowTracker(psg, channels, self.width_bounds(), self.kernels, self.dtype)
            self.width.uniform = psg.per == "layer"
        self.own_values = self.create_values()
        first, *others = self.own_values.values()
        self.initial = initial.potential(self, channels)
        self.constrained = [first, self.threshold, self.width, *others]
        if self.initial is not None:
            self.constrained.append(self.initial)
        for value in self.constrained:
            if value.parameter is not None:
                self.add_parameter(value.parameter)
        if self.recurrent:
            claim(self, (channels, channels), f"{self.path}: the lateral weights")
            bound = np.sqrt(3 / channels)
            weight = self.kernels.from_host(rng.uniform(-bound, bound, (channels, channels)), self.dtype)
            self.lateral = self.add_parameter(Parameter("lateral", weight, "weight"))
        if self.pda is not None:
            self.tracker = ShiftTracker(self.pda, channels, self.kernels, self.dtype, self.recurrent)

    def decay(self, name, value, learn):
        """Return a decay factor between 0 and 1, one number per channel."""
        return ConstrainedValue(name, "leak", value, "unit", learn, *self._shared, bounds=LEAK_BOUNDS)

    def scale(self, name, group, value, learn, **options):
        """Return a positive value, one number per channel."""
        return ConstrainedValue(name, group, value, "positive", learn, *self._shared, **options)

    # --- forward ---

    def compute(self, x, mode, norm: Normalisation | None = None):
        """Return the spikes for the input current x or, if norm is given, for x normalised by it."""
        steps, channels = x.shape[0], x.shape[-1]
        current = self.as_real(x).reshape(steps, -1, channels)
        for value in self.constrained:
            if value.parameter is not None:
                value.refresh()
        if self.window is not None:
            self.window.set_width(mode, self.threshold.natural, self.width.natural)
        run, rows = self.run, current.shape[1:]
        state, first, begins = initial.state(self, mode, run.state_shape(rows), steps)
        start = self.keep_start(state, mode) if mode.store else None
        s = self.result("s", current.shape, self.dtype if mode.relaxed else np.uint8)
        if self.tracker is not None:
            d = self.tracker.correction_for(steps, first)
        else:
            shape = steps, channels
            d = self.fixed_array("no correction", shape, lambda: self.kernels.zeros(shape, self.dtype))
        padding = self.plan.padding
        measured = any(own.wants_potentials(mode) for own in self._trackers())
        need_u = run.needs_potentials(mode, measured) or (measured and padding is not None)
        u = self.buffer("u", current.shape) if need_u else None
        visible = self.buffer("visible", s.shape, np.uint8) if mode.store and self._sees() else None
        resets = None if mode.resets is None else self._resets(mode)
        parts = run.parts(current.shape, need_u)
        trace = Trace(current, norm, u, s, d, mode.relaxed, start, begins, visible, resets, parts)
        moments = self.buffer("moments", (2, steps, channels)) if measured and padding is None else None
        self.visible_share = run.forward(trace, state, moments)
        if padding is not None and visible is not None:
            self.visible_share = observe.real_share(self, visible, x.shape, padding)
        potentials: Any = None if moments is None else Moments(*moments)
        if measured and padding is not None:
            potentials = observe.real_potentials(self, u, x.shape, padding)
        if self.window is not None:
            self.window.observe(potentials, mode)
        if self.tracker is not None and (mode.store or mode.track):
            noted = self.tracker.measures(mode)
            current_moments = observe.current_moments(self, trace, x.shape, padding) if noted else None
            self._objective = self.tracker.observe(current_moments, potentials, rows[0], mode, first)
        if mode.store:
            self.kept = trace
        if self.record:
            self._record(trace, x.shape)
        return s.reshape(x.shape)

    def _resets(self, mode):
        """Return the spikes that the reset takes in the place of the pass's own ones, or None for these."""
        if not self.detach_reset:
            return None
        if self.device != "reference":
            raise ValueError(f"{self.path}: Mode.resets needs the device 'reference'; got {self.device!r}")
        return mode.resets[self.path]

    def firing(self) -> Firing:
        """Return threshold, width and surrogate in the form that the kernels take."""
        return Firing(self.threshold.natural, self.width.natural, self.surrogate.family, self.surrogate.reach)

    def _record(self, trace, shape):
        arrays = {"u": trace.u, "s": trace.s, **trace.parts}
        if "v" in self.record:
            arrays["v"] = self.buffer("v", trace.u.shape)
            self.kernels.neuron_reset(trace.u, trace.s, self.threshold.natural, Reset(self.v_reset), arrays["v"])
        self.recorded = Recorded({key: self.kernels.to_host(arrays[key]).reshape(shape) for key in self.record})

    @property
    def recomputes(self):  # see `layers.recompute`
        return type(self).compute is Neuron.compute and type(self).propagate is Neuron.propagate

    receives = recomputes

    # --- backward ---

    def propagate(self, dy, need_dx):
        trace, run = self.kept, self.run
        shape = trace.s.shape
        direct = None if self._objective is None else self._objective.direct
        dx = self.gradient(dy.shape) if run.stores_potentials else self.overwrite(dy)
        if self.plan.inspected and not run.stores_potentials:  # with a copy, the kernel of a training step is used here
            self.kernels.copy(dy, dx)
            dy = dx
        dstart = initial.gradient_array(self, trace.begins, shape[1:])
        ds = dy.reshape(shape)
        run.backward(trace, ds, direct, ds if dx is dy else dx.reshape(shape), dstart)
        initial.sum_gradient(self, dstart)
        if not self.frozen:
            for value in self.constrained:
                value.collect()
        return dx

    # --- looking inside, saving, moving ---

    @property
    def penalty(self) -> float:
        """The term that the divergence objective of PDA added to the loss in the last stored pass; 0 without it."""
        if self._objective is None:
            return 0.0
        return float(self.kernels.to_host(self._objective.shares).sum(dtype=np.float64))

    def _sees(self):
        """Return whether this pass computes the visible mask."""
        return self.rule() is not None and FAMILIES[self.surrogate.family].compact and self.plan.asks(self)

    def expected_share(self) -> float:
        """Return the share of the potentials that the surrogate is expected to see, estimated from its width alone. The
        estimate exceeds 1 if the surrogate reaches beyond the spread of the potentials."""
        values, uniform = (self.width, self.threshold), self.width.uniform and self.threshold.uniform
        width, threshold = [self.kernels.to_host(x.natural[:1] if uniform else x.natural) for x in values]
        widths = width / threshold
        mean = float(widths[0]) if uniform else float(widths.mean(dtype=np.float64))
        return VISIBLE_DENSITY * 2 * self.surrogate.reach * mean

    def _trackers(self):
        """Return what tracks the potentials in this layer."""
        return [own for own in (self.tracker, self.window) if own is not None]

    def own_statistics(self):
        return {name: getattr(own, name) for own in self._trackers() for name in own.statistics}

    def set_statistic(self, name, value):
        own = next(own for own in self._trackers() if name in own.statistics)
        counts = getattr(own, name).dtype.kind == "i"
        array = np.array(value, np.int64) if counts else self.kernels.from_host(value, self.dtype)
        setattr(own, name, array)
        if name == "width":
            self.kernels.copy(array, self.width.natural)

    def move(self, kernels, dtype):
        if self.built:
            for value in self.constrained:
                value.move(kernels, self.kernels, dtype)
        for own in self._trackers():
            own.move(kernels, dtype)
        super().move(kernels, dtype)
