"""The kernels: functions over arrays that do all numerical work. There is one set of them per device.

All devices have functions of the same names and arguments. `reference` is plain NumPy and documents them. `cpu` is
compiled with Numba and uses several threads. `cuda` is compiled with Numba for a GPU, and is imported only when it is
used.
"""

from functools import cache
from importlib import import_module

import numpy as np

from ..names import choice
from .contract import Target

DEVICES = ("reference", "cpu", "cuda")


def for_device(device: str) -> Target:
    """The kernels of one device. They are imported at the first call.

    Args:
        device: "reference", "cpu" or "cuda".

    Raises:
        ValueError: `device` is any other name.
        DeviceError: there is no CUDA device, or a package that CUDA needs is not installed.
    """
    choice("device", device, DEVICES)
    if device == "cuda":
        import_module(".cuda.run.api", __name__).require_device()
    return _target(device)


_target = cache(Target)


def zeros_like(x):
    """An array of zeros with the shape and dtype of x, on the same device as x."""
    return np.zeros_like(x) if isinstance(x, np.ndarray) else for_device("cuda").zeros(x.shape, x.dtype)
