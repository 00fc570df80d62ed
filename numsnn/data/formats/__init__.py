"""File formats: for each a pure function from bytes to arrays, ``parse_*``, and ``read_*`` for a file."""

from .errors import FormatError
from .idx import parse_idx, read_idx

__all__ = ["FormatError", "parse_idx", "read_idx"]
