"""Reading HDF5 files: everything that is wrong with a file raises the same error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import FormatError


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator:
    """Open a file for reading; errors of h5py inside the block become a `FormatError`.

    Raises:
        OSError: the file does not exist or cannot be read.
        FormatError: the file is not HDF5, or is damaged.
    """
    import h5py

    source = os.fspath(path)
    with open(Path(path), "rb"):  # a missing file must raise OSError, a damaged one FormatError
        pass
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FormatError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise FormatError(source, 0, f"not HDF5, or damaged: {reason}") from error
