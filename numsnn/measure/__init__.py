"""What numsnn is measured by: `numsnn bench` runs it alone (`command`), `benchmarks/compare.py` beside its peers.

Nothing is imported here: the peers' processes use `measure` and have no Numba.
"""
