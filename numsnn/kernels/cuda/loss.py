"""Losses on the readout, as CUDA kernels. `reference.loss` documents them.

A block computes one sample: it writes the sample's loss and gradient. The lanes of the block share the classes. Rows of
dz hold logits until their gradients replace them. ``share`` is a step's share in the means over time, and ``factor``
the factor of the sample in the gradient of the batch's mean.
"""

import math
from functools import cache

import numpy as np

from .. import steps
from ..own import in_precision
from .inline.rows import max_lanes, sum_lanes
from .run.api import cuda
from .run.compile import device, kernel
from .run.launch import WARP, launch

REALS = (np.float32, np.float64)


@device
def _cross_entropy(room, row, label, smoothing, factor):
    """L1: replace a row of logits by factor times the gradient of its cross-entropy against the smoothed label.

    Returns a lane's partial sum of the cross-entropy. A lane reads and writes its own elements of the row only, so that
    no synchronisation is needed.
    """
    lane, lanes, classes = cuda.threadIdx.y, cuda.blockDim.y, row.shape[0]
    real = row.dtype.type
    top = row[lane]
    for k in range(lane + lanes, classes, lanes):
        top = max(top, row[k])
    top = max_lanes(room, top)
    total = real(0)
    for k in range(lane, classes, lanes):
        total += real(math.exp(row[k] - top))
    log_total = real(math.log(sum_lanes(room, total)))
    value = real(0)
    for k in range(lane, classes, lanes):
        term, slope = steps.softmax_term(row[k], top, log_total, smoothing, classes, k == label)
        value += term
        row[k] = factor * slope
    return value


def _launch(kernels, z, dz, *arguments):
    """Launch a kernel with one block per sample. There are never more lanes than classes."""
    _launch_samples(kernels[dz.dtype], z, *arguments)


def _launch_samples(kernel, z, *arguments):
    launch(kernel, z.shape[1], (1, min(WARP, z.shape[2])), *arguments)


def _rate_kernel(dtype):
    @kernel
    def rate_samples(z, labels, smoothing, shares, weights, loss, dz):
        room = cuda.shared.array(WARP, dtype)
        length, samples, classes = z.shape
        real = dz.dtype.type
        n, lane, lanes = cuda.blockIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        # The first row of dz holds the mean outputs, and then their gradients, of which every step gets its share.
        row = dz[0, n]
        for k in range(lane, classes, lanes):
            mean = real(0)
            for t in range(length):
                mean += shares[t, n] * real(z[t, n, k])
            row[k] = mean
        own_sum = _cross_entropy(room, row, labels[n], smoothing, weights[n] / real(samples))
        value = sum_lanes(room, own_sum)
        if lane == 0:
            loss[n] = weights[n] * value
        for k in range(lane, classes, lanes):
            gradient = row[k]
            for t in range(length):
                dz[t, n, k] = shares[t, n] * gradient

    return rate_samples


_rate = {np.dtype(real): _rate_kernel(real) for real in REALS}


def rate_cross_entropy(z, labels, smoothing, shares, loss, dz):
    """See `reference.loss.rate_cross_entropy`."""
    _launch(_rate, z, dz, z, labels, dz.dtype.type(smoothing), *shares, loss, dz)


def _temporal_kernel(dtype):
    @kernel
    def temporal_samples(z, labels, smoothing, keep, pull, target, shares, weights, loss, dz):
        room = cuda.shared.array(WARP, dtype)
        length, samples, classes = z.shape
        real = dz.dtype.type
        n, lane, lanes = cuda.blockIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        moving = labels.shape[0] > 1
        own_sum = real(0)
        for t in range(length):
            row, share = dz[t, n], shares[t, n]
            if share == real(0):
                for k in range(lane, classes, lanes):
                    row[k] = real(0)
                continue
            factor = share * weights[n] / real(samples)
            for k in range(lane, classes, lanes):
                row[k] = real(z[t, n, k])
            label = labels[t if moving else 0, n]
            own_sum += share * keep * _cross_entropy(room, row, label, smoothing, keep * factor)
            for k in range(lane, classes, lanes):
                squared, slope = steps.squared_distance(real(z[t, n, k]), target)
                own_sum += share * pull * squared / real(classes)
                row[k] += pull * slope * factor / real(classes)
        value = sum_lanes(room, own_sum)
        if lane == 0:
            loss[n] = weights[n] * value

    return temporal_samples


