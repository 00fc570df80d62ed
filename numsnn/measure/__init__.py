"""What numsnn is measured with: `numsnn bench` measures it alone (`command`), benchmarks/ beside other libraries.

Nothing is imported here, because processes without Numba use `host`.
"""
