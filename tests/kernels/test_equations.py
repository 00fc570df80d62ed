"""The scalar equations: properties that the method states, and agreement of the reference and the compiled text."""

import math
from itertools import pairwise

import naive
import numpy as np
import pytest
from bounds import REALS, agree, within
from neurons import FAMILIES
from numba import njit, types
from scipy.integrate import quad

from numsnn.kernels import equations as eq
from numsnn.kernels.compile import FASTMATH
from numsnn.kernels.reference import surrogate as reference
from numsnn.kernels.reference.dropout import uniform as reference_uniform

EPS = float(np.finfo(np.float64).eps)
POINTS = np.concatenate([np.linspace(-12, 12, 481), [-30, -1, -0.5, -0.0, 0.0, 0.5, 1, 30]])
"""Every kink, both of its sides, and tails far out."""


def compiled(function, arguments):
    """A loop over arrays that calls function, compiled with the flags the kernels have."""

    def one(a, y):
        for k in range(len(y)):
            y[k] = function(a[k])

    def two(a, b, y):
        for k in range(len(y)):
            y[k] = function(a[k], b[k])

    def three(a, b, c, y):
        for k in range(len(y)):
            y[k] = function(a[k], b[k], c[k])

    def four(a, b, c, d, y):
        for k in range(len(y)):
            y[k] = function(a[k], b[k], c[k], d[k])

    def five(a, b, c, d, e, y):
        for k in range(len(y)):
            y[k] = function(a[k], b[k], c[k], d[k], e[k])

    return njit(error_model="numpy", fastmath=FASTMATH)({1: one, 2: two, 3: three, 4: four, 5: five}[arguments])


SCALARS = {
    **{f"{family}_density": (eq.DENSITY[family], 1) for family in FAMILIES},
    **{f"{family}_cdf": (eq.CDF[family], 1) for family in FAMILIES},
    "charge": (eq.charge, 4),
    "correct": (eq.correct, 2),
    "reset_hard": (eq.reset_hard, 3),
    "reset_soft": (eq.reset_soft, 3),
    "spike_gradient_hard": (eq.spike_gradient_hard, 4),
    "spike_gradient_soft": (eq.spike_gradient_soft, 3),
    "potential_gradient": (eq.potential_gradient, 5),
    "synapse": (eq.synapse, 3),
    "adapted_threshold": (eq.adapted_threshold, 3),
    "adaptation": (eq.adaptation, 3),
    "width_gradient": (eq.width_gradient, 3),
    "window_share": (eq.window_share, 3),
    "normal_divergence": (eq.normal_divergence, 4),
    "normal_divergence_offset": (eq.normal_divergence_offset, 4),
    "normal_divergence_slope": (eq.normal_divergence_slope, 4),
}
"""Every equation between real numbers, and how many it takes."""


def test_every_family_is_in_every_table():
    for table in (eq.DENSITY, eq.CDF, reference.DENSITY, reference.CDF):
        assert tuple(table) == FAMILIES


# --- what a density and its distribution function owe each other --------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_density_integrates_to_one(family):
    density = eq.DENSITY[family]
    breaks = sorted({-math.inf, -1.0, -0.5, 0.0, 0.5, 1.0, math.inf})
    pieces = [quad(density, low, high, epsabs=1e-12) for low, high in pairwise(breaks)]
    area, error = (sum(part) for part in zip(*pieces, strict=True))
    assert error < 1e-8
    assert abs(area - 1) <= error + 8 * EPS


@pytest.mark.parametrize("family", FAMILIES)
def test_density_is_the_derivative_of_the_distribution(family):
    step = 1e-4
    for z in np.linspace(-4, 4, 161) + 0.0123:  # no point within 0.01 of a kink
        assert min((abs(z - kink) for kink in naive.KINKS[family]), default=1) > step
        slope = (eq.CDF[family](z + step) - eq.CDF[family](z - step)) / (2 * step)
        third = 3  # bound of the third derivative of every Phi: fast sigmoid, 6/2 at 0
        assert abs(slope - eq.DENSITY[family](z)) <= third * step**2 / 6 + 4 * EPS / step


