"""Setup for the tests in this folder: they can import its helpers by name and request very small tiles."""

import sys
from pathlib import Path

import pytest
import small_tiles as tiles

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def small_tiles(monkeypatch):
    """Set tiles of a few elements, so that small arrays have dozens of tiles and an incomplete last one."""
    tiles.on_cpu(monkeypatch)
    if "numsnn.kernels.cuda.run.api" in sys.modules:
        tiles.on_cuda(monkeypatch)
