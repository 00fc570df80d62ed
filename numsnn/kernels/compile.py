"""The one place that says how kernels are compiled, and what their machine code is keyed by."""

from pathlib import Path

from numba import njit

from ..machine_code import keep

FASTMATH = {"contract", "nsz"}
"""Fused multiply-adds, and -0 = +0. Never `nnan` (isnan would lie) and never `reassoc` (sums keep their order)."""

_HERE = Path(__file__).parent


def shared_sources(target: str) -> tuple[Path, ...]:
    """The files whose functions are compiled into kernels of other files: their whole text is part of every key."""
    return (
        _HERE / "compile.py",
        _HERE / "equations.py",
        _HERE / "steps.py",
        *sorted((_HERE / target / "inline").glob("*.py")),
    )


_CPU_SOURCES = shared_sources("cpu")


def kernel(function):
    """Compile a range kernel ``f(..., lo, hi)`` for the CPU: it works on the tiles lo to hi - 1 and holds no lock.

    ``error_model="numpy"`` leaves out the test for a zero divisor, which costs a vectorised loop most of its speed.
    """
    return keep(njit(nogil=True, error_model="numpy", fastmath=FASTMATH)(function), sources=_CPU_SOURCES)