@pytest.mark.parametrize("family", FAMILIES)
def test_density_is_symmetric_and_falls_from_its_peak(family):
    density, cdf = eq.DENSITY[family], eq.CDF[family]
    z = np.unique(np.abs(POINTS))
    right, left = [density(x) for x in z], [density(-x) for x in z]
    assert right == left
    assert all(value >= 0 for value in right)
    assert all(before >= after for before, after in pairwise(right))
    for x in z:
        assert abs(cdf(x) + cdf(-x) - 1) <= 4 * EPS
    assert cdf(0.0) == 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_distribution_rises_from_zero_to_one(family):
    values = [eq.CDF[family](z) for z in np.sort(POINTS)]
    assert all(after - before >= -2 * EPS for before, after in pairwise(values))
    assert min(values) >= 0 and max(values) <= 1
    assert eq.CDF[family](-1e30) <= 1e-15 and eq.CDF[family](1e30) >= 1 - 1e-15


@pytest.mark.parametrize("family", FAMILIES)
def test_width_gradient_is_the_derivative_by_the_width(family):
    """d Phi_alpha(x) / d alpha = -(x / alpha) phi_alpha(x), which `width_gradient` takes times q."""
    step, q = 1e-4, 1.7
    cdf, density = eq.CDF[family], eq.DENSITY[family]
    for alpha in (0.4, 1.0, 2.5):
        for x in np.linspace(-3, 3, 61) + 0.0123:
            if min((abs(x / alpha - kink) for kink in naive.KINKS[family]), default=1) < 0.01:
                continue
            slope = q * (cdf(x / (alpha + step)) - cdf(x / (alpha - step))) / (2 * step)
            stated = eq.width_gradient(q, density(x / alpha) / alpha, x / alpha)
            steepest = 10.5 if family == "parabola" else 6  # 15 z^3 - 4.5 z at 1; triangle, 6 z (1 - 2 z) at 1
            third = steepest / (alpha - step) ** 3  # bound of the third derivative
            assert abs(slope - stated) <= q * (third * step**2 / 6 + 4 * EPS / step)


# --- one equation, three texts ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_reference_says_the_same(family):
    """Up to eight roundings are allowed: relative to the density's value, and relative to 1 for the distribution."""
    density = np.array([eq.DENSITY[family](float(z)) for z in POINTS])
    within(reference.DENSITY[family](POINTS), density, 8 * EPS * density)
    within(reference.CDF[family](POINTS), [eq.CDF[family](float(z)) for z in POINTS], 8 * EPS)


@pytest.mark.parametrize("family", FAMILIES)
def test_reference_says_the_same_as_the_oracle(family):
    """The oracle forms 1 - sigma(z) by subtraction: it is exact to eps of 1, not of the density."""
    within(reference.DENSITY[family](POINTS), [naive.DENSITY[family](float(z)) for z in POINTS], 8 * EPS)
    within(reference.CDF[family](POINTS), [naive.CDF[family](float(z)) for z in POINTS], 8 * EPS)


@pytest.mark.parametrize("family", FAMILIES)
def test_reference_keeps_float32(family):
    z = POINTS.astype(np.float32)
    for table in (reference.DENSITY, reference.CDF):
        values = table[family](z)
        assert values.dtype == np.float32
        agree(values, table[family](z.astype(np.float64)).astype(np.float32), 8, 1)


