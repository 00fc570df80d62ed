"""HDF5 files of others: every way of failing as one error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import FormatError


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator:
    """The file at path, open for reading; what h5py raises inside the block becomes a `FormatError`.

    Raises OSError if there is no such file or it cannot be read.
    """
    import h5py

    source = os.fspath(path)
    with open(Path(path), "rb"):  # so that a missing file is told from a damaged one
        pass
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FormatError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise FormatError(source, 0, f"not HDF5, or damaged: {reason}") from error
