"""Losses on the readout z ``[T, N, K]``: T steps, N samples, K classes. Each function computes loss and gradient.

labels is ``[N]`` int64. The outputs are loss ``[N]``, one loss per sample, whose mean is the loss of the batch, and
dz ``[T, N, K]``, the gradient of this mean.
"""

import numpy as np

from ..own import elementwise, in_precision


def _cross_entropy(logits, labels, smoothing):
    """L1: the cross-entropy ``[N]`` against labels smoothed to (1 - a) onehot + a / K, and its gradient ``[N, K]``.

    a is `smoothing`, and logits is ``[N, K]``.
    """
    n, k = logits.shape
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    target = np.full_like(logits, smoothing / k)
    target[np.arange(n), labels] += logits.dtype.type(1 - smoothing)
    return -(target * log_p).sum(1), np.exp(log_p) - target


def rate_cross_entropy(z, labels, smoothing, loss, dz):
    """L2: the cross-entropy of the readout's mean over time."""
    loss[...], dlogits = _cross_entropy(z.astype(dz.dtype).mean(0), labels, smoothing)
    dz[...] = dlogits / (z.shape[0] * z.shape[1])


def temporal_cross_entropy(z, labels, temporal, loss, dz):
    """L3: (1 - regulariser) mean_t CE(z[t]) + regulariser mean_{t,k} (z - target)^2.

    This is temporal efficient training (TET, Deng et al. 2022, arXiv:2202.11946). The loss mixes the cross-entropy of
    every step, averaged over time, with the squared distance of the readout from a fixed value. temporal is a
    `types.Temporal`.
    """
    smoothing, regulariser, target = temporal
    steps, n, k = z.shape
    real = dz.dtype.type
    keep, pull = real(1 - regulariser), real(regulariser)
    loss[...] = 0
    for t in range(steps):
        value, dlogits = _cross_entropy(z[t].astype(dz.dtype), labels, smoothing)
        distance = z[t].astype(dz.dtype) - real(target)
        loss += (keep * value + pull * (distance**2).mean(1)) / steps
        dz[t] = (keep * dlogits + pull * 2 * distance / k) / (steps * n)


def spike_count_mse(z, labels, rates, loss, dz):
    """L4: mean_k (sum_t z / T - rate_k)^2, the squared distance of the firing rates from wanted rates.

    rate_k is rates.correct for the labelled class, and rates.incorrect for the others. rates is a `types.Rates`.
    """
    steps, n, k = z.shape
    wanted = np.full((n, k), rates.incorrect, dz.dtype)
    wanted[np.arange(n), labels] = rates.correct
    distance = z.astype(dz.dtype).mean(0) - wanted
    loss[...] = (distance**2).mean(1)
    dz[...] = 2 * distance / (k * n * steps)


def max_membrane_cross_entropy(z, labels, smoothing, loss, dz):
    """L5: the cross-entropy of the readout's maximum over time.

    The gradient goes to the step of the maximum, or to the first one of several equal maxima.
    """
    winner = z.argmax(0)[None]
    top = np.take_along_axis(z, winner, 0)[0].astype(dz.dtype)
    loss[...], dlogits = _cross_entropy(top, labels, smoothing)
    dz[...] = 0
    np.put_along_axis(dz, winner, dlogits[None] / z.shape[1], 0)


def membrane_mse(z, target, loss, dz):
    """L6: the squared distance of the readout from wanted values, as a mean over steps and classes.

    target, the wanted values, is ``[T, N, K]``, or ``[1, N, K]`` if they are the same at every step.
    """
    steps, n, k = z.shape
    distance = z.astype(dz.dtype) - target
    loss[...] = (distance**2).mean((0, 2))
    dz[...] = 2 * distance / (steps * n * k)


def pointwise(z, target, functions, over_mean, loss, dz):
    """L8: a loss that a user defines, the mean of value(z, y) over classes, for outputs z and wanted values y.

    Args:
        target: wanted values, ``[T, N, K]``, or ``[1, N, K]`` if they are the same at every step.
        functions: value(z, y) and slope(z, y), its derivative by z. They are functions of two numbers, as
            `own.in_precision` accepts them.
        over_mean: whether z is the readout's mean over time. Otherwise the loss is the mean over all steps.
    """
    steps, n, k = z.shape
    value, slope = (elementwise(in_precision(function, dz.dtype.type), 2) for function in functions)
    z = z.astype(dz.dtype)
    z = z.mean(0, keepdims=True) if over_mean else z
    target = np.broadcast_to(target, z.shape)
    loss[...] = value(z, target).mean((0, 2))
    dz[...] = slope(z, target) / (steps * n * k)


def first_spike_cross_entropy(z, labels, timing, loss, dz):
    """L7: the cross-entropy of the logits -t1 / temperature, where t1 is the expected time of the first spike.

    z[t] in [0, 1] is the probability that a class fires at step t = 0..T-1 if it has not fired before. A class that
    never fires has the time T. timing is a `types.Timing`.

        t1       = sum_t t z[t] prod_{t'<t} (1 - z[t'])  +  T prod_t (1 - z[t])  =  sum_t prod_{t'<=t} (1 - z[t'])
        dt1/dz[t] = - before[t] wait[t]
        before[t] = prod_{t'<t} (1 - z[t']),   wait[t] = 1 + (1 - z[t+1]) wait[t+1],   wait[T-1] = 1

    For spikes, t1 is the time of the first spike, and -dt1/dz[t] says how much earlier t1 would be with a spike at t.
    """
    smoothing, temperature = timing
    quiet = 1 - z.astype(dz.dtype)
    survival = quiet.cumprod(0)
    logits = -survival.sum(0) / dz.dtype.type(temperature)
    loss[...], dlogits = _cross_entropy(logits, labels, smoothing)
    wait = np.ones_like(quiet)
    for t in range(len(quiet) - 2, -1, -1):
        wait[t] += quiet[t + 1] * wait[t + 1]
    before = np.concatenate([np.ones_like(quiet[:1]), survival[:-1]])
    dz[...] = dlogits / dz.dtype.type(temperature * z.shape[1]) * before * wait
