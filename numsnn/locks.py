"""Locks of folders and files: who works on one says so, and nobody else does at the same time.

Every module may use this one.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path

from .shown import printable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

IN_USE = errno.EAGAIN, errno.EACCES, errno.EDEADLK
"""What the systems say when somebody else holds a lock."""
_TRIES = 100
_FAR = 1 << 30
"""The byte that is locked on Windows, where nobody can read what is locked: it lies behind the text of the file."""
_held: set[int] = set()
_warned: set[Path] = set()


class Lock:
    """An exclusive lock of a folder or file, which a ``with`` block holds.

    The operating system keeps the lock, on a small file, and ends it with the process, however that ends: a lock is
    never stale. It keeps out other processes, other locks of the same folder or file in this process, other threads,
    and children that are forked in the block. Its own thread may enter it again. The small file says who holds it, and
    is removed at the end of the block. Who only reads needs no lock.

    On a file system without locks, a warning says so once, and the block runs.

    Args:
        path: a folder, which exists, or a file, which need not. The lock of a folder is ``.numsnn.lock`` in it, and
            that of a file ``.NAME.numsnn.lock`` beside it.

    Attributes:
        path, file: path of what is locked, and of the small file.

    Raises:
        BlockingIOError: at the beginning of a block; somebody else holds the lock. The message says who, and since
            when.
        OSError: at the beginning of a block; the small file cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        folder = self.path.is_dir()
        place = self.path.absolute()  # the current folder may change
        self.file = place / ".numsnn.lock" if folder else place.with_name(f".{place.name}.numsnn.lock")
        self._kind = "folder" if folder else "file"
        self._owner: tuple[int, int] | None = None
        self._depth, self._descriptor = 0, -1

    def __reduce__(self):
        return Lock, (self.path,)  # a copy is not held

    @property
    def held(self) -> bool:
        """Whether this thread holds the lock. A forked child does not, though it is a copy of a process that does."""
        return self._owner == _me()

    def __enter__(self) -> Lock:
        if not self.held:
            self._descriptor = self._take()
            self._owner, self._depth = _me(), 0
        self._depth += 1
        return self

    def __exit__(self, *exception) -> None:
        if not self.held:
            return
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._release()

    def _take(self):
        """Return the descriptor of the small file, which is locked now."""
        for _ in range(_TRIES):
            descriptor = self._open()
            try:
                works = self._lock(descriptor)
                if not works or self._is_there(descriptor):
                    _write(descriptor)
                    _held.add(descriptor)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its holder has removed the file
        raise BlockingIOError(f"{self.path} is in use: {self.file} comes and goes; try again")

    def _open(self):
        try:
            return os.open(self.file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            message = f"{self.path} cannot be locked: {self.file} was not opened: {error.strerror}"
            raise OSError(error.errno, message) from error

    def _lock(self, descriptor):
        """Lock the small file, unless it is gone; return whether its file system has locks."""
        try:
            _system_lock(descriptor, True)
        except OSError as error:
            if error.errno in IN_USE:
                raise BlockingIOError(self._who(descriptor)) from None
            if error.errno == errno.ESTALE:  # NFS: its holder, on another machine, has removed the file
                return True
            self._warn(error)
            return False
        return True

    def _warn(self, error):
        """Say once that there is no lock."""
        if self.file not in _warned:
            _warned.add(self.file)
            warnings.warn(
                f"{self.path} is not locked, because its file system has no locks ({error.strerror}); see to it that "
                "no other process writes there",
                RuntimeWarning,
                stacklevel=5,
            )

    def _is_there(self, descriptor):
        """Return whether the path still leads to the file that was opened."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.file))
        except OSError:
            return False

    def _who(self, descriptor):
        """Describe the holder, as far as the small file says who it is."""
        found = _read(descriptor)
        process = "another process" if "process" not in found else f"process {found['process']}"
        if found.get("process") == str(os.getpid()) and found.get("host") == platform.node():
            process += ", which is this one,"
        where = "".join(f" {word} {found[key]}" for word, key in (("on", "host"), ("since", "since")) if key in found)
        command = f" ({found['command']})" if "command" in found else ""
        return (
            f"{self.path} is in use by {process}{where}{command}; wait until it ends, stop it, or choose another "
            f"{self._kind}"
        )

    def _release(self):
        """Remove the small file, and let go of it: in this order, so that nobody's new file is removed."""
        descriptor = self._descriptor
        _held.discard(descriptor)
        with suppress(OSError):  # the file may stay; on Windows it does, because it is open
            self.file.unlink(missing_ok=True)
        with suppress(OSError):  # closing ends the lock, too, unless a child has a copy of the descriptor
            _system_lock(descriptor, False)
        os.close(descriptor)
        if fcntl is None:
            with suppress(OSError):  # somebody else may have opened it
                self.file.unlink(missing_ok=True)


def _me():
    """Return what tells this thread from those of other processes, also of a forked one."""
    return os.getpid(), threading.get_ident()


def _system_lock(descriptor, lock):
    """Lock a file or let go of it; OSError if somebody else holds the lock, or if the file system has no locks."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if lock else fcntl.LOCK_UN)
        return
    import msvcrt

    os.lseek(descriptor, _FAR, os.SEEK_SET)
    msvcrt.locking(descriptor, msvcrt.LK_NBLCK if lock else msvcrt.LK_UNLCK, 1)


def _write(descriptor):
    """Write who this process is. The lock holds without this text, too, such as on a full disk."""
    mine = {
        "process": str(os.getpid()),
        "host": platform.node(),
        "since": time.strftime("%Y-%m-%d %H:%M"),
        "command": " ".join(sys.argv)[:200],
    }
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(mine).encode())


def _read(descriptor):
    """Return what a holder has written, as short printable text: any program can write such a file."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        found = json.loads(os.read(descriptor, 4096))
        pairs = [(name, value) for name, value in found.items() if isinstance(value, str) and value]
    except (OSError, ValueError, AttributeError):
        return {}
    return {name: printable(value[:200]) for name, value in pairs}


def _after_fork():
    """Close a forked child's copies, with which the locks would outlive their process."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
