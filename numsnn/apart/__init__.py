"""Reading files in a separate process, which may hang, crash or run out of memory without harm to this one.

Libraries of compiled code do not bear every damaged file. HDF5 stores lists of varying length in a global heap; a
damaged heap sends libhdf5 (2.0) into an endless loop that holds h5py's lock and cannot be interrupted, and C code that
follows damaged lengths may crash. The package aedat (2.3), written in Rust, aborts its process where a damaged length
asks for more memory than there is, or a text is not UTF-8. Therefore a second Python process runs `child`, which reads
the file with such a library and sends plain arrays through a pipe. It is killed when it takes too long.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files import open_file

COMMAND = [sys.executable, "-I", str(Path(__file__).with_name("child.py"))]
SECONDS = 60.0
"""Seconds that every file may take, whatever its size."""
BYTES_PER_SECOND = 1e6
"""Bytes per second: a large file may take longer, by its size over this rate. Every disk is faster."""
_KIND = re.compile(r"\|b1|[<>|](?:[iu][1248]|f[248])")
"""Types of arrays that a process sends."""
_LONGEST_LINE = 1 << 26
_PIECE = 1 << 24
MEMORY = 1 << 30
"""Bytes of memory that every file may take; four times the size of the file are added."""


class Damage(ValueError):
    """What is wrong with a file, without its name, in one line."""


class Task(NamedTuple):
    """A task of `child`: the library that reads the file, and the numbers of arrays that its messages may have."""

    library: str
    arrays: tuple[int, ...]


_HDF5 = "the HDF5 library"
TASKS = {
    "labels": Task(_HDF5, (1,)),
    "names": Task(_HDF5, (0,)),
    "spikes": Task(_HDF5, (3,)),
    "columns": Task(_HDF5, (0, 1)),
    "index": Task(_HDF5, (2,)),
    "aedat4": Task("the package aedat", (0, 4)),
    "raw": Task("the package faery", (0, 4)),
}


def read_apart(
    path: str | os.PathLike[str], what: str, seconds: float | None = None, **order: Any
) -> Iterator[tuple[dict, list[np.ndarray]]]:
    """Run a task of `child` on a file in a process of its own, and return the messages: header and arrays ``[n]``.

    Only the time in which this process waits for a message counts towards the time limit.

    Args:
        path: path of the file.
        what: name of the task, one of `TASKS`.
        seconds: time that the task may take. Default: `SECONDS`, and more for a large file.
        order: what the task needs, as data that JSON can hold.

    Raises:
        ImportError: the library cannot be imported.
        OSError: the file cannot be read, or the path does not lead to a file.
        Damage: the file is damaged or has another content than the task needs, or the process hung or crashed.
    """
    source, task = os.fspath(path), TASKS[what]
    with open_file(path) as file:  # a missing file must raise OSError, a damaged one Damage
        size = os.fstat(file.fileno()).st_size
    limit = SECONDS + size / BYTES_PER_SECOND if seconds is None else seconds
    order |= {
        "modules": [str(place) for place in sys.path],
        "path": os.fsdecode(source),
        "what": what,
        "memory": MEMORY + 4 * size,
        "seconds": int(2 * limit) + 10,
    }
    with tempfile.TemporaryFile() as complaints:
        command = [*COMMAND, json.dumps(order)]
        child: Any = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints)
        try:
            left = limit
            while True:
                try:
                    message, left = _waited(child, left)
                except _Garbled as error:
                    raise Damage(f"damaged: the process that read the file sent {error}") from error
                if message is None:
                    late = f"reading did not end within {limit:.0f} s"
                    raise Damage(f"damaged: {_end(child, complaints, task.library) if left > 0 else late}")
                header, arrays = message
                if "missing" in header:
                    raise ImportError(f"{task.library} cannot be imported: {header['missing']}")
                if "error" in header:
                    raise Damage(str(header["error"]))
                if "end" in header:
                    return
                if len(arrays) not in task.arrays:
                    raise Damage(f"damaged: the process that read the file sent {len(arrays)} arrays")
                yield header, arrays
        finally:
            child.kill()
            child.stdout.close()
            child.wait()


def read_one(path: str | os.PathLike[str], what: str, seconds: float | None = None) -> tuple[dict, list[np.ndarray]]:
    """Return the only message of a task; arguments and errors as for `read_apart`."""
    found = list(read_apart(path, what, seconds=seconds))
    if len(found) != 1:
        raise Damage(f"damaged: the process that read the file sent {len(found)} messages; expected 1")
    return found[0]


def _waited(child, seconds):
    """Return the next message, or None if none arrives within this time; and the time that is left."""
    started = time.monotonic()
    watch = threading.Timer(seconds, child.kill)
    watch.daemon = True
    watch.start()
    try:
        return _message(child.stdout), seconds - (time.monotonic() - started)
    finally:
        watch.cancel()


class _Garbled(Exception):
    """A process has sent something else than a message: damage of the file may reach the memory of its library."""


def _message(pipe):
    """Return the next message, or None if the pipe ends first."""
    line = pipe.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        if len(line) == _LONGEST_LINE:
            raise _Garbled("a line without end")
        return None
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Garbled("a line that is not JSON") from error
    listed = header.get("arrays") if isinstance(header, dict) else None
    if not isinstance(listed, list):
        raise _Garbled("a message without a list of arrays")
    arrays = [_array(pipe, about) for about in listed]
    return None if any(array is None for array in arrays) else (header, arrays)


def _array(pipe, about):
    """Return an array of a message, or None if the pipe ends first."""
    kind, entries = about if isinstance(about, list) and len(about) == 2 else ("", 0)
    if not isinstance(kind, str) or not _KIND.fullmatch(kind) or type(entries) is not int or entries < 0:
        raise _Garbled(f"an impossible array: {about}")
    dtype, body = np.dtype(kind), bytearray()
    wanted = dtype.itemsize * entries
    while len(body) < wanted:  # piece by piece, because a wrong number must not take memory
        more = pipe.read(min(wanted - len(body), _PIECE))
        if not more:
            return None
        body += more
    return np.frombuffer(body, dtype)


def _end(child, complaints, library):
    """Describe how a process ended that did not send its last message."""
    code = child.wait()
    if code < 0:
        names = {number.value: number.name for number in signal.Signals}
        return f"{library} crashed with {names.get(-code, f'signal {-code}')}"
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
    return f"the process that read the file ended with status {code}: {last}"
