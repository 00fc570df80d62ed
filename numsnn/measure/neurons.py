"""The memory traffic of the neuron kernel alone, compared with a plain copy on the same device.

The bytes that count are those that a pass has to move at least, per element and step. If a kernel moves more, its rate
is lower. A copy moves 8.

    LIF                        forward     reads the current (4), writes the spike (1)
                               backward    reads the gradient (4), current (4) and spike (1), writes a gradient (4)
    normalisation and LIF      forward     reads the input twice (8), writes the spike (1)
                               backward    as LIF (13); reads gradient and input again (8), writes a gradient (4)

Potentials are not stored: the backward pass computes them again.
"""

import numpy as np

from ..kernels import for_device
from ..kernels.compile import kernel
from ..kernels.cpu.run.launch import TILE_ELEMENTS, count_tiles, launch
from ..layers import INFERENCE, LIF, TRAINING, BatchNorm, Sequential
from . import host

BYTES = {
    "LIF forward": 5,
    "LIF inference": 5,
    "LIF backward": 13,
    "norm + LIF forward": 9,
    "norm + LIF backward": 25,
    "copy": 8,
}

SHAPES = {"cpu": (10, 16, 32, 32, 128), "cuda": (10, 64, 32, 32, 128)}
"""Device -> shape of the input that is measured there, far larger than the device's caches."""

TINY = 2, 2, 4, 4, 8


@kernel
def _copy_tiles(x, y, size, lo, hi):
    source, target = x[lo * size : hi * size], y[lo * size : hi * size]
    for k in range(len(source)):
        target[k] = source[k]


def copy(x: np.ndarray, y: np.ndarray) -> None:
    """y = x for arrays ``[F]``, spread over all threads like any other kernel."""
    launch(_copy_tiles, count_tiles(x.size, TILE_ELEMENTS), x, y, TILE_ELEMENTS)


def steps(quick: bool = False, device: str = "cpu") -> dict:
    """Return what is measured: name -> function without arguments. A backward pass needs its forward pass before it.

    Args:
        quick: use a few elements instead of 21 million and more. Default False.
        device: "cpu" (default) or "cuda".
    """
    shape, kernels = TINY if quick else SHAPES[device], for_device(device)
    rng = np.random.default_rng(0)
    x, dy = (kernels.from_host(rng.standard_normal(shape, np.float32), np.float32) for _ in range(2))
    options = {"decay_input": True, "detach_reset": True, "surrogate": "triangle"}
    alone = Sequential(LIF(**options)).build(shape).to(device)
    normed = Sequential(BatchNorm(shape[-1]), LIF(**options)).build(shape).to(device)
    flat, target = x.reshape(-1), kernels.zeros((x.size,), np.float32)
    same = copy if device == "cpu" else kernels.copy
    return {
        "copy": lambda: same(flat, target),
        "LIF inference": lambda: alone.forward(x, INFERENCE),
        "LIF forward": lambda: alone.forward(x, TRAINING),
        "LIF backward": lambda: alone.backward(dy),
        "norm + LIF forward": lambda: normed.forward(x, TRAINING),
        "norm + LIF backward": lambda: normed.backward(dy),
    }


def bandwidths(quick: bool = False, turns: int = 15, device: str = "cpu", seconds=host.seconds) -> dict[str, dict]:
    """Time and rate of everything, in turns: name -> median seconds, bytes per element, GB/s, share of the copy's rate.

    Args:
        quick, device: as for `steps`.
        turns: number of runs that count, of each. Default 15.
        seconds: function that times calls, as `host.seconds` (default).
    """
    functions = steps(quick, device)
    elements = np.prod(TINY if quick else SHAPES[device])
    times = {name: [] for name in functions}
    for turn in range(turns + 2):
        for name, function in functions.items():
            found = seconds(function, 1)
            if turn > 1:  # the first two turns compile, and touch memory for the first time
                times[name] += found
    found = {}
    for name, values in times.items():
        summary = host.summary(values)
        rate = float(BYTES[name] * elements / summary["median"] / 1e9)
        found[name] = summary | {"bytes": BYTES[name], "gigabytes_per_second": rate}
    for values in found.values():
        values["share_of_copy"] = values["gigabytes_per_second"] / found["copy"]["gigabytes_per_second"]
    return found
