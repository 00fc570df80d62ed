"""Spreads tiles over threads. The one owner of threads in the CPU target.

Every kernel divides its work into tiles whose borders depend on shapes alone, and every tile writes what no other
writes; sums over tiles are made afterwards, in order. Threads take tiles as they come free, so results do not depend
on how many there are. The range kernels release the interpreter lock, hence ordinary Python threads do: they start in
microseconds, may be used from several threads at once, and survive a fork.
"""

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from math import prod

import numpy as np

from . import roles

TILE_ELEMENTS = 32768
"""Elements of a tile: 128 KiB of float32, so that a tile's state stays in a core's second-level cache."""

CHUNKS_PER_THREAD = 4
"""Chunks a thread gets on average: enough that an interrupted thread leaves little to wait for."""

CHECK_ROLES = os.environ.get("NUMSNN_CHECK_ROLES") == "1"
"""Whether every launch checks that arrays of different roles do not overlap (`roles`), as the tests ask for."""


def _available_cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _initial_threads():
    asked = os.environ.get("NUMSNN_NUM_THREADS")
    if asked is None:
        return _available_cores()
    if not asked.isdigit() or int(asked) < 1:
        raise ValueError(f"NUMSNN_NUM_THREADS must be a positive whole number; got {asked!r}")
    return int(asked)


_threads = _initial_threads()
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def get_num_threads() -> int:
    """Threads the CPU kernels use: NUMSNN_NUM_THREADS if set, else the cores this process may run on."""
    return _threads


def set_num_threads(n: int) -> None:
    """Set the number of threads the CPU kernels use. Results do not depend on it.

    Raises:
        ValueError: n is not a positive whole number.
    """
    global _threads, _pool
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ValueError(f"set_num_threads: n must be a positive whole number; got {n!r}")
    with _pool_lock:
        _threads, _pool = n, None


def _workers():
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, _threads - 1), thread_name_prefix="numsnn")
        return _pool


def parallel_for(body, tiles: int, chunks_per_thread: int = CHUNKS_PER_THREAD) -> None:
    """Call body(lo, hi) for ranges that cover 0..tiles-1, on all threads, and wait for the end.

    One chunk a thread where every range reads the same memory from one end to the other. The first exception of any
    range is raised here.
    """
    threads = min(_threads, tiles)
    if threads <= 1:
        if tiles:
            body(0, tiles)
        return
    size = max(1, tiles // (threads * chunks_per_thread))
    if chunks_per_thread == 1:
        size = -(-tiles // threads)
    chunks = -(-tiles // size)
    ticket = itertools.count()  # next() on it is atomic

    def work():
        while (chunk := next(ticket)) < chunks:
            body(chunk * size, min(tiles, (chunk + 1) * size))

    helpers = [_workers().submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        started = [helper for helper in helpers if not helper.cancel()]  # small work is done before a helper wakes up
        wait(started)  # also after an exception nobody may still be writing when the caller goes on
    for helper in started:
        helper.result()


def launch(range_kernel, tiles: int, *arguments, chunks_per_thread: int = CHUNKS_PER_THREAD) -> None:
    """Run a range kernel over all its tiles.

    Raises:
        RuntimeError: where roles are checked (`CHECK_ROLES`), arrays of different roles that overlap.
    """
    if CHECK_ROLES:
        roles.check(range_kernel, arguments)
    parallel_for(lambda lo, hi: range_kernel(*arguments, lo, hi), tiles, chunks_per_thread)


def rows_per_tile(row_elements: int) -> int:
    """Rows of `row_elements` elements that make one tile."""
    return max(1, TILE_ELEMENTS // row_elements)


def count_tiles(rows: int, rows_a_tile: int) -> int:
    """Tiles that cover so many rows."""
    return -(-rows // rows_a_tile)


def _after_fork():
    """A forked child inherits no threads, only what they held: it makes its own pool and lock."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


ALIGNMENT = 64
"""Bytes that arrays are aligned to: a vector that straddles two cache lines costs two reads (measured: it doubles the
time of sums of rows)."""


def aligned(size, dtype):
    """An uninitialised flat array that begins at a multiple of ALIGNMENT."""
    dtype = np.dtype(dtype)
    memory = np.empty(size * dtype.itemsize + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size * dtype.itemsize].view(dtype)


class _Scratch(threading.local):
    """Work arrays a thread keeps and reuses, by purpose."""

    def __init__(self):
        self.arrays = {}

    def get(self, purpose, shape, dtype):
        """An uninitialised array; valid until this thread asks for the same purpose again."""
        size = 1
        for extent in shape:
            size *= extent
        flat = self.arrays.get((purpose, dtype))
        if flat is None or flat.size < size:
            flat = self.arrays[purpose, dtype] = aligned(size, dtype)
        return flat[:size].reshape(shape)


def made_once(kept, key, shape, dtype, make):
    """An array that `make` fills: in scratch memory and made anew at every call, or where a dict `kept` is given made
    once and kept there."""
    if kept is None:
        array = scratch.get(key, shape, dtype)
        make(array)
        return array
    if key not in kept:
        kept[key] = aligned(prod(shape), dtype).reshape(shape)
        make(kept[key])
    return kept[key]


scratch = _Scratch()
