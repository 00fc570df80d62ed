"""Neurons that users define: a declaration and two scalar functions make a layer at full speed."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..kernels.rules import MOST_STATES, MOST_VALUES, Rule
from ..names import argument, choice
from ..shown import shown
from ..validate import number
from .neuron import LEAK_BOUNDS, Neuron
from .neuron_arguments import Numbers, granularity, numbers
from .parameter import ConstrainedValue


@dataclass(frozen=True)
class Value:
    """One parameter of a `CustomNeuron`: one number per channel, constant or learned.

    Args:
        start: start value: one number, or one number per channel.
        constraint: "free" (default; any number), "positive" (trained as its logarithm), or "unit" (between 0 and 1,
            trained as its logit).
        learn: False (default), True or "layer" (one number per layer), or "channel" (one number per channel).

    Raises:
        ValueError: the constraint is unknown or does not allow the start value.
    """

    start: Numbers = 0.0
    constraint: str = "free"
    learn: bool | str = False

    def __post_init__(self):
        choice("Value: constraint", self.constraint, ("free", "positive", "unit"))
        self.check("Value: start", self.start, self.learn)

    def check(self, what, start, learn):
        """Refuse a start value or a choice of learn that the declaration does not allow."""
        array = numbers(what, start)
        granularity(f"{what}: learn", learn, start)
        if self.constraint == "positive" and (array <= 0).any():
            raise ValueError(f"{what} must be positive; got {shown(start)}")
        if self.constraint == "unit":
            inside = (array > 0) & (array < 1) if learn else (array >= 0) & (array <= 1)
            if not inside.all():
                raise ValueError(f"{what} must lie between 0 and 1; got {shown(start)}")


class CustomNeuron(Neuron):
    """Base of neurons that users define. A subclass consists of a declaration and two functions of numbers:

        class Quadratic(snn.CustomNeuron):
            values = {"a": snn.Value(0.3, "positive", learn=True), "c": snn.Value(0.5)}
            states = ()

            def step(i, v, states, values):
                a, c = values
                return v + a * v * (v - c) + i, ()

            def step_back(du, dstates, i, v, states, values):
                a, c = values
                return du, du * (1.0 + a * (2.0 * v - c)), (), (du * v * (v - c), -du * a * v)

    ``step`` charges the potential. It takes the input current of the step, the potential after the reset and the
    states, both of the step before, and the values; it returns the charged potential and the new states. ``step_back``
    takes dL/du and dL/dstates, followed by the arguments of ``step``. It returns dL/di, dL/dv, dL/dstates before the
    step, and the term that this step adds to dL/dvalues. States and values are always tuples, in the order of the
    declaration, even if there is only one or none.

    The layer does everything else, as for `LIF`: firing, surrogates, PSG, PDA, resets, recording, streaming, truncated
    BPTT, saving and loading, float64, gradient checks and diagnosis. The functions are compiled into the kernels of the
    CPU and of CUDA, and the machine code is stored on disk. They may branch, and may call functions of `math`, ``abs``,
    ``min``, ``max`` and other functions that keep to these rules. Numbers with a decimal point take the layer's dtype.
    Whole numbers in sums and products turn float32 into float64, which costs time: write 2.0 * v.

    The input is ``[T, N, C]``, ``[T, N, L, C]`` or ``[T, N, H, W, C]``; the output holds spikes (uint8) of the same
    shape. Every declared value is an argument, too: its start value. A delayed reset needs the leak of a `LIF` and is
    refused.

    Args:
        learn: names of the values that are learned, with one number per layer, or a mapping from names to "layer" or
            "channel". Default None: the declaration says what is learned.
        options: the arguments of `Neuron`, except ``refractory``.

    Parameters, if they are learned: for every value k, log_k ("positive"), logit_k ("unit") or k ("free"); and
    log_threshold, log_width and v_init. Each is ``[1]`` or ``[C]``. Whatever a value means, its group
    (`numsnn.Parameter`) is "leak". Statistics, with PDA: those of `LIF`.

    Class attributes:
        values: mapping from names to `Value`, with one to eight entries.
        states: names of the states beside the potential, at most four. They are zero at rest and can be recorded.
        kinks: charged potentials at which `step` has a kink or a jump, if there are any. The finite differences of
            `check_gradients` do not cross them.

    Raises:
        TypeError: on defining a subclass, the declaration is not complete.
        ValueError: the constraint does not allow a start value, or a name is unknown.
    """

    values: ClassVar[dict[str, Value]] = {}
    states: ClassVar[tuple[str, ...]] = ()
    kinks: ClassVar[tuple[float, ...]] = ()
    takes_steps = True
    step: Callable[..., Any]
    step_back: Callable[..., Any]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        _check_declaration(cls)
        own = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value.start)
            for name, value in cls.values.items()
        ]
        own.append(inspect.Parameter("learn", inspect.Parameter.KEYWORD_ONLY, default=None))
        inherited = [p for p in _neuron_options() if p.name not in {one.name for one in own}]
        cls.__signature__ = inspect.Signature([*own, *inherited])

    def __init__(self, *, learn=None, **options):
        kind, declared = type(self).__name__, type(self).values
        if not declared:
            raise TypeError("CustomNeuron is a base: define a subclass with values, step and step_back")
        known = [*declared, *(p.name for p in _neuron_options())]
        for name in options:
            argument(kind, name, known)
        starts = {name: options.pop(name, value.start) for name, value in declared.items()}
        super().__init__(**options)
        self.learn = learn
        self.learned = _learned(kind, declared, learn)
        for name, start in starts.items():
            declared[name].check(f"{kind}: {name}", start, self.learned[name])
            setattr(self, name, start)
            self._starts[name] = np.asarray(start, np.float64)
        self.check_options()

    def rule(self):
        cls = type(self)
        return Rule(cls.__name__, tuple(cls.states), tuple(cls.values), cls.step, cls.step_back)

    def recordable(self):
        return tuple(type(self).states)

    def pieces(self):
        charged = self.potentials() + self.kernels.to_host(self.kept.d)[:, None]  # before subtracting d
        return np.stack([super().pieces(), np.searchsorted(type(self).kinks, charged)])

    def create_values(self):
        made = {}
        for name, value in type(self).values.items():
            bounds = LEAK_BOUNDS if value.constraint == "unit" else None
            made[name] = ConstrainedValue(
                name, "leak", self._starts[name], value.constraint, self.learned[name], *self._shared, bounds=bounds
            )
        return made


def _neuron_options():
    """Return the arguments of `Neuron` that a `CustomNeuron` takes, too."""
    return [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for p in inspect.signature(Neuron).parameters.values()
        if p.name != "refractory"
    ]


def _learned(kind, declared, learn):
    """Return False, "layer" or "channel" for the name of every declared value."""
    if learn is None:
        return {name: granularity(f"{kind}: learn", value.learn, 0.0) for name, value in declared.items()}
    asked = learn if isinstance(learn, dict) else dict.fromkeys((learn,) if isinstance(learn, str) else learn, "layer")
    for name in asked:
        choice(f"{kind}: learn", name, declared)
    return {name: granularity(f"{kind}: learn", asked.get(name, False), 0.0) for name in declared}


def _check_declaration(cls):
    """Refuse a subclass whose declaration is not complete, with an error that says what is missing."""
    kind = cls.__name__
    if not isinstance(cls.values, dict) or not all(isinstance(one, Value) for one in cls.values.values()):
        raise TypeError(f"{kind}.values must be a dict from names to snn.Value; got {shown(cls.values)}")
    if not 1 <= len(cls.values) <= MOST_VALUES or len(cls.states) > MOST_STATES:
        raise TypeError(
            f"{kind} must declare 1 to {MOST_VALUES} values and at most {MOST_STATES} states; "
            f"got {len(cls.values)} and {len(cls.states)}"
        )
    taken = {"u", "v", "s", "i", "learn", *(p.name for p in _neuron_options())}
    for name in (*cls.values, *cls.states):
        if not name.isidentifier():
            raise TypeError(f"{kind}: the name {name!r} is not a valid Python identifier; choose another one")
        if name in taken or hasattr(Neuron, name) or (name in cls.values and name in _attributes()):
            raise TypeError(f"{kind}: the name {name!r} is taken by neurons; choose another one")
    for name, arguments in (("step", 4), ("step_back", 6)):
        function = getattr(cls, name, None)
        if function is None:
            raise TypeError(f"{kind} needs a function {name} of {arguments} arguments; see snn.CustomNeuron")
        if len(inspect.signature(function).parameters) != arguments:
            raise TypeError(f"{kind}.{name} must take {arguments} arguments; see snn.CustomNeuron")
    _try_once(cls)


def _attributes():
    """Return the names under which an object stores something, which the start value of a value would overwrite."""
    made_when_built = {"threshold", "width", "own_values", "constrained", "_shared"}
    return {*vars(Neuron()), "learned", *made_when_built}


def _try_once(cls):
    """Call both functions with plain numbers, so that a wrong structure is reported here and not by the compiler."""
    kind, zero = cls.__name__, number("0", 0.0)
    states = (zero,) * len(cls.states)
    values = tuple(float(np.ravel(value.start)[0]) for value in cls.values.values())
    got = cls.step(0.25, 0.5, states, values)
    if not (isinstance(got, tuple) and len(got) == 2 and _numbers(got[0]) and _tuple_of(got[1], len(states))):
        raise TypeError(f"{kind}.step must return (u, states) with {len(states)} states in a tuple; got {shown(got)}")
    got = cls.step_back(1.0, states, 0.25, 0.5, states, values)
    fits = isinstance(got, tuple) and len(got) == 4 and _numbers(got[0]) and _numbers(got[1])
    if not (fits and _tuple_of(got[2], len(states)) and _tuple_of(got[3], len(values))):
        raise TypeError(
            f"{kind}.step_back must return (di, dv, dstates, dvalues) with {len(states)} states and {len(values)} "
            f"values in tuples; got {shown(got)}"
        )


def _numbers(x):
    return isinstance(x, int | float | np.number)


def _tuple_of(x, count):
    return isinstance(x, tuple) and len(x) == count and all(map(_numbers, x))
