"""Every kernel of the CUDA device at real sizes, compared with the CPU's."""

import numpy as np
import pytest
from close import ROUNDING, close
from registry import filled

from numsnn.kernels import for_device
from numsnn.kernels.types import Geometry, Way

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from twins import cuda, twin

cpu = for_device("cpu")

pytestmark = pytest.mark.gpu

REGISTRY = filled()
NAMES = sorted(name for name, entry in REGISTRY.items() if entry.large and not entry.differs)


def results(k, name):
    """The results of all large samples; where a gradient is not visible, 0 in place of any number."""
    found = []
    for case in REGISTRY[name].large:
        arguments = REGISTRY[name].sample(case, np.float32)
        visible = arguments.get("visible") if name.endswith("backward_input") else None
        arrays = REGISTRY[name].results(k, arguments).values()
        found += [array if visible is None else array * visible for array in arrays]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_is_the_cpu_s(name):
    close(results(twin, name), results(cpu, name), ROUNDING)


@pytest.mark.parametrize("name", NAMES)
def test_repeats_to_the_bit(name):
    once, again = results(twin, name), results(twin, name)
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_large_arrays(dtype):
    """More elements than threads that may be launched at once, and than 32 bits count bytes of."""
    count = (1 << 30) + 12345
    x = cuda.empty((count,), dtype)
    cuda.fill(x, 3)
    y = cuda.zeros((count,), dtype)
    cuda.copy(x, y)
    for part in (y[:1000], y[-1000:]):
        assert (cuda.to_host(part) == 3).all()


GEOMETRIES = {
    "first layer": ((128, 32, 32, 3), (3, 3, 3, 64), (1, 1), (1, 1)),
    "middle": ((64, 16, 16, 256), (3, 3, 256, 256), (1, 1), (1, 1)),
    "strided": ((64, 32, 32, 128), (3, 3, 128, 256), (2, 2), (1, 1)),
    "shortcut": ((64, 32, 32, 128), (1, 1, 128, 256), (2, 2), (0, 0)),
    "5x5, odd": ((33, 17, 19, 30), (5, 5, 30, 45), (1, 2), (2, 1)),
    "dilated": ((64, 24, 20, 64), (3, 3, 64, 96), (1, 1), (2, 3), 1, (2, 3)),
    "dilated and strided": ((33, 17, 19, 30), (3, 2, 30, 45), (2, 3), (1, 2), 1, (4, 3)),
    "dilated depthwise": ((64, 24, 20, 96), (3, 3, 1, 96), (1, 1), (2, 2), 96, (2, 2)),
}


@pytest.mark.parametrize("route", ["auto", "dense"])
@pytest.mark.parametrize("inputs", [np.uint8, np.float32])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_convolutions(name, inputs, route):
    """Convolutions of the sizes of real networks, by the library if it is installed and by numsnn's own tiles."""
    shape, weights, *moved = GEOMETRIES[name]
    geometry = Geometry(*moved)
    rng = np.random.default_rng(1)
    x = (rng.random(shape) < 0.1).astype(inputs) if inputs == np.uint8 else rng.standard_normal(shape, np.float32)
    w, b = rng.standard_normal(weights, np.float32), rng.standard_normal(weights[3], np.float32)
    steps = zip(shape[1:3], weights[:2], geometry.stride, geometry.padding, geometry.dilation, strict=True)
    sizes = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in steps]
    dy = rng.standard_normal((shape[0], *sizes, weights[3]), np.float32)
    found = []
    for k, asked in ((twin, route), (cpu, "dense")):
        y, dw, dx = np.empty_like(dy), np.empty_like(w), np.empty(shape, np.float32)
        k.conv2d_forward(x, w, b, geometry, y, None, Way(asked))
        k.conv2d_backward_weight(x, dy, geometry, dw, None, Way(asked))
        k.conv2d_backward_input(dy, w, geometry, dx, Way(asked))
        found.append([y, dw, dx])
    close(*found, 4 * ROUNDING)  # the gradient of weights sums up to 131,072 terms
