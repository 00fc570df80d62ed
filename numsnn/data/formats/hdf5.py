"""Reading HDF5 files: everything that is wrong with a file raises the same error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ...files import open_file
from .errors import FormatError


def local(group, name: str, source: str):
    """Return a group or array of a file by its path inside a group, or None if it is missing.

    Raises:
        FormatError: the path leads to another file, as an external link, an array in external storage or a virtual
            array does. A file that was sent by somebody else must not show what lies on the reader's disk.
    """
    import h5py

    item = group
    for part in filter(None, name.split("/")):
        if not hasattr(item, "keys") or part not in item:
            return None
        if isinstance(item, h5py.Group) and isinstance(item.get(part, getlink=True), h5py.ExternalLink):
            raise FormatError(source, None, f"{name} is a link to another file, which is not followed")
        item = item[part]
    if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
        raise FormatError(source, None, f"{name} lies in another file, which is not read")
    return item


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator:
    """Open a file for reading; errors of h5py inside the block become a `FormatError`.

    Raises:
        OSError: the file does not exist or cannot be read.
        FormatError: the file is not HDF5, or is damaged.
    """
    import h5py

    source = os.fspath(path)
    with open_file(path):  # a missing file must raise OSError, a damaged one FormatError
        pass
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FormatError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise FormatError(source, 0, f"not HDF5, or damaged: {str(error).strip() or type(error).__name__}") from error
