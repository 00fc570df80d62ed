"""JSON texts of any origin, which are read within bounds.

This module imports nothing from the package, so that every module may use it.
"""

import json
from typing import Any

MOST_DEPTH = 200
"""Lists and objects that may lie inside each other."""


def parsed(text: str, strict: bool = False) -> Any:
    """Return the content of a JSON text.

    Args:
        text: the text.
        strict: whether NaN and infinities are refused. Default False.

    Raises:
        ValueError: the text is not JSON, names a key twice, or its lists and objects lie too deep inside each other.
    """
    try:
        content = json.loads(text, object_pairs_hook=_once, parse_constant=_refused if strict else None)
    except (RecursionError, MemoryError):
        raise ValueError(
            f"lists and objects lie deeper than {MOST_DEPTH} inside each other, or take too much memory"
        ) from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    level = [content]
    for _ in range(MOST_DEPTH):
        level = [inner for one in level if isinstance(one, dict | list) for inner in _inside(one)]
        if not level:
            return content
    raise ValueError(f"lists and objects lie deeper than {MOST_DEPTH} inside each other")


def _inside(one):
    return one.values() if isinstance(one, dict) else one


def _once(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is named twice")
    return found


def _refused(constant):
    raise ValueError(constant)
