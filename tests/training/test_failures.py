"""Nothing is lost or changed when a part of a run fails, and what cannot work is refused before training begins."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import numsnn as snn
from numsnn.training import Callback, EarlyStopping, WeightAverage
from numsnn.training.run_state import BEST, LAST, METRICS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 6, 3)).astype(np.float32)
DATA = snn.data.Dataset(X, np.arange(12) % 2, timed=True)


FROZEN = "every layer that can learn is frozen; net.unfreeze() or the same of some of its layers lets them learn again"


class Stop(Exception):
    """Raised by a test in the middle of a run."""


class Own:
    """A source of batches of a user's own, which says nothing about its targets."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def batch(self, indices):
        return self.x[indices].swapaxes(0, 1), self.y[indices]


class Fails(Callback):
    """Raises once, at the end of the given epoch, or in its evaluation."""

    def __init__(self, epoch: int = 2, place: str = "on_epoch"):
        self.epoch, self.place, self.raised = epoch, place, False

    def _act(self, place, epoch):
        if place == self.place and epoch == self.epoch and not self.raised:
            self.raised = True
            raise Stop

    def after_evaluation(self, trainer):
        self._act("after_evaluation", trainer.epoch)

    def on_epoch(self, trainer, metrics):
        self._act("on_epoch", metrics["epoch"])


def make(out=None, loss=None, **options):
    net = snn.Sequential(snn.Linear(3, 8), snn.LIF(), snn.Linear(8, 2))
    return snn.Trainer(net, loss, out=out, **{"batch_size": 4, "optimizer": snn.optim.Adam(1e-2), **options})


def same(a, b):
    return all(np.array_equal(value, b.state()[name]) for name, value in a.state().items())


# --- exceptions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["on_epoch", "after_evaluation"])
def test_an_exception_at_the_end_of_an_epoch_loses_nothing(tmp_path, place):
    whole, failed = (
        make(
            tmp_path / name,
            callbacks=[Fails(2, place)],
            schedule=snn.schedules.Plateau(0.5, 2, min_delta=10.0),
        )
        for name in ("whole", "failed")
    )
    whole.callbacks[0].raised = True
    whole.fit(DATA, DATA, epochs=3, progress=False)
    with pytest.raises(Stop):
        failed.fit(DATA, DATA, epochs=3, progress=False)
    history = failed.fit(DATA, DATA, epochs=3, progress=False)
    assert [row["epoch"] for row in history] == [1, 2, 3] and same(whole.net, failed.net)
    assert (tmp_path / "failed" / METRICS).read_text().count("\n") == 3


def test_an_exception_in_an_evaluation_gives_the_trained_weights_back(monkeypatch):
    trainer = make(callbacks=[WeightAverage(0.5)])
    trainer.fit(DATA, epochs=2, progress=False)
    before = trainer.net.state()
    bad = snn.data.Dataset(X, np.arange(12) % 3, timed=True)
    with pytest.raises(snn.ShapeError, match="labels must lie in"):
        trainer.fit(DATA, epochs=1, progress=False, test=bad)
    trained = make(callbacks=[WeightAverage(0.5)])
    trained.fit(DATA, epochs=2, progress=False)
    trained.fit(DATA, epochs=1, progress=False)
    assert same(trainer.net, trained.net) and not np.array_equal(
        before["linear1.weight"], trainer.net.state()["linear1.weight"]
    )


def test_an_exception_while_the_test_part_is_told_gives_the_last_weights_back():
    trainer, undisturbed = make(), make()
    undisturbed.fit(DATA, DATA, epochs=3, progress=False)
    bad = snn.data.Dataset(X, np.arange(12) % 3, timed=True)
    with pytest.raises(snn.ShapeError, match="labels must lie in"):
        trainer.fit(DATA, DATA, epochs=3, progress=False, test=bad)
    assert same(trainer.net, undisturbed.net)


