"""Losses on the readout z ``[T, N, K]``, value a sample and gradient in one pass.

labels is int64 ``[N]``; loss is out ``[N]``, its mean over samples is the batch's loss; dz is out, the gradient of
that mean.
"""

import numpy as np

from ..own import elementwise, in_precision


def _cross_entropy(logits, labels, smoothing):
    """L1: cross-entropy ``[N]`` and its gradient ``[N, K]`` against labels smoothed to (1 - a) onehot + a / K."""
    n, k = logits.shape
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    target = np.full_like(logits, smoothing / k)
    target[np.arange(n), labels] += logits.dtype.type(1 - smoothing)
    return -(target * log_p).sum(1), np.exp(log_p) - target


def rate_cross_entropy(z, labels, smoothing, loss, dz):
    """L2: cross-entropy of the readout's mean over time."""
    loss[...], dlogits = _cross_entropy(z.astype(dz.dtype).mean(0), labels, smoothing)
    dz[...] = dlogits / (z.shape[0] * z.shape[1])


def temporal_cross_entropy(z, labels, temporal, loss, dz):
    """L3: temporal efficient training (TET, Deng et al. 2022, arXiv:2202.11946): the mean over time of the
    cross-entropy of every step, mixed with the squared distance of the readout from target:
    (1 - regulariser) mean_t CE(z[t]) + regulariser mean_{t,k} (z - target)^2; temporal is a `types.Temporal`."""
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
    """L4: squared distance of the firing rate of every class from the wanted one, mean over classes:
    mean_k (sum_t z / T - rate_k)^2 with rate_k = rates.correct for the label, rates.incorrect for the others."""
    steps, n, k = z.shape
    wanted = np.full((n, k), rates.incorrect, dz.dtype)
    wanted[np.arange(n), labels] = rates.correct
    distance = z.astype(dz.dtype).mean(0) - wanted
    loss[...] = (distance**2).mean(1)
    dz[...] = 2 * distance / (k * n * steps)


def max_membrane_cross_entropy(z, labels, smoothing, loss, dz):
    """L5: cross-entropy of the readout's maximum over time; the gradient goes to the step of the maximum, the first of
    equal ones."""
    winner = z.argmax(0)[None]
    top = np.take_along_axis(z, winner, 0)[0].astype(dz.dtype)
    loss[...], dlogits = _cross_entropy(top, labels, smoothing)
    dz[...] = 0
    np.put_along_axis(dz, winner, dlogits[None] / z.shape[1], 0)


def membrane_mse(z, target, loss, dz):
    """L6: squared distance of the readout from its target, mean over steps and classes: target is ``[T, N, K]``, or
    ``[1, N, K]`` for the same one at every step."""
    steps, n, k = z.shape
    distance = z.astype(dz.dtype) - target
    loss[...] = (distance**2).mean((0, 2))
    dz[...] = 2 * distance / (steps * n * k)


def pointwise(z, target, functions, over_mean, loss, dz):
    """L8: the mean of value(z, y) over classes, of every readout number z and its target number y.

    Args:
        target: ``[T, N, K]``, or ``[1, N, K]`` for the same one at every step.
        functions: value(z, y) and slope(z, y), its derivative by z: functions of two numbers, see `own.in_precision`.
        over_mean: whether z is the readout's mean over time; otherwise every step counts, and their mean is taken.
    """
    steps, n, k = z.shape
    value, slope = (elementwise(in_precision(function, dz.dtype.type), 2) for function in functions)
    z = z.astype(dz.dtype)
    z = z.mean(0, keepdims=True) if over_mean else z
    target = np.broadcast_to(target, z.shape)
    loss[...] = value(z, target).mean((0, 2))
    dz[...] = slope(z, target) / (steps * n * k)


def first_spike_cross_entropy(z, labels, timing, loss, dz):
    """L7: cross-entropy of -t1 / temperature, t1 being the expected time of the first spike; timing is a
    `types.Timing`. With z[t] in [0, 1] the probability that a class fires at step t = 0..T-1 if it has not done so
    before, and T standing for silence,

        t1       = sum_t t z[t] prod_{t'<t} (1 - z[t'])  +  T prod_t (1 - z[t])  =  sum_t prod_{t'<=t} (1 - z[t'])
        dt1/dz[t] = - before[t] wait[t]
        before[t] = prod_{t'<t} (1 - z[t']),   wait[t] = 1 + (1 - z[t+1]) wait[t+1],   wait[T-1] = 1

    For spikes t1 is the time of the first one, and its derivative is what another spike at t would change."""
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
