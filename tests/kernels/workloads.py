"""One call of every kernel, on arrays that are large enough for several tiles of the usual size.

`WORKLOADS` maps the name of a kernel to a function f(k, rng) that returns the result arrays. Tests compare the results
with themselves: for different numbers of threads, with several callers at once, and after a fork.
"""

import numpy as np
from neurons import leaky_backward, leaky_forward

from numsnn.kernels.types import (
    Adam,
    Band,
    Direct,
    Extensions,
    Firing,
    Moments,
    Momentum,
    Objective,
    Rates,
    Reset,
    Segments,
    Shares,
    Stored,
    Temporal,
    Timing,
    Wanted,
)

REAL = np.float32


def normal(rng, *shape):
    return rng.standard_normal(shape, REAL)


def spikes(rng, *shape):
    return (rng.random(shape) < 0.2).astype(np.uint8)


def empty(*shape):
    return np.full(shape, np.nan, REAL)


WORKLOADS = {}
"""Workloads by the name of their kernel; the decorator `workload` adds them."""

ON_ONE_THREAD = {
    "batchnorm_factor",
    "divergence",
    "free_backward",
    "free_forward",
    "merge_steps",
    "normalised_moments",
    "positive_backward",
    "positive_forward",
    "running_update",
    "scale",
    "shift_update",
    "unit_backward",
    "unit_forward",
}
"""Kernels that use one thread, because they compute few numbers or make a single NumPy call."""

MEMORY = {"copy", "empty", "feed", "fill", "from_host", "lacks", "name", "put", "to_host", "visible_limit", "zeros"}
"""Names in the contract of a device that are not kernels."""


def workload(function):
    WORKLOADS[function.__name__] = function
    return function


# --- elementwise, dropout, optimisers -----------------------------------------------------------------------


@workload
def add(k, rng):
    y = empty(7, 30011)
    k.add(spikes(rng, 7, 30011), normal(rng, 7, 30011), y)
    return [y]


@workload
def repeat(k, rng):
    y = empty(2, 100_003)
    k.repeat(normal(rng, 100_003), y)
    return [y]


@workload
def sum_steps(k, rng):
    dx = empty(100_003)
    k.sum_steps(normal(rng, 3, 100_003), dx)
    return [dx]


@workload
def dropout(k, rng):
    y = empty(3, 50_003)
    k.dropout(normal(rng, 3, 50_003), 0.4, 77, y)
    return [y]


def segments():
    """Return the segments of three parameters, with their rates, decays and bounds."""
    settings = [[0.1, 0.02, 0.3], [0.01, 0, 0.1], [-np.inf, -0.5, -np.inf], [np.inf, 0.7, 3]]
    return Segments(np.array([16, 90_000, 140_080]), np.array(settings, REAL))


@workload
def sgd_update(k, rng):
    value, gradient, velocity = normal(rng, 3, 140_080)
    k.sgd_update(value, gradient, velocity, segments(), 0.7, Momentum(0.9, True))
    return [value, velocity]


@workload
def adam_update(k, rng):
    value, gradient, first, second = normal(rng, 4, 140_080)
    second = np.abs(second)
    adam = Adam(0.9, 0.999, 1e-8, True)
    corrections = np.array([adam.corrections(update) for update in (3, 1, 3)], REAL).T.copy()
    k.adam_update(value, gradient, first, second, segments(), 0.7, adam, corrections)
    return [value, first, second]


@workload
def sum_squares(k, rng):
    return [np.array(k.sum_squares(normal(rng, 7, 20_011)))]


@workload
def scale(k, rng):
    x = normal(rng, 100)
    k.scale(x, 0.3)
    return [x]


# --- neuron, losses -----------------------------------------------------------------------------------------


def neuron(rng):
    """Draw currents, leak, threshold, correction and width."""
    ones = np.ones(17, REAL)
    return normal(rng, 2, 6000, 17), ones / 2, ones, normal(rng, 2, 17) / 10, ones


@workload
def neuron_forward(k, rng):
    i, beta, theta, d, alpha = neuron(rng)
    u, s, visible = empty(*i.shape), *np.full((2, *i.shape), 7, np.uint8)
    mean, var = empty(2, *d.shape)
    share = leaky_forward(
        k, i, beta, theta, d, 0.0, False, None, alpha, u, s, None, (d[0], alpha, d[1]), mean, var, visible, 1.0
    )
    return [u, s, mean, var, visible, np.array(share)]


