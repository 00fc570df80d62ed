"""Constrained parameters. They are so few that the functions of the reference are fast enough."""

from ..reference.parametrise import (
    free_backward,
    free_forward,
    positive_backward,
    positive_forward,
    unit_backward,
    unit_forward,
)

__all__ = ["free_backward", "free_forward", "positive_backward", "positive_forward", "unit_backward", "unit_forward"]
