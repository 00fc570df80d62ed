"""Losses: values against sums written out, gradients against differences, then compiled kernels."""

import math

import numpy as np
import pytest
from bounds import REALS, agree, is_gradient
from targets import ALL, COMPILED, REFERENCE, reference

from numsnn.kernels.types import Rates, Shares, Temporal, Timing

STEPS, SAMPLES, CLASSES = 3, 5, 4
LABELS = np.array([0, 3, 1, 0, 2], np.int64)
"""The first and the last class among them."""

LOSSES = {
    "rate": ("rate_cross_entropy", (0.0,)),
    "rate, smoothed": ("rate_cross_entropy", (0.1,)),
    "temporal": ("temporal_cross_entropy", (Temporal(0.0, 0.0, 0.0),)),
    "temporal, smoothed and pulled": ("temporal_cross_entropy", (Temporal(0.1, 0.3, 0.8),)),
    "temporal, only pulled": ("temporal_cross_entropy", (Temporal(0.0, 1.0, -0.4),)),
    "count": ("spike_count_mse", (Rates(0.8, 0.2),)),
    "count, all or nothing": ("spike_count_mse", (Rates(1.0, 0.0),)),
    "maximum": ("max_membrane_cross_entropy", (0.0,)),
    "maximum, smoothed": ("max_membrane_cross_entropy", (0.1,)),
    "first spike": ("first_spike_cross_entropy", (Timing(0.0, 1.0),)),
    "first spike, smoothed and cold": ("first_spike_cross_entropy", (Timing(0.1, 0.4),)),
}

OF_LOGITS = [name for name in LOSSES if name.startswith(("rate", "temporal", "maximum"))]
"""Cross-entropies of the readout's own numbers."""


def numbers(name):
    """The settings of a loss, one after the other."""
    (settings,) = LOSSES[name][1]
    return settings if isinstance(settings, tuple) else (settings,)


def readout(real, name=""):
    """Numbers of either sign; for spike times, probabilities."""
    z = np.random.default_rng(1).normal(0, 2, (STEPS, SAMPLES, CLASSES))
    return (1 / (1 + np.exp(-z)) if name.startswith("first") else z).astype(real)


def plain(z, real):
    """The shares of the plain mean over all steps and samples."""
    return Shares(np.full(z.shape[:2], 1 / len(z), real), np.ones(z.shape[1], real))


def run(k, name, z, real=None, labels=LABELS, shares=None):
    """loss and dz of one target, in memory that held NaN."""
    function, settings = LOSSES[name]
    real = real or z.dtype
    loss, dz = np.full(z.shape[1], np.nan, real), np.full(z.shape, np.nan, real)
    if function == "temporal_cross_entropy":
        labels = labels.reshape(-1, z.shape[1])
    getattr(k, function)(z, labels, *settings, shares or plain(z, real), loss, dz)
    return loss, dz


def cross_entropy(logits, label, smoothing):
    """Minus the expected log-probability under (1 - a) onehot + a / K."""
    log_total = math.log(math.fsum(math.exp(z) for z in logits))
    weights = [smoothing / len(logits) + (1 - smoothing) * (k == label) for k in range(len(logits))]
    return math.fsum(w * (log_total - z) for w, z in zip(weights, logits, strict=True))


def expected_time(z):
    """The expected time of the first spike, z[t] being the probability to fire at t; silence counts as T."""
    fired = [math.prod(1 - p for p in z[:t]) * z[t] for t in range(len(z))]
    return math.fsum(t * share for t, share in enumerate(fired)) + len(z) * math.prod(1 - p for p in z)


def written_out(name, z, n):
    """The loss of sample n in scalars."""
    function, settings = LOSSES[name][0], numbers(name)
    steps, _, classes = z.shape
    if function == "max_membrane_cross_entropy":
        return cross_entropy([max(z[:, n, k]) for k in range(classes)], LABELS[n], *settings)
    if function == "first_spike_cross_entropy":
        smoothing, temperature = settings
        return cross_entropy([-expected_time(z[:, n, k]) / temperature for k in range(classes)], LABELS[n], smoothing)
    rates = [math.fsum(z[:, n, k]) / steps for k in range(classes)]
    if function == "rate_cross_entropy":
        return cross_entropy(rates, LABELS[n], *settings)
    if function == "spike_count_mse":
        wanted = [settings[0] if k == LABELS[n] else settings[1] for k in range(classes)]
        return math.fsum((rate - want) ** 2 for rate, want in zip(rates, wanted, strict=True)) / classes
    smoothing, regulariser, target = settings
    entropy = math.fsum(cross_entropy(z[t, n], LABELS[n], smoothing) for t in range(steps)) / steps
    distance = math.fsum((value - target) ** 2 for value in z[:, n].ravel()) / (steps * classes)
    return (1 - regulariser) * entropy + regulariser * distance


