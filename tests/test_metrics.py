"""Metrics: right values, the same for any division into batches."""

import json
import re

import numpy as np
import pytest

import numsnn as snn
from numsnn.losses import BinaryCrossEntropy, MeanSquaredError, RateCrossEntropy, StepCrossEntropy
from numsnn.metrics import F1, R2, Accuracy, ExactMatch, MeanAbsoluteError, Metric, Readout, TopK, standard
from numsnn.training.evaluation import Tally

rng = np.random.default_rng(0)
T, N, K = 3, 20, 4
Z = rng.normal(size=(T, N, K))
CLASSES = rng.integers(0, K, N)
STEPS = rng.integers(-1, K, (T, N))
LABELS = rng.integers(0, 2, (N, K)).astype(np.uint8)
LABELS[:, 3] = 0
VALUES = rng.normal(1000, 1, size=(N, K))
LENGTHS = rng.integers(1, T + 1, N)


def measured(metric, loss, z, y, target, per_step=False, lengths=None, batches=((0, 7), (7, 8), (8, N))):
    """The metric of several batches of different size, kept as JSON between them."""
    counts = None
    for lo, hi in batches:
        tally = Tally((metric,), counts)
        part = y[:, lo:hi] if per_step else y[lo:hi]
        tally.add(Readout(loss, z[:, lo:hi], part, target, per_step, None if lengths is None else lengths[lo:hi]))
        counts = json.loads(json.dumps([None if c is None else c.tolist() for c in tally.counts]))
    (value,) = Tally((metric,), counts).values().values()
    return value


def test_accuracy():
    assert measured(Accuracy(), RateCrossEntropy(), Z, CLASSES, "class") == np.mean(Z.mean(0).argmax(1) == CLASSES)


def test_accuracy_per_step_counts_labelled_steps_within_the_lengths():
    there = (STEPS >= 0) & (np.arange(T)[:, None] < LENGTHS)
    want = np.mean((Z.argmax(2) == STEPS)[there])
    assert measured(Accuracy(), StepCrossEntropy(), Z, STEPS, "class", True, LENGTHS) == want


def test_accuracy_takes_the_mean_within_the_lengths():
    z = Z.copy()
    z[np.arange(T)[:, None] >= LENGTHS] = 1e9
    means = np.array([z[:length, n].mean(0) for n, length in enumerate(LENGTHS)])
    found = measured(Accuracy(), RateCrossEntropy(), z, CLASSES, "class", lengths=LENGTHS)
    assert found == np.mean(means.argmax(1) == CLASSES)


@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_top_k(k):
    order = np.argsort(-Z.mean(0), axis=1)[:, :k]
    want = np.mean([label in row for label, row in zip(CLASSES, order, strict=True)])
    assert measured(TopK(k), RateCrossEntropy(), Z, CLASSES, "class") == want
    assert TopK(k).name == f"top{k}"


def test_top_k_of_equal_scores_counts_each_place_once():
    z = np.zeros((1, K, K))
    assert measured(TopK(2), RateCrossEntropy(), z, np.arange(K), "class", batches=((0, K),)) == 2 / K


def f1(found, want):
    hits = np.count_nonzero(found & want)
    total = 2 * hits + np.count_nonzero(found != want)
    return 2 * hits / total if total else 0.0


def test_f1_and_exact_match():
    found, want = Z.mean(0) > 0, LABELS.astype(bool)
    loss = BinaryCrossEntropy()
    assert measured(F1(), loss, Z, LABELS, "labels") == pytest.approx(f1(found, want), rel=1e-14)
    macro = np.mean([f1(found[:, k], want[:, k]) for k in range(K)])
    assert measured(F1("macro"), loss, Z, LABELS, "labels") == pytest.approx(macro, rel=1e-14)
    assert measured(ExactMatch(), loss, Z, LABELS, "labels") == np.mean((found == want).all(1))
    nothing = np.zeros((N, K), np.uint8)
    assert measured(F1("macro"), loss, -np.abs(Z), nothing, "labels") == 0


def test_mean_absolute_error_and_r2():
    found, loss = Z.mean(0) + 1000, MeanSquaredError()
    z = Z + 1000
    error = measured(MeanAbsoluteError(), loss, z, VALUES, "values")
    assert error == pytest.approx(np.abs(found - VALUES).mean(), rel=1e-14)
    want = 1 - ((found - VALUES) ** 2).sum() / ((VALUES - VALUES.mean(0)) ** 2).sum()
    assert measured(R2(), loss, z, VALUES, "values") == pytest.approx(want, rel=1e-9)
    exact = np.broadcast_to(VALUES, (T, N, K))
    assert measured(R2(), loss, exact, VALUES, "values") == pytest.approx(1, abs=1e-12)
    mean = np.broadcast_to(VALUES.mean(0), (T, N, K))
    assert measured(R2(), loss, mean, VALUES, "values") == pytest.approx(0, abs=1e-9)
    assert measured(R2(), loss, exact, np.ones((N, K)), "values") == 0


def test_pictures_are_measured_number_by_number():
    z, y = rng.normal(size=(T, N, 2, 3, 1)), rng.normal(size=(N, 2, 3, 1))
    error = measured(MeanAbsoluteError(), MeanSquaredError(), z, y, "values")
    assert error == pytest.approx(np.abs(z.mean(0) - y).mean(), rel=1e-14)


def test_the_metrics_of_every_kind():
    assert [m.name for kind in ("class", "labels", "values") for m in standard(kind)] == [
        "accuracy",
        "f1",
        "exact_match",
        "r2",
        "mae",
    ]
    assert MeanAbsoluteError().better(1, 2) and R2().better(2, 1)


@pytest.mark.parametrize(
    "metric", [Accuracy(), TopK(3), F1("macro"), ExactMatch(), MeanAbsoluteError(), R2()], ids=repr
)
def test_description(metric):
    assert repr(Metric.from_description(json.loads(json.dumps(metric.description())))) == repr(metric)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TopK(0), "TopK: k must be a whole number of at least 1; got 0"),
        (lambda: F1("all"), "F1: average must be one of 'micro', 'macro'; got 'all'"),
    ],
)
def test_settings_that_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make()


def test_metrics_of_another_kind_of_targets_are_refused():
    net = snn.Sequential(snn.Repeat(1), snn.Linear(3, 2))
    trainer = snn.Trainer(net, metrics=[R2()])
    message = "Trainer: the metric R2 measures values; the targets are one class per sample"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        trainer.fit((np.zeros((4, 3)), np.zeros(4, int)), epochs=1, progress=False)


def test_nothing_is_right_beside_numbers_that_are_none():
    z = Z.copy()
    z[:] = np.nan
    assert measured(TopK(2), RateCrossEntropy(), z, CLASSES, "class") == 0
