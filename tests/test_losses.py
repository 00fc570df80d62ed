"""Losses: closed forms, gradients, decisions, sums of losses, and losses that a user writes."""

import json
import math
import re

import numpy as np
import pytest
from readouts import LABELS, K, N, T, readout

import numsnn as snn
from numsnn.kernels import for_device
from numsnn.losses import (
    TET,
    Loss,
    LossSum,
    MaxMembraneCrossEntropy,
    MembraneMSE,
    Pointwise,
    RateCrossEntropy,
    SpikeCountMSE,
    TimeToFirstSpike,
)

cpu, reference = for_device("cpu"), for_device("reference")

CLOSE = 100 * np.finfo(np.float64).eps
"""A few dozen roundings of numbers of order 1."""


class LogCosh(Pointwise):
    """A loss of a user's own."""

    @staticmethod
    def value(z, y):
        return math.log(math.cosh(z - y))

    @staticmethod
    def slope(z, y):
        return math.tanh(z - y)


LOSSES = [
    RateCrossEntropy(),
    RateCrossEntropy(0.3),
    TET(),
    TET(0.3, 0.4, 0.5),
    SpikeCountMSE(),
    SpikeCountMSE(0.7, 0.2),
    MaxMembraneCrossEntropy(),
    MaxMembraneCrossEntropy(0.3),
    MembraneMSE(),
    MembraneMSE(1.5, -0.5),
    TimeToFirstSpike(),
    TimeToFirstSpike(0.4, 0.3),
    LogCosh(),
    LogCosh("steps", 0.7, -0.3),
    RateCrossEntropy(0.1) + 0.3 * MembraneMSE() + MaxMembraneCrossEntropy(),
]
"""Each with two settings, and a sum."""


@pytest.fixture(params=[reference, cpu], ids=lambda k: k.name)
def kernels(request):
    return request.param