def assert_agree(got, want, z, name):
    """Forty operations at most lie between readout and result. A logarithm of a probability errs by the
    largest logit's rounding, a probability by that times itself, a squared distance by its own size's. A spike
    time is at most T, and so is its derivative."""
    steps, samples, _ = z.shape
    largest, slope = np.abs(z).max() + 2, 1 / steps
    if name.startswith("maximum"):
        slope = 1
    if name.startswith("first"):
        _, temperature = numbers(name)
        largest, slope = steps / temperature + 2, steps / temperature
    agree(got[0], want[0], 40, largest**2)
    agree(got[1], want[1], 40, largest * slope / samples)


@pytest.mark.parametrize("name", LOSSES)
def test_reference_value(name):
    z = readout(np.float64, name)
    loss, _ = run(reference, name, z)
    largest = max(np.abs(z).max(), STEPS)
    agree(loss, np.array([written_out(name, z, n) for n in range(SAMPLES)]), 40, largest**2)


@REFERENCE
@pytest.mark.parametrize("name", LOSSES)
def test_spikes_as_readout(k, name):
    """uint8 spikes are the same numbers."""
    spikes = (readout(np.float32) > 1).astype(np.uint8)
    assert 0.05 < spikes.mean() < 0.6
    numbers = spikes.astype(np.float32)
    assert_agree(run(k, name, spikes, np.float32), run(reference, name, numbers), numbers, name)


@ALL
@pytest.mark.parametrize("name", ["rate", "rate, smoothed", "temporal"])
def test_class_gradients_cancel(k, name):
    """Probabilities and labels both sum to 1."""
    _, dz = run(k, name, readout(np.float64))
    agree(dz.sum(2), np.zeros((STEPS, SAMPLES)), 40, np.abs(dz).sum(2))


@ALL
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", OF_LOGITS)
def test_extreme_readout_stays_finite(k, name, real):
    """Logits of 1e4 either way: certain and right, certain and wrong."""
    z = np.full((STEPS, SAMPLES, CLASSES), -1e4, real)
    z[:, :, 0] = 1e4
    loss, dz = run(k, name, z)
    assert np.isfinite(loss).all() and np.isfinite(dz).all()
    if numbers(name)[0] == 0 and "pulled" not in name:
        assert loss.tolist() == [0 if label == 0 else 2e4 for label in LABELS]
        wrong = np.abs(dz).sum((0, 2)) > 0
        assert wrong.tolist() == [label != 0 for label in LABELS]


@ALL
@pytest.mark.parametrize("name", OF_LOGITS)
def test_one_class_one_sample_one_step(k, name):
    """Nothing to tell apart: no cross-entropy, only the pull."""
    _, *pull = numbers(name)
    loss, dz = run(k, name, np.full((1, 1, 1), 0.3), labels=np.zeros(1, np.int64))
    strength, target = pull or (0, 0)
    agree(loss, np.array([strength * (0.3 - target) ** 2]), 8, 1)
    agree(dz, np.full((1, 1, 1), 2 * strength * (0.3 - target)), 8, 1)


# --- shares of steps and samples ---------------------------------------------------------------------------------

LENGTHS = [1, 3, 2, 3, 1]
WEIGHTS = [0.5, 2.0, 0.0, 1.0, 3.0]
PADDING = 1e6
"""What lies behind a sequence; for spike times, one half."""


def padded(real):
    """Shares of sequences of these lengths, with the weights of their samples."""
    inside = np.arange(STEPS)[:, None] < LENGTHS
    return Shares((inside / np.array(LENGTHS)).astype(real), np.array(WEIGHTS, real)), inside


