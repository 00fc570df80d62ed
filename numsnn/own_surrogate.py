"""Surrogate families that users define: two functions of one number, which are checked and compiled into kernels."""

import math
import warnings
from itertools import pairwise

from .psg import FAMILIES, Family
from .shown import shown
from .validate import flag, listed, number, positive, text

BUILT_IN = tuple(FAMILIES)

LONGEST_NAME = 60
"""Letters of the longest name of a family."""

TOLERANCE = 1e-6
"""Tolerance of the checks: relative to the peak for densities, absolute for probabilities."""

FAR = 1e12
"""A value of |z| at which every distribution function, even with heavy tails, is 0 or 1 within the tolerance."""

POINTS = tuple(sign * z for z in (0.013, 0.11, 0.31, 0.63, 1.17, 1.9, 3.3, 7.1, 23.0) for sign in (-1, 1))
"""Values of z at which symmetry, sign and slope are checked. They are not round, because kinks are often at round z."""


def register_surrogate(
    name: str,
    density,
    cdf,
    reach: float | None = None,
    compact: bool = False,
    breaks: tuple[float, ...] = (),
) -> Family:
    """Register a surrogate family under a name, for use by `Surrogate`, `PSG` and configuration files.

        def density(z):
            decay = math.exp(-4.0 * abs(z))
            return 4.0 * decay / (1.0 + decay) ** 2

        def cdf(z):
            decay = math.exp(-4.0 * abs(z))
            return (decay if z < 0.0 else 1.0) / (1.0 + decay)

        snn.register_surrogate("sigmoid4", density, cdf)
        snn.LIF(surrogate=snn.PSG("sigmoid4"))

    Both functions are compiled into the kernels of the CPU and of CUDA devices; the device "reference" calls them for
    every element. They take one number and may use what Numba can compile: arithmetic, comparisons, ``math``, and
    functions that keep to these rules. Floats take the precision of the network; write whole numbers in sums and
    quotients as floats (1.0, not 1). On the CPU, ``math.exp`` computes one number at a time, and
    `numsnn.kernels.equations.decaying_exp`, for z <= 0, computes several at once. If a name is registered again, for
    example by running a notebook cell twice, the next pass uses the new functions. A saved network holds only the name:
    register the family before you load the network.

    Args:
        name: name of the family; it must not be the name of a built-in family.
        density: phi(z), the density of a symmetric distribution at width 1, which takes the place of the derivative of
            a spike.
        cdf: Phi(z), the distribution function, with which neurons fire in relaxed mode. `check_gradients` needs it.
        reach: |z| beyond which the surrogate cannot see a potential. Default None: the point at which the density falls
            to 1 % of its peak. For a compact family, give the edge of the support.
        compact: whether the density is exactly 0 beyond the reach, so that gradients there are not computed. Default
            False.
        breaks: values of z at which the density or its slope jumps; finite differences do not cross them. Default:
            none.

    Returns:
        The registered properties of the family.

    Raises:
        TypeError: density or cdf is not a Python function.
        ValueError: the name is built in; the density is negative, not symmetric or does not integrate to 1; cdf is not
            the integral of the density; a function cannot be compiled in single precision; or the reach does not fit
            the density.
    """
    if not isinstance(name, str) or not name or name in BUILT_IN:
        raise ValueError(
            f"register_surrogate: name must be a string and not one of {', '.join(BUILT_IN)}; got {shown(name)}"
        )
    if len(text("register_surrogate: name", name)) > LONGEST_NAME:
        raise ValueError(f"register_surrogate: name must have at most {LONGEST_NAME} letters; got {shown(name)}")
    what = f"register_surrogate: {name}"
    breaks = tuple(sorted(number(f"{what}: breaks", z) for z in listed(f"{what}: breaks", breaks)))
    if breaks != tuple(sorted(-z for z in breaks)):
        raise ValueError(f"{what}: breaks must be symmetric about 0; got {breaks}")
    if flag(f"{what}: compact", compact) and reach is None:
        raise ValueError(f"{what}: a compact family needs reach, the edge of its support")
    reach = None if reach is None else positive(f"{what}: reach", reach)

    phi, distribution = _called(f"{what}: density", density), _called(f"{what}: cdf", cdf)
    peak = phi(0.0)
    _check_density(what, phi, peak)
    _check_support(what, phi, reach if compact else None)
    _check_integral(what, phi, distribution, peak, reach if compact else None, breaks)
    family = Family(peak, _visible_until(phi, peak) if reach is None else reach, bool(compact), breaks)

    from .kernels.families import add_family
    from .kernels.own import need_single_precision

    need_single_precision(f"{what}: density", density, 1)
    need_single_precision(f"{what}: cdf", cdf, 1)
    add_family(name, density, cdf)
    FAMILIES[name] = family
    return family


