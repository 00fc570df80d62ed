"""The matrices of Winograd's minimal filtering F(4x4, 3x3), of Lavin and Gray 2016 (arXiv:1509.09308)."""

from fractions import Fraction
from math import prod

TILE = 4
"""Outputs of a Winograd tile, vertically and horizontally."""

REACH = TILE + 2
"""Inputs of a Winograd tile, vertically and horizontally."""

POINTS = tuple(map(Fraction, ("0", "2/3", "-2/3", "3/2", "-3/2")))
"""Points at which the polynomials of the filtering are evaluated, besides infinity. With these points the mean error is
half, and the largest error a fifth, of that with the usual points 0, 1, -1, 2, -2 (measured on normal numbers)."""


def _polynomial(roots):
    """The coefficients of the polynomial with these roots, beginning with the constant."""
    coefficients = [1]
    for root in roots:
        coefficients = [a - root * b for a, b in zip([0, *coefficients], [*coefficients, 0], strict=True)]
    return coefficients


def _matrices(points):
    """The matrices B^T, G and A^T of the paper, by the construction of Toom and Cook.

    In one dimension, y = A^T [(G g) (B^T d)].
    """
    others = [[q for q in points if q != p] for p in points]
    inputs = [[*_polynomial(rest), 0] for rest in others] + [_polynomial(points)]
    weights = [[p**k / prod(p - q for q in rest) for k in range(3)] for p, rest in zip(points, others, strict=True)]
    products = [[*(p**i for p in points), i == TILE - 1] for i in range(TILE)]
    return tuple(tuple(tuple(map(float, row)) for row in m) for m in (inputs, [*weights, [0, 0, 1]], products))


INPUT, WEIGHTS, PRODUCTS = _matrices(POINTS)
