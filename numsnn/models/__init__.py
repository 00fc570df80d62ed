"""Networks by name or by a line of text."""

from .architecture import from_string

__all__ = ["from_string"]
