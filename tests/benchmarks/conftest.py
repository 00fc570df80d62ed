"""Setup: the benchmarks are a package in the root of the repository; helpers of these tests are in this folder."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]
