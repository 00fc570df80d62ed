"""Constrained parameters: what is trained is unbounded, what the neuron uses may have bounds.

raw is ``[1]`` (one per layer) or ``[C]`` (one per channel), natural is always ``[C]``.
"""

import numpy as np
from scipy.special import expit


def positive_forward(raw, natural):
    """P2: natural = exp(raw), for widths and thresholds."""
    natural[...] = np.exp(raw)


def positive_backward(dnatural, natural, draw):
    """P2: draw = dnatural natural, summed over channels where raw is one per layer."""
    share = dnatural * natural
    draw[...] = share.sum() if draw.size == 1 else share


def unit_forward(raw, natural):
    """N14: natural = 1 / (1 + exp(-raw)), for leaks between 0 and 1."""
    natural[...] = expit(raw)


def unit_backward(dnatural, natural, draw):
    """N14: draw = dnatural natural (1 - natural), summed over channels where raw is one per layer."""
    share = dnatural * natural * (1 - natural)
    draw[...] = share.sum() if draw.size == 1 else share


def free_forward(raw, natural):
    """natural = raw, for values without bounds."""
    natural[...] = raw


def free_backward(dnatural, natural, draw):
    """draw = dnatural, summed over channels where raw is one per layer."""
    draw[...] = dnatural.sum() if draw.size == 1 else dnatural
