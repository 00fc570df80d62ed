"""Constrained parameters: what is trained is unbounded, what the neuron uses is not.

raw is ``[1]`` (one a layer) or ``[C]`` (one a channel), natural is always ``[C]``.
"""

import numpy as np
from scipy.special import expit


def positive_forward(raw, natural):
    """P2: natural = exp(raw), for widths and thresholds."""
    natural[...] = np.exp(raw)


def positive_backward(dnatural, natural, draw):
    """P2: draw = dnatural natural, summed over channels where raw is one a layer."""
    share = dnatural * natural
    draw[...] = share.sum() if draw.size == 1 else share


def unit_forward(raw, natural):
    """N14: natural = 1 / (1 + exp(-raw)), for leaks between 0 and 1."""
    natural[...] = expit(raw)


def unit_backward(dnatural, natural, draw):
    """N14: draw = dnatural natural (1 - natural), summed over channels where raw is one a layer."""
    share = dnatural * natural * (1 - natural)
    draw[...] = share.sum() if draw.size == 1 else share
