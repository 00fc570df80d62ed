"""What numsnn is measured by: `numsnn bench` runs it alone, `benchmarks/compare.py` beside its peers."""

from .command import run

__all__ = ["run"]
