"""Targets of every kind: classes per step, several labels, numbers and pictures; weights, lengths and masks."""

import math
import re

import numpy as np
import pytest
from readouts import LABELS, K, N, T, readout

import numsnn as snn
from numsnn.kernels import for_device
from numsnn.losses import (
    TET,
    BinaryCrossEntropy,
    MaxMembraneCrossEntropy,
    MeanSquaredError,
    MembraneMSE,
    RateCrossEntropy,
    SpikeCountMSE,
    StepCrossEntropy,
    TimeToFirstSpike,
    balanced,
)

CLOSE = 200 * np.finfo(np.float64).eps
STEP_LABELS = np.array([[0, -1, 3], [4, -1, -1], [1, -1, 0], [-1, -1, 2]])
"""Labels ``[T, N]``; the second sample has none."""
OF_CLASSES = [RateCrossEntropy(0.1), TET(), SpikeCountMSE(), MaxMembraneCrossEntropy(), TimeToFirstSpike(0.7)]
LENGTHS = np.array([4, 1, 3])


@pytest.fixture(params=["reference", "cpu"])
def kernels(request):
    return for_device(request.param)


def entropy(logits, label):
    return math.log(sum(math.exp(z) for z in logits)) - logits[label]


def numeric(loss, z, **options):
    """Central differences of the mean loss."""
    slopes = np.empty_like(z)
    for at in np.ndindex(z.shape):
        values = []
        for move in (1e-5, -1e-5):
            moved = z.copy()
            moved[at] += move
            values.append(loss(moved, **options)[0].mean())
        slopes[at] = (values[0] - values[1]) / 2e-5
    return slopes


def test_one_class_per_step(kernels):
    z = readout()
    losses, dz = StepCrossEntropy()(z, STEP_LABELS, kernels)
    for n in range(N):
        each = [entropy(z[t, n], STEP_LABELS[t, n]) for t in range(T) if STEP_LABELS[t, n] >= 0]
        np.testing.assert_allclose(losses[n], sum(each) / max(1, len(each)), rtol=CLOSE)
    assert losses[1] == 0 and not dz[STEP_LABELS < 0].any()
    np.testing.assert_allclose(dz, numeric(StepCrossEntropy(), z, y=STEP_LABELS, kernels=kernels), rtol=0, atol=1e-9)
    assert StepCrossEntropy().predict(z, "class", True).tolist() == z.argmax(2).tolist()


def test_class_weights_per_step_and_per_sample(kernels):
    weights = (0.5, 2.0, 1.0, 3.0, 0.0)
    z = readout()
    losses, _ = StepCrossEntropy(class_weights=weights)(z, STEP_LABELS, kernels)
    first = [weights[STEP_LABELS[t, 0]] * entropy(z[t, 0], STEP_LABELS[t, 0]) for t in range(3)]
    np.testing.assert_allclose(losses[0], sum(first) / 3, rtol=CLOSE)
    for loss in OF_CLASSES:
        z = readout(loss=loss)
        plain, slopes = loss(z, LABELS, kernels)
        weighted = snn.losses.Loss.from_description({**loss.description(), "class_weights": weights})
        found, dz = weighted(z, LABELS, kernels)
        factors = np.array(weights)[LABELS]
        np.testing.assert_allclose(found, factors * plain, rtol=CLOSE)
        np.testing.assert_allclose(dz, factors[:, None] * slopes, rtol=CLOSE)


def test_several_labels(kernels):
    y = np.random.default_rng(3).integers(0, 2, (N, K)).astype(bool)
    z = readout()
    for over in ("mean", "steps"):
        losses, dz = BinaryCrossEntropy(over)(z, y, kernels)
        logits = z.mean(0, keepdims=True) if over == "mean" else z
        p = 1 / (1 + np.exp(-logits))
        want = -(y * np.log(p) + ~y * np.log(1 - p)).mean((0, 2))
        np.testing.assert_allclose(losses, want, rtol=CLOSE)
        np.testing.assert_allclose(dz, np.broadcast_to((p - y) / (T * N * K), z.shape), rtol=CLOSE, atol=CLOSE)
    assert np.array_equal(BinaryCrossEntropy().predict(z, "labels"), z.mean(0) > 0)


