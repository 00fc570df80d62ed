"""The neuron's backward pass: reference against differences, compiled kernel against reference."""

import math

import naive
import numpy as np
import pytest
from bounds import PROMISE, REALS, is_gradient, within
from neurons import ALL_RESETS, FAMILIES, RESETS, TIED, assert_bites, backward, backward_bound, draw, forward, shape_for
from targets import ALL, COMPILED, reference

from numsnn.kernels.types import Direct

BOTH = (False, True)
CLEARANCE = 1e-3
"""How far every (u - theta) / alpha keeps from a family's kinks: a hundred steps of a difference."""


# --- reference against central differences ------------------------------------------------------------------


def draw_clear_of_kinks(family, v_reset, decay_input):
    """A draw whose relaxed potentials stay clear of the points where the density bends or jumps."""
    for seed in range(200):
        case = draw(np.random.default_rng(seed), (4, 4, 2), np.float64, decay_input)
        case.i[0, TIED, 0] += 0.3  # the tie sits on a kink
        u, s = forward(reference, case, v_reset, decay_input, family)
        z = (u - case.theta) / case.alpha
        if all(np.abs(z - kink).min() > CLEARANCE for kink in naive.KINKS[family]):
            return case, u, s
    raise AssertionError("no draw keeps its distance from the kinks")


@pytest.mark.parametrize("detach_reset", BOTH)
@pytest.mark.parametrize("decay_input", BOTH)
@pytest.mark.parametrize("v_reset", ALL_RESETS)
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_the_relaxed_neuron(family, v_reset, decay_input, detach_reset):
    """The loss reads spikes and potentials; the gradients are those by currents, leak, threshold and width. Detaching
    the reset gives the gradient of a neuron whose reset keeps the spikes of the point where the gradient is taken."""
    case, u, s = draw_clear_of_kinks(family, v_reset, decay_input)
    assert (u > case.theta).any() and (u < case.theta).any()
    rng = np.random.default_rng(8)
    ds = rng.normal(size=u.shape)
    direct = Direct(*rng.normal(size=(3, u.shape[2])))
    frozen = s.copy() if detach_reset else None

    def loss():
        flags = v_reset, decay_input, family
        u, s = naive.lif_forward(case.i, case.beta, case.theta, case.d, *flags, case.alpha, frozen)
        terms = ds * s + direct.offset * u + direct.slope * np.square(u - direct.centre) / 2
        return math.fsum(terms.ravel())

    got = backward(reference, case, ds, u, s, v_reset, detach_reset, decay_input, family, direct)
    is_gradient(got["di"], loss, case.i)
    is_gradient(got["dbeta"], loss, case.beta)
    is_gradient(got["dtheta"], loss, case.theta)
    is_gradient(got["dalpha"], loss, case.alpha)


@ALL
def test_gradient_without_a_loss_on_potentials(k):
    """None stands for a p of zero, exactly."""
    case = draw(np.random.default_rng(9), shape_for(k), np.float64)
    u, s = forward(reference, case, 0.0, False, None)
    ds = np.random.default_rng(10).normal(size=u.shape)
    zero = Direct(*np.zeros((3, u.shape[2])))
    with_zero = backward(k, case, ds, u, s, 0.0, False, False, "triangle", zero)
    without = backward(k, case, ds, u, s, 0.0, False, False, "triangle", None)
    for name, gradient in without.items():
        assert np.array_equal(gradient, with_zero[name])


# --- compiled kernel against reference ----------------------------------------------------------------------


def assert_is_the_reference(k, case, u, s, *flags, direct, learn_beta):
    ds = np.random.default_rng(11).normal(size=u.shape).astype(u.dtype)
    p = Direct(*np.random.default_rng(12).normal(size=(3, u.shape[2])).astype(u.dtype)) if direct else None
    got = backward(k, case, ds, u, s, *flags, p, learn_beta)
    want = backward(reference, case, ds, u, s, *flags, p, learn_beta)
    bound = backward_bound(case, ds, u, s, *flags, p)
    assert got.keys() == want.keys()
    for name, gradient in got.items():
        assert gradient.dtype == u.dtype
        allowed = bound[name]
        if u.dtype == np.float64:
            allowed = np.minimum(allowed, PROMISE * max(1, np.abs(want[name]).max()))
        within(gradient, want[name], allowed)
    return want