@pytest.mark.parametrize("name", SCALARS)
def test_compiled_equation_stays_in_single_precision(name):
    """The compiler infers no double for a float32 loop and writes none; values are those of the uncompiled equation."""
    function, arguments = SCALARS[name]
    loop = compiled(function, arguments)
    column = types.Array(types.float32, 1, "C")
    loop.compile((column,) * (arguments + 1))
    (inferred,) = (result.type_annotation.typemap for result in loop.overloads.values())
    assert types.float32 in inferred.values() and types.float64 not in inferred.values()
    (code,) = loop.inspect_llvm().values()
    assert "float" in code
    assert "double" not in code

    rng = np.random.default_rng(3)
    if arguments == 1:
        inputs = [POINTS.astype(np.float32)]
    else:
        inputs = [rng.uniform(0.5, 2, 64).astype(np.float32) for _ in range(arguments)]
    got = np.full(len(inputs[0]), np.nan, np.float32)
    loop(*inputs, got)
    exact = [function(*map(float, row)) for row in zip(*inputs, strict=True)]
    largest_sum = 1 if arguments == 1 else 32  # of absolute terms, for arguments in 0.5..2
    agree(got, np.array(exact, np.float32), 8, largest_sum)


@pytest.mark.parametrize("family", FAMILIES)
def test_nan_is_not_hidden(family):
    nan = np.full(1, np.nan)
    tables = [(eq.CDF, reference.CDF)]
    if family != "rectangle":  # 1 within the support: its density says nothing about z
        tables.append((eq.DENSITY, reference.DENSITY))
    for scalar, array in tables:
        out = np.zeros(1)
        compiled(scalar[family], 1)(nan, out)
        assert np.isnan(out).all()
        assert math.isnan(scalar[family](math.nan))
        assert np.isnan(array[family](nan)).all()


@pytest.mark.parametrize("real", REALS)
def test_fire_includes_the_threshold(real):
    assert [bool(eq.fire(real(x))) for x in (-1e-30, -0.0, 0.0, 1e-30)] == [False, True, True, True]
    assert not eq.fire(real(np.nan))


# --- randomness ---------------------------------------------------------------------------------------------


def splitmix64(seed, count):
    """The generator as published, in Python's unbounded integers."""
    state, outputs = seed, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        outputs.append(z ^ (z >> 31))
    return outputs


KNOWN = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
"""The widely published first outputs for seed 1234567."""


@pytest.fixture(scope="module")
def uniforms():
    """The compiled equation: numbers of one seed for the indices 0..n-1."""

    @njit
    def loop(seed, y):
        for k in range(len(y)):
            y[k] = eq.uniform(seed, np.uint64(k))

    def numbers(seed, n):
        y = np.full(n, np.nan)
        loop(np.uint64(seed), y)
        return y

    return numbers


def test_uniform_is_splitmix64(uniforms):
    assert splitmix64(1234567, 5) == KNOWN
    for seed in (1234567, 0, 2**64 - 1):
        wanted = [output // 2**40 / 2**24 for output in splitmix64(seed, 50)]
        assert uniforms(seed, 50).tolist() == wanted
        with np.errstate(over="ignore"):
            assert [eq.uniform(np.uint64(seed), np.uint64(k)) for k in range(50)] == wanted


def test_reference_draws_the_same_numbers(uniforms):
    for seed in (0, 7, 2**63 + 11):
        assert np.array_equal(reference_uniform(seed, np.arange(1000)), uniforms(seed, 1000))


def test_uniform_is_uniform(uniforms):
    """Chi-square over 64 bins within five standard deviations; neighbouring seeds and indices uncorrelated;
    every number survives the way to float32 and stays below 1."""
    n, bins = 100_000, 64
    numbers, neighbour = uniforms(42, n), uniforms(43, n)
    counts = np.bincount((numbers * bins).astype(int), minlength=bins)
    assert ((counts - n / bins) ** 2 / (n / bins)).sum() < bins - 1 + 5 * math.sqrt(2 * (bins - 1))
    assert abs(np.corrcoef(numbers, neighbour)[0, 1]) < 5 / math.sqrt(n)
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 5 / math.sqrt(n)
    assert np.array_equal(numbers.astype(np.float32), numbers)
    assert numbers.min() >= 0 and numbers.max() < 1