def _called(what, function):
    """Return the function as a function from float to float that raises errors of one line."""

    def scalar(z):
        try:
            value = float(function(z))
        except Exception as error:  # a user's function may raise any exception
            raise ValueError(f"{what}({z:g}) raises {type(error).__name__}: {error}") from None
        if not math.isfinite(value):
            raise ValueError(f"{what}({z:g}) must be finite; got {value}")
        return value

    if not callable(function):
        raise TypeError(f"{what} must be a Python function of one number; got {shown(function)}")
    return scalar


def _check_density(what, phi, peak):
    if peak <= 0:
        raise ValueError(f"{what}: density(0) must be positive; got {peak:g}")
    for z in (*POINTS, -FAR, FAR):
        if phi(z) < 0:
            raise ValueError(f"{what}: density must not be negative; density({z:g}) is {phi(z):g}")
        if abs(phi(z) - phi(-z)) > TOLERANCE * peak:
            raise ValueError(
                f"{what}: density must be symmetric; density({z:g}) is {phi(z):g}, density({-z:g}) is {phi(-z):g}"
            )


def _check_support(what, phi, edge):
    if edge is None:
        return
    for z in (edge * (1 + 1e-6), edge * 1.1, edge * 3, FAR):
        if phi(z) != 0:
            raise ValueError(f"{what}: a compact density must be 0 beyond reach {edge:g}; density({z:g}) is {phi(z):g}")


def _check_integral(what, phi, distribution, peak, edge, breaks):
    """Check that the density integrates to 1 and that the cdf is its integral."""
    from scipy.integrate import quad

    def integral(low, high):
        inner = [z for z in breaks if low < z < high]
        with warnings.catch_warnings(action="ignore"):  # the comparison below reports a failed integration
            return sum(quad(phi, a, b, limit=200)[0] for a, b in pairwise((low, *inner, high)))

    if edge is None:
        total = integral(-math.inf, min(breaks, default=0.0)) + integral(max(breaks, default=0.0), math.inf)
        total += integral(min(breaks, default=0.0), max(breaks, default=0.0))
    else:
        total = integral(-edge, edge)
    if abs(total - 1) > TOLERANCE:
        raise ValueError(f"{what}: density must integrate to 1; got {total:g}")
    for z, limit in ((-FAR, 0), (FAR, 1)):
        if abs(distribution(z) - limit) > TOLERANCE:
            raise ValueError(f"{what}: cdf must go to {limit} far out; cdf({z:g}) is {distribution(z):g}")
    for z in POINTS:
        rise, wanted = distribution(z) - distribution(0.0), integral(0.0, z) if z > 0 else -integral(z, 0.0)
        if abs(rise - wanted) > TOLERANCE:
            raise ValueError(
                f"{what}: density must be the derivative of cdf; from 0 to {z:g} cdf changes by {rise:g}, "
                f"and the integral of density is {wanted:g}"
            )


def _visible_until(phi, peak):
    """Find the z at which the density has fallen to 1 % of its peak, by bisection."""
    low, high = 0.0, 1.0
    while phi(high) > peak / 100:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if phi(middle) > peak / 100 else (low, middle)
    return high
