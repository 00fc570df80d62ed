"""Measurements: `numsnn bench` (`command`) measures numsnn alone, benchmarks/ compares it with other libraries.

Nothing is imported here, because `host` is also used by processes without Numba.
"""
