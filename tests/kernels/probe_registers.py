"""Script that test_blocks.py runs for a given processor. It checks that all routes of convolutions agree with the
reference, and prints the size in bytes and the number of the vector registers that the code uses."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import numpy as np
import quick_compile
from targets import cpu, reference

from numsnn.kernels.cpu.inline import vector
from numsnn.kernels.cpu.ways import lines
from numsnn.kernels.types import Geometry, Way

quick_compile.settle()
rng = np.random.default_rng(0)
geometry = Geometry((1, 1), (1, 1))
x = (rng.random((3, 9, 10, 20)) < 0.2).astype(np.uint8)
w = rng.normal(size=(3, 3, 20, 37)).astype(np.float32)
b, dy = rng.normal(size=37).astype(np.float32), rng.normal(size=(3, 9, 10, 37)).astype(np.float32)
for route in ("events", "winograd", "dense"):
    results = []
    for k in (cpu, reference):
        y, dw, dx = np.empty_like(dy), np.empty_like(w), np.empty(x.shape, np.float32)
        taken = k.conv2d_forward(x, w, b, geometry, y, None, Way(route))
        assert k is reference or taken == route
        k.conv2d_backward_weight(x, dy, geometry, dw, None, Way(route))
        k.conv2d_backward_input(dy, w, geometry, dx, Way(route))
        results.append((y, dw, dx))
    for got, want in zip(*results, strict=True):
        assert np.abs(got - want).max() < 1e-4 * np.abs(want).max(), route
active = cpu.active_inputs(x, w.dtype)
active.list(x)
y, dw = np.empty_like(dy), np.empty_like(w)
lines.forward(active, w, b, *geometry[:2], geometry.dilation, y)
lines.backward_weight(active, dy, *geometry[:2], geometry.dilation, dw)
for got, want in zip((y, dw), results[1], strict=False):
    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max(), "lines"
print(vector.REGISTER_BYTES, vector.REGISTERS)
