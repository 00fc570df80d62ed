"""Constrained parameters are a handful of numbers: the reference's own functions do."""

from ..reference.parametrise import (
    free_backward,
    free_forward,
    positive_backward,
    positive_forward,
    unit_backward,
    unit_forward,
)

__all__ = [
    "free_backward",
    "free_forward",
    "positive_backward",
    "positive_forward",
    "unit_backward",
    "unit_forward",
]
