"""The neuron fused with a normalisation, the moments of its potentials, its visible mask, and potentials that are
computed again."""

import numpy as np
import pytest
from bounds import REALS, within
from neurons import FAMILIES, RESETS, draw, leaky_backward, leaky_forward, shape_for
from targets import ALL, COMPILED, fewer, reference

from numsnn.kernels.reference.surrogate import DENSITY
from numsnn.kernels.types import Direct

SHAPES = [(5, 37, 6), (3, 64, 8), (1, 1, 1), (4, 1, 3), (70, 3, 41), (8, 5, 3), (4, 7, 12), (16, 3, 5)]
"""Among them rows that are joined, one of everything, so many steps that a tile is a part of a row, and as many as a
thread keeps of one channel and of four, and at most of one."""


def less(k, shape):
    """The shape, or less of it for a target whose threads take a while."""
    return tuple(map(min, shape, (18, 12, 12))) if k.name == "cuda" else shape


def case_of(shape, real, seed=20):
    """A draw, and the (centre, factor, offset) that make its currents of what is passed on as `x`."""
    rng = np.random.default_rng(seed)
    case = draw(rng, shape, real)
    centre, offset = rng.normal(size=(2, shape[2])).astype(real)
    factor = rng.uniform(0.5, 2, shape[2]).astype(real)
    case.i = rng.normal(0.3, 0.9, shape).astype(real)
    case.x = ((case.i - offset) / factor + centre).astype(real)
    case.norm = centre, factor, offset
    return case


def forward(k, case, i, surrogate=None, v_reset=0.0, carried=None, **options):
    """u and s, in memory that held NaN and 7."""
    u, s = np.full_like(i, np.nan), np.full(i.shape, 7, np.uint8 if surrogate is None else i.dtype)
    d = case.d[: len(i)]
    share = leaky_forward(
        k, i, case.beta, case.theta, d, v_reset, False, surrogate, case.alpha, u, s, carried, **options
    )
    return u, s, share


def backward(k, case, i, s, ds, di=None, v_reset=0.0, family="triangle", direct=None, **options):
    """di, and the gradients of leak, threshold and width."""
    di = np.full_like(i, np.nan) if di is None else di
    gradients = np.full((3, i.shape[2]), np.nan, i.dtype)
    leaky_backward(
        k,
        ds,
        i,
        s,
        case.beta,
        case.theta,
        case.d[: len(i)],
        v_reset,
        False,
        False,
        family,
        case.alpha,
        direct,
        di,
        *gradients,
        **options,
    )
    return di, gradients


def clear(case, u, tolerance):
    """Return whether all potentials are so far from their thresholds that rounding decides nothing."""
    return (np.abs(u.astype(np.float64) - case.theta) > tolerance).all()


def draw_clear(shape, real, tolerance):
    """A case whose spikes rounding does not touch, with its potentials and spikes in the reference."""
    for seed in range(200):
        case = case_of(shape, real, seed)
        u, s, _ = forward(reference, case, case.x, norm=case.norm)
        if clear(case, u, tolerance):
            return case, u, s
    raise AssertionError("every draw has a potential at its threshold")


# --- a normalisation in front ---------------------------------------------------------------------------------


