"""Reading HDF5 of others in a process apart, which may hang, die or ask for too much memory without harm to this one.

Lists of varying length lie in HDF5's global heap. A damaged heap sends libhdf5 (2.0) into an endless loop that holds
h5py's lock and cannot be interrupted, and C code that walks damaged lengths may crash. So another Python, in which
`hdf5_child` runs, does the reading and sends raw arrays through a pipe; it is killed when it takes too long.
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

from .errors import FormatError

COMMAND = [sys.executable, "-I", str(Path(__file__).with_name("hdf5_child.py"))]
SECONDS = 60.0
"""Time for any file ..."""
BYTES_A_SECOND = 1e6
"""... and slower than this no disk is."""
MEMORY = 1 << 30
"""Bytes for any file, to which four times its size are added."""


def read_apart(
    path: str | os.PathLike[str], what: str, first: int = 0, last: int | None = None
) -> Iterator[tuple[dict, list[np.ndarray]]]:
    """The messages of a task of `hdf5_child` on a file: what its header says and its arrays ``[n]``.

    One process a call; time counts only while it is waited for. Raises OSError if the file cannot be read,
    `FormatError` if it is damaged, not what the task wants, or the process hung or died over it.
    """
    source = os.fspath(path)
    with open(path, "rb") as file:  # so that a missing file is told from a damaged one
        size = os.fstat(file.fileno()).st_size
    limit = SECONDS + size / BYTES_A_SECOND
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
                    reason = _end(child, complaints) if left > 0 else f"reading it did not end within {limit:.0f} s"
                    raise FormatError(source, 0, f"damaged: {reason}")
                header, arrays = message
                if "error" in header:
                    raise FormatError(source, 0, header["error"])
                if "end" in header:
                    return
                yield header, arrays
        finally:
            child.kill()
            child.stdout.close()
            child.wait()


def _waited(child, seconds):
    """The next message, None if none comes within that time; and the time left."""
    started = time.monotonic()
    watch = threading.Timer(seconds, child.kill)
    watch.daemon = True
    watch.start()
    try:
        return _message(child.stdout), seconds - (time.monotonic() - started)
    finally:
        watch.cancel()


def _message(pipe):
    """A message, or None if the pipe ends first."""
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
    """How a process ended that sent no last message."""
    code = child.wait()
    if code < 0:
        names = {number.value: number.name for number in signal.Signals}
        return f"the HDF5 library died of {names.get(-code, f'signal {-code}')} over it"
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no complaint")
    return f"the process that read it ended with status {code}: {last}"
