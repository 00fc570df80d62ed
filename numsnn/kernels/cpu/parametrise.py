"""Constrained parameters are a handful of numbers: the reference's own functions do."""

from ..reference.parametrise import positive_backward, positive_forward, unit_backward, unit_forward

__all__ = ["positive_backward", "positive_forward", "unit_backward", "unit_forward"]