def test_a_batch_that_failed_leaves_no_gradient_behind(monkeypatch):
    from numsnn.training.batch_step import BatchStep

    update, failed = BatchStep._update, []

    def fail_once(self, *arguments):
        if not failed:
            failed.append(True)
            raise Stop
        update(self, *arguments)

    undisturbed = make()
    undisturbed.fit(DATA, epochs=1, progress=False)
    monkeypatch.setattr(BatchStep, "_update", fail_once)
    trainer = make()
    with pytest.raises(Stop):
        trainer.fit(DATA, epochs=1, progress=False)
    trainer.fit(DATA, epochs=1, progress=False)
    assert same(trainer.net, undisturbed.net)


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process")
def test_ctrl_c_in_an_evaluation_stops_before_the_next_batch(tmp_path):
    class Press(Callback):
        pressed = False

        def before_evaluation(self, trainer):
            if not self.pressed:
                self.pressed = True
                os.kill(os.getpid(), signal.SIGINT)

    trainer = make(tmp_path, callbacks=[Press()])
    with pytest.raises(KeyboardInterrupt, match="stopped at epoch 2, batch 0; saved"):
        trainer.fit(DATA, DATA, epochs=2, progress=False)
    assert trainer.optimizer.steps == 3 and len(trainer.history) == 1


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process")
def test_a_process_that_ignores_ctrl_c_is_not_stopped():
    """As a job in the background of a script."""
    script = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from numsnn.training.interrupt import DelayedInterrupt
with DelayedInterrupt() as interrupt:
    os.kill(os.getpid(), signal.SIGINT)