def every_loss(k, z, shares, real):
    """loss and dz of every function, by name."""
    found = {name: run(k, name, readout_of(name, z), real, shares=shares) for name in LOSSES}
    for over_mean in (False, True):
        out = np.full(z.shape[1], np.nan, real), np.full(z.shape, np.nan, real)
        target = own_target(False)[:, : z.shape[1]].astype(real)
        k.pointwise(z, target, (log_cosh, log_cosh_slope), over_mean, shares, *out)
        found[f"own, over mean: {over_mean}"] = out
    out = np.full(z.shape[1], np.nan, real), np.full(z.shape, np.nan, real)
    k.membrane_mse(z, own_target(False)[:, : z.shape[1]].astype(real), shares, *out)
    return found | {"distance": out}


def readout_of(name, z):
    return np.clip(z, 0, 0.5) if name.startswith("first") else z


def test_a_padded_batch_has_the_losses_and_gradients_of_its_samples_alone():
    z = readout(np.float64)
    shares, inside = padded(np.float64)
    z[~inside] = PADDING
    together = every_loss(reference, z, shares, np.float64)
    for n, (length, weight) in enumerate(zip(LENGTHS, WEIGHTS, strict=True)):
        for name, (loss, dz) in together.items():
            alone = np.ascontiguousarray(z[:length, n : n + 1])
            if name.startswith("own") or name == "distance":
                got = own_or_distance(name, alone, n)
            else:
                got = run(reference, name, readout_of(name, alone), labels=LABELS[n : n + 1])
            agree(loss[n], weight * got[0][0], 40, np.abs(z[inside]).max() ** 2 * STEPS)
            agree(dz[:length, n], weight * got[1][:, 0] / SAMPLES, 40, 10)
            assert not dz[length:, n].any()


def own_or_distance(name, z, n):
    """loss and dz of sample n alone."""
    out, target = (np.empty(1), np.empty(z.shape)), own_target(False)[:, n : n + 1]
    if name == "distance":
        reference.membrane_mse(z, target, plain(z, np.float64), *out)
    else:
        over_mean = name.endswith("True")
        reference.pointwise(z, target, (log_cosh, log_cosh_slope), over_mean, plain(z, np.float64), *out)
    return out


@pytest.mark.parametrize("real", REALS)
@COMPILED
def test_shares_are_those_of_the_reference(k, real):
    z = readout(real)
    shares, inside = padded(real)
    z[~inside] = 50
    for name, got in every_loss(k, z, shares, real).items():
        want = every_loss(reference, z, shares, real)[name]
        agree(got[0], want[0], 40, 3 * 50**2)
        agree(got[1], want[1], 40, 3 * 50)
        assert not got[1][~inside].any() and not got[0][2].any()


@ALL
def test_every_step_has_its_own_label(k):
    z, labels = readout(np.float64), np.random.default_rng(4).integers(0, CLASSES, (STEPS, SAMPLES))
    shares, inside = padded(np.float64)
    labels[~inside] = -1
    loss, dz = run(k, "temporal", z, labels=labels, shares=shares)
    for n, length in enumerate(LENGTHS):
        each = [cross_entropy(z[t, n], labels[t, n], 0.0) for t in range(length)]
        agree(loss[n], WEIGHTS[n] * math.fsum(each) / length, 40, 10)
    is_gradient(dz, lambda: run(reference, "temporal", z, labels=labels, shares=shares)[0].mean(), z)


# --- a loss of a user's own ------------------------------------------------------------------------------------------


def log_cosh(z, y):
    return 1.5 * math.log(math.cosh(z - y))


def log_cosh_slope(z, y):
    return 1.5 * math.tanh(z - y)


def run_own(k, z, target, over_mean, real):
    loss, dz = np.full(z.shape[1], np.nan, real), np.full(z.shape, np.nan, real)
    k.pointwise(z, target.astype(real), (log_cosh, log_cosh_slope), over_mean, plain(z, real), loss, dz)
    return loss, dz


own_cases = pytest.mark.parametrize(("over_mean", "moving"), [(True, False), (False, False), (False, True)])


def own_target(moving):
    return np.random.default_rng(2).normal(size=(STEPS if moving else 1, SAMPLES, CLASSES))