_temporal = {np.dtype(real): _temporal_kernel(real) for real in REALS}


def temporal_cross_entropy(z, labels, temporal, shares, loss, dz):
    """See `reference.loss.temporal_cross_entropy`."""
    real = dz.dtype.type
    smoothing, regulariser, target = temporal
    scalars = real(smoothing), real(1 - regulariser), real(regulariser), real(target)
    _launch(_temporal, z, dz, z, labels, *scalars, *shares, loss, dz)


def _count_kernel(dtype):
    @kernel
    def count_samples(z, labels, correct_rate, incorrect_rate, shares, weights, loss, dz):
        room = cuda.shared.array(WARP, dtype)
        length, samples, classes = z.shape
        real = dz.dtype.type
        n, lane, lanes = cuda.blockIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        factor = weights[n] / real(samples * classes)
        own_sum = real(0)
        for k in range(lane, classes, lanes):
            rate = real(0)
            for t in range(length):
                rate += shares[t, n] * real(z[t, n, k])
            wanted = correct_rate if k == labels[n] else incorrect_rate
            squared, slope = steps.squared_distance(rate, wanted)
            own_sum += squared
            for t in range(length):
                dz[t, n, k] = shares[t, n] * factor * slope
        value = sum_lanes(room, own_sum) / real(classes)
        if lane == 0:
            loss[n] = weights[n] * value

    return count_samples


_count = {np.dtype(real): _count_kernel(real) for real in REALS}


def spike_count_mse(z, labels, rates, shares, loss, dz):
    """See `reference.loss.spike_count_mse`."""
    real = dz.dtype.type
    _launch(_count, z, dz, z, labels, real(rates.correct), real(rates.incorrect), *shares, loss, dz)


@device
def _largest(z, shares, n, k, real):
    """The maximum over the steps that count, and its step; 0 and -1 if no step counts."""
    top, winner = real(0), -1
    for t in range(z.shape[0]):
        value = real(z[t, n, k])
        if shares[t, n] > real(0) and (winner < 0 or steps.is_larger(value, top)):
            top, winner = value, t
    return top, winner


def _max_membrane_kernel(dtype):
    @kernel
    def max_membrane_samples(z, labels, smoothing, shares, weights, loss, dz):
        room = cuda.shared.array(WARP, dtype)
        length, samples, classes = z.shape
        real = dz.dtype.type
        n, lane, lanes = cuda.blockIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        row = dz[0, n]
        for k in range(lane, classes, lanes):
            row[k], _ = _largest(z, shares, n, k, real)
        own_sum = _cross_entropy(room, row, labels[n], smoothing, weights[n] / real(samples))
        value = sum_lanes(room, own_sum)
        if lane == 0:
            loss[n] = weights[n] * value
        for k in range(lane, classes, lanes):
            gradient = row[k]
            _, winner = _largest(z, shares, n, k, real)
            for t in range(length):
                dz[t, n, k] = gradient if t == winner else real(0)

    return max_membrane_samples


_max_membrane = {np.dtype(real): _max_membrane_kernel(real) for real in REALS}


def max_membrane_cross_entropy(z, labels, smoothing, shares, loss, dz):
    """See `reference.loss.max_membrane_cross_entropy`."""
    _launch(_max_membrane, z, dz, z, labels, dz.dtype.type(smoothing), *shares, loss, dz)


def _membrane_kernel(dtype):
    @kernel
    def membrane_samples(z, target, shares, weights, loss, dz):
        room = cuda.shared.array(WARP, dtype)
        length, samples, classes = z.shape
        real = dz.dtype.type
        n, lane, lanes = cuda.blockIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        moving = target.shape[0] > 1
        own_sum = real(0)
        for t in range(length):
            share = shares[t, n] / real(classes)
            factor = share * weights[n] / real(samples)
            for k in range(lane, classes, lanes):
                squared, slope = steps.squared_distance(real(z[t, n, k]), target[t if moving else 0, n, k])
                own_sum += share * squared
                dz[t, n, k] = factor * slope
        value = sum_lanes(room, own_sum)
        if lane == 0:
            loss[n] = weights[n] * value

    return membrane_samples


