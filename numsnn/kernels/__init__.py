"""The numbers: plain functions over arrays, one set a target, all with the same names and arguments.

`reference` is plain NumPy, the text to read; `cpu` is compiled with Numba and multi-threaded; `cuda` is compiled with
Numba for a GPU, and is imported only where it is asked for.
"""

from importlib import import_module
from types import ModuleType

import numpy as np

DEVICES = ("reference", "cpu", "cuda")

ROUTES = ("auto", "events", "winograd", "dense")
"""Ways to compute a convolution or matrix product that can be asked for; see `cpu.route`."""


def for_device(device: str) -> ModuleType:
    """The kernels of one target, imported when they are first asked for.

    Args:
        device: "reference", "cpu" or "cuda".

    Raises:
        ValueError: for any other name.
        DeviceError: there is no CUDA device, or what is needed to use it is not installed.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(map(repr, DEVICES))}; got {device!r}")
    target = import_module(f".{device}", __name__)
    if device == "cuda":
        target.require_device()
    return target


def zeros_like(x):
    """Zeros of the shape and dtype of an array of any target, on the same one."""
    return np.zeros_like(x) if isinstance(x, np.ndarray) else for_device("cuda").zeros(x.shape, x.dtype)
