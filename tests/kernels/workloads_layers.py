"""Workloads of layers without neurons: products, convolutions, pooling, normalisations, joins, delays."""

import numpy as np
from workloads import ON_ONE_THREAD, REAL, empty, normal, spikes, workload

from numsnn.kernels.types import Affine, Geometry, Moments, Norm, Way, Window

ON_ONE_THREAD.add("batchnorm_fold")


@workload
def linear_forward(k, rng):
    y = empty(1000, 9)
    k.linear_forward(spikes(rng, 1000, 40), normal(rng, 40, 9), normal(rng, 9), y)
    return [y]


@workload
def linear_backward_weight(k, rng):
    dw = empty(700, 9)
    k.linear_backward_weight(spikes(rng, 50, 700), normal(rng, 50, 9), dw)
    return [dw]


@workload
def linear_backward_input(k, rng):
    """Compute the gradient everywhere, and for visible inputs only."""
    found = []
    for visible in (None, spikes(rng, 1000, 40)):
        dx = empty(1000, 40)
        k.linear_backward_input(normal(rng, 1000, 9), normal(rng, 40, 9), dx, visible=visible)
        found.append(dx)
    return found


@workload
def bias_backward(k, rng):
    db = empty(17)
    k.bias_backward(normal(rng, 6000, 17), db)
    return [db]


CONVOLUTIONS = (
    (9, 7, 1, "events"),
    (9, 7, 1, "winograd"),
    (9, 7, 1, "dense"),
    (3, 2, 1, "dense"),
    (32, 48, 16, "auto"),
)
"""Input channels, output channels, groups and route. The last case has many small groups, which use their own route."""


def geometry(groups):
    return Geometry((1, 1), (1, 1), groups)


@workload
def active_inputs(k, rng):
    x = spikes(rng, 40, 23, 21, 9)
    active = k.active_inputs(x, REAL)
    active.list(x)
    count = active.start[-1]
    return [active.start, active.channel[:count], active.value[:count]]


