"""Distributes tiles over threads. All threads of the CPU kernels are started here.

Every kernel divides its work into tiles whose borders depend on shapes alone, and no two tiles write the same elements.
Sums over tiles are made afterwards, in order. Threads take tiles as they become free, and results do not depend on the
number of threads. The range kernels release Python's interpreter lock, so the threads are ordinary Python threads. They
start in microseconds, may be used from several threads at once, and survive a fork.
"""

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from math import prod
from numbers import Integral

import numpy as np

from ....cores import MOST_THREADS, available_cores
from ....shown import shown
from . import roles

TILE_ELEMENTS = 32768
"""Elements per tile: 128 KiB of float32, so that the state of a tile stays in a core's second-level cache."""

CHUNKS_PER_THREAD = 4
"""Average number of chunks of tiles per thread. With several chunks, the other threads do not wait long for a thread
that was interrupted."""

CHECK_ROLES = os.environ.get("NUMSNN_CHECK_ROLES") == "1"
"""Whether every launch checks that arrays of different roles do not overlap (`roles`). The tests set this."""


def _initial_threads():
    asked = os.environ.get("NUMSNN_NUM_THREADS", "").strip()
    if not asked:  # a variable that is set to nothing is not set
        return available_cores()
    if not asked.isdecimal() or not 1 <= int(asked[:20]) <= MOST_THREADS:
        raise ValueError(f"NUMSNN_NUM_THREADS must be a whole number in 1..{MOST_THREADS}; got {shown(asked)}")
    return int(asked)


_threads = _initial_threads()
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


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
        _threads, _pool = int(n), None


class _Local(threading.local):
    """Whether the launches of a thread run on this thread alone."""

    alone = False


_local = _Local()


@contextmanager
def single_thread():
    """Run what this thread launches within the block on this thread alone, which is faster for little work. Other
    threads, and the number of threads, are not affected; results do not depend on it."""
    before, _local.alone = _local.alone, True
    try:
        yield
    finally:
        _local.alone = before


def _workers():
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, _threads - 1), thread_name_prefix="numsnn")
        return _pool


def parallel_for(body, tiles: int, chunks_per_thread: int = CHUNKS_PER_THREAD) -> None:
    """Call body(lo, hi) on all threads, for ranges that together cover 0..tiles-1, and wait until all have ended.

    Use one chunk per thread if every range reads the same memory from one end to the other. If body raises an
    exception, the first one is raised here.
    """
    threads = 1 if _local.alone else min(_threads, tiles)
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
        started = [helper for helper in helpers if not helper.cancel()]  # small work ends before the threads wake up
        wait(started)  # also after an exception, so that no thread still writes when the caller continues
    for helper in started:
        helper.result()


def launch(range_kernel, tiles: int, *arguments) -> None:
    """Run a range kernel over all its tiles.

    Raises:
        RuntimeError: roles are checked (`CHECK_ROLES`), and arrays of different roles overlap.
    """
    if CHECK_ROLES:
        roles.check(range_kernel, arguments)
    parallel_for(lambda lo, hi: range_kernel(*arguments, lo, hi), tiles)


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
    memory = np.empty(size * dtype.itemsize + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size * dtype.itemsize].view(dtype)


class _Scratch(threading.local):
    """Work arrays that a thread keeps and uses again, by purpose."""

    def __init__(self):
        self.arrays = {}

    def get(self, purpose, shape, dtype):
        """An uninitialised array. It is valid until this thread asks for an array for the same purpose again."""
        size = 1
        for extent in shape:
            size *= extent
        flat = self.arrays.get((purpose, dtype))
        if flat is None or flat.size < size:
            flat = self.arrays[purpose, dtype] = aligned(size, dtype)
        return flat[:size].reshape(shape)


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