@workload
def neuron_reset(k, rng):
    u, _, theta, *_ = neuron(rng)
    v = empty(*u.shape)
    k.neuron_reset(u, spikes(rng, *u.shape), theta, Reset(0.0), v)
    return [v]


@workload
def neuron_backward(k, rng):
    i, beta, theta, d, alpha = neuron(rng)
    s = (i >= 1).astype(np.uint8)
    di, gradients, sums = empty(*i.shape), empty(3, 17), empty(2, 17)
    leaky_backward(
        k,
        normal(rng, *i.shape),
        i,
        s,
        beta,
        theta,
        d,
        0.0,
        False,
        False,
        "triangle",
        alpha,
        None,
        di,
        *gradients,
        None,
        (d[0], alpha, d[1]),
        sums,
    )
    return [di, gradients, sums]


@workload
def rate_cross_entropy(k, rng):
    return loss(k.rate_cross_entropy, rng, 0.1)


@workload
def temporal_cross_entropy(k, rng):
    value, dz = empty(50), empty(3, 50, 10)
    labels = rng.integers(0, 10, (1, 50))
    k.temporal_cross_entropy(normal(rng, 3, 50, 10), labels, Temporal(0.1, 0.2, 1.0), shares(3, 50), value, dz)
    return [value, dz]


@workload
def spike_count_mse(k, rng):
    return loss(k.spike_count_mse, rng, Rates(0.9, 0.1))


@workload
def max_membrane_cross_entropy(k, rng):
    return loss(k.max_membrane_cross_entropy, rng, 0.1)


@workload
def first_spike_cross_entropy(k, rng):
    value, dz = empty(50), empty(3, 50, 10)
    trains, labels = spikes(rng, 3, 50, 10), rng.integers(0, 10, 50)
    k.first_spike_cross_entropy(trains, labels, Timing(0.1, 0.7), shares(3, 50), value, dz)
    return [value, dz]


@workload
def membrane_mse(k, rng):
    value, dz = empty(50), empty(3, 50, 10)
    k.membrane_mse(normal(rng, 3, 50, 10), normal(rng, 1, 50, 10), shares(3, 50), value, dz)
    return [value, dz]


def cubic(z, y):
    return 0.5 * z * z * z - y


def cubic_slope(z, y):
    return 1.5 * z * z


@workload
def pointwise(k, rng):
    found = []
    for over_mean in (True, False):
        found += empty(50), empty(3, 50, 10)
        arrays = normal(rng, 3, 50, 10), normal(rng, 1, 50, 10)
        k.pointwise(*arrays, (cubic, cubic_slope), over_mean, shares(3, 50), *found[-2:])
    return found


def loss(function, rng, *settings):
    value, dz = empty(50), empty(3, 50, 10)
    function(normal(rng, 3, 50, 10), rng.integers(0, 10, 50), *settings, shares(3, 50), value, dz)
    return [value, dz]


def shares(steps, samples):
    """Every step and every sample count the same."""
    return Shares(np.full((steps, samples), 1 / steps, np.float32), np.ones(samples, np.float32))


# --- activity and encoding ----------------------------------------------------------------------------------


@workload
def rate_band(k, rng):
    value, pull = empty(2, 5003)
    k.rate_band(spikes(rng, 200, 5003), Band(0.15, 0.25), 1.0, value, pull)
    return [value, pull]


@workload
def rate_power(k, rng):
    value, pull = empty(2, 17)
    k.rate_power(normal(rng, 6000, 17), 2, 1.0, value, pull)
    return [value, pull]


@workload
def add_row(k, rng):
    y = empty(6000, 17)
    k.add_row(normal(rng, 6000, 17), normal(rng, 17), y)
    return [y]


@workload
def add_affine(k, rng):
    y = empty(6000, 17)
    k.add_affine(*normal(rng, 2, 6000, 17), Direct(*normal(rng, 3, 17)), y)
    return [y]


