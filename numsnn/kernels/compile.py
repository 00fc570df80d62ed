"""How kernels are compiled, and which files belong to the cache key of their machine code."""

import functools
import gc
import os
from pathlib import Path

from numba import extending, njit
from numba.core import event
from numba.core.compiler_lock import global_compiler_lock

from ..machine_code import keep

FASTMATH = {"contract", "nsz"}
"""Products and sums may be fused, and -0 equals +0. `nnan` is never used, because a test for NaN would then be wrong.
`reassoc` is never used, because sums must keep their order."""

register_jitable = extending.register_jitable(no_cfunc_wrapper=True)
"""Decorator of a function that is compiled into the kernels that call it. It remains an ordinary Python function.

Numba would add an entry for callers in C, which nobody uses. It took a seventh of the time to compile a kernel.
"""

_HERE = Path(__file__).parent


def shared_sources(device: str) -> tuple[Path, ...]:
    """The files whose whole text is part of every cache key of a device, "cpu" or "cuda".

    `machine_code.digest` follows plain functions, so that their files need not be here. It does not see the options of
    the compiler, overloads, LLVM instructions that a class writes, and options of a function that is compiled into
    others.
    """
    return _HERE / "exponential.py", *(_HERE / file for file in _WRITTEN_FOR[device])


_WRITTEN_FOR = {
    "cpu": (
        "compile.py",
        "cpu/inline/access.py",
        "cpu/inline/blocks.py",
        "cpu/inline/lateral.py",
        "cpu/inline/lines.py",
        "cpu/inline/local.py",
        "cpu/inline/prefetch.py",
        "cpu/inline/nonzero.py",
        "cpu/inline/planes.py",
        "cpu/inline/rows.py",
        "cpu/inline/runs.py",
        "cpu/inline/taps.py",
        "cpu/inline/vector.py",
    ),
    "cuda": ("compile.py", "cuda/run/compile.py", "cuda/inline/vector.py"),
}
"""Device -> files that set options, or write instructions, for its kernels."""

_CPU_SOURCES = shared_sources("cpu")


def kernel(function):
    """Compile a function for the CPU. It releases the GIL.

    Most are range kernels ``f(..., lo, hi)``, which compute the tiles lo to hi - 1. The others are called by range
    kernels, or are so short that one thread calls them.

    ``error_model="numpy"`` omits the test for a zero divisor, because this test costs a vectorised loop most of its
    speed.
    """
    options = {"nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy", "fastmath": FASTMATH}
    dispatcher = njit(**options)(function)
    if hasattr(dispatcher, "_compiler"):  # with NUMBA_DISABLE_JIT=1 the dispatcher is the Python function itself
        dispatcher._compiler.compile = _undisturbed(dispatcher._compiler.compile)
    return keep(dispatcher, sources=_CPU_SOURCES)


_undisturbed_now = False
"""Whether a kernel is being compiled. Numba compiles under a lock, so that only one thread reads and writes this."""


def _undisturbed(compile):
    """Compile without two things that took a fifth of the time and change nothing.

    Python's search for cyclic garbage goes through all objects that Numba makes, again and again. And Numba tells
    listeners, which measure how long they are held, of every lock that it takes: ten thousands of times per kernel.
    """

    @functools.wraps(compile)
    def compile_undisturbed(*arguments):
        global _undisturbed_now
        if _undisturbed_now:  # a kernel that is compiled as a part of another one
            return compile(*arguments)
        collects, tells = gc.isenabled(), (event.start_event, event.end_event)
        _undisturbed_now = True
        gc.disable()
        event.start_event, event.end_event = map(_of_no_locks, tells)
        try:
            return compile(*arguments)
        finally:
            event.start_event, event.end_event = tells
            _undisturbed_now = False
            if collects:
                gc.enable()

    return compile_undisturbed


def _of_no_locks(tell):
    """The function that tells of an event, for events other than locks."""
    return lambda kind, *details, **named: None if kind.endswith("_lock") else tell(kind, *details, **named)


# Numba's compiler has a lock. A process that was forked while another thread compiled would wait for it for ever, so a
# fork waits until the compiler is free.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )
