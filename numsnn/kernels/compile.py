"""How kernels are compiled, and which files belong to the cache key of their machine code."""

from pathlib import Path

from numba import njit

from ..machine_code import keep

FASTMATH = {"contract", "nsz"}
"""Products and sums may be fused, and -0 equals +0. `nnan` is never used, because a test for NaN would then be wrong.
`reassoc` is never used, because sums must keep their order."""

_HERE = Path(__file__).parent


def shared_sources(target: str) -> tuple[Path, ...]:
    """The files whose functions are compiled into kernels of other files. Their whole text is part of every cache key.

    target is "cpu" or "cuda".
    """
    return (
        _HERE / "compile.py",
        _HERE / "equations.py",
        _HERE / "extended.py",
        _HERE / "steps.py",
        *sorted((_HERE / target / "inline").glob("*.py")),
    )


_CPU_SOURCES = shared_sources("cpu")


def kernel(function):
    """Compile a range kernel ``f(..., lo, hi)`` for the CPU. It computes the tiles lo to hi - 1 and releases the GIL.

    ``error_model="numpy"`` omits the test for a zero divisor, because this test costs a vectorised loop most of its
    speed.
    """
    return keep(njit(nogil=True, error_model="numpy", fastmath=FASTMATH)(function), sources=_CPU_SOURCES)