def test_large_logits_do_not_overflow(kernels):
    z = np.array([[[-1e4, 1e4]]], np.float32)
    losses, dz = BinaryCrossEntropy()(z, np.array([[0, 1]]), kernels)
    assert losses.tolist() == [0] and not dz.any()
    losses, dz = BinaryCrossEntropy()(z, np.array([[1, 0]]), kernels)
    assert losses.tolist() == [1e4] and dz.ravel().tolist() == [-0.5, 0.5]


def test_labels_stand_for_wanted_values(kernels):
    y = np.random.default_rng(3).integers(0, 2, (N, K))
    z = readout()
    losses, _ = MembraneMSE(1.5, -0.5)(z, y, kernels)
    np.testing.assert_allclose(losses, ((z - np.where(y, 1.5, -0.5)) ** 2).mean((0, 2)), rtol=CLOSE)
    assert np.array_equal(MembraneMSE(1.5, -0.5).predict(z, "labels"), z.mean(0) > 0.5)


def test_regression(kernels):
    z, y = readout(), np.random.default_rng(3).normal(size=(N, K))
    losses, dz = MeanSquaredError()(z, y, kernels)
    np.testing.assert_allclose(losses, ((z.mean(0) - y) ** 2).mean(1), rtol=CLOSE)
    np.testing.assert_allclose(dz[2], 2 * (z.mean(0) - y) / (T * N * K), rtol=CLOSE)
    for a, b in zip(MeanSquaredError("steps")(z, y, kernels), MembraneMSE()(z, y, kernels), strict=True):
        np.testing.assert_allclose(a, b, rtol=CLOSE)
    np.testing.assert_allclose(MeanSquaredError().predict(z, "values"), z.mean(0), rtol=CLOSE)
    one = readout()[:, :, :1]
    for a, b in zip(MeanSquaredError()(one, y[:, 0]), MeanSquaredError()(one, y[:, :1]), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("moving", [True, False])
def test_pictures(kernels, moving):
    """A readout [T, N, H, W, C] is compared number by number."""
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(T, N, 2, 3, 1)), rng.normal(size=((T,) if moving else ()) + (N, 2, 3, 1))
    losses, dz = MembraneMSE()(z, y, kernels)
    assert dz.shape == z.shape
    np.testing.assert_allclose(losses, ((z - y) ** 2).mean((0, 2, 3, 4)), rtol=CLOSE)
    np.testing.assert_allclose(dz, 2 * (z - y) / z.size, rtol=CLOSE, atol=CLOSE)
    assert MembraneMSE().predict(z, "values", moving).shape == (z.shape if moving else z.shape[1:])


# --- lengths, masks and weights ---------------------------------------------------------------------------------------


def targets_of(loss):
    if loss.per_step:
        return np.where(STEP_LABELS < 0, 1, STEP_LABELS)
    if "class" in loss.targets:
        return LABELS
    return np.random.default_rng(3).integers(0, 2, (N, K))


def narrowed(y, loss, n, length):
    return y[:length, n : n + 1] if loss.per_step else y[n : n + 1]


EVERY = [*OF_CLASSES, StepCrossEntropy(), MembraneMSE(), MeanSquaredError(), BinaryCrossEntropy("steps")]