print(interrupt.requested, signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


# --- files of a run ---------------------------------------------------------------------------------------------------


def test_a_run_without_its_last_state_begins_anew(tmp_path):
    """A kill between the first two files of a run."""
    make(tmp_path).fit(DATA, epochs=1, progress=False)
    (tmp_path / LAST).unlink()
    with pytest.raises(FileExistsError, match="already holds a run"):
        make(tmp_path).fit(DATA, epochs=1, progress=False)
    assert len(make(tmp_path).fit(DATA, epochs=1, resume=True, progress=False)) == 1


def test_a_best_network_is_not_overwritten(tmp_path):
    (tmp_path / BEST).write_text("mine")
    with pytest.raises(FileExistsError, match="already holds a run"):
        make(tmp_path).fit(DATA, DATA, epochs=1, progress=False)
    assert (tmp_path / BEST).read_text() == "mine"


def test_a_run_in_another_folder_is_not_overwritten(tmp_path):
    for name in "ab":
        make(tmp_path / name).fit(DATA, epochs=1 + (name == "b"), progress=False)
    before = (tmp_path / "b" / METRICS).read_text()
    with pytest.raises(FileExistsError, match="b already holds another run than"):
        make(tmp_path / "b").restore(tmp_path / "a" / LAST)
    assert (tmp_path / "b" / METRICS).read_text() == before
    make(tmp_path / "c").restore(tmp_path / "a" / LAST)


def test_the_best_network_must_be_that_of_the_run(tmp_path):
    """A kill after checkpoint.h5 of epoch 2 was written and before last.h5; then another rate."""
    make(tmp_path).fit(DATA, DATA, epochs=1, progress=False)
    kept = (tmp_path / LAST).read_bytes()
    make(tmp_path).fit(DATA, DATA, epochs=3, resume="changes", progress=False)
    (tmp_path / LAST).write_bytes(kept)
    trainer = make(tmp_path)
    trainer.restore(tmp_path / LAST)
    assert trainer.best.epoch == 1
    with pytest.raises(
        snn.CheckpointError, match=r"checkpoint\.h5: holds Best\(epoch=[23], .*of this run is Best\(epoch=1"
    ):
        trainer.restore_best()
    elsewhere = make()
    elsewhere.restore(tmp_path / LAST)
    with pytest.raises(RuntimeError, match="the network of epoch 1 is in the folder of its run; give the Trainer"):
        elsewhere.restore_best()


# --- what is refused before training ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"callbacks": EarlyStopping()}, TypeError, "Trainer: callbacks must be a list; got EarlyStopping()"),
        ({"metrics": snn.metrics.Accuracy()}, TypeError, "Trainer: metrics must be a list; got Accuracy()"),
        ({"on_batch": 3}, TypeError, "Trainer: on_batch must be a function; got 3"),
        ({"on_epoch": "x"}, TypeError, "Trainer: on_epoch must be a function; got 'x'"),
        ({"out": 5}, TypeError, "Trainer: out must be the path of a folder; got 5"),
        (
            {"metrics": [snn.metrics.TopK(2), snn.metrics.TopK(2)]},
            ValueError,
            "Trainer: metrics must have different names, other than 'loss'; got 'top2' twice",
        ),
    ],
)
def test_settings_that_are_refused(options, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make(**options)


def test_data_of_another_kind_are_refused_before_training():
    values = snn.data.Dataset(X, np.zeros((12, 2), np.float32), timed=True)
    for part in ("valid", "test"):
        trainer = make(loss=snn.losses.MembraneMSE())
        with pytest.raises(ValueError, match="the metric R2 measures values; the targets are one class per sample"):
            trainer.fit(values, epochs=1, progress=False, **{part: DATA})
        assert trainer.optimizer.steps == 0


def test_a_metric_of_validation_data_needs_them():
    for options in ({"callbacks": [EarlyStopping()]}, {"schedule": snn.schedules.Plateau()}):
        trainer = make(**options)
        with pytest.raises(ValueError, match=r"there is no metric 'valid_loss' without validation data; give fit some"):
            trainer.fit(DATA, epochs=1, progress=False)
        assert trainer.optimizer.steps == 0


def test_entries_of_callbacks_become_plain_data(tmp_path):
    class Adds(Callback):
        def __init__(self, value: object = None):
            self.value = value

        def on_epoch(self, trainer, metrics):
            metrics["added"] = eval(self.value)

    trainer = make(tmp_path, callbacks=[Adds("np.float32(0.5)")])
    assert trainer.fit(DATA, epochs=1, progress=False)[0]["added"] == 0.5
    with pytest.raises(TypeError, match=r"^Trainer: the metric 'added' must be a number or other plain data; got <"):
        make(callbacks=[Adds("object()")]).fit(DATA, epochs=1, progress=False)


# --- sources of one's own ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "y", "metric"),
    [
        (snn.losses.RateCrossEntropy(), np.arange(12) % 2, "accuracy"),
        (snn.losses.MeanSquaredError(), X[:, 0, :2], "r2"),
        (snn.losses.BinaryCrossEntropy(), X[:, 0, :2] > 0, "f1"),
        (snn.losses.BinaryCrossEntropy(), (X[:, 0, :2] > 0).astype(int), "f1"),
    ],
)
def test_the_targets_of_a_source_that_does_not_name_them(loss, y, metric):
    source = Own(X, y)
    known = snn.data.Dataset(X, y, timed=True, target="labels" if metric == "f1" else None)
    own, dataset = make(loss=loss), make(loss=loss)
    history = own.fit(source, source, epochs=2, progress=False)
    assert [row | {"seconds": 0} for row in history] == [
        row | {"seconds": 0} for row in dataset.fit(known, known, epochs=2, progress=False)
    ]
    assert f"valid_{metric}" in history[-1] and np.array_equal(own.predict(source), dataset.predict(known))


def test_a_source_with_targets_per_step():
    class PerStep(Own):
        def batch(self, indices):
            return self.x[indices].swapaxes(0, 1), self.y[indices].T

    y = (X[..., 0] > 0).astype(int)
    history = make(loss=snn.losses.StepCrossEntropy()).fit(PerStep(X, y), epochs=1, progress=False)
    assert "train_accuracy" in history[0]