@pytest.mark.parametrize("learn_beta", BOTH)
@pytest.mark.parametrize("decay_input", BOTH)
@pytest.mark.parametrize("detach_reset", BOTH)
@pytest.mark.parametrize("v_reset", RESETS)
@COMPILED
def test_is_the_reference(small_tiles, k, v_reset, detach_reset, decay_input, learn_beta):
    """All flags with one family. Every combination is a kernel to compile, so the loss on potentials and the float type
    take turns, in such a way that any three of the six settings meet in all their combinations."""
    soft = v_reset is None
    direct, real = soft ^ detach_reset ^ decay_input, REALS[detach_reset ^ decay_input ^ learn_beta]
    case = draw(np.random.default_rng(13), shape_for(k), real, decay_input)
    u, s = forward(reference, case, v_reset, decay_input, None)
    assert_bites(u, s, case.theta)
    flags = v_reset, detach_reset, decay_input, "triangle"
    want = assert_is_the_reference(k, case, u, s, *flags, direct=direct, learn_beta=learn_beta)
    assert all(gradient.any() for gradient in want.values())


@pytest.mark.parametrize("family", FAMILIES)
@COMPILED
def test_is_the_reference_for_every_family(small_tiles, k, family):
    """All families with one set of flags: on spikes in float32 and relaxed in float64."""
    flags = 0.0, False, False
    case = draw(np.random.default_rng(14), shape_for(k), np.float32)
    u, s = forward(reference, case, 0.0, False, None)
    assert_is_the_reference(k, case, u, s, *flags, family, direct=True, learn_beta=True)
    case = draw(np.random.default_rng(14), shape_for(k), np.float64)
    u, s = forward(reference, case, 0.0, False, family)
    assert_is_the_reference(k, case, u, s, *flags, family, direct=True, learn_beta=True)


@pytest.mark.parametrize("shape", [(1, 3, 2), (4, 1, 3), (3, 7, 1), (2, 9, 41), (1, 1, 1)])
@COMPILED
def test_odd_shapes(small_tiles, k, shape):
    """One step, one row, one channel, more channels than a tile has elements, and one of everything."""
    case = draw(np.random.default_rng(15), shape, np.float32)
    u, s = forward(reference, case, 0.0, False, None)
    flags = 0.0, False, False, "gaussian"
    assert_is_the_reference(k, case, u, s, *flags, direct=True, learn_beta=True)


@ALL
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("current", [-1e4, 1e4], ids=["silent", "saturated"])
def test_extreme_currents(k, family, current):
    """Far from the threshold gradients are finite, and zero where the density ends or falls that fast."""
    case = draw(np.random.default_rng(16), shape_for(k), np.float32)
    case.i[...] = current
    u, s = forward(k, case, 0.0, False, None)
    direct = Direct(*np.zeros((3, u.shape[2]), np.float32))
    got = backward(k, case, np.ones_like(u), u, s, 0.0, False, False, family, direct)
    for gradient in got.values():
        assert np.isfinite(gradient).all()
    assert got["di"].any() == (family in ("arctan", "fast_sigmoid"))


@ALL
def test_nan_reaches_the_parameters(k):
    """A NaN in one neuron's gradient reaches its channel's parameters, and nobody else's."""
    case = draw(np.random.default_rng(17), shape_for(k), np.float32)
    u, s = forward(k, case, 0.0, False, None)
    ds = np.ones_like(u)
    ds[2, 5, 3] = np.nan
    direct = Direct(*np.zeros((3, u.shape[2]), np.float32))
    got = backward(k, case, ds, u, s, 0.0, False, False, "gaussian", direct)
    affected = np.zeros(u.shape, bool)
    affected[:3, 5, 3] = True
    assert np.array_equal(np.isnan(got["di"]), affected)
    for name in ("dbeta", "dtheta", "dalpha"):
        assert np.array_equal(np.isnan(got[name]), np.arange(u.shape[2]) == 3)
