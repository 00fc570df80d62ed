"""N16, N17: rules, which say how a neuron's potential is charged, as two scalar functions.

Firing, surrogate, reset, correction, memory and threads are the kernels', the same for every rule. A step of a neuron
is: the rule charges the potential, the correction is taken off, the neuron fires, the reset acts. So a rule sees a
step's input current, the potential and its own states as the step before left them, and its values:

    step(i, v, states, values) -> u, states
    step_back(du, dstates, i, v, states, values) -> di, dv, dstates, dvalues

states and values are tuples of numbers in the order in which the rule names them, also where there is one or none.
step_back gets dL/du and dL/dstates behind the step, and what step was given; it returns dL/di, dL/dv, dL/dstates before
the step, and the step's share of dL/dvalues.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from . import steps
from .own import in_precision


class Rule(NamedTuple):
    """How a neuron's potential is charged.

    Attributes:
        name: shown in errors and reports.
        states: names of what the neuron carries from step to step beside its potential; all zero at rest.
        values: names of its parameters, one number of each per channel.
        step, step_back: the functions.
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
    """step and step_back of a rule for kernels of a float type; those of the package fit every type already."""
    own = rule.step.__module__ != steps.__name__
    return tuple(in_precision(function, real) if own else function for function in (rule.step, rule.step_back))