@pytest.mark.parametrize("loss", [*EVERY, 0.5 * TET() + MembraneMSE()], ids=repr)
def test_a_padded_batch_has_the_losses_of_its_samples_alone(kernels, loss):
    z, y, weights = readout(loss=loss), targets_of(loss), np.array([1.0, 0.5, 2.0])
    beyond = np.arange(T)[:, None] >= LENGTHS
    z[beyond] = 0.25
    losses, dz = loss(z, y, kernels, LENGTHS, weights=weights)
    assert not dz[beyond].any()
    for n, length in enumerate(LENGTHS):
        alone, slopes = loss(np.ascontiguousarray(z[:length, n : n + 1]), narrowed(y, loss, n, length), kernels)
        np.testing.assert_allclose(losses[n], weights[n] * alone[0], rtol=CLOSE)
        np.testing.assert_allclose(dz[:length, n], weights[n] * slopes[:, 0] / N, rtol=CLOSE, atol=CLOSE)
    changed = z.copy()
    changed[beyond] = 0.75
    for a, b in zip(loss(changed, y, kernels, LENGTHS, weights=weights), (losses, dz), strict=True):
        np.testing.assert_array_equal(a, b)
    mask = ~beyond
    for a, b in zip(loss(z, y, kernels, mask=mask, weights=weights), (losses, dz), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_full_lengths_change_nothing(kernels, loss):
    z, y = readout(loss=loss), targets_of(loss)
    for a, b in zip(loss(z, y, kernels, np.full(N, T)), loss(z, y, kernels), strict=True):
        np.testing.assert_array_equal(a, b)


def test_predictions_ignore_what_lies_beyond():
    z = np.zeros((3, 2, 2))
    z[0, :, 1], z[1:, :, 0] = 1, 5
    counted = np.array([[True, True], [False, True], [False, True]])
    assert RateCrossEntropy().decide(z, counted).tolist() == [1, 0]
    assert MaxMembraneCrossEntropy().decide(z, counted).tolist() == [1, 0]
    spikes = np.array([[[0, 0]], [[0, 1]], [[1, 0]]], np.uint8)
    assert TimeToFirstSpike().decide(spikes).tolist() == [1]
    assert TimeToFirstSpike().decide(spikes, np.array([[True], [False], [True]])).tolist() == [0]


def test_the_kernels_follow_the_array():
    """Without kernels, a host readout uses those of the CPU, and lists become arrays."""
    z = readout(np.float32)
    for a, b in zip(TET()(z, LABELS), TET()(z, LABELS, for_device("cpu")), strict=True):
        np.testing.assert_array_equal(a, b)
    fortran = np.asfortranarray(z)
    np.testing.assert_array_equal(TET()(fortran, list(LABELS))[1], TET()(z, LABELS)[1])


# --- weights that make classes count the same -------------------------------------------------------------------------


def test_balanced_weights():
    assert balanced([0, 0, 0, 1]) == (2 / 3, 2.0)
    assert balanced(np.array([[0, -1], [2, 2]])) == (1.5, 0.0, 0.75)
    assert balanced([1], 3) == (0.0, 1.0, 0.0)
    y = np.random.default_rng(0).integers(0, 4, 200)
    assert np.mean(np.array(balanced(y))[y]) == pytest.approx(1.0)
    for labels, classes, message in (
        ([-1, -1], None, "labels must be whole numbers, at least one of them 0 or more"),
        ([0.5], None, "labels must be whole numbers, at least one of them 0 or more; got float64"),
        ([3], 2, "labels must be smaller than n_classes, 2; got 3"),
    ):
        with pytest.raises(ValueError, match=f"^balanced: {message}"):
            balanced(labels, classes)


# --- what is refused --------------------------------------------------------------------------------------------------

SHAPE = f"(4, 3, 5), or {(N, K)}"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: StepCrossEntropy()(readout(), LABELS),
            snn.ShapeError,
            "StepCrossEntropy: labels must be whole numbers of shape (4, 3), one per step and sample; "
            "got int64 of shape (3,)",
        ),
        (
            lambda: StepCrossEntropy()(readout(), STEP_LABELS + 2),
            snn.ShapeError,
            "StepCrossEntropy: labels must lie in 0..4 for a readout of 5, or be -1 for a step without a label; "
            "got 5 at index (0, 2)",
        ),
        (
            lambda: BinaryCrossEntropy()(readout(), np.full((N, K), 1.5)),
            ValueError,
            "BinaryCrossEntropy: labels must lie in 0..1; got 1.5 to 1.5",
        ),
        (
            lambda: MembraneMSE()(np.zeros((T, N, 2, 2, 1)), LABELS),
            snn.ShapeError,
            "MembraneMSE: one class per sample needs a readout [T, N, K]; got (4, 3, 2, 2, 1)",
        ),
        (
            lambda: TET()(readout(), LABELS, lengths=[1, 2]),
            snn.ShapeError,
            "TET: lengths must be 3 whole numbers in 1..4; got [1, 2]",
        ),
        (
            lambda: TET()(readout(), LABELS, lengths=[1, 2, 5]),
            snn.ShapeError,
            "TET: lengths must be 3 whole numbers in 1..4; got [1, 2, 5]",
        ),
        (
            lambda: TET()(readout(), LABELS, mask=np.ones((T, N))),
            snn.ShapeError,
            "TET: mask must be truth values of shape (4, 3); got float64 of shape (4, 3)",
        ),
        (
            lambda: TET()(readout(), LABELS, mask=np.arange(T)[:, None] < [4, 0, 1]),
            snn.ShapeError,
            "TET: mask must have a step for every sample; sample 1 has none",
        ),
        (
            lambda: TET()(readout(), LABELS, lengths=[4, 1, 4], mask=np.arange(T)[:, None] >= [0, 1, 2]),
            snn.ShapeError,
            "TET: mask must have a step within its length for every sample; sample 1 has none",
        ),
        (
            lambda: TET()(readout()[:, :0], LABELS[:0], lengths=LABELS[:0]),
            snn.ShapeError,
            "TET: the readout must hold at least one step, sample and output; got shape (4, 0, 5)",
        ),
        (
            lambda: TET()(readout(), LABELS, lengths=[[1], [2, 3]]),
            snn.ShapeError,
            "TET: lengths must be an array; got nested lists of unequal lengths",
        ),
        (
            lambda: MembraneMSE()(readout(), [[1.0], [2.0, 3.0]]),
            snn.ShapeError,
            "MembraneMSE: targets must be an array; got nested lists of unequal lengths",
        ),
        (
            lambda: snn.losses.LossSum(TET(), weights=3),
            ValueError,
            "LossSum: weights must be a list of numbers; got 3",
        ),
        (
            lambda: TET()(readout(), LABELS, weights=[1, 2]),
            snn.ShapeError,
            "TET: weights must be 3 numbers, one per sample; got int64 of shape (2,)",
        ),
        (
            lambda: TET()(readout(), LABELS, weights=[1, -2, 0]),
            ValueError,
            "TET: weights must be finite and at least 0; got -2 at index 1",
        ),
        (
            lambda: TET(class_weights=[1, 2])(readout(), LABELS),
            snn.ShapeError,
            "TET: class_weights must have one number per class, 5; got 2",
        ),
        (
            lambda: TET(class_weights=3),
            ValueError,
            "TET: class_weights must be a list of numbers, one per class; got 3",
        ),
        (lambda: TET(class_weights=[1, -1]), ValueError, "TET: class_weights must be at least 0; got -1"),
        (
            lambda: TET()(readout().astype(np.int64), LABELS),
            snn.ShapeError,
            "TET: the readout must be float32, float64 or spikes (uint8); got int64",
        ),
        (
            lambda: TET() + StepCrossEntropy(),
            ValueError,
            "LossSum: TET, StepCrossEntropy do not take the same targets",
        ),
        (
            lambda: TET().need("train", "values", False),
            ValueError,
            "TET needs one class per sample as targets; train has values per sample. Use MeanSquaredError, or if these "
            "are classes, give whole numbers: y.astype(int), and y.argmax(1) for one-hot rows",
        ),
        (
            lambda: MembraneMSE().need("train", "class", True),
            ValueError,
            "MembraneMSE needs values per sample or one class per sample or several labels per sample as targets; "
            "train has one class per step. Use StepCrossEntropy, or if these are numbers, give floats: y.astype(float)",
        ),
        (
            lambda: MeanSquaredError().need("train", "class", False),
            ValueError,
            "MeanSquaredError needs values per sample as targets; train has one class per sample. "
            "Use RateCrossEntropy, or if these are numbers, give floats: y.astype(float)",
        ),
        (
            lambda: (StepCrossEntropy() + MembraneMSE()).need("train", "class", True),
            ValueError,
            "MembraneMSE needs values per sample or one class per sample or several labels per sample as targets; "
            "train has one class per step. Use StepCrossEntropy, or if these are numbers, give floats: y.astype(float)",
        ),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()
