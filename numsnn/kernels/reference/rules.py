"""The functions of `kernels.rules` in NumPy, for whole arrays ``[M, C]``: how the potential of neurons is charged.

The rules of the package are written here a second time, on purpose, because the tests compare the compiled steps with
them. The functions of a user's rule are called element by element.
"""

import numpy as np

from .. import rules
from ..own import in_precision


def leaky(i, v, states, values):
    """N1: the potential u[t] before the correction is subtracted."""
    (beta,) = values
    return beta * v + i, states  # N1


def leaky_back(du, dstates, i, v, states, values):
    """N8, N9, N10: the backward step of `leaky`."""
    (beta,) = values
    return du, beta * du, dstates, (du * v,)  # N9, N8, N10


def scaled(i, v, states, values):
    """N1: the same with `decay_input`, which scales the current."""
    (beta,) = values
    return beta * v + (1 - beta) * i, states  # N1


def scaled_back(du, dstates, i, v, states, values):
    """N8, N9, N10: the backward step of `scaled`."""
    (beta,) = values
    return (1 - beta) * du, beta * du, dstates, (du * (v - i),)  # N9, N8, N10


def synaptic(i, v, states, values):
    """X4, N1: the current passes through the synapse before it charges the potential."""
    (beta, gamma), (j,) = values, states
    j = gamma * j + i  # X4
    return beta * v + j, (j,)  # N1


def synaptic_back(du, dstates, i, v, states, values):
    """X5, X6, N8, N10: the backward step of `synaptic`."""
    (beta, gamma), (j,), (h,) = values, states, dstates
    through = du + h  # X5
    return through, beta * du, (gamma * through,), (du * v, through * j)  # N8, N10, X6


def scaled_synaptic(i, v, states, values):
    """X4, N1: the same with `decay_input`, which scales the synaptic current."""
    (beta, gamma), (j,) = values, states
    j = gamma * j + i  # X4
    return beta * v + (1 - beta) * j, (j,)  # N1


def scaled_synaptic_back(du, dstates, i, v, states, values):
    """X5, X6, N8, N10: the backward step of `scaled_synaptic`."""
    (beta, gamma), (j,), (h,) = values, states, dstates
    through = (1 - beta) * du + h  # X5
    return through, beta * du, (gamma * through,), (du * (v - (gamma * j + i)), through * j)  # N8, N10, X6


TEXT = {
    rules.LEAKY: (leaky, leaky_back),
    rules.SCALED: (scaled, scaled_back),
    rules.SYNAPTIC: (synaptic, synaptic_back),
    rules.SCALED_SYNAPTIC: (scaled_synaptic, scaled_synaptic_back),
}
"""Rule -> its two functions for arrays."""


def functions(rule, real):
    """N16, N17: step and step_back of a rule for arrays ``[M, C]`` of the float type `real`."""
    if rule in TEXT:
        return TEXT[rule]
    both = rule.step, rule.step_back  # N16, N17
    return tuple(_element_by_element(in_precision(function, real), real) for function in both)


def _element_by_element(function, real):
    """A version of a function of numbers and tuples of numbers that takes arrays and tuples of arrays."""

    def over_arrays(*arguments):
        flat = [x for one in arguments for x in (one if isinstance(one, tuple) else (one,))]
        shape = np.broadcast_shapes(*(np.shape(x) for x in flat))
        flat = iter([np.broadcast_to(x, shape).reshape(-1) for x in flat])
        columns = [tuple(next(flat) for _ in one) if isinstance(one, tuple) else next(flat) for one in arguments]
        results = []
        with np.errstate(all="ignore"):  # a potential may overflow without a warning, as in compiled code
            for k in range(int(np.prod(shape))):
                numbers = (tuple(x[k] for x in one) if isinstance(one, tuple) else one[k] for one in columns)
                results.append(function(*numbers))
        return _stacked(results, shape, real)

    return over_arrays


def _stacked(results, shape, real):
    """Turn a list of numbers, or of nested tuples of numbers, into an array, or nested tuples of arrays."""
    first = results[0]
    if isinstance(first, tuple):
        return tuple(_stacked([one[k] for one in results], shape, real) for k in range(len(first)))
    return np.array(results, real).reshape(shape)
