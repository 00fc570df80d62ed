"""The kernels: functions over arrays that do all numerical work. There is one set of them per device.

All devices have functions of the same names and arguments. `reference` is plain NumPy and documents them. `cpu` is
compiled with Numba and uses several threads. `cuda` is compiled with Numba for a GPU, and is imported only when it is
used.
"""

import numpy as np

from .contract import DEVICES, Device, for_device

__all__ = ["DEVICES", "Device", "for_device", "zeros_like"]


def zeros_like(x):
    """An array of zeros with the shape and dtype of x, on the same device as x."""
    return np.zeros_like(x) if isinstance(x, np.ndarray) else for_device("cuda").zeros(x.shape, x.dtype)
