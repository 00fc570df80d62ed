"""Distributes tiles over threads. All launches of CPU kernels go through here.

Every kernel divides its work into tiles whose borders depend on shapes alone, and no two tiles write the same elements.
Sums over tiles are made afterwards, in order. Threads take tiles as they become free, and results do not depend on the
number of threads. The range kernels release Python's interpreter lock, so the threads are ordinary Python threads
(`workers`). They may be used from several threads at once, and survive a fork.

To wake a thread takes longer than a small launch. How long a launch takes is known from the last one of its kind, so
that only launches of enough work are divided.
"""

import os
import threading
from ctypes import addressof, c_char
from math import prod
from numbers import Integral
from time import perf_counter

import numpy as np

from ....cores import MOST_THREADS, asked_number, available_cores
from ....shown import shown
from . import roles
from .workers import Job, Workers

TILE_ELEMENTS = 32768
"""Elements per tile: 128 KiB of float32, so that the state of a tile stays in a core's second-level cache."""

CHUNKS_PER_THREAD = 4
"""Average number of chunks of tiles per thread. With several chunks, the other threads do not wait long for a thread
that was interrupted."""

LEAST_SECONDS = 40e-6
"""A thread joins a launch only if there is at least this much work for it, in seconds of one thread."""

MOST_KINDS = 4096
"""Number of kinds of launches whose seconds are remembered; then all are forgotten."""

UNTIMED = 7
"""A launch that took less than `LEAST_SECONDS` is not timed for so many times, because that takes as long as the rest
of what a launch costs."""

TOLD_APART = 6
"""Number of arguments of a launch that are looked at. Launches of one kernel are of the same kind if they have the same
number of tiles, and the arrays among these arguments the same number of elements."""

SHORTEST = 1e-6
"""Seconds that no launch is taken to be shorter than."""

CHECK_ROLES = os.environ.get("NUMSNN_CHECK_ROLES") == "1"
"""Whether every launch checks that arrays of different roles do not overlap (`roles`). The tests set this."""


def _initial_threads():
    return asked_number("NUMSNN_NUM_THREADS") or available_cores()


_threads = _initial_threads()
_pool: Workers | None = None
_pool_lock = threading.Lock()


class _Kind:
    """What is known of the launches of one kind.

    Attributes:
        seconds: how long one thread takes for one.
        untimed: how many of the next ones are run on the caller's thread without being timed.
    """

    __slots__ = ("seconds", "untimed")


_kinds: dict[tuple, _Kind] = {}
_places: dict = {}
"""Code of a body -> which of the variables that it holds were arrays when it was first called."""


def get_num_threads() -> int:
    """The number of threads that the CPU kernels use.

    The default is NUMSNN_NUM_THREADS if it is set, else the number of cores that the process may use. The CPU quota of
    a container limits it.
    """
    return _threads


def set_num_threads(n: int) -> None:
    """Set the number of threads that the CPU kernels use. Results do not depend on it.

    Raises:
        ValueError: n is not a whole number in 1..1024.
    """
    global _threads, _pool
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"set_num_threads: n must be a positive whole number; got {shown(n)}")
    if n > MOST_THREADS:
        raise ValueError(f"set_num_threads: n must be at most {MOST_THREADS}; got {shown(n)}")
    with _pool_lock:
        _threads, before, _pool = int(n), _pool, None
        if before is not None:
            before.end()


class _Local(threading.local):
    """Whether the launches of a thread run on this thread alone."""

    alone = False


_local = _Local()


class SingleThread:
    """Context: what this thread launches within the block runs on this thread alone, which is faster for little work.
    Other threads, and the number of threads, are not affected; results do not depend on it."""

    __slots__ = ("_before",)

    def __enter__(self):
        self._before, _local.alone = _local.alone, True

    def __exit__(self, *exception):
        _local.alone = self._before


def _workers():
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = Workers(max(1, _threads - 1))
        return _pool


def parallel_for(body, tiles: int, chunks_per_thread: int = CHUNKS_PER_THREAD) -> None:
    """Call body(lo, hi) on all threads, for ranges that together cover 0..tiles-1, and wait until all have ended.

    Work of less than `LEAST_SECONDS` per thread is done by fewer threads. Use one chunk per thread if every range reads
    the same memory from one end to the other. If body raises an exception, the first one is raised here.
    """
    if tiles <= 1 or _threads == 1 or _local.alone:
        if tiles:
            body(0, tiles)
        return
    code, held = body.__code__, body.__closure__ or ()
    places = _places.get(code)
    if places is None:
        places = [k for k, cell in enumerate(held) if type(cell.cell_contents) is np.ndarray]
        _remember(_places, code, places)
    key = code, tiles, _elements([held[k].cell_contents for k in places])
    kind = _kinds.get(key)
    if kind is not None and kind.untimed > 0:
        kind.untimed -= 1
        body(0, tiles)
    else:
        _divide(body, tiles, chunks_per_thread, key)


