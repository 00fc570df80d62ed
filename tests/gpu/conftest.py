"""Tests at real sizes, which need a CUDA device: ``pytest -m gpu``. They skip elsewhere.

NVIDIA's compute-sanitizer finds memory errors and races; it makes the tests many times slower:

    compute-sanitizer --tool memcheck python -m pytest -m gpu tests/gpu/test_kernels.py -x
    compute-sanitizer --tool racecheck python -m pytest -m gpu tests/gpu/test_kernels.py -x
    compute-sanitizer --tool initcheck python -m pytest -m gpu tests/gpu/test_kernels.py -x
"""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "kernels")]
pytest.register_assert_rewrite("close")
