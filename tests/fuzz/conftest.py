"""Setup for the tests in this folder: they can import its helpers, and those of tests/data, by name."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "data"), str(HERE.parent)]
