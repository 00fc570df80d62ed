"""What numsnn is measured with, by subject: `speed`, `accuracy`, `method` (what PSG and PDA do) and `data`.

Every script is run from the repository's root as a module: ``python -m benchmarks.speed.compare``. README.md names all
of them, RESULTS.md shows what they found, and results/ holds what they wrote.
"""
