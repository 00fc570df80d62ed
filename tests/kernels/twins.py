"""The CUDA kernels with the interface of the other devices: they take NumPy arrays and fill them in place."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from bands import BAND, banded, untouched

from numsnn.kernels.contract import ROOMS, Device

api = pytest.importorskip("numsnn.kernels.cuda.run.api", reason="numba-cuda is not installed")
cuda = Device("cuda")

if api.SIMULATED:
    sys.setswitchinterval(1e-5)  # simulated threads wait for each other at every barrier

NOT_ADAPTED = {"empty", "zeros", "from_host", "put", "to_host", "feed", "name", "lacks", "visible_limit"}


WATCHED = True
"""Whether the bands around arrays are looked at after a call; not if no kernel runs."""


def _there(x, memory):
    """Copy an argument to the device, with bands around it; copy tuples, also named ones, element by element.

    An array that is passed twice is copied once, through memory, so that computing in place has the same effect.
    """
    if isinstance(x, np.ndarray):
        if id(x) not in memory:
            whole = cuda.from_host(banded(x)[0], x.dtype)
            memory[id(x)] = whole, whole[BAND : BAND + x.size].reshape(x.shape)
        return memory[id(x)][1]
    if isinstance(x, tuple):
        return getattr(x, "_make", tuple)(_there(part, memory) for part in x)
    return x


def _back(x, there):
    """Copy the result of a kernel back into an argument."""
    if isinstance(x, np.ndarray) and x.flags.writeable:
        x[...] = cuda.to_host(there)
    if isinstance(x, tuple):
        for part, twin in zip(x, there, strict=True):
            _back(part, twin)


def _adapted(function):
    def call(*arguments, **named):
        memory = {}
        there = [_there(x, memory) for x in arguments]
        named_there = {key: _there(x, memory) for key, x in named.items()}
        result = function(*there, **named_there)
        if WATCHED:
            assert all(untouched(cuda.to_host(whole)) for whole, _ in memory.values()), "it wrote beside an array"
        for x, twin in zip(arguments, there, strict=True):
            _back(x, twin)
        for key, x in named.items():
            _back(x, named_there[key])
        return result

    return call


twin = SimpleNamespace(
    **{
        name: getattr(cuda, name) if name in NOT_ADAPTED else _adapted(getattr(cuda, name))
        for name in ("name", *(function for functions in ROOMS.values() for function in functions))
    }
)
"""The CUDA kernels, with NumPy arrays as arguments."""