@own_cases
def test_own_loss_is_the_mean_of_its_values(over_mean, moving):
    z, target = readout(np.float64), own_target(moving)
    loss, dz = run_own(reference, z, target, over_mean, np.float64)
    numbers = z.mean(0, keepdims=True) if over_mean else z
    agree(loss, (1.5 * np.log(np.cosh(numbers - target))).mean((0, 2)), 40, 10)
    is_gradient(dz, lambda: run_own(reference, z, target, over_mean, np.float64)[0].mean(), z)


# --- maximum over time ----------------------------------------------------------------------------------------------


@ALL
def test_the_gradient_of_a_maximum_goes_to_its_first_step(k):
    """Everywhere else it is zero, and over all classes it cancels."""
    z = readout(np.float64)
    z[:2, :, 1] = z.max() + 1
    _, dz = run(k, "maximum", z)
    winner = z.argmax(0)
    assert (winner[:, 1] == 0).all() and len(np.unique(winner)) == STEPS
    there = np.take_along_axis(dz, winner[None], 0)
    assert (there != 0).all()
    assert np.count_nonzero(dz) == there.size
    agree(dz.sum((0, 2)), np.zeros(SAMPLES), 40, 1)


@ALL
@pytest.mark.parametrize("at", range(STEPS))
def test_a_maximum_does_not_hide_a_number_that_is_not_one(k, at):
    z = readout(np.float32)
    z[at, 2, 1] = np.nan
    loss, _ = run(k, "maximum", z)
    assert np.isnan(loss).tolist() == [False, False, True, False, False]


# --- first spikes ---------------------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_first_spikes_derivative_is_what_a_spike_changes(k, steps):
    """dL/dz[t] is dL/dt1, known from the times, times t1 with a spike at t less t1 without one: exactly, as t1 is
    linear in every single z[t]. All trains of so many steps, the silent one among them."""
    trains = np.array(list(np.ndindex(*(2,) * steps)), np.uint8).T
    z = np.stack([trains, trains[:, ::-1]], -1)
    labels = np.arange(trains.shape[1], dtype=np.int64) % 2
    loss, dz = np.full(len(labels), np.nan), np.full(z.shape, np.nan)
    k.first_spike_cross_entropy(z, labels, Timing(0.0, 0.7), plain(z, np.float64), loss, dz)
    for n, label in enumerate(labels):
        times = [next((t for t in range(steps) if z[t, n, c]), steps) for c in range(2)]
        agree(loss[n], cross_entropy([-time / 0.7 for time in times], label, 0.0), 40, steps)
        for c in range(2):
            share = math.exp(-times[c] / 0.7) / sum(math.exp(-time / 0.7) for time in times)
            by_time = ((label == c) - share) / 0.7 / len(labels)
            for t in range(steps):
                train = z[:, n, c].copy()
                with_spike, without = (expected_time(np.where(np.arange(steps) == t, s, train)) for s in (1, 0))
                agree(dz[t, n, c], by_time * (with_spike - without), 40, steps)


# --- potentials and targets -----------------------------------------------------------------------------------------


def distance(k, z, target, real=None):
    """loss and dz of membrane_mse, in memory that held NaN."""
    real = real or z.dtype
    loss, dz = np.full(z.shape[1], np.nan, real), np.full(z.shape, np.nan, real)
    k.membrane_mse(z, target, plain(z, real), loss, dz)
    return loss, dz


@pytest.fixture(params=["constant", "moving"])
def target(request):
    return np.random.default_rng(5).normal(size=(1 if request.param == "constant" else STEPS, SAMPLES, CLASSES))


def test_membrane_mse(target):
    z = readout(np.float64)
    loss, dz = distance(reference, z, target)
    for n in range(SAMPLES):
        squares = [(z[t, n, c] - target[t % len(target), n, c]) ** 2 for t in range(STEPS) for c in range(CLASSES)]
        agree(loss[n], math.fsum(squares) / (STEPS * CLASSES), 40, max(squares))
    is_gradient(dz, lambda: distance(reference, z, target)[0].mean(), z)


@ALL
def test_membrane_mse_of_spikes(k, target):
    spikes, target = (readout(np.float32) > 1).astype(np.uint8), target.astype(np.float32)
    want = distance(k, spikes.astype(np.float32), target)
    for got, number in zip(distance(k, spikes, target, np.float32), want, strict=True):
        assert np.array_equal(got, number)
