"""The registry of kernels: for every function of the contract its sample inputs, and what holds of its results.

A module `entries_*` has one function per function of the contract, of the same name, with the decorator `entry`. It
draws the arguments of a sample, by the names of the parameters. `test_registry` tests all entries in the same way, on
every device. To add a kernel, add its entry; a function without one makes a test fail.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from math import prod

import numpy as np
from bounds import REALS, agree, within
from targets import reference

REGISTRY: dict[str, "Entry"] = {}
"""Name of a function of the contract -> its entry."""

ROOMS = "memory", "elementwise", "numbers", "products", "norm", "loss", "neuron", "potentials", "recurrent"
"""The modules with entries, each `entries_` and a name of this list; `filled` imports them."""

UNSET = {"f": np.nan, "u": 7, "i": 99, "b": True}
"""Kind of a dtype -> what is in the memory of an output before the call."""


def filled():
    """The registry with all entries."""
    for room in ROOMS:
        import_module(f"entries_{room}")
    return REGISTRY


@dataclass(frozen=True)
class Entry:
    """What there is to know of one function of the contract. `entry` documents the attributes."""

    name: str
    draw: Callable
    cases: dict
    large: tuple
    writes: tuple
    updates: tuple
    bound: Callable | None
    compare: Callable | None
    gradients: Callable | None
    call: Callable | None
    one_thread: bool
    relaxed: bool
    slow: Callable
    reals: Callable
    differs: str

    def sample(self, case, real, seed=1):
        """The arguments of one call, by name; the memory of outputs holds other numbers."""
        return self.draw(np.random.default_rng(seed), real, *case)

    def results(self, k, sample):
        """Call the function of one device; return its outputs by name, or what `call` returns."""
        arguments = {name: value for name, value in sample.items() if not name.startswith("_")}
        if self.call is not None:
            return self.call(k, **arguments)
        getattr(k, self.name)(**arguments)
        return self.outputs(arguments)

    def outputs(self, arguments):
        """The arrays that the function may write, by name."""
        return {
            path: array
            for name in (*self.writes, *self.updates)
            for path, array in leaves(arguments[name], name)
            if isinstance(array, np.ndarray)
        }

    def agrees(self, arguments, got, want):
        """Assert that the results are those of the reference. arguments are those of the sample before the call."""
        assert got.keys() == want.keys()
        if self.compare is not None:
            self.compare(arguments, got, want)
            return
        bounds = {} if self.bound is None else self.bound(arguments, want)
        for name, array in want.items():
            assert got[name].dtype == array.dtype and got[name].shape == array.shape, name
            if name in bounds:
                agree(got[name], array, *bounds[name])
            else:
                np.testing.assert_array_equal(got[name], array, err_msg=name)


def entry(
    *,
    cases=None,
    large=(),
    writes=(),
    updates=(),
    bound=None,
    compare=None,
    gradients=None,
    call=None,
    one_thread=False,
    relaxed=False,
    slow=lambda case, real: False,
    reals=lambda case: REALS,
    differs="",
):
    """Register the function ``draw(rng, real, *case)``, which returns the arguments of a sample by name. What is behind
    names that begin with an underscore is for the checks of the entry, and not passed.

    Args:
        cases: name of a sample -> the rest of the arguments of draw; small arrays, and every option that matters.
        large: the same for arrays of several tiles of the usual size, in float32; results must not depend on threads.
        writes: names of the parameters that the function fills. Everything in a tuple is an output.
        updates: names of the parameters that it reads and changes. All other arguments keep their bytes.
        bound: ``f(arguments, want)`` returns for outputs the number of operations and their size, as `bounds.agree`
            takes them; outputs that it does not name have equal bits on all devices. With None all outputs have.
        compare: ``f(arguments, got, want)`` asserts the agreement in place of this.
        gradients: ``f(arguments, results)`` yields (gradient, loss, array): finite differences of loss() by the array,
            a part of the arguments in float64, are the gradient. None for a function that computes no gradient.
        call: ``f(k, **arguments)`` calls the function and returns the results by name; None for a plain call.
        one_thread: whether the CPU computes it on one thread, as it is short.
        relaxed: whether the function has a relaxed form, which some of the cases use.
        slow: ``f(case, real)`` says whether the case takes long in the simulator, where it is then left out.
        reals: ``f(case)`` returns the float types of the case.
        differs: why results need not agree between devices; empty if they must.
    """

    def register(draw):
        name = draw.__name__
        assert name not in REGISTRY, name
        lists = tuple((one,) if isinstance(one, str) else tuple(one) for one in (writes, updates))
        REGISTRY[name] = Entry(
            *(name, draw, cases or {"plain": ()}, tuple(large), *lists, bound, compare, gradients),
            *(call, one_thread, relaxed, slow, reals, differs),
        )
        return draw

    return register


# --- arrays in arguments ---------------------------------------------------------------------------------------------


def leaves(value, name):
    """The values in an argument by their names: tuples, also named ones, are taken apart."""
    if not isinstance(value, tuple):
        yield name, value
        return
    for part, one in zip(getattr(value, "_fields", range(len(value))), value, strict=True):
        yield from leaves(one, f"{name}.{part}")


def mapped(value, change):
    """The value with every array changed; an array that is there twice is changed once."""
    if isinstance(value, dict):
        return {name: mapped(one, change) for name, one in value.items()}
    if isinstance(value, tuple):
        return getattr(value, "_make", tuple)(mapped(one, change) for one in value)
    return change(value) if isinstance(value, np.ndarray) else value


def once(change):
    """The same change of arrays, which returns one result for an array that comes twice."""
    made = {}

    def changed(array):
        if id(array) not in made:
            made[id(array)] = array, change(array)
        return made[id(array)][1]

    return changed


# --- for the entries -------------------------------------------------------------------------------------------------


def normal(rng, real, *shape):
    """Numbers of either sign."""
    return rng.standard_normal(shape).astype(real)


def spikes(rng, *shape, rate=0.3):
    """Zeros and ones."""
    return (rng.random(shape) < rate).astype(np.uint8)


def drawn(rng, kind, *shape):
    """Spikes for the kind uint8, and numbers for a float type."""
    return spikes(rng, *shape) if kind == np.uint8 else normal(rng, kind, *shape)


def unset(dtype, *shape):
    """The memory of an output."""
    return np.full(shape, UNSET[np.dtype(dtype).kind], dtype)


def like(array, dtype=None):
    """The memory of an output of this shape."""
    return unset(dtype or array.dtype, *array.shape)


def adjoint(forward, arguments, seeds, by):
    """What `entry.gradients` yields, for a forward function and the losses sum(seed * output) on its outputs.

    Args:
        forward: name of the function.
        arguments: its arguments but for the outputs in seeds.
        seeds: name of an output -> the gradient of the loss by it.
        by: pairs of a gradient and the array that it belongs to, a part of the arguments.
    """

    def loss():
        outputs = {name: np.empty_like(seed) for name, seed in seeds.items()}
        getattr(reference, forward)(**arguments, **outputs)
        return sum(float((seeds[name] * output).sum()) for name, output in outputs.items())

    for gradient, array in by:
        yield gradient, loss, array


def absolute(value):
    """The value with absolute numbers in float64 in every array of floats."""
    return mapped(value, lambda a: np.abs(a).astype(np.float64) if a.dtype.kind == "f" else a)


def close(arguments, got, want, eps, sums=()):
    """Assert that spikes are equal, and numbers of order 1 differ by no more than a few dozen roundings each.

    Args:
        eps: what one number may differ by, relative to 1 and to the largest one of its array.
        sums: names of outputs that are sums -> number of terms.
    """
    sums = dict(sums)
    for name, array in want.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape, name
        if array.dtype.kind == "f":
            largest = max(1, np.abs(array).max(initial=0))
            within(got[name], array, eps * largest * sums.get(name, 1))
        else:
            np.testing.assert_array_equal(got[name], array, err_msg=name)


def size(array):
    """Number of elements of a shape or array."""
    return prod(getattr(array, "shape", array))
