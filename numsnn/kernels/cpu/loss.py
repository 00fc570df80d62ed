"""Losses on the readout, compiled. `reference.loss` documents them.

A tile is one sample. It writes the loss and the gradient of this sample.
"""

import math
from functools import cache

import numpy as np

from .. import steps
from ..compile import kernel
from ..own import in_precision
from .run.launch import launch


@kernel
def _cross_entropy_row(logits, label, smoothing, factor, dlogits):
    """L1: return the cross-entropy of one row against its smoothed label, and add factor times its gradient to dlogits.

    The largest logit is subtracted first, so that exp cannot overflow.
    """
    classes = len(logits)
    real = type(logits[0])
    top = logits[0]
    for k in range(1, classes):
        top = max(top, logits[k])
    total = real(0)
    for k in range(classes):
        total += math.exp(logits[k] - top)
    log_total = math.log(total)
    value = real(0)
    for k in range(classes):
        term, slope = steps.softmax_term(logits[k], top, log_total, smoothing, classes, k == label)
        value += term
        dlogits[k] += factor * slope
    return value


@kernel
def _rate_samples(z, labels, smoothing, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    # Of one sample: the mean output over time, and the gradient, which is the same at all steps.
    mean = np.empty(classes, dz.dtype)
    gradient = np.empty(classes, dz.dtype)
    for n in range(lo, hi):
        mean[:] = real(0)
        gradient[:] = real(0)
        for t in range(length):
            for k in range(classes):
                mean[k] += z[t, n, k]
        for k in range(classes):
            mean[k] /= real(length)
        loss[n] = _cross_entropy_row(mean, labels[n], smoothing, real(1) / real(length * samples), gradient)
        for t in range(length):
            for k in range(classes):
                dz[t, n, k] = gradient[k]


def rate_cross_entropy(z, labels, smoothing, loss, dz):
    """See `reference.loss.rate_cross_entropy`."""
    launch(_rate_samples, z.shape[1], z, labels, dz.dtype.type(smoothing), loss, dz)


@kernel
def _temporal_samples(z, labels, smoothing, keep, pull, target, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    # row holds the outputs of one step as real numbers. dz gets the squared distance's gradient first, and then the
    # cross-entropy's is added.
    row = np.empty(classes, dz.dtype)
    for n in range(lo, hi):
        loss[n] = real(0)
        for t in range(length):
            distance_sum = real(0)
            for k in range(classes):
                row[k] = z[t, n, k]
                squared, slope = steps.squared_distance(row[k], target)
                distance_sum += squared
                dz[t, n, k] = pull * slope / real(length * samples * classes)
            value = _cross_entropy_row(row, labels[n], smoothing, keep / real(length * samples), dz[t, n])
            loss[n] += (keep * value + pull * distance_sum / real(classes)) / real(length)


def temporal_cross_entropy(z, labels, temporal, loss, dz):
    """See `reference.loss.temporal_cross_entropy`."""
    real = dz.dtype.type
    smoothing, regulariser, target = temporal
    scalars = real(smoothing), real(1 - regulariser), real(regulariser), real(target)
    launch(_temporal_samples, z.shape[1], z, labels, *scalars, loss, dz)


@kernel
def _count_samples(z, labels, correct_rate, incorrect_rate, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    for n in range(lo, hi):
        loss[n] = real(0)
        for k in range(classes):
            rate = real(0)
            for t in range(length):
                rate += z[t, n, k]
            wanted = correct_rate if k == labels[n] else incorrect_rate
            squared, slope = steps.squared_distance(rate / real(length), wanted)
            loss[n] += squared / real(classes)
            for t in range(length):
                dz[t, n, k] = slope / real(length * samples * classes)


def spike_count_mse(z, labels, rates, loss, dz):
    """See `reference.loss.spike_count_mse`."""
    real = dz.dtype.type
    launch(_count_samples, z.shape[1], z, labels, real(rates.correct), real(rates.incorrect), loss, dz)


@kernel
def _max_membrane_samples(z, labels, smoothing, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    # Of one sample and per class: the largest potential, its gradient, and the step at which it occurs.
    top = np.empty(classes, dz.dtype)
    gradient = np.empty(classes, dz.dtype)
    winner = np.empty(classes, np.int64)
    for n in range(lo, hi):
        gradient[:] = real(0)
        for k in range(classes):
            top[k], winner[k] = z[0, n, k], 0
            for t in range(1, length):
                value = real(z[t, n, k])
                if steps.is_larger(value, top[k]):
                    top[k], winner[k] = value, t
        loss[n] = _cross_entropy_row(top, labels[n], smoothing, real(1) / real(samples), gradient)
        for t in range(length):
            for k in range(classes):
                dz[t, n, k] = gradient[k] if t == winner[k] else real(0)


def max_membrane_cross_entropy(z, labels, smoothing, loss, dz):
    """See `reference.loss.max_membrane_cross_entropy`."""
    launch(_max_membrane_samples, z.shape[1], z, labels, dz.dtype.type(smoothing), loss, dz)


@kernel
def _membrane_samples(z, target, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    for n in range(lo, hi):
        total = real(0)
        for t in range(length):
            wanted = target[t if len(target) > 1 else 0, n]
            for k in range(classes):
                squared, slope = steps.squared_distance(real(z[t, n, k]), wanted[k])
                total += squared
                dz[t, n, k] = slope / real(length * samples * classes)
        loss[n] = total / real(length * classes)


def membrane_mse(z, target, loss, dz):
    """See `reference.loss.membrane_mse`."""
    launch(_membrane_samples, z.shape[1], z, target, loss, dz)


@kernel
def _first_spike_samples(z, labels, smoothing, temperature, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    logits = np.empty(classes, dz.dtype)
    gradient = np.empty(classes, dz.dtype)
    for n in range(lo, hi):
        gradient[:] = real(0)
        # Upwards in time the expected time to the first spike; downwards dz keeps the expected wait from each step on.
        for k in range(classes):
            time = real(0)
            silent = wait = real(1)
            for t in range(length):
                silent = steps.silent_on(silent, real(z[t, n, k]))
                time += silent
            for t in range(length - 1, -1, -1):
                dz[t, n, k] = wait
                wait = steps.wait_back(wait, real(z[t, n, k]))
            logits[k] = -time / temperature
        scale = real(1) / (temperature * real(samples))
        loss[n] = _cross_entropy_row(logits, labels[n], smoothing, scale, gradient)
        # dz is the product of that wait, the probability of no earlier spike and the gradient of the class's logit.
        for k in range(classes):
            before = gradient[k]
            for t in range(length):
                dz[t, n, k] *= before
                before = steps.silent_on(before, real(z[t, n, k]))


def first_spike_cross_entropy(z, labels, timing, loss, dz):
    """See `reference.loss.first_spike_cross_entropy`."""
    real = dz.dtype.type
    launch(_first_spike_samples, z.shape[1], z, labels, real(timing.smoothing), real(timing.temperature), loss, dz)


@cache
def _pointwise_kernel(value, slope, over_mean, dtype):
    """The range kernel of a loss that a user defines by two functions, its value and its slope per output.

    over_mean says whether the functions take the mean output over time instead of the output of every step.
    """
    value, slope = in_precision(value, dtype), in_precision(slope, dtype)

    @kernel
    def pointwise_samples(z, target, loss, dz, lo, hi):
        length, samples, classes = z.shape
        real = type(dz[0, 0, 0])
        share = real(1) / real(length * samples * classes)
        for n in range(lo, hi):
            total = real(0)
            if over_mean:
                for k in range(classes):
                    mean = real(0)
                    for t in range(length):
                        mean += z[t, n, k]
                    mean /= real(length)
                    total += value(mean, target[0, n, k])
                    gradient = share * slope(mean, target[0, n, k])
                    for t in range(length):
                        dz[t, n, k] = gradient
                loss[n] = total / real(classes)
            else:
                for t in range(length):
                    wanted = target[t if len(target) > 1 else 0, n]
                    for k in range(classes):
                        total += value(real(z[t, n, k]), wanted[k])
                        dz[t, n, k] = share * slope(real(z[t, n, k]), wanted[k])
                loss[n] = total / real(length * classes)

    return pointwise_samples


def pointwise(z, target, functions, over_mean, loss, dz):
    """See `reference.loss.pointwise`."""
    launch(_pointwise_kernel(*functions, over_mean, dz.dtype.type), z.shape[1], z, target, loss, dz)
