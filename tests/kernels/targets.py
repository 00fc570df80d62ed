"""The devices as parameters of tests. The CUDA kernels take NumPy arrays (`twins.twin`) and run on a GPU or in Numba's
simulator. A thread of the simulator takes up to a millisecond, so its cases are small.
"""

from importlib.util import find_spec

import pytest

from numsnn.kernels import for_device

cpu, reference = for_device("cpu"), for_device("reference")

if find_spec("numba_cuda") is None:
    TWIN, SIMULATED = pytest.param(None, marks=pytest.mark.skip(reason="numba-cuda is not installed"), id="cuda"), False
else:
    from twins import twin

    from numsnn.kernels.cuda.run.api import SIMULATED

    TWIN = pytest.param(twin, id="cuda")

COMPILED = pytest.mark.parametrize("k", [pytest.param(cpu, id="cpu"), TWIN])
"""Marks a test that compares compiled kernels with the reference."""

ALL = pytest.mark.parametrize("k", [pytest.param(reference, id="reference"), pytest.param(cpu, id="cpu"), TWIN])
"""Marks a test that holds for every device."""

REFERENCE = pytest.mark.parametrize("k", [pytest.param(reference, id="reference")])
"""Marks a test of the reference whose other devices `test_registry` compares with it."""


def fewer(k, count: int, least: int = 1) -> int:
    """Return count, or a fiftieth of count (but not below least) in the simulator."""
    return max(least, count // 50) if SIMULATED and k.name == "cuda" else count
