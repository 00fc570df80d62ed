"""The targets as parameters of tests, the CUDA kernels among them, called with NumPy arrays (`twins.twin`): on a
device, or in Numba's simulator, where a thread takes up to a millisecond, so that their cases are small.
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
"""A test of kernels against the reference."""

ALL = pytest.mark.parametrize("k", [pytest.param(reference, id="reference"), pytest.param(cpu, id="cpu"), TWIN])
"""A test of what every target does."""


def fewer(k, count: int, least: int = 1) -> int:
    """So many, or a fiftieth of it in the simulator."""
    return max(least, count // 50) if SIMULATED and k.name == "cuda" else count
