"""N16, N17: rules. A rule says how the potential of a neuron is charged, by two scalar functions.

The kernels do everything else in the same way for every rule: firing, surrogate, reset, correction, memory and threads.
In each time step the rule charges the potential, the kernel subtracts the correction, the neuron fires, and the reset
acts. A rule therefore gets the input current of the step, the potential and its own states at the end of the step
before, and its parameter values:

    step(i, v, states, values) -> u, states
    step_back(du, dstates, i, v, states, values) -> di, dv, dstates, dvalues

states and values are always tuples of numbers, in the order in which the rule names them; they may have one element or
none. step_back gets dL/du, dL/dstates after the step, and the arguments of step. It returns dL/di, dL/dv, dL/dstates
before the step, and this step's term of dL/dvalues.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from . import steps
from .own import in_precision

MOST_STATES, MOST_VALUES = 4, 8
"""Largest number of states and of values that a rule may have."""


class Rule(NamedTuple):
    """How the potential of a neuron is charged.

    Attributes:
        name: name of the rule, shown in errors and reports.
        states: names of the states that the neuron carries from step to step besides its potential. At rest all are 0.
        values: names of the neuron's parameters. Each parameter has one number per channel.
        step, step_back: the two scalar functions, as the module's docstring describes them.
    """

    name: str
    states: tuple[str, ...]
    values: tuple[str, ...]
    step: Callable
    step_back: Callable


LEAKY = Rule("leaky", (), ("beta",), steps.leaky_step, steps.leaky_step_back)
SCALED = Rule("leaky, input scaled", (), ("beta",), steps.scaled_step, steps.scaled_step_back)
SYNAPTIC = Rule("synaptic", ("j",), ("beta", "gamma"), steps.synaptic_step, steps.synaptic_step_back)
SCALED_SYNAPTIC = Rule(
    "synaptic, input scaled",
    ("j",),
    ("beta", "gamma"),
    steps.scaled_synaptic_step,
    steps.scaled_synaptic_step_back,
)


@cache
def compiled(rule: Rule, real) -> tuple[Callable, Callable]:
    """step and step_back of a rule, with float constants of the type `real`.

    The functions of this package have no constants of a fixed type and are returned unchanged.
    """
    own = rule.step.__module__ != steps.__name__
    return tuple(in_precision(function, real) if own else function for function in (rule.step, rule.step_back))
