"""The tournament: a run of every candidate, the log that it goes on with, and the table of paired differences."""

import functools

import numpy as np
import pytest

import numsnn as snn
from benchmarks import datasets
from benchmarks.data import cifar_events
from benchmarks.method import runs, tournament, width_rules
from benchmarks.method.candidates import CANDIDATES, FIXED_WIDTHS
from benchmarks.method.tournament import Entry
from benchmarks.tasks import TOURNAMENT_TASKS, Task
from numsnn.data import prepare

TINY = Task("digits", train=48, test=10, valid=10, architecture="3c3-p2-3c3", steps=2, epochs=2, batch=16)


@pytest.fixture
def tiny(monkeypatch):
    """A small task, trained on the reference, for which nothing has to be compiled."""
    monkeypatch.setitem(TOURNAMENT_TASKS, "digits", TINY)
    monkeypatch.setattr(runs.snn, "Trainer", functools.partial(runs.snn.Trainer, device="reference"))


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_trains(tiny, name):
    result = tournament.train(Entry("digits", name, 0), {})
    assert set(result) == {"valid", "loss", "widths", "seconds"}
    assert 0 <= result["valid"] <= 1 and len(result["loss"]) == TINY.epochs
    ends = [float(np.mean(width)) for width in result["widths"].values()]
    if name.startswith(("fixed", "mask", "noisy")):
        assert ends == pytest.approx([CANDIDATES[name].surrogate.width] * 2)
    if name.startswith("with the rate"):
        assert ends == pytest.approx([float(name.split()[-1])] * 2)
    if name.startswith(("spread", "window", "look-ahead", "gradient from")):
        assert len(set(ends)) == 2  # each layer has its own; the look-ahead has moved one of them so far
    if CANDIDATES[name].rule is not None:  # which may draw random numbers of its own
        assert result == tournament.train(Entry("digits", name, 0), {}) | {"seconds": result["seconds"]}


def test_the_test_part_is_told_in_the_final_stage_alone(tiny):
    assert "test" not in tournament.train(Entry("digits", "fixed 1", 0), {})
    assert "test" in tournament.train(Entry("digits", "fixed 1", 100, "final"), {})


def test_validation_is_cut_from_training():
    train, valid, test = runs.samples_of(TINY)
    first, second = datasets.load("digits")
    np.testing.assert_array_equal(train.x, first.batch(np.arange(48))[0])
    np.testing.assert_array_equal(valid.x, first.batch(np.arange(48, 58))[0])
    np.testing.assert_array_equal(test.x, second.batch(np.arange(10))[0])


def test_the_width_follows_the_rate():
    ends = [width_rules.between((2.0, 0.5), done) for done in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(ends, [2.0, 1.0, 0.5])


def test_a_network_of_residual_blocks():
    task = TOURNAMENT_TASKS["cifar10-5k deep"]
    net = runs.network_of(task, snn.LIF(), (32, 32, 3))
    net.build((2, 32, 32, 3))
    convolutions = [layer for layer in net.walk() if isinstance(layer, snn.Conv2d) and layer.kernel == (3, 3)]
    assert len(convolutions) == 9 and len(runs.neurons(net)) == 9
    assert net.output_shape == (2, 2, 10)


def lines(accuracies):
    """A log with these accuracies, by candidate and seed."""
    return [
        {"entry": {"task": "words", "candidate": name, "seed": seed, "stage": "choose"}, "result": {"valid": value}}
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]


def test_differences_are_taken_by_seed():
    log = lines({"fixed 1": [0.5, 0.6, None], "fixed 2": [0.4, 0.5, 0.6], "gradient": [0.52, 0.64]})
    found = tournament.accuracies(log)
    assert found["words", "fixed 1"][2] == 5.0  # one of twenty classes, by guessing
    assert tournament.best_fixed(found, "words") == "fixed 2"
    gap, error, count = tournament.difference(found["words", "gradient"], found["words", "fixed 2"])
    assert (gap, count) == (pytest.approx(13.0), 2)
    assert error == pytest.approx(np.std([12.0, 14.0], ddof=1) / 2**0.5)
    text = tournament.report(log, {"words": tournament.best_fixed(found, "words")})
    assert "+13.0 ± 1.0 (2)" in text and "fixed 2" in text
    assert tournament.difference({0: 1.0}, {1: 1.0}) is None


def test_entries_that_are_there_are_not_run_again():
    some = ["fixed 1", "mask"]
    every = tournament.wanted("choose", ["words", "mnist8k"], some, 2, [])
    assert [(e.task, e.candidate, e.seed) for e in every] == [
        (task, name, seed) for seed in (0, 1) for task, name in (("words", some[0]), *(("mnist8k", n) for n in some))
    ]
    done = [{"entry": {"task": e.task, "candidate": e.candidate, "seed": e.seed, "stage": e.stage}} for e in every[:3]]
    assert tournament.wanted("choose", ["words", "mnist8k"], some, 2, done) == every[3:]
    assert {e.seed for e in tournament.wanted("final", ["words"], some, 2, [])} == {100, 101}


def test_the_widths_to_beat_are_candidates():
    assert {f"fixed {width:g}" for width in FIXED_WIDTHS} <= set(CANDIDATES)


def test_recordings_of_pictures(tmp_path):
    rng = np.random.default_rng(0)
    classes = ("cat", "dog")
    parts = {"train": 6, "test": 3}
    pictures = {
        part: snn.data.Dataset(rng.random((n, 32, 32, 3), np.float32), np.arange(n) % 2, classes=classes)
        for part, n in parts.items()
    }
    snn.data.save(tmp_path / "cifar.h5", **pictures)
    prepare.run(cifar_events.plan(tmp_path / "cifar.h5", 4, 2), tmp_path / "events.h5", progress=False)
    train, test = datasets.load("cifar10-dvs-sim", 5, events=str(tmp_path / "events.h5"))
    assert (len(train), len(test)) == (4, 2) and train.classes == classes
    x, y = train.batch(np.arange(4))
    assert x.shape == (5, 4, 32, 32, 2) and x.sum() > 1000
    np.testing.assert_array_equal(y, [0, 1, 0, 1])
    with pytest.raises(datasets.Missing, match="--events"):
        datasets.load("cifar10-dvs-sim", 5)
