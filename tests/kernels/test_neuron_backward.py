"""The neuron's backward pass: reference against differences, compiled kernel against reference."""

import math

import naive
import numpy as np
import pytest
from bounds import is_gradient
from neurons import ALL_RESETS, FAMILIES, TIED, backward, draw, forward, shape_for
from targets import ALL, reference

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
