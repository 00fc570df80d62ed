"""The neuron's forward pass: reference against loops over scalars, compiled kernel against reference."""

import naive
import numpy as np
import pytest
from bounds import REALS, agree, within
from neurons import (
    ALL_RESETS,
    FAMILIES,
    RESETS,
    TIED,
    assert_bites,
    draw,
    forward,
    forward_bound,
    leaky_forward,
    shape_for,
)
from targets import ALL, COMPILED, reference

from numsnn.kernels import for_device
from numsnn.kernels.cpu import neuron as cpu_neuron
from numsnn.kernels.types import Reset

cpu = for_device("cpu")

FIRING = (None, *FAMILIES)
"""None fires spikes, a family's name its distribution function."""


def assert_same_firing(case, flags, got, want):
    """Potentials equal up to rounding, spikes exactly, until one comes closer to its threshold than rounding
    can tell. From there on the two may take different ways, which hardly any neuron does."""
    (u, s), (want_u, want_s) = got, want
    error_u, error_s = forward_bound(case, *flags, want_u, want_s)
    assert u.dtype == want_u.dtype and s.dtype == want_s.dtype
    undecided = np.zeros(u.shape, bool)
    if flags[-1] is None:
        undecided = np.abs(np.asarray(want_u, np.float64) - case.theta) <= error_u
        if u.shape[1] > TIED:
            undecided[0, TIED, 0] = False  # the tie is exact in every arithmetic
        assert undecided.sum() <= 0.01 * undecided.size
    after = np.logical_or.accumulate(undecided, axis=0)
    before = np.concatenate([np.zeros_like(after[:1]), after[:-1]])
    within(np.where(before, 0, u), np.where(before, 0, want_u), error_u)
    within(np.where(after, 0, s), np.where(after, 0, want_s), error_s)


@pytest.mark.parametrize("decay_input", [False, True])
@pytest.mark.parametrize("v_reset", ALL_RESETS)
@pytest.mark.parametrize("surrogate", FIRING)
def test_reference_is_the_equations(surrogate, v_reset, decay_input):
    flags = v_reset, decay_input, surrogate
    case = draw(np.random.default_rng(1), (6, 9, 3), np.float64, decay_input)
    u, s = forward(reference, case, *flags)
    want_u, want_s = naive.lif_forward(case.i, case.beta, case.theta, case.d, *flags, case.alpha)
    assert_same_firing(case, flags, (u, s), (np.array(want_u), np.array(want_s, s.dtype)))
    if surrogate is None:
        assert_bites(u, s, case.theta)
    else:
        assert (u > case.theta).any() and (u < case.theta).any()


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("v_reset", RESETS)
@COMPILED
def test_what_is_left_after_the_reset(small_tiles, k, v_reset, real):
    """The next charge starts from it; spikes reset whole, relaxed ones in part."""
    case = draw(np.random.default_rng(8), shape_for(k), real)
    for surrogate in (None, "arctan"):
        u, s = forward(reference, case, v_reset, False, surrogate)
        v, want = np.full((2, *u.shape), np.nan, real)
        k.neuron_reset(u, s, case.theta, Reset(v_reset), v)
        reference.neuron_reset(u, s, case.theta, Reset(v_reset), want)
        size = np.abs(u) + np.abs(case.theta if v_reset is None else v_reset)
        agree(v, want, 4, size)
        terms = case.beta * want[:-1], case.i[1:], -case.d[1:, None]
        agree(sum(terms), u[1:], 4, sum(map(np.abs, terms)))
        one_step = np.full_like(v[0], np.nan)
        k.neuron_reset(u[0], s[0], case.theta, Reset(v_reset), one_step)
        assert np.array_equal(one_step, v[0])


@ALL
@pytest.mark.parametrize("real", REALS)
def test_potentials_may_go_unrecorded(k, real):
    case = draw(np.random.default_rng(4), shape_for(k), real)
    untouched = case.i.copy()
    _, want = forward(k, case, 0.0, False, None)
    s = np.full_like(want, 7)
    leaky_forward(k, case.i, case.beta, case.theta, case.d, 0.0, False, None, case.alpha, None, s)
    assert np.array_equal(s, want)
    assert np.array_equal(case.i, untouched)


@ALL
def test_width_does_not_touch_spikes(k):
    case = draw(np.random.default_rng(5), shape_for(k), np.float32)
    u, s = forward(k, case, 0.0, False, None)
    case.alpha = case.alpha * np.float32(3)
    other_u, other_s = forward(k, case, 0.0, False, None)
    assert np.array_equal(u, other_u) and np.array_equal(s, other_s)


@ALL
@pytest.mark.parametrize("v_reset", RESETS)
@pytest.mark.parametrize(("current", "spikes"), [(-1e4, 0), (1e4, 1)], ids=["silent", "saturated"])
def test_extreme_currents(k, v_reset, current, spikes):
    case = draw(np.random.default_rng(6), shape_for(k), np.float32)
    case.i[...] = current
    u, s = forward(k, case, v_reset, False, None)
    assert (s == spikes).all()
    want, _ = naive.lif_forward(case.i, case.beta, case.theta, case.d, v_reset, False, None, case.alpha)
    within(u, want, forward_bound(case, v_reset, False, None, np.array(want), s)[0])


@ALL
def test_nan_is_carried_to_the_potentials_behind_it(k):
    """A NaN fires nothing, stays within its neuron, and remains to be seen."""
    case = draw(np.random.default_rng(7), shape_for(k), np.float32)
    want, _ = forward(k, case, 0.0, False, None)
    case.i[1, 4, 2] = np.nan
    u, s = forward(k, case, 0.0, False, None)
    assert np.isnan(u[1:, 4, 2]).all() and not s[1:, 4, 2].any()
    u[1:, 4, 2] = want[1:, 4, 2]
    assert np.array_equal(u, want)


@pytest.mark.parametrize("normed", [False, True])
def test_the_kernel_for_many_elements_gives_the_same_bits(monkeypatch, normed):
    """Large passes in which nobody looks at the potentials have a kernel of their own."""
    case = draw(np.random.default_rng(5), (6, 20, 5), np.float32, False)
    norm = (case.theta, case.alpha, case.beta) if normed else None
    chosen, choose = [], cpu_neuron._forward_kernel
    monkeypatch.setattr(cpu_neuron, "_forward_kernel", lambda *kind: chosen.append(kind[-1]) or choose(*kind))
    results = []
    for many in (case.i.size, case.i.size + 1):
        monkeypatch.setattr(cpu_neuron, "MANY", many)
        s, carried = np.empty_like(case.i), np.zeros((1, *case.i.shape[1:]), np.float32)
        leaky_forward(
            cpu, case.i, case.beta, case.theta, case.d, 0.0, False, None, case.alpha, None, s, carried[0], norm
        )
        results.append((s, carried))
    assert chosen == [False, True]
    assert 0 < results[0][0].mean() < 1
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)