def cross_entropy(logits, label, smoothing):
    """The cross-entropy of one sample, number by number."""
    log_sum = math.log(sum(math.exp(z) for z in logits))
    targets = [(1 - smoothing) * (k == label) + smoothing / K for k in range(K)]
    return -sum(target * (z - log_sum) for target, z in zip(targets, logits, strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_rate_cross_entropy(kernels, smoothing):
    z = readout()
    losses, _ = RateCrossEntropy(smoothing)(z, LABELS, kernels)
    want = [cross_entropy(z[:, n].mean(0), LABELS[n], smoothing) for n in range(N)]
    np.testing.assert_allclose(losses, want, rtol=CLOSE)


@pytest.mark.parametrize(("smoothing", "regulariser", "target"), [(0.0, 0.0, 1.0), (0.3, 0.4, 0.5), (0.0, 1.0, 2.0)])
def test_tet(kernels, smoothing, regulariser, target):
    z = readout()
    losses, _ = TET(smoothing, regulariser, target)(z, LABELS, kernels)
    want = [
        (1 - regulariser) * np.mean([cross_entropy(z[t, n], LABELS[n], smoothing) for t in range(T)])
        + regulariser * np.mean((z[:, n] - target) ** 2)
        for n in range(N)
    ]
    np.testing.assert_allclose(losses, want, rtol=CLOSE)


def test_spike_count_mse(kernels):
    z = (np.random.default_rng(0).random((T, N, K)) < 0.4).astype(np.uint8)
    losses, _ = SpikeCountMSE(0.7, 0.2)(z, LABELS, kernels)
    wanted = np.where(np.arange(K) == LABELS[:, None], 0.7, 0.2)
    assert losses.dtype == np.float32
    np.testing.assert_allclose(losses, ((z.mean(0) - wanted) ** 2).mean(1), rtol=10 * np.finfo(np.float32).eps)


def test_spike_count_mse_is_zero_at_the_wanted_rates(kernels):
    z = np.zeros((T, N, K), np.uint8)
    z[:3, np.arange(N), LABELS] = 1
    losses, dz = SpikeCountMSE(0.75, 0.0)(z, LABELS, kernels)
    assert not losses.any() and not dz.any()


def test_equal_readouts_cost_the_logarithm_of_the_classes(kernels):
    losses, dz = RateCrossEntropy()(np.full((T, N, K), 7.0), LABELS, kernels)
    np.testing.assert_allclose(losses, math.log(K), rtol=CLOSE)
    want = (1 / K - (np.arange(K) == LABELS[:, None])) / (T * N)
    np.testing.assert_allclose(dz, np.broadcast_to(want, dz.shape), rtol=CLOSE)


def test_one_step_of_tet_without_regulariser_is_the_cross_entropy(kernels):
    z = readout()[:1]
    for a, b in zip(TET(0.1, 0.0)(z, LABELS, kernels), RateCrossEntropy(0.1)(z, LABELS, kernels), strict=True):
        np.testing.assert_allclose(a, b, rtol=CLOSE)


def test_large_readouts_do_not_overflow(kernels):
    z = np.zeros((1, 2, 2), np.float32)
    z[0, :, 0] = 1e4
    losses, dz = RateCrossEntropy()(z, np.array([0, 1]), kernels)
    np.testing.assert_array_equal(losses, [0, 1e4])
    np.testing.assert_array_equal(dz[0], [[0, 0], [0.5, -0.5]])


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_gradient_is_that_of_the_mean(kernels, loss):
    """Central differences of order 2: their error is 1e-10 times third derivatives of order 1, and 1e-16 / 1e-5."""
    z, step = readout(loss=loss), 1e-5
    losses, dz = loss(z, LABELS, kernels)
    assert losses.shape == (N,) and dz.shape == z.shape and dz.dtype == z.dtype
    measured = np.empty_like(z)
    for at in np.ndindex(z.shape):
        values = []
        for move in (step, -step):
            moved = z.copy()
            moved[at] += move
            values.append(loss(moved, LABELS, kernels)[0].mean())
        measured[at] = (values[0] - values[1]) / (2 * step)
    assert np.abs(measured).max() > 1e-3
    np.testing.assert_allclose(dz, measured, rtol=0, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_spikes_are_taken_as_numbers(kernels, loss):
    z = (np.random.default_rng(1).random((T, N, K)) < 0.4).astype(np.uint8)
    for from_spikes, from_numbers in zip(
        loss(z, LABELS, kernels), loss(z.astype(np.float32), LABELS, kernels), strict=True
    ):
        assert from_spikes.dtype == np.float32
        np.testing.assert_array_equal(from_spikes, from_numbers)


def test_readout_is_left_alone(kernels):
    for loss in LOSSES:
        z = readout(loss=loss)
        loss(z, LABELS, kernels)
        np.testing.assert_array_equal(z, readout(loss=loss))


@pytest.mark.parametrize("labels", [[1, 4, 0], (1, 4, 0), LABELS.astype(np.uint8), LABELS.astype(np.int32)], ids=repr)
def test_labels_of_any_whole_type(labels):
    losses, _ = RateCrossEntropy()(readout(), labels, reference)
    np.testing.assert_array_equal(losses, RateCrossEntropy()(readout(), LABELS, reference)[0])


def test_max_membrane_cross_entropy(kernels):
    """The gradient goes to the maximum's step, the first of equal ones."""
    z = readout()
    z[1:3, 0, 2] = 9.0
    losses, dz = MaxMembraneCrossEntropy(0.3)(z, LABELS, kernels)
    want = [cross_entropy(z[:, n].max(0), LABELS[n], 0.3) for n in range(N)]
    np.testing.assert_allclose(losses, want, rtol=CLOSE)
    assert np.array_equal(np.flatnonzero(dz[:, 0, 2]), [1])
    assert np.count_nonzero(dz) == N * K


def test_one_step_of_max_membrane_is_the_cross_entropy(kernels):
    z = readout()[:1]
    found, want = (loss(z, LABELS, kernels) for loss in (MaxMembraneCrossEntropy(0.1), RateCrossEntropy(0.1)))
    for a, b in zip(found, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=CLOSE)


def test_pieces_are_the_steps_of_the_maxima(kernels):
    z = readout()
    np.testing.assert_array_equal(MaxMembraneCrossEntropy().pieces(kernels, z), z.argmax(0))
    both = (RateCrossEntropy() + MaxMembraneCrossEntropy()).pieces(kernels, z)
    np.testing.assert_array_equal(both, z.argmax(0).ravel())
    for loss in (RateCrossEntropy(), TET(), SpikeCountMSE(), MembraneMSE(), TimeToFirstSpike(), TET() + TET()):
        assert loss.pieces(kernels, z) is None


def test_membrane_mse_of_labels(kernels):
    z = readout()
    losses, _ = MembraneMSE(1.5, -0.5)(z, LABELS, kernels)
    wanted = np.where(np.arange(K) == LABELS[:, None], 1.5, -0.5)
    np.testing.assert_allclose(losses, ((z - wanted) ** 2).mean((0, 2)), rtol=CLOSE)


def test_membrane_mse_of_a_target(kernels):
    """One wanted value for all steps, or one per step."""
    z, target = readout(), np.random.default_rng(4).normal(size=(T, N, K))
    losses, dz = MembraneMSE()(z, target, kernels)
    np.testing.assert_allclose(losses, ((z - target) ** 2).mean((0, 2)), rtol=CLOSE)
    np.testing.assert_allclose(dz, 2 * (z - target) / z.size, rtol=CLOSE, atol=CLOSE)
    same = np.repeat(target[:1], T, axis=0)
    for a, b in zip(MembraneMSE()(z, target[0], kernels), MembraneMSE()(z, same, kernels), strict=True):
        np.testing.assert_array_equal(a, b)
    losses, dz = MembraneMSE()(target, target, kernels)
    assert not losses.any() and not dz.any()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_time_to_first_spike(kernels, temperature):
    """Silence counts as T; equal times cost the logarithm of the classes."""
    z = np.zeros((T, N, K), np.uint8)
    for k in range(K - 1):
        z[k:, 0, k] = z[k, 1, k] = 1
    losses, _ = TimeToFirstSpike(temperature)(z, LABELS, kernels)
    times = -np.arange(K) / temperature
    want = [cross_entropy(times, 1, 0.0), cross_entropy(times, 4, 0.0), math.log(K)]
    np.testing.assert_allclose(losses, want, rtol=10 * np.finfo(np.float32).eps)


def test_a_silent_class_learns_to_fire(kernels):
    """A spike of the right class helps at any step, an early one most; the silent others are held back."""
    _, dz = TimeToFirstSpike()(np.zeros((T, N, K), np.uint8), LABELS, kernels)
    right = dz[:, np.arange(N), LABELS]
    assert (np.diff(right, axis=0) > 0).all() and (right < 0).all()
    assert (np.delete(dz[:, 0], LABELS[0], axis=1) > 0).all()


def test_what_a_readout_is_taken_for():
    """The largest mean, the largest maximum, the first spike: three answers to one readout."""
    z = np.zeros((3, 1, 3))
    z[:, 0, 0] = 0, 1, 1
    z[:, 0, 1] = -1, 1.5, 0
    assert RateCrossEntropy().decide(z) == [0] and (TET() + MaxMembraneCrossEntropy()).decide(z) == [0]
    assert MaxMembraneCrossEntropy().decide(z) == [1]
    assert (MaxMembraneCrossEntropy() + TET()).decide(z) == [1]
    spikes = np.zeros((3, 2, 3), np.uint8)
    spikes[1:, 0, 0] = spikes[0, 0, 2] = 1
    assert SpikeCountMSE().decide(spikes).tolist() == [0, 0]
    assert TimeToFirstSpike().decide(spikes).tolist() == [2, 0]


def test_a_number_that_is_not_one_is_not_hidden(kernels):
    """A run that diverged is reported by the trainer, which looks at the losses."""
    for loss in LOSSES:
        z = readout(np.float32, loss)
        z[2, 1, 3] = np.nan
        losses, _ = loss(z, LABELS, kernels)
        assert np.isnan(losses).tolist() == [False, True, False], loss


# --- sums -----------------------------------------------------------------------------------------------------------


def test_losses_add_up(kernels):
    """Values and gradients, with their weights, however the sum is written."""
    parts, weights = (RateCrossEntropy(0.1), TET(), MembraneMSE()), (1.0, 0.3, -2.0)
    values = [part(readout(), LABELS, kernels) for part in parts]
    want = [sum(w * value[k] for w, value in zip(weights, values, strict=True)) for k in range(2)]
    a, b, c = parts
    for total in (a + 0.3 * b + c * -2, (a + b * np.float64(0.3)) + -2 * c, LossSum(a, b, c, weights=weights)):
        assert total.losses == parts and total.weights == weights
        for got, expected in zip(total(readout(), LABELS, kernels), want, strict=True):
            np.testing.assert_allclose(got, expected, rtol=CLOSE, atol=CLOSE)


def test_a_sum_is_flat_and_may_be_weighted_again():
    a, b, c = RateCrossEntropy(), TET(), MembraneMSE()
    total = 2 * (a + 0.5 * (b + c))
    assert total.losses == (a, b, c) and total.weights == (2.0, 1.0, 1.0)


def test_a_sum_keeps_the_type(kernels):
    losses, dz = (0.5 * SpikeCountMSE() + TET())(np.ones((T, N, K), np.uint8), LABELS, kernels)
    assert losses.dtype == dz.dtype == np.float32


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_description(loss):
    description = loss.description()
    again = Loss.from_description(json.loads(json.dumps(description)))
    assert type(again) is type(loss) and again.description() == description
    assert eval(repr(loss), vars(snn.losses) | {"LogCosh": LogCosh}).description() == description


@pytest.mark.parametrize(
    "make", [lambda: TET() + 1, lambda: 1 + TET(), lambda: TET() * TET(), lambda: TET() * "2", lambda: TET() - TET()]
)
def test_sums_that_make_no_sense(make):
    with pytest.raises(TypeError, match=r"unsupported operand|can't multiply"):
        make()


# --- a loss of your own ---------------------------------------------------------------------------------------------


def test_own_loss_is_described_and_takes_labels_or_targets(kernels):
    loss = LogCosh("steps", correct=0.7)
    assert repr(loss) == "LogCosh(over='steps', correct=0.7)"
    z, onehot = readout(), np.where(np.arange(K) == LABELS[:, None], 0.7, 0.0)
    again = snn.layers.Layer.from_description(json.loads(json.dumps(loss.description())))
    for one, labels in ((loss, onehot), (again, LABELS), (again, np.broadcast_to(onehot, z.shape).copy())):
        got, dz = one(z, labels, kernels)
        np.testing.assert_allclose(got, np.log(np.cosh(z - onehot)).mean((0, 2)), rtol=CLOSE)
        np.testing.assert_allclose(dz, np.tanh(z - onehot) / (T * N * K), rtol=CLOSE)


def wrong_slope(z, y):
    return 1.01 * math.tanh(z - y)


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("over", ["mean", "steps"])
def test_check_gradients_finds_a_wrong_slope(device, over):
    net = snn.Sequential(snn.Linear(6, 8), snn.LIF(surrogate=snn.PSG("logistic")), snn.Linear(8, K))
    x = np.random.default_rng(0).normal(size=(T, N, 6)).astype(np.float32)
    assert snn.check_gradients(net, x, LABELS, LogCosh(over), device=device).ok
    mistaken = type(f"Mistaken_{device}_{over}", (LogCosh,), {"slope": staticmethod(wrong_slope)})
    assert not snn.check_gradients(net, x, LABELS, mistaken(over), device=device).ok


def test_own_losses_that_are_refused(kernels):
    with pytest.raises(TypeError, match=r"^Pointwise has no value\(z, y\); write it as a static method$"):
        Pointwise()
    with pytest.raises(ValueError, match=r"^LogCosh: over must be one of 'mean', 'steps'; got 'time'"):
        LogCosh("time")
    in_double = type("InDouble", (LogCosh,), {"value": staticmethod(lambda z, y: 1 / (2 + z * y))})
    with pytest.raises(ValueError, match=r"^InDouble: value must return float32 .*, got float64 \(line \d+"):
        in_double()
    message = re.escape(f"LogCosh: wanted values must have shape {(N, K)}; got {(T, N, K)}")
    with pytest.raises(snn.ShapeError, match=f"^{message}$"):
        LogCosh()(readout(), readout(), kernels)