def test_sources_that_are_refused():
    class One(Own):
        def batch(self, indices):
            return self.x[indices].swapaxes(0, 1)

    y = np.arange(12) % 2
    with pytest.raises(TypeError, match=r"^a batch must be a pair \(x, y\) or a numsnn\.data\.Batch; got ndarray$"):
        make().fit(One(X, y), epochs=1, progress=False)
    with pytest.raises(ValueError, match=r"^train: holds no sample$"):
        make().fit(Own(X[:0], y[:0]), epochs=1, progress=False)
    with pytest.raises(TypeError, match=r"^x must be samples without targets, or a Dataset; got a tuple of 2$"):
        make().predict((X, y))
    with pytest.raises(ValueError, match=r"^Trainer\.predict: per_step must be True or False; got 'yes'$"):
        make().predict(X, per_step="yes")


# --- parts of one's own -----------------------------------------------------------------------------------------------


def test_states_that_a_checkpoint_cannot_hold(tmp_path):
    class Remembers(Callback):
        """Returns a state that it is told."""

        def state(self):
            return STATES[-1]

    for number, (state, message) in enumerate(
        [
            (None, "Remembers: state() must return a dictionary; got None"),
            (
                {"a": np.arange(2)},
                "Remembers: state() must hold plain data, and arrays under the key 'arrays'; got {'a':",
            ),
            ({"arrays": {"a": np.array(["x"])}}, "Remembers: the array 'a' of state() must hold numbers; got <U1"),
        ]
    ):
        STATES.append(state)
        with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
            make(tmp_path / str(number), callbacks=[Remembers()]).fit(DATA, epochs=1, progress=False)
    STATES.append({"arrays": {"a/b": [1, 2]}})
    trainer = make(tmp_path / "whole", callbacks=[Remembers()])
    trainer.fit(DATA, epochs=1, progress=False)
    assert snn.load(tmp_path / "whole" / LAST).built


STATES: list = []


@pytest.mark.parametrize("factor", [-1.0, float("nan"), "x"])
def test_a_factor_that_is_none(factor):
    class NoFactor(snn.schedules.Schedule):
        def factor(self, epoch, epochs):
            return factor

    with pytest.raises(ValueError, match=r"^NoFactor: factor must be (at least 0|a finite number); got"):
        make(schedule=NoFactor()).fit(DATA, epochs=1, progress=False)


def test_observations_that_are_none():
    with pytest.raises(TypeError, match=r"^EarlyStopping\.observe: value must be a number; got 'x'$"):
        EarlyStopping().observe("x")
    with pytest.raises(TypeError, match=r"^Plateau\.observe: metrics must be a dictionary; got 0\.5$"):
        snn.schedules.Plateau().observe(0.5)
    with pytest.raises(RuntimeError, match=r"^WeightAverage: the network is not built yet"):
        WeightAverage().update(snn.Sequential(snn.Linear(2, 2)))


# --- frozen networks ------------------------------------------------------------------------------------------------


class Unfreezes(Callback):
    """Unfreezes one layer when training begins."""

    def on_start(self, trainer):
        trainer.net["linear2"].unfreeze()


def test_a_wholly_frozen_network_is_refused_before_the_run_begins(tmp_path):
    trainer = make(tmp_path)
    trainer.net.freeze()
    with pytest.raises(ValueError, match=f"^Trainer.fit: {re.escape(FROZEN)}$"):
        trainer.fit(DATA, epochs=1, progress=False)
    assert list(tmp_path.iterdir()) == []
    trainer.net["linear2"].unfreeze()
    trainer.fit(DATA, epochs=1, progress=False)
    assert trainer.optimizer.steps == 3


def test_a_callback_may_unfreeze_before_the_first_update():
    trainer = make(callbacks=[Unfreezes()])
    trainer.net.freeze()
    trainer.fit(DATA, epochs=1, progress=False)
    assert trainer.optimizer.steps == 3


def test_freezing_everything_during_a_run_is_seen():
    trainer = make(on_epoch=lambda trainer, metrics: trainer.net.freeze() and None)
    with pytest.raises(ValueError, match=f"^Loop.step: {re.escape(FROZEN)}$"):
        trainer.fit(DATA, epochs=2, progress=False)
    assert trainer.optimizer.steps == 3 and len(trainer.history) == 1
