"""Roles of arrays that must not overlap: they are found in the text of a kernel; a launch refuses an overlap."""

import re

import numpy as np
import pytest
from targets import cpu

from numsnn.kernels import equations as eq
from numsnn.kernels.compile import kernel
from numsnn.kernels.cpu import neuron, norm
from numsnn.kernels.cpu.inline.access import read, write
from numsnn.kernels.cpu.run import launch, roles
from numsnn.kernels.rules import LEAKY
from numsnn.kernels.types import Affine, Firing, Moments, Reset, Wanted

SHAPE = 3, 8, 5


@kernel
def _add_in_place(x, y, lo, hi):
    for c in range(lo, hi):
        write(y, "output", c, read(y, "output", c) + read(x, "value", c))


@kernel
def _sum_of_two(x, y, z, lo, hi):
    for c in range(lo, hi):
        write(z, "output", c, read(x, "value", c) + read(y, "current", c))


def backwards(memory, at):
    """A backward pass of leaky neurons; what at names lies at these places of memory, the rest by itself."""
    size = np.prod(SHAPE)
    rng = np.random.default_rng(0)
    ds, i, di = (
        memory[at[name] : at[name] + size].reshape(SHAPE) if name in at else np.empty(SHAPE, memory.dtype)
        for name in ("ds", "i", "di")
    )
    ds[...], i[...] = rng.normal(size=(2, *SHAPE))
    ones = np.ones(SHAPE[2], memory.dtype)
    wanted = Wanted((np.empty_like(ones),), np.empty_like(ones), np.empty_like(ones))
    d, s = np.zeros((SHAPE[0], SHAPE[2]), memory.dtype), np.zeros(SHAPE, np.uint8)
    firing = Firing(ones, ones, "triangle")
    cpu.neuron_backward(LEAKY, ds, i, s, ones[None] / 2, firing, Reset(), d, None, di, wanted)
    return di.copy()


def normalisation_back(dy, x, dx):
    ones = np.ones(x.shape[1], x.dtype)
    moments, gradients = Moments(0 * ones, ones), np.empty((2, x.shape[1]), x.dtype)
    cpu.batchnorm_backward(dy, x, Affine(ones, ones, 1e-5), moments, False, dx, *gradients)


def of(dispatcher):
    """Argument -> its roles, of a kernel whose arguments are all arrays."""
    function = dispatcher.py_func
    found = {}
    for use in roles.uses(function, tuple(function.__code__.co_varnames[: function.__code__.co_argcount])):
        found.setdefault(use.argument, set()).add((use.role, use.writes))
    return found


# --- what is found in the text of a kernel ------------------------------------------------------------------------


def test_roles_are_read_from_the_kernel():
    assert of(_add_in_place) == {"x": {("value", False)}, "y": {("output", False), ("output", True)}}


@pytest.mark.parametrize("in_place", [False, True])
def test_names_are_followed_through_assignments_and_the_closure(in_place):
    """What is written is dy or dx, and dy's role is a variable of the closure."""
    found = of(norm._input_gradient_kernel(in_place))
    expected = {name: {("value", False)} for name in ("x", "mean", "factor", "slope", "offset")}
    if in_place:
        expected["dy"] = {("input gradient", False), ("input gradient", True)}
    else:
        expected |= {"dy": {("gradient", False)}, "dx": {("input gradient", True)}}
    assert found == expected


@pytest.mark.parametrize("normed", [False, True])
def test_helpers_are_followed_and_branches_that_never_run_are_not(normed):
    """The currents are read by a helper that computes potentials again; a normalisation is read where there is one."""
    density = eq.DENSITY["triangle"]
    found = of(neuron._backward_kernel(LEAKY, np.float32, density, "hard", True, normed, (False,) * 3, False, False))
    assert found["i"] == {("current", False)} and found["s"] == {("spike", False)}
    assert found["values"] == {("value", False)} and found["di"] == {("input gradient", True)}
    assert ("centre" in found) == normed and (("sum", True) in found["sums"]) == normed
    assert "start" not in found and "p_slope" not in found


# --- what is refused ----------------------------------------------------------------------------------------------


def test_the_tests_check_roles():
    assert launch.CHECK_ROLES


@pytest.mark.parametrize(
    ("other", "role"), [("i", "current"), ("ds", "gradient")], ids=["over the currents", "half over the gradient"]
)
def test_a_planted_overlap_is_refused(other, role):
    """Half of one array lies in the other."""
    memory, half = np.zeros(4 * np.prod(SHAPE), np.float32), np.prod(SHAPE) // 2
    line = f"kernel neuron_backward_tiles: di ('input gradient') and {other} ('{role}') overlap in memory; "
    with pytest.raises(RuntimeError, match="^" + re.escape(line) + "arrays of different roles must not$"):
        backwards(memory, {other: 0, "di": half})


def test_arrays_side_by_side_are_not_refused():
    memory, size = np.zeros(4 * np.prod(SHAPE), np.float32), np.prod(SHAPE)
    want = backwards(memory, {})
    assert np.array_equal(backwards(memory, {"i": 0, "di": size, "ds": 2 * size}), want)


def test_what_kernels_do_in_place_is_not_refused():
    memory = np.zeros(4 * np.prod(SHAPE), np.float32)
    want = backwards(memory, {})
    assert np.array_equal(backwards(memory, {"ds": 0, "di": 0}), want)
    x, dy = np.random.default_rng(1).normal(size=(2, 6, 5))
    normalisation_back(dy, x, dy)


def test_normalisations_are_checked():
    memory = np.random.default_rng(1).normal(size=60)
    x, dy, half = memory[:30].reshape(6, 5), np.ones((6, 5)), memory[15:45].reshape(6, 5)
    with pytest.raises(RuntimeError, match=r"kernel input_gradient_tiles: dx .* and x \('value'\) overlap"):
        normalisation_back(dy, x, half)


def test_what_is_only_read_may_overlap():
    x, z = np.arange(4.0), np.empty(4)
    launch.launch(_sum_of_two, 4, x, x, z)
    assert z.tolist() == [0, 2, 4, 6]
    with pytest.raises(RuntimeError, match=r"kernel _sum_of_two: x \('value'\) and z \('output'\) overlap"):
        launch.launch(_sum_of_two, 4, x, x.copy(), x)


def test_it_can_be_left_out(monkeypatch):
    monkeypatch.setattr(launch, "CHECK_ROLES", False)
    x = np.arange(4.0)
    launch.launch(_add_in_place, 4, x, x)
    assert x.tolist() == [0, 2, 4, 6]
