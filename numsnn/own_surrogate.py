"""Surrogate families of your own: two functions of one number, checked, and compiled into the kernels."""

import math
import warnings
from itertools import pairwise

from .psg import FAMILIES, Family
from .validate import number, positive

BUILT_IN = tuple(FAMILIES)

TOLERANCE = 1e-6
"""Of the checks, in units of the peak (of a density), or absolute (of probabilities)."""

FAR = 1e12
"""A |z| at which a distribution function has arrived at 0 or 1 within the tolerance, heavy tails included."""

POINTS = tuple(sign * z for z in (0.013, 0.11, 0.31, 0.63, 1.17, 1.9, 3.3, 7.1, 23.0) for sign in (-1, 1))
"""Where symmetry, sign and slope are looked at; round numbers, where densities like to have kinks, are left out."""


def register_surrogate(
    name: str,
    density,
    cdf,
    reach: float | None = None,
    compact: bool = False,
    breaks: tuple[float, ...] = (),
) -> Family:
    """Make a surrogate family of your own known by its name, for `Surrogate`, `PSG` and configuration files.

        def density(z):
            decay = math.exp(-4.0 * abs(z))
            return 4.0 * decay / (1.0 + decay) ** 2

        def cdf(z):
            decay = math.exp(-4.0 * abs(z))
            return (decay if z < 0.0 else 1.0) / (1.0 + decay)

        snn.register_surrogate("sigmoid4", density, cdf)
        snn.LIF(surrogate=snn.PSG("sigmoid4"))

    Both functions are compiled into the kernels of the CPU and of CUDA devices; the reference target calls them for
    every element. They take one number and use what Numba can compile: arithmetic, comparisons, ``math``, and functions
    of your own. Floats take the precision of the network; whole numbers in sums and quotients have to be written as
    floats (1.0, not 1). On the CPU ``math.exp`` computes one number at a time;
    `numsnn.kernels.equations.decaying_exp`, for z <= 0, computes several at once. A name that is registered again, as
    when a notebook's cell runs twice, stands for the new functions from the next pass on. A saved network holds the
    name alone: register the family before you load it.

    Args:
        name: of the family; not one of the built-in ones.
        density: phi(z), the density of a symmetric distribution at width 1, which takes the place of a spike's
            derivative.
        cdf: Phi(z), its distribution function, by which neurons fire in relaxed mode. `check_gradients` needs it.
        reach: |z| from which on the surrogate cannot see a potential. Default None: where the density falls to 1 % of
            its peak. A compact family needs the edge of its support.
        compact: whether the density is exactly 0 beyond the reach, so that gradients beyond are not computed. Default
            False.
        breaks: the z at which the density or its slope jumps; finite differences do not cross them. Default none.

    Returns:
        what numsnn knows of the family.

    Raises:
        TypeError: a density or cdf that is not a Python function.
        ValueError: a name that is taken, a density that is negative, not symmetric or does not integrate to 1, a cdf
            that is not its integral, functions that cannot be compiled in single precision, or a reach that does not
            go with the density.
    """
    if not isinstance(name, str) or not name or name in BUILT_IN:
        raise ValueError(f"register_surrogate: name must be a text and not one of {', '.join(BUILT_IN)}; got {name!r}")
    what = f"register_surrogate: {name}"
    breaks = tuple(sorted(number(f"{what}: breaks", z) for z in breaks))
    if breaks != tuple(sorted(-z for z in breaks)):
        raise ValueError(f"{what}: breaks must be symmetric about 0; got {breaks}")
    if compact and reach is None:
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
    """The function as one from a float to a float, with one-line errors."""

    def scalar(z):
        try:
            value = float(function(z))
        except Exception as error:  # whatever a user's function raises
            raise ValueError(f"{what}({z:g}) raises {type(error).__name__}: {error}") from None
        if not math.isfinite(value):
            raise ValueError(f"{what}({z:g}) must be finite; got {value}")
        return value

    if not callable(function):
        raise TypeError(f"{what} must be a Python function of one number; got {function!r}")
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
    """The density integrates to 1, and the cdf is its integral."""
    from scipy.integrate import quad

    def integral(low, high):
        inner = [z for z in breaks if low < z < high]
        with warnings.catch_warnings(action="ignore"):  # the comparison says what matters
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
    """The z at which the density has fallen to 1 % of its peak, by halving."""
    low, high = 0.0, 1.0
    while phi(high) > peak / 100:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if phi(middle) > peak / 100 else (low, middle)
    return high