def launch(range_kernel, tiles: int, *arguments) -> None:
    """Run a range kernel over all its tiles.

    Raises:
        RuntimeError: roles are checked (`CHECK_ROLES`), and arrays of different roles overlap.
    """
    if CHECK_ROLES:
        roles.check(range_kernel, arguments)
    if tiles <= 1 or _threads == 1 or _local.alone:
        if tiles:
            range_kernel(*arguments, 0, tiles)
        return
    key = range_kernel, tiles, _elements(arguments[:TOLD_APART])
    kind = _kinds.get(key)
    if kind is not None and kind.untimed > 0:
        kind.untimed -= 1
        range_kernel(*arguments, 0, tiles)
    else:
        _divide(lambda lo, hi: range_kernel(*arguments, lo, hi), tiles, CHUNKS_PER_THREAD, key)


def _elements(values):
    """The number of elements of all arrays among some values."""
    elements = 0
    for value in values:
        if type(value) is np.ndarray:
            elements += value.size
    return elements


def _remember(table, key, value):
    """Store a value in a table, from which everything is dropped when it is full."""
    if len(table) >= MOST_KINDS:
        table.clear()
    table[key] = value


def _divide(body, tiles, chunks_per_thread, key):
    """Do the work of `parallel_for` on as many threads as it is worth; key says which launches are of one kind."""
    kind = _kinds.get(key)
    known = None if kind is None else kind.seconds
    threads = min(_threads, tiles)
    if known is not None and LEAST_SECONDS:
        threads = min(threads, int(known / LEAST_SECONDS))
    if threads <= 1:
        start = perf_counter()
        body(0, tiles)
        found = perf_counter() - start
    else:
        chunks = threads if chunks_per_thread == 1 else min(tiles, threads * chunks_per_thread)
        size = -(-tiles // chunks) if chunks_per_thread == 1 else tiles // chunks
        found = _workers().run(Job(body, tiles, size), threads - 1)
    if kind is None:
        kind = _Kind()
        _remember(_kinds, key, kind)
    # A thread that lost its core for a while seems to take very long, once.
    kind.seconds = found if known is None else min(found, max(2 * known, SHORTEST))
    kind.untimed = UNTIMED if found < LEAST_SECONDS else 0


def rows_per_tile(row_elements: int) -> int:
    """The number of rows per tile, for rows of `row_elements` elements."""
    return max(1, TILE_ELEMENTS // row_elements)


def count_tiles(rows: int, rows_a_tile: int) -> int:
    """The number of tiles that cover `rows` rows."""
    return -(-rows // rows_a_tile)


def _after_fork():
    """Give a forked child process its own pool and lock, because it inherits the objects but not the threads."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


ALIGNMENT = 64
"""Alignment of arrays in bytes. A vector that lies in two cache lines needs two reads; this was measured to double the
time of sums of rows."""


def aligned(size, dtype):
    """An uninitialised flat array of `size` elements whose address is a multiple of ALIGNMENT."""
    dtype = np.dtype(dtype)
    nbytes = size * dtype.itemsize
    memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    first = -addressof(c_char.from_buffer(memory)) % ALIGNMENT  # `memory.ctypes` takes eight times as long
    return memory[first : first + nbytes].view(dtype)


MOST_VIEWS = 64
"""Number of shapes in which a thread remembers a work array for one purpose; then all are forgotten."""


class _Scratch(threading.local):
    """Work arrays that a thread keeps and uses again, by purpose."""

    def __init__(self):
        self.arrays = {}

    def get(self, purpose, shape, dtype):
        """An uninitialised array. It is valid until this thread asks for an array for the same purpose again."""
        flat, views = self.arrays.get((purpose, dtype), (None, {}))
        if shape in views:
            return views[shape]
        size = prod(shape)
        if flat is None or flat.size < size:
            flat, views = aligned(size, dtype), {}
        elif len(views) == MOST_VIEWS:
            views = {}
        views[shape] = flat[:size].reshape(shape)
        self.arrays[purpose, dtype] = flat, views
        return views[shape]


def made_once(kept, key, shape, dtype, make):
    """An array that is filled by `make(array)`.

    With a dict `kept`, the array is made once and stored there under `key`. Without one, it is made at every call, in
    scratch memory.
    """
    if kept is None:
        array = scratch.get(key, shape, dtype)
        make(array)
        return array
    if key not in kept:
        kept[key] = aligned(prod(shape), dtype).reshape(shape)
        make(kept[key])
    return kept[key]


scratch = _Scratch()
