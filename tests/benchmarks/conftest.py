"""Setup: the benchmarks are a package in the root of the repository; helpers of these tests are in this folder."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]


@pytest.fixture
def known_kernels(tmp_path, monkeypatch):
    """Scripts that keep machine code of these sources in the temporary folder find that of the tests there."""
    from benchmarks.method.same_bits import SOURCES

    there, folder = Path(os.environ["NUMBA_CACHE_DIR"]), tmp_path / "temporary" / "numsnn-kernels"
    there.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True)
    (folder / SOURCES[:16]).symlink_to(there)
    monkeypatch.setenv("TMPDIR", str(folder.parent))
