"""The numbers: plain functions over arrays, one set a target, all with the same names and arguments.

`reference` is plain NumPy, the text to read; `cpu` is compiled with Numba and multi-threaded; `cuda` is compiled with
Numba for a GPU, and is imported only where it is asked for.
"""

from functools import cache
from importlib import import_module

import numpy as np

from ..names import choice
from .contract import Target

DEVICES = ("reference", "cpu", "cuda")


def for_device(device: str) -> Target:
    """The kernels of one target, imported when they are first asked for.

    Args:
        device: "reference", "cpu" or "cuda".

    Raises:
        ValueError: for any other name.
        DeviceError: there is no CUDA device, or what is needed to use it is not installed.
    """
    choice("device", device, DEVICES)
    if device == "cuda":
        import_module(".cuda.run.api", __name__).require_device()
    return _target(device)


_target = cache(Target)


def zeros_like(x):
    """Zeros of the shape and dtype of an array of any target, on the same one."""
    return np.zeros_like(x) if isinstance(x, np.ndarray) else for_device("cuda").zeros(x.shape, x.dtype)
