"""The one place that says how CPU kernels are compiled."""

from numba import njit

FASTMATH = {"contract", "nsz"}
"""Fused multiply-adds, and -0 = +0. Never `nnan` (isnan would lie) and never `reassoc` (sums keep their order)."""


def kernel(function):
    """Compile a range kernel ``f(..., lo, hi)``: it works on tiles lo..hi-1 and holds no lock while it does.

    ``error_model="numpy"`` leaves out the test for a zero divisor, which costs a vectorised loop most of its speed.
    """
    return njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)(function)
