"""The exponential function of the surrogates, which compiled code computes by another formula than Python.

Only Numba knows of the compiled formula. The text of this file is therefore part of the key of all machine code
(`compile.shared_sources`), and the file holds nothing else.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload


def decaying_exp(z):
    """S9: exp(z) for z <= 0, in the type of z.

    Compiled code for float32 uses a polynomial, because a polynomial vectorises. Its relative error is at most 1e-7.
    Below z = -87, where exp(z) < 1.7e-38, the result is exactly 0.
    """
    return math.exp(z)


@overload(decaying_exp)
def _compiled_decaying_exp(z):
    return _float32_exp if z == types.float32 else lambda z: math.exp(z)


LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
LOG2_E, ROUND = np.float32(1.44269504), np.float32(12582912.0)
C2, C3, C4, C5, C6, C7 = (np.float32(1 / math.factorial(k)) for k in range(2, 8))


def _float32_exp(z):
    """S9: 2^n exp(r) with z = n ln 2 + r and |r| <= ln 2 / 2. exp(r) is its series up to r^7 / 7!; the next term is
    below 6e-9."""
    shifted = max(z, np.float32(-87)) * LOG2_E + ROUND  # adding 1.5 * 2^23 leaves n in the low bits
    n = shifted - ROUND
    r = z - n * LN2_HIGH - n * LN2_LOW
    value = r * C7 + C6
    value = value * r + C5
    value = value * r + C4
    value = value * r + C3
    value = value * r + C2
    value = (value * r + np.float32(1)) * r + np.float32(1)
    bits = (np.float32(shifted).view(np.int32) << np.int32(23)) + np.int32(0x3F800000)
    power = np.int32(bits).view(np.float32)
    return np.float32(0) if z < np.float32(-87) else value * power
