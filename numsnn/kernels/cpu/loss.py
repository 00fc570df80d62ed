"""Losses on the readout, compiled. `reference.loss` documents them.

A tile is one sample. It writes the loss and the gradient of this sample. ``share`` is a step's share in the means over
time, and ``factor`` the factor of the sample in the gradient of the batch's mean.
"""

import math
from functools import cache

import numpy as np

from .. import steps
from ..compile import kernel, register_jitable
from ..own import in_precision
from .inline.local import local
from .run.launch import launch


@register_jitable
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
def _rate_samples(z, labels, smoothing, shares, weights, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    # Of one sample: the mean output over time, and the gradient of its loss by this mean.
    mean = local(classes, dz.dtype)
    gradient = local(classes, dz.dtype)
    for n in range(lo, hi):
        mean[:] = real(0)
        gradient[:] = real(0)
        for t in range(length):
            share = shares[t, n]
            for k in range(classes):
                mean[k] += share * z[t, n, k]
        loss[n] = weights[n] * _cross_entropy_row(mean, labels[n], smoothing, weights[n] / real(samples), gradient)
        for t in range(length):
            share = shares[t, n]
            for k in range(classes):
                dz[t, n, k] = share * gradient[k]


def rate_cross_entropy(z, labels, smoothing, shares, loss, dz):
    """See `reference.loss.rate_cross_entropy`."""
    launch(_rate_samples, z.shape[1], z, labels, dz.dtype.type(smoothing), *shares, loss, dz)


@kernel
def _temporal_samples(z, labels, smoothing, keep, pull, target, shares, weights, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    # row holds the outputs of one step as real numbers. dz gets the squared distance's gradient first, and then the
    # cross-entropy's is added.
    row = local(classes, dz.dtype)
    for n in range(lo, hi):
        total = real(0)
        for t in range(length):
            share = shares[t, n]
            if share == real(0):
                dz[t, n, :] = real(0)
                continue
            factor = share * weights[n] / real(samples)
            distance_sum = real(0)
            for k in range(classes):
                row[k] = z[t, n, k]
                squared, slope = steps.squared_distance(row[k], target)
                distance_sum += squared
                dz[t, n, k] = pull * slope * factor / real(classes)
            value = _cross_entropy_row(row, labels[t if len(labels) > 1 else 0, n], smoothing, keep * factor, dz[t, n])
            total += share * (keep * value + pull * distance_sum / real(classes))
        loss[n] = weights[n] * total


def temporal_cross_entropy(z, labels, temporal, shares, loss, dz):
    """See `reference.loss.temporal_cross_entropy`."""
    real = dz.dtype.type
    smoothing, regulariser, target = temporal
    scalars = real(smoothing), real(1 - regulariser), real(regulariser), real(target)
    launch(_temporal_samples, z.shape[1], z, labels, *scalars, *shares, loss, dz)


@kernel
def _count_samples(z, labels, correct_rate, incorrect_rate, shares, weights, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    for n in range(lo, hi):
        factor = weights[n] / real(samples * classes)
        total = real(0)
        for k in range(classes):
            rate = real(0)
            for t in range(length):
                rate += shares[t, n] * z[t, n, k]
            wanted = correct_rate if k == labels[n] else incorrect_rate
            squared, slope = steps.squared_distance(rate, wanted)
            total += squared
            for t in range(length):
                dz[t, n, k] = shares[t, n] * factor * slope
        loss[n] = weights[n] * total / real(classes)


def spike_count_mse(z, labels, rates, shares, loss, dz):
    """See `reference.loss.spike_count_mse`."""
    real = dz.dtype.type
    launch(_count_samples, z.shape[1], z, labels, real(rates.correct), real(rates.incorrect), *shares, loss, dz)


@kernel
def _max_membrane_samples(z, labels, smoothing, shares, weights, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    # Of one sample and per class: the largest potential, its gradient, and the step at which it occurs.
    top = local(classes, dz.dtype)
    gradient = local(classes, dz.dtype)
    winner = local(classes, np.int64)
    for n in range(lo, hi):
        top[:] = gradient[:] = real(0)
        winner[:] = -1
        for k in range(classes):
            for t in range(length):
                value = real(z[t, n, k])
                if shares[t, n] > real(0) and (winner[k] < 0 or steps.is_larger(value, top[k])):
                    top[k], winner[k] = value, t
        loss[n] = weights[n] * _cross_entropy_row(top, labels[n], smoothing, weights[n] / real(samples), gradient)
        for t in range(length):
            for k in range(classes):
                dz[t, n, k] = gradient[k] if t == winner[k] else real(0)


def max_membrane_cross_entropy(z, labels, smoothing, shares, loss, dz):
    """See `reference.loss.max_membrane_cross_entropy`."""
    launch(_max_membrane_samples, z.shape[1], z, labels, dz.dtype.type(smoothing), *shares, loss, dz)


@kernel
def _membrane_samples(z, target, shares, weights, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    for n in range(lo, hi):
        total = real(0)
        for t in range(length):
            wanted = target[t if len(target) > 1 else 0, n]
            share = shares[t, n] / real(classes)
            factor = share * weights[n] / real(samples)
            squares = real(0)
            for k in range(classes):
                squared, slope = steps.squared_distance(real(z[t, n, k]), wanted[k])
                squares += squared
                dz[t, n, k] = factor * slope
            total += share * squares
        loss[n] = weights[n] * total


def membrane_mse(z, target, shares, loss, dz):
    """See `reference.loss.membrane_mse`."""
    launch(_membrane_samples, z.shape[1], z, target, *shares, loss, dz)


@kernel
def _first_spike_samples(z, labels, smoothing, temperature, shares, weights, loss, dz, lo, hi):
    length, samples, classes = z.shape
    real = type(dz[0, 0, 0])
    logits = local(classes, dz.dtype)
    gradient = local(classes, dz.dtype)
    for n in range(lo, hi):
        gradient[:] = real(0)
        # Upwards in time the expected time to the first spike; downwards dz keeps the expected wait from each step on.
        # Steps that do not count are passed over.
        for k in range(classes):
            time = real(0)
            silent = wait = real(1)
            for t in range(length):
                if shares[t, n] > real(0):
                    silent = steps.silent_on(silent, real(z[t, n, k]))
                    time += silent
            for t in range(length - 1, -1, -1):
                dz[t, n, k] = real(0)
                if shares[t, n] > real(0):
                    dz[t, n, k] = wait
                    wait = steps.wait_back(wait, real(z[t, n, k]))
            logits[k] = -time / temperature
        scale = weights[n] / (temperature * real(samples))
        loss[n] = weights[n] * _cross_entropy_row(logits, labels[n], smoothing, scale, gradient)
        # dz is the product of that wait, the probability of no earlier spike and the gradient of the class's logit.
        for k in range(classes):
            before = gradient[k]
            for t in range(length):
                if shares[t, n] > real(0):
                    dz[t, n, k] *= before
                    before = steps.silent_on(before, real(z[t, n, k]))


def first_spike_cross_entropy(z, labels, timing, shares, loss, dz):
    """See `reference.loss.first_spike_cross_entropy`."""
    real = dz.dtype.type
    scalars = real(timing.smoothing), real(timing.temperature)
    launch(_first_spike_samples, z.shape[1], z, labels, *scalars, *shares, loss, dz)


@cache
def _pointwise_kernel(value, slope, over_mean, dtype):
    """The range kernel of a loss that a user defines by two functions, its value and its slope per output.

    over_mean says whether the functions take the mean output over time instead of the output of every step.
    """
    value, slope = in_precision(value, dtype), in_precision(slope, dtype)

    @kernel
    def pointwise_samples(z, target, shares, weights, loss, dz, lo, hi):
        length, samples, classes = z.shape
        real = type(dz[0, 0, 0])
        for n in range(lo, hi):
            factor = weights[n] / real(samples * classes)
            total = real(0)
            if over_mean:
                for k in range(classes):
                    mean = real(0)
                    for t in range(length):
                        mean += shares[t, n] * z[t, n, k]
                    total += value(mean, target[0, n, k])
                    gradient = factor * slope(mean, target[0, n, k])
                    for t in range(length):
                        dz[t, n, k] = shares[t, n] * gradient
            else:
                for t in range(length):
                    wanted = target[t if len(target) > 1 else 0, n]
                    share = shares[t, n]
                    if share == real(0):  # a function of the user's may overflow in padding
                        dz[t, n, :] = real(0)
                        continue
                    for k in range(classes):
                        total += share * value(real(z[t, n, k]), wanted[k])
                        dz[t, n, k] = share * factor * slope(real(z[t, n, k]), wanted[k])
            loss[n] = weights[n] * total / real(classes)

    return pointwise_samples


def pointwise(z, target, functions, over_mean, shares, loss, dz):
    """See `reference.loss.pointwise`."""
    launch(_pointwise_kernel(*functions, over_mean, dz.dtype.type), z.shape[1], z, target, *shares, loss, dz)
