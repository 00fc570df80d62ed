"""The seven surrogate families in NumPy (docs/method.md, S1), for arrays of any float dtype.

Each family has a density phi and a distribution function Phi at width 1.
"""

import numpy as np
from scipy.special import erf, expit


def _unit(z):
    return z.dtype.type(1)


def _triangle_cdf(z):
    tail = np.maximum(1 - np.abs(z), 0) ** 2 / 2
    return np.where(z < 0, tail, 1 - tail)


def _laplace_cdf(z):
    tail = np.exp(-np.abs(z)) / 2
    return np.where(z < 0, tail, 1 - tail)


def _fast_sigmoid_cdf(z):
    tail = _unit(z) / (2 * (1 + np.abs(z)))
    return np.where(z < 0, tail, 1 - tail)


DENSITY = {
    "rectangle": lambda z: np.where(np.abs(z) > 0.5, 0, _unit(z)),  # S2
    "triangle": lambda z: np.maximum(1 - np.abs(z), 0),  # S3
    "logistic": lambda z: expit(z) * expit(-z),  # S4
    "arctan": lambda z: _unit(z) / (z.dtype.type(np.pi) * (1 + z * z)),  # S5
    "gaussian": lambda z: np.exp(-z * z / 2) / z.dtype.type(np.sqrt(2 * np.pi)),  # S6
    "laplace": lambda z: np.exp(-np.abs(z)) / 2,  # S7
    "fast_sigmoid": lambda z: _unit(z) / (2 * (1 + np.abs(z)) ** 2),  # S8
}
"""Family name -> phi(z)."""

CDF = {
    "rectangle": lambda z: np.clip(z + z.dtype.type(0.5), 0, 1),  # S2
    "triangle": _triangle_cdf,  # S3
    "logistic": expit,  # S4
    "arctan": lambda z: np.arctan(z) / z.dtype.type(np.pi) + z.dtype.type(0.5),  # S5
    "gaussian": lambda z: (1 + erf(z / z.dtype.type(np.sqrt(2)))) / 2,  # S6
    "laplace": _laplace_cdf,  # S7
    "fast_sigmoid": _fast_sigmoid_cdf,  # S8
}
"""Family name -> Phi(z)."""