@pytest.mark.parametrize("v_reset", RESETS)
def test_reference_normalises_first(v_reset):
    case = case_of((5, 37, 6), np.float64)
    centre, factor, offset = case.norm
    i = (case.x - centre) * factor + offset
    got = forward(reference, case, case.x, v_reset=v_reset, norm=case.norm)
    want = forward(reference, case, i, v_reset=v_reset)
    assert np.array_equal(got[0], want[0]) and np.array_equal(got[1], want[1])
    ds = np.random.default_rng(1).normal(size=i.shape)
    sums = np.full((2, 6), np.nan)
    got = backward(reference, case, case.x, want[1], ds, v_reset=v_reset, norm=case.norm, dnorm=sums)
    want = backward(reference, case, i, want[1], ds, v_reset=v_reset)
    assert np.array_equal(got[0], want[0]) and np.array_equal(got[1], want[1])
    np.testing.assert_allclose(sums[0], got[0].sum((0, 1)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(sums[1], (got[0] * (case.x - centre)).sum((0, 1)), rtol=1e-12, atol=1e-12)


@ALL
@pytest.mark.parametrize("v_reset", RESETS)
def test_carried_on(small_tiles, k, v_reset):
    """Two halves give what the whole gives, and the second one's gradient starts where the first one stopped."""
    case = case_of((6, 24, 8), np.float64)
    u, s, _ = forward(k, case, case.x, v_reset=v_reset, norm=case.norm)
    state, d = np.zeros((24, 8)), case.d
    parts, starts = [], []
    for half in (slice(0, 3), slice(3, 6)):
        case.d = d[half]
        starts.append(state.copy())
        parts.append(forward(k, case, case.x[half], v_reset=v_reset, carried=state, norm=case.norm))
    assert np.array_equal(np.concatenate([part[0] for part in parts]), u)
    assert np.array_equal(np.concatenate([part[1] for part in parts]), s)
    ds, sums = np.random.default_rng(1).normal(size=u.shape), np.empty((2, 8))
    half, _ = backward(k, case, case.x[3:], s[3:], ds[3:], v_reset=v_reset, start=starts[1], norm=case.norm, dnorm=sums)
    case.d = d
    whole, _ = backward(k, case, case.x, s, ds, v_reset=v_reset, norm=case.norm, dnorm=sums)
    np.testing.assert_allclose(half, whole[3:], rtol=0, atol=1e-12)


# --- memory -------------------------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("normed", [False, True])
def test_gradient_in_the_place_of_the_one_above(small_tiles, k, normed):
    """The bits are those of a gradient in memory of its own."""
    case = case_of(shape_for(k), np.float32)
    options = {"norm": case.norm, "dnorm": np.empty((2, case.i.shape[2]), np.float32)} if normed else {}
    _, s, _ = forward(k, case, case.x, norm=case.norm if normed else None)
    ds = np.random.default_rng(1).normal(size=s.shape).astype(np.float32)
    want, want_gradients = backward(k, case, case.x, s, ds, **options)
    place = ds.copy()
    got, gradients = backward(k, case, case.x, s, place, place, **options)
    assert got is place
    assert np.array_equal(got, want) and np.array_equal(gradients, want_gradients)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("v_reset", RESETS)
@COMPILED
def test_potentials_computed_again_are_the_same_to_the_bit(small_tiles, k, v_reset, normed, real):
    """A loss u^2 / 2 on the potentials alone: its gradient at the last step is the potential."""
    rows, channels = fewer(k, 37, 9), fewer(k, 21, 8)
    case = case_of((4, rows, channels), real)
    norm = case.norm if normed else None
    case.alpha = np.full_like(case.alpha, 1e-30)
    u, s, _ = forward(k, case, case.x, v_reset=v_reset, norm=norm)
    zero, one = np.zeros_like(case.beta), np.ones_like(case.beta)
    direct = Direct(zero, zero, one)
    for steps in range(1, 5):
        x = np.ascontiguousarray(case.x[:steps])
        sums = np.empty((2, channels), real)
        ds = np.zeros_like(x)
        di, _ = backward(
            k,
            case,
            x,
            s[:steps],
            ds,
            v_reset=v_reset,
            direct=direct,
            norm=norm,
            dnorm=sums,
        )
        assert np.array_equal(di[-1], u[steps - 1])


@ALL
def test_gradients_nobody_wants_are_left_out(k):
    case = case_of((3, 20, 5), np.float64)
    _, s, _ = forward(k, case, case.x)
    ds = np.random.default_rng(1).normal(size=s.shape)
    want, _ = backward(k, case, case.x, s, ds)
    di = np.empty_like(want)
    leaky_backward(
        k,
        ds,
        case.x,
        s,
        case.beta,
        case.theta,
        case.d,
        0.0,
        False,
        False,
        "triangle",
        case.alpha,
        None,
        di,
        None,
        None,
        None,
    )
    assert np.array_equal(di, want)


# --- moments of the potentials ------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("shape", SHAPES)
def test_moments(small_tiles, k, shape, real):
    shape = less(k, shape)
    case = case_of(shape, real)
    mean, var = np.full((2, shape[0], shape[2]), np.nan, real)
    u, s, _ = forward(k, case, case.x, norm=case.norm, mean=mean, var=var)
    without, same, _ = forward(k, case, case.x, norm=case.norm)
    assert np.array_equal(u, without) and np.array_equal(s, same)
    exact = u.astype(np.float64)
    eps = float(np.finfo(real).eps)
    within(mean, exact.mean(1), (shape[1] + 4) * eps * np.abs(exact).max())
    within(var, exact.var(1), (shape[1] + 8) * eps * (exact**2).mean(1))


@COMPILED
def test_a_large_mean_does_not_swallow_a_small_variance(small_tiles, k):
    case = case_of((2, 200, 5), np.float32)
    case.x[...] = 1e4 + np.random.default_rng(3).integers(-8, 9, case.x.shape)
    case.theta[...], case.d[...] = 1e9, 0
    mean, var = np.empty((2, 2, 5), np.float32)
    u, _, _ = forward(k, case, case.x, mean=mean, var=var)
    np.testing.assert_allclose(var, u.astype(np.float64).var(1), rtol=1e-4)
    np.testing.assert_allclose(mean, u.astype(np.float64).mean(1), rtol=1e-6)


# --- where the surrogate sees -------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize(("family", "reach"), [("rectangle", 0.5), ("triangle", 1.0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_where_it_is_not_visible_the_gradient_above_does_not_matter(small_tiles, k, shape, family, reach):
    shape = less(k, shape)
    case = case_of(shape, np.float32)
    visible = np.full(shape, 7, np.uint8)
    u, s, share = forward(k, case, case.x, norm=case.norm, visible=visible, reach=reach)
    assert np.array_equal(np.unique(visible), np.unique(visible.astype(bool)))
    z = np.abs(u.astype(np.float64) - case.theta) / case.alpha
    sure = np.abs(z - reach) > 1e-5
    assert np.array_equal(visible[sure], (z <= reach)[sure])
    assert share == visible.mean(dtype=np.float64)
    ds = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    sums = np.empty((2, shape[2]), np.float32)
    want, gradients = backward(k, case, case.x, s, ds, family=family, norm=case.norm, dnorm=sums)
    other = np.where(visible, ds, 1e6).astype(np.float32)
    got, other_gradients = backward(k, case, case.x, s, other, family=family, norm=case.norm, dnorm=sums)
    assert np.array_equal(got, want) and np.array_equal(gradients, other_gradients)


@ALL
def test_a_nan_is_visible(k):
    case = case_of((2, 5, 3), np.float32)
    case.x[:, 2, 1] = np.nan
    visible = np.zeros(case.x.shape, np.uint8)
    forward(k, case, case.x, visible=visible, reach=0.5)
    assert visible[:, 2, 1].all()


# --- the exponential of float32 surrogates ------------------------------------------------------------------------


@COMPILED
def test_exponential_families_in_float32(k):
    """The surrogate itself, phi(z) / alpha: dL/di of one step with dL/ds = 1. What the docstring of the polynomial
    promises, and the roundings of z, of the density's own arithmetic and of the argument of exp. The kernels are those
    that `test_neuron_backward` compiles for extreme currents."""
    z = np.linspace(-100, 100, fewer(k, 20_000) + 1).astype(np.float32)[None, :, None]
    for family in FAMILIES:
        one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
        di = np.empty_like(z)
        leaky_backward(
            k,
            np.ones_like(z),
            z,
            np.zeros(z.shape, np.uint8),
            one,
            zero,
            zero[None],
            0.0,
            False,
            False,
            family,
            one,
            Direct(zero, zero, zero),
            di,
            *np.empty((3, 1), np.float32),
        )
        want = DENSITY[family](z.astype(np.float64))
        argument = z.astype(np.float64) ** 2 / 2 if family == "gaussian" else np.abs(z)
        seen = np.exp(-argument) > 1.7e-38 if family in ("logistic", "laplace", "gaussian") else True
        bound = (2e-7 * (4 + argument)) * want
        within(np.where(seen, di, 0), np.where(seen, want, 0), bound + 1e-44)
        assert (di >= 0).all()
