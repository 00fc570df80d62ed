"""Losses on the readout z ``[T, N, K]``, value a sample and gradient in one pass.

labels is int64 ``[N]``; loss is out ``[N]``, its mean over samples is the batch's loss; dz is out, the gradient of
that mean.
"""

import numpy as np


def _cross_entropy(logits, labels, smoothing):
    """Cross-entropy ``[N]`` and its gradient ``[N, K]`` against labels smoothed to (1 - a) onehot + a / K."""
    n, k = logits.shape
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    target = np.full_like(logits, smoothing / k)
    target[np.arange(n), labels] += logits.dtype.type(1 - smoothing)
    return -(target * log_p).sum(1), np.exp(log_p) - target


def rate_cross_entropy(z, labels, smoothing, loss, dz):
    """Cross-entropy of the readout's mean over time."""
    loss[...], dlogits = _cross_entropy(z.astype(dz.dtype).mean(0), labels, smoothing)
    dz[...] = dlogits / (z.shape[0] * z.shape[1])


def temporal_cross_entropy(z, labels, smoothing, regulariser, target, loss, dz):
    """Temporal efficient training (TET, Deng et al. 2022, arXiv:2202.11946): the mean over time of the cross-entropy
    of every step, mixed with the squared distance of the readout from target:
    (1 - regulariser) mean_t CE(z[t]) + regulariser mean_{t,k} (z - target)^2."""
    steps, n, k = z.shape
    real = dz.dtype.type
    keep, pull = real(1 - regulariser), real(regulariser)
    loss[...] = 0
    for t in range(steps):
        value, dlogits = _cross_entropy(z[t].astype(dz.dtype), labels, smoothing)
        distance = z[t].astype(dz.dtype) - real(target)
        loss += (keep * value + pull * (distance**2).mean(1)) / steps
        dz[t] = (keep * dlogits + pull * 2 * distance / k) / (steps * n)


def spike_count_mse(z, labels, correct_rate, incorrect_rate, loss, dz):
    """Squared distance of the firing rate of every class from the wanted one, mean over classes:
    mean_k (sum_t z / T - rate_k)^2 with rate_k = correct_rate for the label, incorrect_rate for the others."""
    steps, n, k = z.shape
    wanted = np.full((n, k), incorrect_rate, dz.dtype)
    wanted[np.arange(n), labels] = correct_rate
    distance = z.astype(dz.dtype).mean(0) - wanted
    loss[...] = (distance**2).mean(1)
    dz[...] = 2 * distance / (k * n * steps)