_membrane = {np.dtype(real): _membrane_kernel(real) for real in REALS}


def membrane_mse(z, target, shares, loss, dz):
    """See `reference.loss.membrane_mse`."""
    _launch(_membrane, z, dz, z, target, *shares, loss, dz)


def _first_spike_kernel(dtype):
    @kernel
    def first_spike_samples(z, labels, smoothing, temperature, shares, weights, loss, dz):
        room = cuda.shared.array(WARP, dtype)
        length, samples, classes = z.shape
        real = dz.dtype.type
        n, lane, lanes = cuda.blockIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        row = dz[0, n]
        for k in range(lane, classes, lanes):
            time, silent = real(0), real(1)
            for t in range(length):
                if shares[t, n] > real(0):
                    silent = steps.silent_on(silent, real(z[t, n, k]))
                    time += silent
            row[k] = -time / temperature
        scale = weights[n] / (temperature * real(samples))
        value = sum_lanes(room, _cross_entropy(room, row, labels[n], smoothing, scale))
        if lane == 0:
            loss[n] = weights[n] * value
        # Downwards dz gets the expected wait from each step on, and upwards the other factors of the gradient.
        for k in range(lane, classes, lanes):
            before, wait = row[k], real(1)
            for t in range(length - 1, -1, -1):
                dz[t, n, k] = real(0)
                if shares[t, n] > real(0):
                    dz[t, n, k] = wait
                    wait = steps.wait_back(wait, real(z[t, n, k]))
            for t in range(length):
                if shares[t, n] > real(0):
                    dz[t, n, k] *= before
                    before = steps.silent_on(before, real(z[t, n, k]))

    return first_spike_samples


_first_spike = {np.dtype(real): _first_spike_kernel(real) for real in REALS}


def first_spike_cross_entropy(z, labels, timing, shares, loss, dz):
    """See `reference.loss.first_spike_cross_entropy`."""
    real = dz.dtype.type
    _launch(_first_spike, z, dz, z, labels, real(timing.smoothing), real(timing.temperature), *shares, loss, dz)


@cache
def _pointwise_kernel(value, slope, over_mean, dtype):
    """The kernel of a loss that a user defines by two functions, its value and its slope per output.

    over_mean says whether the functions take the mean output over time instead of the output of every step.
    """
    value, slope = in_precision(value, dtype), in_precision(slope, dtype)

    @kernel
    def pointwise_samples(z, target, shares, weights, loss, dz):
        room = cuda.shared.array(WARP, dtype)
        length, samples, classes = z.shape
        real = dz.dtype.type
        n, lane, lanes = cuda.blockIdx.x, cuda.threadIdx.y, cuda.blockDim.y
        factor = weights[n] / real(samples * classes)
        moving = target.shape[0] > 1
        own_sum = real(0)
        for k in range(lane, classes, lanes):
            if over_mean:
                mean = real(0)
                for t in range(length):
                    mean += shares[t, n] * real(z[t, n, k])
                own_sum += real(value(mean, target[0, n, k]))
                gradient = factor * real(slope(mean, target[0, n, k]))
                for t in range(length):
                    dz[t, n, k] = shares[t, n] * gradient
            else:
                for t in range(length):
                    if shares[t, n] == real(0):  # a function of the user's may overflow in padding
                        dz[t, n, k] = real(0)
                        continue
                    here, wanted = real(z[t, n, k]), target[t if moving else 0, n, k]
                    own_sum += shares[t, n] * real(value(here, wanted))
                    dz[t, n, k] = shares[t, n] * factor * real(slope(here, wanted))
        total = sum_lanes(room, own_sum) / real(classes)
        if lane == 0:
            loss[n] = weights[n] * total

    return pointwise_samples


def pointwise(z, target, functions, over_mean, shares, loss, dz):
    """See `reference.loss.pointwise`."""
    _launch_samples(_pointwise_kernel(*functions, over_mean, dz.dtype.type), z, z, target, *shares, loss, dz)
