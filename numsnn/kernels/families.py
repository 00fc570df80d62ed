"""Surrogate families that a user adds to those of `equations` and `reference.surrogate`."""

import sys
from inspect import signature

from ..machine_code import digest
from . import equations as eq
from .own import by_precision, elementwise
from .reference import surrogate as reference


def add_family(name: str, density, cdf) -> None:
    """Make a family known to all targets by its name; one of the same name gives way.

    Kernels that were made with other functions under this name are forgotten, so that the next pass makes them anew.
    Where the functions are the same as before, nothing happens.

    Args:
        name: of the family.
        density, cdf: phi(z) and Phi(z) at width 1, Python functions of a number, see `own.in_precision`.
    """
    scalar = by_precision(density), by_precision(cdf)
    known = eq.DENSITY.get(name), eq.CDF.get(name)
    if None not in known and list(map(digest, known)) == list(map(digest, scalar)):
        return
    eq.DENSITY[name], eq.CDF[name] = scalar
    reference.DENSITY[name], reference.CDF[name] = map(elementwise, scalar)
    forget_kernels()


def forget_kernels() -> None:
    """Empty the factories of kernels that look up a family: those with an argument called ``surrogate``."""
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{__package__}."):
            for made in list(vars(module).values()):
                if hasattr(made, "cache_clear") and "surrogate" in signature(made).parameters:
                    made.cache_clear()
