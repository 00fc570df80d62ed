"""Writing files so that each is either the old or the complete new one.

This module imports nothing from the package, so that every module may use it.
"""

import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path, folder=None):
    """Yield a temporary path; what the block writes there replaces `path` if the block ends without an exception.

    Args:
        path: the file.
        folder: folder of the temporary path, on the same disk as the file. Default None: the folder of the file.
    """
    path = Path(path)
    temporary = Path(folder or path.parent) / f".{path.name}.{os.getpid()}.tmp"
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path, content: bytes | memoryview | str) -> None:
    """Write bytes, or text as UTF-8, to a file.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path, error: OSError) -> OSError:
    """Return the error for a file that could not be written: of the kind of `error`, with a message that names it."""
    message = f"{path} was not written: {error.strerror or error}"
    return OSError(error.errno, message) if error.errno else OSError(message)
