"""Scalar steps of losses, penalties, optimisers and moments: single precision, and relations between them."""

import math

import numpy as np
import pytest
from bounds import agree, within
from numba import njit, types

from numsnn.kernels import steps
from numsnn.kernels.compile import FASTMATH

STEPS = {
    "softmax_term": (lambda z, top, log, a: steps.softmax_term(z, top, log, a, 10, True), 4),
    "softmax_term of another class": (lambda z, top, log, a: steps.softmax_term(z, top, log, a, 10, False), 4),
    "squared_distance": (steps.squared_distance, 2),
    "silent_on": (steps.silent_on, 2),
    "wait_back": (steps.wait_back, 2),
    "band_penalty": (steps.band_penalty, 3),
    "power_penalty": (lambda rate: steps.power_penalty(rate, False), 1),
    "power_penalty, squared": (lambda rate: steps.power_penalty(rate, True), 1),
    "sgd_step": (steps.sgd_step, 6),
    "momentum_step": (lambda x, g, v, r, d, m, lo, hi: steps.momentum_step(x, g, v, r, d, m, False, lo, hi), 8),
    "momentum_step, Nesterov": (
        lambda x, g, v, r, d, m, lo, hi: steps.momentum_step(x, g, v, r, d, m, True, lo, hi),
        8,
    ),
    "split_decay": (lambda rate, decay: steps.split_decay(rate, decay, False), 2),
    "split_decay, decoupled": (lambda rate, decay: steps.split_decay(rate, decay, True), 2),
    "adam_step": (steps.adam_step, 13),
    "merge": (steps.merge, 6),
    "spread_about": (steps.spread_about, 4),
    "settle_moments": (steps.settle_moments, 4),
}
"""Every step, its flags fixed, and how many real numbers it takes."""


@pytest.mark.parametrize("name", STEPS)
def test_compiled_step_stays_in_single_precision(name):
    """The compiler infers no double type, and the values are those of the uncompiled step."""
    step, count = STEPS[name]
    compiled = njit(error_model="numpy", fastmath=FASTMATH)(step)
    compiled.compile((types.float32,) * count)
    (overload,) = compiled.overloads.values()
    inferred = list(overload.type_annotation.typemap.values())
    returned = overload.signature.return_type
    assert set(getattr(returned, "types", (returned,))) == {types.float32} and types.float64 not in inferred
    rng = np.random.default_rng(3)
    for numbers in rng.uniform(0.5, 2, (64, count)).astype(np.float32):
        got, exact = (
            np.atleast_1d(function(*row)) for function, row in ((compiled, numbers), (step, map(float, numbers)))
        )
        agree(got.astype(np.float32), exact.astype(np.float32), 8, 64)


def test_softmax_terms_are_the_cross_entropy_and_its_gradient():
    rng = np.random.default_rng(4)
    logits, label, smoothing = rng.normal(size=7), 2, 0.2

    def terms(z):
        top = z.max()
        log_total = math.log(np.exp(z - top).sum())
        return np.array([steps.softmax_term(z[k], top, log_total, smoothing, 7, k == label) for k in range(7)])

    target = np.full(7, smoothing / 7) + (1 - smoothing) * (np.arange(7) == label)
    found = terms(logits)
    within(found[:, 0].sum(), -(target * (logits - np.log(np.exp(logits).sum()))).sum(), 1e-14)
    for k in range(7):
        shift = 1e-5 * (np.arange(7) == k)
        change = (terms(logits + shift)[:, 0].sum() - terms(logits - shift)[:, 0].sum()) / 2e-5
        within(found[k, 1], change, 1e-9)


@pytest.mark.parametrize(
    "term",
    [
        lambda z: steps.squared_distance(z, 0.3),
        lambda z: steps.band_penalty(z, 0.2, 0.6),
        lambda z: steps.power_penalty(z, False),
        lambda z: steps.power_penalty(z, True),
    ],
)
def test_slopes_are_derivatives(term):
    for z in (0.05, 0.4, 0.9):
        within(term(z)[1], (term(z + 1e-5)[0] - term(z - 1e-5)[0]) / 2e-5, 1e-9)


def test_first_spike_recursions():
    """Silence as a product, and the wait as the expected time to the next spike."""
    z, silent, wait = np.random.default_rng(5).random(6), 1.0, 1.0
    for k, p in enumerate(z):
        silent = steps.silent_on(silent, p)
        within(silent, np.prod(1 - z[: k + 1]), 1e-15)
    for p in z[::-1]:
        wait = steps.wait_back(wait, p)
    within(wait, 1 + np.cumprod(1 - z).sum(), 1e-14)


def test_merged_moments_are_those_of_all_numbers():
    rng = np.random.default_rng(6)
    first, second = rng.normal(3, 1, 40), rng.normal(-2, 2, 9)
    samples = [(float(len(x)), x.mean(), ((x - x.mean()) ** 2).sum()) for x in (first, second)]
    whole = np.concatenate([first, second])
    count, mean, square = steps.merge(*samples[0], *samples[1])
    within([count, mean, square], [49, whole.mean(), ((whole - whole.mean()) ** 2).sum()], 1e-12)
    within(steps.merge(0.0, 0.0, 0.0, *samples[1]), samples[1], 0)
    within(sum(steps.spread_about(mean, *sample) for sample in samples), square, 1e-12)
    distance = first - 2.5
    settled = steps.settle_moments(2.5, distance.sum(), (distance**2).sum(), 1 / 40)
    within(settled, samples[0][1:], 1e-12)
