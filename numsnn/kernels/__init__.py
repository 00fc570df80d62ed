"""The numbers: plain functions over arrays, one set a target, all with the same names and arguments.

`reference` is plain NumPy, the text to read; `cpu` is compiled with Numba and multi-threaded.
"""

from importlib import import_module
from types import ModuleType

DEVICES = ("reference", "cpu")

ROUTES = ("auto", "events", "winograd", "dense", "float32", "tf32", "bfloat16", "float16")
"""Ways to compute a convolution or matrix product that can be asked for. "events" and "winograd" are the CPU's (see
`cpu.route`), the last four the CUDA target's, by NVIDIA's library (see `cuda.route`); to another target they mean
"auto"."""


def for_device(device: str) -> ModuleType:
    """The kernels of one target, imported when they are first asked for.

    Args:
        device: "reference" or "cpu".

    Raises:
        ValueError: for any other name.
    """
    if device == "cuda":
        raise ValueError("device 'cuda': this version of numsnn has no CUDA kernels yet; use device='cpu'")
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(map(repr, DEVICES))}; got {device!r}")
    return import_module(f".{device}", __name__)
