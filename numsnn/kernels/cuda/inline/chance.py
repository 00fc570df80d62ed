"""The random numbers of the method, as a function of seed and index, for kernels."""

import numpy as np

from ... import equations as eq
from ..run.api import SIMULATED

if SIMULATED:

    def uniform_bits(seed, index):
        """C1: `equations.uniform_bits` without NumPy's warning about the intended overflow."""
        with np.errstate(over="ignore"):
            return eq.uniform_bits(seed, index)

else:
    uniform_bits = eq.uniform_bits
