"""More workloads: normalisations of single samples and steps, joins, channels put together, delays."""

import numpy as np
from workloads import ON_ONE_THREAD, REAL, empty, normal, spikes, workload

ON_ONE_THREAD.add("batchnorm_fold")


@workload
def batchnorm_fold(k, rng):
    w, b, gamma, beta, mean = normal(rng, 40, 17), *normal(rng, 4, 17)
    folded_w, folded_b = empty(40, 17), empty(17)
    k.batchnorm_fold(w, b, gamma, beta, mean, np.ones(17, REAL), 1e-5, 1.0, folded_w, folded_b)
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
    """Samples of several tiles, and several samples to a tile."""
    found = []
    for shape in ((3, 6000, 18), (900, 7, 18)):
        y, mean, var = empty(*shape), empty(shape[0], 3), empty(shape[0], 3)
        k.groupnorm_forward(normal(rng, *shape), *normal(rng, 2, 18), 1e-5, mean, var, y)
        found += [y, mean, var]
    return found


@workload
def groupnorm_backward(k, rng):
    found = []
    for shape in ((3, 6000, 18), (900, 7, 18)):
        mean, var = normal(rng, 2, shape[0], 3)
        dx, dgamma, dbeta = empty(*shape), empty(18), empty(18)
        dy, x = normal(rng, 2, *shape)
        k.groupnorm_backward(dy, x, normal(rng, 18), mean, np.abs(var), 1e-5, dx, dgamma, dbeta)
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