@workload
def poisson(k, rng):
    s = np.full((4, 30, 700), 7, np.uint8)
    k.poisson(rng.random((30, 700), REAL), rng.integers(0, 2**24, 30), 3, 5, s)
    return [s]


# --- potentials ---------------------------------------------------------------------------------------------


@workload
def shift_update(k, rng):
    d = normal(rng, 4, 17)
    k.shift_update(d, normal(rng, 4, 17), normal(rng, 17), 0.1)
    return [d]


@workload
def divergence(k, rng):
    mean, var, target_mean, target_var = normal(rng, 4, 17)
    value, *direct = empty(4, 17)
    moments, target = Moments(mean, np.abs(var)), Moments(target_mean, np.abs(target_var))
    k.divergence(moments, target, Objective(1.0, 1e-3, 100), value, Direct(*direct))
    return [value, *direct]


@workload
def positive_forward(k, rng):
    return constrained(k.positive_forward, normal(rng, 17))


@workload
def positive_backward(k, rng):
    return constrained(k.positive_backward, *normal(rng, 2, 17), sizes=(17, 1))


@workload
def unit_forward(k, rng):
    return constrained(k.unit_forward, normal(rng, 17))


@workload
def unit_backward(k, rng):
    return constrained(k.unit_backward, *normal(rng, 2, 17), sizes=(17, 1))


@workload
def free_forward(k, rng):
    return constrained(k.free_forward, normal(rng, 17))


@workload
def free_backward(k, rng):
    return constrained(k.free_backward, *normal(rng, 2, 17), sizes=(17, 1))


def constrained(function, *arguments, sizes=(17,)):
    """Call a kernel for one parameter per channel and, if two sizes are given, for one parameter per layer."""
    outs = [empty(size) for size in sizes]
    for out in outs:
        function(*arguments, out)
    return outs


# --- neurons with further memory ------------------------------------------------------------------------------


def states(rng, steps=6, rows=70, channels=33):
    """Return all arguments of the recurrent kernels for a neuron with all extensions, for at least 16 tiles of rows."""
    vectors = rng.uniform(0.3, 0.9, (7, channels)).astype(REAL)
    weights = (0.2 * normal(rng, channels, channels)).astype(REAL)
    d = (0.1 * normal(rng, steps, channels)).astype(REAL)
    beta, gamma, rho, kappa, theta, alpha, _ = vectors
    return normal(rng, steps, rows, channels), weights, beta, gamma, rho, kappa, theta, d, alpha


def recurrent_pass(k, rng):
    i, w, beta, gamma, rho, kappa, theta, d, alpha = states(rng)
    u, j, a = empty(3, *i.shape)
    s, held = np.zeros((2, *i.shape), np.uint8)
    extensions, stored = Extensions(w, gamma, rho, kappa, 1), Stored(u, s, j, a, held)
    values = beta, extensions, Firing(theta, alpha, "triangle"), Reset(0.0), d, False
    k.recurrent_forward(i, *values, False, stored)
    return stored, values


@workload
def recurrent_forward(k, rng):
    return list(recurrent_pass(k, rng)[0])


@workload
def recurrent_backward(k, rng):
    stored, values = recurrent_pass(k, rng)
    shape = stored.u.shape
    di, dlateral, (*gradients, dtheta, dalpha) = empty(*shape), empty(shape[2], shape[2]), empty(6, shape[2])
    wanted = Wanted(tuple(gradients), dtheta, dalpha)
    k.recurrent_backward(normal(rng, *shape), stored, *values, None, di, dlateral, wanted)
    return [di, dlateral, *gradients, dtheta, dalpha]


@workload
def integrator_forward(k, rng):
    u = empty(3, 5003, 17)
    k.integrator_forward(normal(rng, *u.shape), rng.uniform(0.3, 0.9, 17).astype(REAL), True, u)
    return [u]


@workload
def integrator_backward(k, rng):
    du, i, u = normal(rng, 3, 3, 5003, 17)
    di, dbeta = empty(*u.shape), empty(17)
    beta, start = rng.uniform(0.3, 0.9, 17).astype(REAL), empty(5003, 17)
    k.integrator_backward(du, i, u, beta, True, di, dbeta)
    k.integrator_backward(du, i, u, beta, True, empty(*u.shape), empty(17), u[0], start)
    return [di, dbeta, start]
