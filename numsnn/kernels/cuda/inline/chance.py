"""Random numbers of the method, a function of seed and index, in kernels."""

import numpy as np

from ... import equations as eq
from ..run.api import SIMULATED

if SIMULATED:

    def uniform_bits(seed, index):
        """`equations.uniform_bits`; NumPy's whole numbers warn of the overflow that is meant."""
        with np.errstate(over="ignore"):
            return eq.uniform_bits(seed, index)

else:
    uniform_bits = eq.uniform_bits
