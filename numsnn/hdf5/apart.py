"""Reading HDF5 files in a separate process, which may hang, crash or run out of memory without harm to this one.

Lists of varying length are stored in HDF5's global heap. A damaged heap sends libhdf5 (2.0) into an endless loop that
holds h5py's lock and cannot be interrupted, and C code that follows damaged lengths may crash. Therefore a second
Python process runs `child`, which reads the file and sends plain arrays through a pipe. It is killed when it takes
too long.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..files import open_file
from .form import Damage

COMMAND = [sys.executable, "-I", str(Path(__file__).with_name("child.py"))]
SECONDS = 60.0
"""Seconds that every file may take, whatever its size."""
BYTES_PER_SECOND = 1e6
"""Bytes per second: a large file may take longer, by its size over this rate. Every disk is faster."""
MEMORY = 1 << 30
"""Bytes of memory that every file may take; four times the size of the file are added."""


def read_apart(
    path: str | os.PathLike[str], what: str, first: int = 0, last: int | None = None, seconds: float | None = None
) -> Iterator[tuple[dict, list[np.ndarray]]]:
    """Run a task of `child` on a file in a process of its own, and return the messages: header and arrays ``[n]``.

    Only the time in which this process waits for a message counts towards the time limit.

    Args:
        path: path of the file.
        what: name of the task.
        first, last: the task handles recordings first to last - 1. Default: all.
        seconds: time that the task may take. Default: `SECONDS`, and more for a large file.

    Raises:
        OSError: the file cannot be read, or the path does not lead to a file.
        Damage: the file is damaged or has another content than the task needs, or the process hung or crashed.
    """
    source = os.fspath(path)
    with open_file(path) as file:  # a missing file must raise OSError, a damaged one Damage
        size = os.fstat(file.fileno()).st_size
    limit = SECONDS + size / BYTES_PER_SECOND if seconds is None else seconds
    order = {
        "modules": [str(place) for place in sys.path],
        "path": os.fsdecode(source),
        "what": what,
        "first": first,
        "last": last,
        "memory": MEMORY + 4 * size,
        "seconds": int(2 * limit) + 10,
    }
    with tempfile.TemporaryFile() as complaints:
        command = [*COMMAND, json.dumps(order)]
        child: Any = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints)
        try:
            left = limit
            while True:
                message, left = _waited(child, left)
                if message is None:
                    reason = _end(child, complaints) if left > 0 else f"reading did not end within {limit:.0f} s"
                    raise Damage(f"damaged: {reason}")
                header, arrays = message
                if "error" in header:
                    raise Damage(header["error"])
                if "end" in header:
                    return
                yield header, arrays
        finally:
            child.kill()
            child.stdout.close()
            child.wait()


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


def _message(pipe):
    """Return the next message, or None if the pipe ends first."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        return None
    header = json.loads(line)
    arrays = [_array(pipe, np.dtype(kind), entries) for kind, entries in header["arrays"]]
    return None if any(array is None for array in arrays) else (header, arrays)


def _array(pipe, dtype, entries):
    body = pipe.read(dtype.itemsize * entries)
    return np.frombuffer(body, dtype) if len(body) == dtype.itemsize * entries else None


def _end(child, complaints):
    """Describe how a process ended that did not send its last message."""
    code = child.wait()
    if code < 0:
        names = {number.value: number.name for number in signal.Signals}
        return f"the HDF5 library crashed with {names.get(-code, f'signal {-code}')}"
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
    return f"the process that read the file ended with status {code}: {last}"
