"""Calls of the neuron kernels: for neurons that follow a rule, and for neurons with extensions."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..kernels.rules import Rule
from ..kernels.types import Extensions, Moments, Norm, Reset, Stored, Wanted
from .norm import Normalisation


@dataclass
class Trace:
    """What a stored pass keeps for the backward pass and for diagnosis. Arrays are ``[T, M, C]``.

    Attributes:
        current: input current or, if norm is given, the input of the normalisation; None while it is dropped (see
            `recompute`).
        norm: the `Normalisation` that is fused with the neuron, or None.
        u: potentials after charging, or None if they were not stored: see `Neuron.potentials`.
        s: spikes; None while they are dropped.
        d: PDA correction, ``[T, C]``.
        relaxed: whether the spikes are those of the relaxed mode.
        start: the state that the pass started from; None for a start from rest.
        begins: whether the pass started from the initial potential.
        visible: the visible mask (uint8), or None.
        resets: spikes that the reset takes in the place of s, or None (`Mode.resets`).
        parts: stored states beside the potential, by name: the states of the rule, or the synaptic current "j", the
            adaptation "a" and the refractory state "held".
    """

    current: Any
    norm: Normalisation | None
    u: np.ndarray | None
    s: Any
    d: np.ndarray
    relaxed: bool
    start: np.ndarray | None
    begins: bool
    visible: np.ndarray | None
    resets: np.ndarray | None = None
    parts: dict[str, np.ndarray] = field(default_factory=dict)


class ByRule:
    """The passes of a neuron whose charge follows a rule. Potentials are not stored, and the kernel can include a
    normalisation in front of the neuron."""

    def __init__(self, neuron, rule: Rule):
        self.neuron, self.rule = neuron, rule

    stores_potentials = False

    def needs_potentials(self, mode, measured: bool) -> bool:
        """Return whether a pass must store the potentials; measured says whether PDA needs their moments."""
        return mode.inspect or not {"u", "v"}.isdisjoint(self.neuron.record)

    def state_shape(self, rows: tuple[int, int]) -> tuple[int, ...]:
        """Return the shape of the carried state for an array of rows ``[M, C]``."""
        return (1 + len(self.rule.states), *rows)

    def parts(self, shape, stored: bool) -> dict:
        """Return arrays for the states if any state is recorded. The kernels store either all states or none.

        Args:
            shape: ``[T, M, C]``.
            stored: whether the pass stores the potentials, on which the states do not depend.
        """
        names = self.rule.states
        if not names or set(names).isdisjoint(self.neuron.record):
            return {}
        return dict(zip(names, self.neuron.buffer("states", (len(names), *shape)), strict=True))

    def forward(self, trace: Trace, carried, moments=None):
        """Fill the trace; return the share of visible potentials, or None if it is not computed."""
        neuron = self.neuron
        states = neuron.buffer("states", (len(trace.parts), *trace.s.shape)) if trace.parts else None
        return neuron.kernels.neuron_forward(
            self.rule,
            trace.current,
            self._values(),
            neuron.firing(),
            Reset(neuron.v_reset, spikes=trace.resets),
            trace.d,
            trace.relaxed,
            trace.u,
            trace.s,
            states,
            carried,
            _norm(trace),
            None if moments is None else Moments(*moments),
            trace.visible,
        )

    def backward(self, trace: Trace, ds, direct, dx, dstart=None):
        """Fill dx, given ds, dstart if it is given, and the gradients of the natural values of all parameters."""
        neuron = self.neuron
        neuron.kernels.neuron_backward(
            self.rule,
            ds,
            trace.current,
            trace.s,
            self._values(),
            neuron.firing(),
            Reset(neuron.v_reset, neuron.detach_reset),
            trace.d,
            direct,
            dx,
            _wanted(neuron, [neuron.own_values[name] for name in self.rule.values]),
            trace.start,
            _norm(trace),
            None if trace.norm is None else trace.norm.sums,
            dstart,
        )

    def _values(self):
        """Return the values of the rule, ``[P, C]``."""
        neuron = self.neuron
        naturals = [neuron.own_values[name].natural for name in self.rule.values]
        if len(naturals) == 1:
            return naturals[0][None]
        block = neuron.buffer("values", (len(naturals), *neuron.threshold.natural.shape))
        for natural, row in zip(naturals, block, strict=True):
            neuron.kernels.copy(natural, row)
        return block


class Extended:
    """The passes of a neuron with lateral weights, an adapting threshold or a refractory time. Potentials and states
    are stored for the backward pass."""

    rule = None

    def __init__(self, neuron):
        self.neuron = neuron

    stores_potentials = True

    def needs_potentials(self, mode, measured: bool) -> bool:
        """Return whether a pass must store the potentials; measured says whether PDA needs their moments."""
        return mode.store or mode.inspect or measured or bool(self.neuron.record)

    def state_shape(self, rows: tuple[int, int]) -> tuple[int, ...]:
        """Return the shape of the carried state for an array of rows ``[M, C]``."""
        return (5, *rows)

    def parts(self, shape, stored: bool) -> dict:
        """Return arrays for the synaptic current, the adaptation and the refractory state, if the neuron has them and
        the pass stores the potentials."""
        neuron = self.neuron
        found: dict = {}
        if not stored:
            return found
        if "gamma" in neuron.own_values:
            found["j"] = neuron.buffer("j", shape)
        if neuron.adaptive:
            found["a"] = neuron.buffer("a", shape)
        if neuron.refractory:
            found["held"] = neuron.buffer("held", shape, np.uint8)
        return found

    def forward(self, trace: Trace, carried, moments=None):
        """Fill the trace."""
        neuron = self.neuron
        neuron.kernels.recurrent_forward(
            trace.current,
            neuron.own_values["beta"].natural,
            self._extensions(),
            neuron.firing(),
            Reset(neuron.v_reset, spikes=trace.resets),
            trace.d,
            neuron.decay_input,
            trace.relaxed,
            self._stored(trace),
            carried,
        )
        if moments is not None:
            neuron.kernels.moments(trace.u, *moments)

    def backward(self, trace: Trace, ds, direct, dx, dstart=None):
        """Fill dx, given ds, dstart if it is given, and the gradients of the natural values of all parameters."""
        neuron = self.neuron
        values = [neuron.own_values.get(name) for name in ("beta", "gamma", "rho", "kappa")]
        neuron.kernels.recurrent_backward(
            ds,
            self._stored(trace),
            neuron.own_values["beta"].natural,
            self._extensions(),
            neuron.firing(),
            Reset(neuron.v_reset, neuron.detach_reset),
            trace.d,
            neuron.decay_input,
            direct,
            dx,
            None if neuron.lateral is None else neuron.gradient_of(neuron.lateral),
            _wanted(neuron, values),
            trace.start,
            dstart,
        )

    def _stored(self, trace):
        parts = trace.parts
        return Stored(trace.u, trace.s, parts.get("j"), parts.get("a"), parts.get("held"))

    def _extensions(self):
        neuron = self.neuron
        lateral, own = None if neuron.lateral is None else neuron.lateral.value, neuron.own_values
        gamma, rho, kappa = [own[name].natural if name in own else None for name in ("gamma", "rho", "kappa")]
        return Extensions(lateral, gamma, rho, kappa, neuron.refractory)


def _norm(trace):
    return None if trace.norm is None else Norm(*trace.norm[:3])


def _wanted(neuron, values):
    """Return the arrays for the gradients of the learned values; there are none if the layer is frozen."""
    gradients = [
        None if value is None or value.parameter is None or neuron.frozen else value.gradient
        for value in (*values, neuron.threshold, neuron.width)
    ]
    return Wanted(tuple(gradients[:-2]), *gradients[-2:])