@workload
def conv2d_forward(k, rng):
    found = []
    for i, o, groups, route in CONVOLUTIONS:
        y, w = empty(12, 23, 21, o), normal(rng, 3, 3, i // groups, o)
        k.conv2d_forward(spikes(rng, 12, 23, 21, i), w, normal(rng, o), geometry(groups), y, None, Way(route))
        found.append(y)
    return found


@workload
def conv2d_backward_weight(k, rng):
    found = []
    for i, o, groups, route in CONVOLUTIONS:
        dw, dy = empty(3, 3, i // groups, o), normal(rng, 12, 23, 21, o)
        k.conv2d_backward_weight(spikes(rng, 12, 23, 21, i), dy, geometry(groups), dw, None, Way(route))
        found.append(dw)
    return found


@workload
def conv2d_backward_input(k, rng):
    """Compute the gradient everywhere, and for visible inputs only."""
    found = []
    for i, o, groups, route in CONVOLUTIONS:
        for visible in (None, spikes(rng, 12, 23, 21, i)):
            dx, w = empty(12, 23, 21, i), normal(rng, 3, 3, i // groups, o)
            k.conv2d_backward_input(normal(rng, 12, 23, 21, o), w, geometry(groups), dx, Way(route), visible)
            found.append(dx)
    return found


WINDOW = Window((3, 3), (2, 2), (1, 1))


@workload
def sum_pool2d_forward(k, rng):
    y = empty(24, 12, 11, 40)
    k.sum_pool2d_forward(spikes(rng, 24, 23, 21, 40), WINDOW, 9, y)
    return [y]


@workload
def sum_pool2d_backward(k, rng):
    dx = empty(24, 23, 21, 40)
    k.sum_pool2d_backward(normal(rng, 24, 12, 11, 40), WINDOW, 9, dx)
    return [dx]


@workload
def max_pool2d_forward(k, rng):
    y, index = empty(24, 12, 11, 40), np.full((24, 12, 11, 40), 99, np.int16)
    k.max_pool2d_forward(normal(rng, 24, 23, 21, 40), WINDOW, y, index)
    return [y, index]


@workload
def max_pool2d_backward(k, rng):
    dx, index = empty(24, 23, 21, 40), rng.integers(0, 9, (24, 12, 11, 40)).astype(np.int16)
    k.max_pool2d_backward(normal(rng, 24, 12, 11, 40), index, WINDOW, dx)
    return [dx]


@workload
def moments(k, rng):
    mean, var = empty(2, 2, 17)
    k.moments(normal(rng, 2, 6000, 17), mean, var)
    return [mean, var]


@workload
def running_update(k, rng):
    running = normal(rng, 17)
    k.running_update(running, normal(rng, 17), 0.1)
    return [running]


@workload
def batchnorm_forward(k, rng):
    y = empty(6000, 17)
    gamma, beta, mean, var = normal(rng, 4, 17)
    k.batchnorm_forward(normal(rng, 6000, 17), Affine(gamma, beta, 1e-5), Moments(mean, np.abs(var)), y)
    return [y]


@workload
def batchnorm_backward(k, rng):
    dy, x = normal(rng, 2, 6000, 17)
    gamma, mean, var = normal(rng, 3, 17)
    dx, dgamma, dbeta = empty(6000, 17), empty(17), empty(17)
    affine, given = Affine(gamma, gamma, 1e-5), Moments(mean, np.abs(var))
    k.batchnorm_backward(dy, x, affine, given, False, dx, dgamma, dbeta)
    return [dx, dgamma, dbeta]


@workload
def batchnorm_factor(k, rng):
    factor = empty(17)
    gamma = normal(rng, 17)
    k.batchnorm_factor(Affine(gamma, gamma, 1e-5), np.ones(17, REAL), factor)
    return [factor]


@workload
def merge_steps(k, rng):
    mean, var = empty(2, 17)
    k.merge_steps(Moments(normal(rng, 4, 17), np.abs(normal(rng, 4, 17))), Moments(mean, var))
    return [mean, var]


@workload
def normalised_moments(k, rng):
    mean, var = empty(2, 17)
    k.normalised_moments(Moments(*normal(rng, 2, 17)), Norm(*normal(rng, 3, 17)), Moments(mean, var))
    return [mean, var]


@workload
def batchnorm_fold(k, rng):
    w, b, gamma, beta, mean = normal(rng, 40, 17), *normal(rng, 4, 17)
    folded_w, folded_b = empty(40, 17), empty(17)
    k.batchnorm_fold(w, b, Affine(gamma, beta, 1e-5), Moments(mean, np.ones(17, REAL)), folded_w, folded_b)
    return [folded_w, folded_b]


@workload
def scale_steps_forward(k, rng):
    y = empty(3, 6000, 17)
    k.scale_steps_forward(normal(rng, *y.shape), normal(rng, 3), y)
    return [y]


@workload
def scale_steps_backward(k, rng):
    dx, dp = empty(3, 6000, 17), empty(3)
    k.scale_steps_backward(*normal(rng, 2, *dx.shape), normal(rng, 3), dx, dp)
    return [dx, dp]


@workload
def groupnorm_forward(k, rng):
    """Call the kernel with several tiles per sample, and with several samples per tile."""
    found = []
    for shape in ((3, 6000, 18), (900, 7, 18)):
        y, mean, var = empty(*shape), empty(shape[0], 3), empty(shape[0], 3)
        k.groupnorm_forward(normal(rng, *shape), Affine(*normal(rng, 2, 18), 1e-5), Moments(mean, var), y)
        found += [y, mean, var]
    return found


@workload
def groupnorm_backward(k, rng):
    found = []
    for shape in ((3, 6000, 18), (900, 7, 18)):
        mean, var = normal(rng, 2, shape[0], 3)
        dx, dgamma, dbeta = empty(*shape), empty(18), empty(18)
        dy, x = normal(rng, 2, *shape)
        gamma = normal(rng, 18)
        affine, given = Affine(gamma, gamma, 1e-5), Moments(mean, np.abs(var))
        k.groupnorm_backward(dy, x, affine, given, dx, dgamma, dbeta)
        found += [dx, dgamma, dbeta]
    return found


@workload
def and_forward(k, rng):
    y = np.full((7, 30011), 9, np.uint8)
    k.and_forward(spikes(rng, *y.shape), spikes(rng, *y.shape), y)
    return [y]


@workload
def and_backward(k, rng):
    return joined(k.and_backward, rng)


@workload
def iand_forward(k, rng):
    y = empty(7, 30011)
    k.iand_forward(spikes(rng, *y.shape), normal(rng, *y.shape), y)
    return [y]


@workload
def iand_backward(k, rng):
    return joined(k.iand_backward, rng)


@workload
def relu_forward(k, rng):
    y = empty(7, 30011)
    k.relu_forward(normal(rng, *y.shape), y)
    return [y]


@workload
def relu_backward(k, rng):
    dx = empty(7, 30011)
    k.relu_backward(normal(rng, *dx.shape), normal(rng, *dx.shape), dx)
    return [dx]


def joined(function, rng):
    da, ds = empty(2, 7, 30011)
    function(normal(rng, *da.shape), spikes(rng, *da.shape), normal(rng, *da.shape), da, ds)
    return [da, ds]


@workload
def concat(k, rng):
    y = empty(9001, 30)
    k.concat(spikes(rng, 9001, 13), 0, y)
    k.concat(normal(rng, 9001, 17), 13, y)
    return [y]


@workload
def split(k, rng):
    dx = empty(9001, 17)
    k.split(normal(rng, 9001, 30), 13, dx)
    return [dx]


def real_rows(rng):
    """Return the numbers of the real rows among 9001, and for every row its number among the real ones."""
    real = rng.random(9001) < 0.6
    return np.flatnonzero(real), np.where(real, np.cumsum(real) - 1, -1)


@workload
def gather_rows(k, rng):
    index, _ = real_rows(rng)
    y = empty(len(index), 17)
    k.gather_rows(normal(rng, 9001, 17), index, y)
    return [y]


@workload
def scatter_rows(k, rng):
    index, place = real_rows(rng)
    y = empty(9001, 17)
    k.scatter_rows(normal(rng, len(index), 17), place, y)
    return [y]


@workload
def clear_rows(k, rng):
    x = normal(rng, 9001, 17)
    k.clear_rows(x, real_rows(rng)[1])
    return [x]


@workload
def delay_forward(k, rng):
    y, past = empty(5, 9001, 17), normal(rng, 7, 9001, 17)
    k.delay_forward(normal(rng, *y.shape), rng.integers(0, 8, 17), past, y)
    return [y, past]


@workload
def delay_backward(k, rng):
    dx = empty(5, 9001, 17)
    k.delay_backward(normal(rng, *dx.shape), rng.integers(0, 8, 17), dx)
    return [dx]
