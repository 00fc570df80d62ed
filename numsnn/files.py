"""Opening files only if they are files, and writing files so that each is either the old or the complete new one.

This module imports nothing from the package, so that every module may use it.
"""

import itertools
import os
import re
import stat
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

_OTHERS = (
    (stat.S_ISDIR, IsADirectoryError, "a folder"),
    (stat.S_ISFIFO, OSError, "a named pipe"),
    (stat.S_ISCHR, OSError, "a device"),
    (stat.S_ISBLK, OSError, "a device"),
    (stat.S_ISSOCK, OSError, "a socket"),
)
"""What a path may lead to that is no file: opening a named pipe waits for ever, and a device may have no end."""


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file for reading its bytes. A path that leads to something else than a file is refused without waiting.

    Raises:
        OSError: the file does not exist or cannot be read, or the path leads to a folder, a named pipe or a device.
    """
    _need_file(path, os.stat(path).st_mode)  # opening a device may already act on it
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    number = os.open(path, flags)
    try:
        _need_file(path, os.fstat(number).st_mode)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file; errors as for `open_file`."""
    with open_file(path) as file:
        return file.read()


def _need_file(path, mode):
    """Refuse a path that does not lead to a file."""
    for holds, error, name in _OTHERS:
        if holds(mode):
            raise error(f"{os.fspath(path)} is {name}; expected a file")


_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<process>\d+)(-\d+)?\.tmp")
_numbers = itertools.count()
_in_use: set[Path] = set()
"""Absolute paths of the temporaries that this process is writing."""


@contextmanager
def replacing(path, folder=None):
    """Yield a temporary path; what the block writes there replaces `path` if the block ends without an exception.

    The new file has the permissions of new files, and takes the place of a symbolic link.

    Args:
        path: the file.
        folder: folder of the temporary path, on the same disk as the file. Default None: the folder of the file.
    """
    path = Path(path)
    temporary = Path(folder or path.parent) / f".{path.name}.{os.getpid()}-{next(_numbers)}.tmp"
    own = temporary.absolute()
    _in_use.add(own)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # an error of the block tells more; `remove_temporaries` takes what stays
            temporary.unlink(missing_ok=True)
        _in_use.discard(own)


def remove_temporaries(folder, name: str | None = None) -> None:
    """Remove temporaries that `replacing` has left in a folder because their process was killed.

    Other files stay, and so do temporaries of other processes that run on this machine. Who calls this function holds
    the lock of the folder, or of the file with this name: no other machine then writes there.

    Args:
        folder: the folder.
        name: name of the file whose temporaries are removed. Default None: those of all files.
    """
    for path in Path(folder).glob(".*.tmp"):
        found = _TEMPORARY.fullmatch(path.name)
        if found is None or name not in (None, found["name"]) or path.absolute() in _in_use:
            continue
        if not path.is_symlink() and path.is_file() and not _runs_elsewhere(int(found["process"])):
            with suppress(OSError):
                path.unlink()


def _runs_elsewhere(process):
    """Return whether there is another process with this number. On Windows nobody removes a file that is open."""
    if process == os.getpid() or os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


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
