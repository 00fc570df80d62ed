"""A limit on the arrays that layers make while a network is built from a file.

A description may state any sizes. The arrays of a network that is loaded lie in its file, so that a network which needs
much larger ones is not that of the file. It is refused before memory is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any

from ..capacity import need_memory
from ..errors import ShapeError

VECTORS = 16
"""Numbers per channel that a layer of any kind may need beside its weights."""
SPARE = 1 << 24
"""Numbers that a network may need beside those of its file, such as `VECTORS` of every layer."""

_left: ContextVar[list[int] | None] = ContextVar("numbers left", default=None)


@contextmanager
def at_most(numbers: int) -> Iterator[None]:
    """Limit what `claim` takes within the block to this number and `SPARE` more."""
    token = _left.set([numbers + SPARE])
    try:
        yield
    finally:
        _left.reset(token)


def claim(layer: Any, shape: tuple[int, ...], what: str = "") -> None:
    """Ask for an array of this shape before it is made; what begins the message about the memory.

    Raises:
        ShapeError: the array does not fit into the memory of the computer, or, within `at_most`, all arrays together
            become too large.
    """
    left = _left.get()
    if left is not None:
        left[0] -= prod(shape)
        if left[0] < 0:
            raise ShapeError(f"{layer.path}: needs an array {tuple(shape)}, for which the file holds too few numbers")
    need_memory(f"{what or layer.path + ': an array'} {list(shape)}", 8 * prod(shape), ShapeError)
