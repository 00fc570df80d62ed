"""Constrained parameters. The optimiser trains an unbounded raw value; the neuron uses a natural value within bounds.

raw is ``[1]`` (one value per layer) or ``[C]`` (one per channel). natural is always ``[C]``. dnatural and draw are the
gradients of natural and raw.
"""

import numpy as np
from scipy.special import expit


def positive_forward(raw, natural):
    """P2: natural = exp(raw), for widths and thresholds."""
    natural[...] = np.exp(raw)


def positive_backward(dnatural, natural, draw):
    """P2: draw = dnatural natural, summed over channels if raw is one value per layer."""
    share = dnatural * natural
    draw[...] = share.sum() if draw.size == 1 else share


def unit_forward(raw, natural):
    """N14: natural = 1 / (1 + exp(-raw)), for leaks between 0 and 1."""
    natural[...] = expit(raw)


def unit_backward(dnatural, natural, draw):
    """N14: draw = dnatural natural (1 - natural), summed over channels if raw is one value per layer."""
    share = dnatural * natural * (1 - natural)
    draw[...] = share.sum() if draw.size == 1 else share


def free_forward(raw, natural):
    """N15: natural = raw, the same for every channel if raw is one value per layer."""
    natural[...] = raw


def free_backward(dnatural, natural, draw):
    """N15: draw = dnatural, summed over channels if raw is one value per layer."""
    draw[...] = dnatural.sum() if draw.size == 1 else dnatural
