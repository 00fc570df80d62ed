"""Losses on the readout z ``[T, N, K]``: T steps, N samples, K classes. Each function computes loss and gradient.

labels is ``[N]`` int64. shares is a `types.Shares` (L9): the share of every step in means over time, and the factor of
every sample. The outputs are loss ``[N]``, one loss per sample, whose mean is the loss of the batch, and dz ``[T, N,
K]``, the gradient of this mean.
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


def _mean(z, shares, dtype):
    """L9: the mean over time ``[N, K]``, in which every step counts by its share."""
    return (shares.steps[:, :, None] * z.astype(dtype)).sum(0)


def _factors(shares):
    """L9: the factor of every step in the gradient of the batch's mean, ``[T, N, 1]``."""
    return (shares.steps * shares.samples / len(shares.samples))[:, :, None]


def rate_cross_entropy(z, labels, smoothing, shares, loss, dz):
    """L2: the cross-entropy of the readout's mean over time."""
    value, dlogits = _cross_entropy(_mean(z, shares, dz.dtype), labels, smoothing)
    loss[...] = shares.samples * value
    dz[...] = _factors(shares) * dlogits


def temporal_cross_entropy(z, labels, temporal, shares, loss, dz):
    """L3: (1 - regulariser) mean_t CE(z[t]) + regulariser mean_{t,k} (z - target)^2.

    This is temporal efficient training (TET, Deng et al. 2022, arXiv:2202.11946). The loss mixes the cross-entropy of
    every step, averaged over time, with the squared distance of the readout from a fixed value. temporal is a
    `types.Temporal`. labels is ``[T, N]``, or ``[1, N]`` if they are the same at every step. The label of a step with
    the share 0 is not used.
    """
    smoothing, regulariser, target = temporal
    k = z.shape[2]
    real = dz.dtype.type
    keep, pull = real(1 - regulariser), real(regulariser)
    labels = np.where(shares.steps > 0, labels, 0)
    loss[...] = 0
    for t in range(len(z)):
        value, dlogits = _cross_entropy(z[t].astype(dz.dtype), labels[t], smoothing)
        distance = z[t].astype(dz.dtype) - real(target)
        loss += shares.steps[t] * shares.samples * (keep * value + pull * (distance**2).mean(1))
        dz[t] = keep * dlogits + pull * 2 * distance / k
    dz *= _factors(shares)


def spike_count_mse(z, labels, rates, shares, loss, dz):
    """L4: mean_k (mean_t z - rate_k)^2, the squared distance of the firing rates from wanted rates.

    rate_k is rates.correct for the labelled class, and rates.incorrect for the others. rates is a `types.Rates`.
    """
    _, n, k = z.shape
    wanted = np.full((n, k), rates.incorrect, dz.dtype)
    wanted[np.arange(n), labels] = rates.correct
    distance = _mean(z, shares, dz.dtype) - wanted
    loss[...] = shares.samples * (distance**2).mean(1)
    dz[...] = _factors(shares) * (2 * distance / k)


def max_membrane_cross_entropy(z, labels, smoothing, shares, loss, dz):
    """L5: the cross-entropy of the readout's maximum over the steps whose share is not 0.

    The gradient goes to the step of the maximum, or to the first one of several equal maxima.
    """
    counted = np.where(shares.steps[:, :, None] > 0, z.astype(dz.dtype), -np.inf)
    winner = counted.argmax(0)[None]
    value, dlogits = _cross_entropy(np.take_along_axis(counted, winner, 0)[0], labels, smoothing)
    loss[...] = shares.samples * value
    dz[...] = 0
    np.put_along_axis(dz, winner, (shares.samples[:, None] * dlogits / z.shape[1])[None], 0)


def membrane_mse(z, target, shares, loss, dz):
    """L6: the squared distance of the readout from wanted values, as a mean over steps and classes.

    target, the wanted values, is ``[T, N, K]``, or ``[1, N, K]`` if they are the same at every step.
    """
    distance = z.astype(dz.dtype) - target
    loss[...] = shares.samples * (shares.steps * (distance**2).mean(2)).sum(0)
    dz[...] = _factors(shares) * (2 * distance / z.shape[2])


def pointwise(z, target, functions, over_mean, shares, loss, dz):
    """L8: a loss that a user defines, the mean of value(z, y) over classes, for outputs z and wanted values y.

    Args:
        target: wanted values, ``[T, N, K]``, or ``[1, N, K]`` if they are the same at every step.
        functions: value(z, y) and slope(z, y), its derivative by z. They are functions of two numbers, as
            `own.in_precision` accepts them.
        over_mean: whether z is the readout's mean over time. Otherwise the loss is the mean over all steps.
        shares, loss, dz: as in the other losses.
    """
    value, slope = (elementwise(in_precision(function, dz.dtype.type), 2) for function in functions)
    if over_mean:
        mean = _mean(z, shares, dz.dtype)
        values, slopes = value(mean, target[0]).mean(1), slope(mean, target[0])
    else:
        target = np.broadcast_to(target, z.shape)
        z = np.where(shares.steps[:, :, None] > 0, z.astype(dz.dtype), target)  # functions may overflow in padding
        values, slopes = (shares.steps * value(z, target).mean(2)).sum(0), slope(z, target)
    loss[...] = shares.samples * values
    dz[...] = _factors(shares) * (slopes / z.shape[2])


def first_spike_cross_entropy(z, labels, timing, shares, loss, dz):
    """L7: the cross-entropy of the logits -t1 / temperature, where t1 is the expected time of the first spike.

    z[t] in [0, 1] is the probability that a class fires at step t = 0..T-1 if it has not fired before. A class that
    never fires has the time T. Steps whose share is 0 do not count: T is the number of the others. timing is a
    `types.Timing`.

        t1       = sum_t t z[t] prod_{t'<t} (1 - z[t'])  +  T prod_t (1 - z[t])  =  sum_t prod_{t'<=t} (1 - z[t'])
        dt1/dz[t] = - before[t] wait[t]
        before[t] = prod_{t'<t} (1 - z[t']),   wait[t] = 1 + (1 - z[t+1]) wait[t+1],   wait[T-1] = 1

    For spikes, t1 is the time of the first spike, and -dt1/dz[t] says how much earlier t1 would be with a spike at t.
    """
    smoothing, temperature = timing
    counted = (shares.steps[:, :, None] > 0).astype(dz.dtype)
    quiet = 1 - counted * z.astype(dz.dtype)
    survival = quiet.cumprod(0)
    logits = -(counted * survival).sum(0) / dz.dtype.type(temperature)
    value, dlogits = _cross_entropy(logits, labels, smoothing)
    loss[...] = shares.samples * value
    wait = np.broadcast_to(counted, quiet.shape).copy()
    for t in range(len(quiet) - 2, -1, -1):
        wait[t] += quiet[t + 1] * wait[t + 1]
    before = np.concatenate([np.ones_like(quiet[:1]), survival[:-1]])
    scale = shares.samples[:, None] / dz.dtype.type(temperature * z.shape[1])
    dz[...] = scale * dlogits * counted * before * wait
