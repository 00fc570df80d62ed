"""Callbacks: early stopping, a rate that falls on a plateau, averaged weights; their state is saved and resumed."""

import re

import numpy as np
import pytest

import numsnn as snn
from numsnn.training import Callback, EarlyStopping, WeightAverage
from numsnn.training.run_state import BEST, LAST


def test_early_stopping_counts_epochs_without_an_improvement():
    stopping = EarlyStopping(patience=2, min_delta=0.1)
    assert [stopping.observe(value) for value in (1.0, 0.95, 0.8, 0.75, 0.71)] == [False, False, False, False, True]
    assert stopping.best == 0.8
    rising = EarlyStopping(1, "valid_accuracy", higher=True)
    assert [rising.observe(value) for value in (0.5, 0.6, 0.6)] == [False, False, True]


def test_early_stopping_ends_a_run_and_is_resumed(digits, small_trainer, tmp_path):
    """With a rate of nearly 0 nothing improves by 1."""
    options = {"optimizer": snn.optim.SGD(1e-9), "callbacks": [EarlyStopping(3, min_delta=1.0)]}
    trainer = small_trainer(tmp_path, **options)
    assert len(trainer.fit(*digits, epochs=9, progress=False)) == 4
    again = small_trainer(optimizer=snn.optim.SGD(1e-9), callbacks=[EarlyStopping(3, min_delta=1.0)])
    again.restore(tmp_path / LAST)
    want = {"best": trainer.callbacks[0].best, "waited": 3, "watched": ["valid_loss", False]}
    assert again.callbacks[0].state() == trainer.callbacks[0].state() == want
    resumed = small_trainer(tmp_path, optimizer=snn.optim.SGD(1e-9), callbacks=[EarlyStopping(3, min_delta=1.0)])
    assert len(resumed.fit(*digits, epochs=9, resume=True, progress=False)) == 4 and resumed.finished
    more = small_trainer(tmp_path, optimizer=snn.optim.SGD(1e-9), callbacks=[EarlyStopping(5, min_delta=1.0)])
    assert len(more.fit(*digits, epochs=9, resume="changes", progress=False)) == 6
    assert len(more.fit(*digits, epochs=9, progress=False)) == 6 + 6  # another run of the same trainer counts anew
    with pytest.raises(snn.CheckpointError, match=r"the run's callbacks was .*patience"):
        small_trainer(optimizer=snn.optim.SGD(1e-9), callbacks=[EarlyStopping(4)]).restore(tmp_path / LAST)


def test_a_rate_that_falls_on_a_plateau(digits, small_trainer, tmp_path):
    def make(out=None):
        plateau = snn.schedules.Plateau(gamma=0.5, patience=2, metric="train_loss", min_delta=10.0, lowest=0.2)
        return small_trainer(out, schedule=plateau, optimizer=snn.optim.SGD(1e-6))

    trainer = make(tmp_path)
    history = trainer.fit(digits[0].select(range(64)), epochs=8, progress=False)
    assert [row["learning_rate"] * 1e6 for row in history] == pytest.approx([1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.2])
    again = make()
    again.restore(tmp_path / LAST)
    assert again.schedule.state() == trainer.schedule.state() and again.schedule.reduced == 3
    with pytest.raises(snn.CheckpointError, match="the run's schedule was"):
        other = snn.schedules.Plateau(gamma=0.9)
        small_trainer(schedule=other, optimizer=snn.optim.SGD(1e-6)).restore(tmp_path / LAST)
    small_trainer(schedule=other, optimizer=snn.optim.SGD(1e-6)).restore(tmp_path / LAST, changes=True)
    assert other.reduced == 3 and other.state()["best"] is None  # the rate does not jump; another metric is watched
    last = trainer.fit(digits[0].select(range(64)), epochs=1, progress=False)[-1]
    assert last["learning_rate"] == pytest.approx(1e-6) and trainer.schedule.reduced == 0


@pytest.mark.parametrize(
    ("callbacks", "schedule", "message"),
    [
        (
            [EarlyStopping(metric="valid_f1")],
            None,
            "EarlyStopping: the epoch has no metric 'valid_f1'; it has 'train_loss', 'train_accuracy', 'seconds', "
            "'learning_rate'. Give fit data for it: valid=...",
        ),
        ([], snn.schedules.Plateau(metric="train_los"), "Plateau: the epoch has no metric 'train_los'; it has"),
    ],
)
def test_a_metric_that_is_not_measured(digits, small_trainer, callbacks, schedule, message):
    trainer = small_trainer(callbacks=callbacks, schedule=schedule)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        trainer.fit(digits[0].select(range(64)), epochs=1, progress=False)


def test_a_loop_of_ones_own_may_give_numbers_of_numpy():
    plateau = snn.schedules.Plateau(gamma=0.5, patience=1)
    for loss in np.float32([0.5, 0.5]):
        plateau.observe({"valid_loss": loss})
    assert plateau.reduced == 1 and type(plateau.state()["best"]) is float
    with pytest.raises(ValueError, match="no metric 'valid_loss'; it has 'loss'"):
        plateau.observe({"loss": np.float32(0.5)})


def test_averaged_weights_follow_their_formula():
    net = snn.Sequential(snn.Linear(2, 2)).build((1, 1, 2))
    average, want = WeightAverage(0.9), None
    for k in range(6):
        value = net.layers[0].weight.value
        value[...] = np.random.default_rng(k).normal(size=(2, 2)).astype(np.float32)
        average.update(net)
        decay = min(0.9, (1 + k) / (10 + k))
        want = value.copy() if want is None else decay * want + (1 - decay) * value
    trained = net.state()["linear1.weight"]
    average.swap(net)
    np.testing.assert_allclose(net.state()["linear1.weight"], want, rtol=1e-6)
    average.swap(net)
    np.testing.assert_array_equal(net.state()["linear1.weight"], trained)


def test_the_average_is_evaluated_saved_and_resumed(digits, small_trainer, tmp_path, assert_same_checkpoint):
    def make(out, **options):
        return small_trainer(out, callbacks=[WeightAverage(0.8)], optimizer=snn.optim.Adam(1e-2), **options)

    trainer = make(tmp_path / "whole")
    history = trainer.fit(*digits, epochs=2, progress=False)
    best = snn.load(tmp_path / "whole" / BEST)
    measured = snn.Trainer(best).evaluate(digits[1])
    assert measured.accuracy == max(row["valid_accuracy"] for row in history)
    last = snn.load(tmp_path / "whole" / LAST).state()
    assert not np.array_equal(last["linear1.weight"], best.state()["linear1.weight"])

    first = make(tmp_path / "parts", on_epoch=lambda trainer, metrics: True)
    first.fit(*digits, epochs=2, progress=False)
    make(tmp_path / "parts").fit(*digits, epochs=2, resume=True, progress=False)
    for name in (LAST, BEST):
        assert_same_checkpoint(tmp_path / "whole" / name, tmp_path / "parts" / name)


def test_a_callback_of_ones_own(digits, small_trainer, tmp_path):
    class Counts(Callback):
        def __init__(self, every: int = 2):
            self.every, self.seen = every, []

        def on_start(self, trainer):
            self.seen.append("start")

        def on_batch(self, trainer):
            if not trainer.optimizer.steps % self.every:
                self.seen.append(trainer.optimizer.steps)

        def on_epoch(self, trainer, metrics):
            metrics["counted"] = len(self.seen)
            return metrics["epoch"] == 2

        def state(self):
            return {"seen": self.seen, "arrays": {"numbers": np.arange(3)}}

        def load_state(self, state):
            self.seen, self.numbers = state["seen"], state["arrays"]["numbers"]

    trainer = small_trainer(tmp_path, callbacks=[Counts()])
    history = trainer.fit(digits[0], epochs=5, progress=False)
    assert trainer.callbacks[0].seen == ["start", 2, 4, 6, 8, 10]
    assert [row["counted"] for row in history] == [3, 6]
    again = small_trainer(callbacks=[Counts()])
    again.restore(tmp_path / LAST)
    assert again.callbacks[0].seen == trainer.callbacks[0].seen and again.callbacks[0].numbers.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(0), "EarlyStopping: patience must be a whole number of at least 1; got 0"),
        (lambda: EarlyStopping(min_delta=-1), "EarlyStopping: min_delta must be at least 0; got -1"),
        (lambda: EarlyStopping(higher=1), "EarlyStopping: higher must be True or False; got 1"),
        (lambda: WeightAverage(1.0), "WeightAverage: decay must lie in [0, 1); got 1.0"),
        (lambda: snn.schedules.Plateau(1.0), "Plateau: gamma must lie in (0, 1); got 1.0"),
    ],
)
def test_settings_that_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


def test_callbacks_of_another_kind_are_refused(small_trainer):
    with pytest.raises(TypeError, match=r"^Trainer: a callback must be a numsnn\.training\.Callback; got <function"):
        small_trainer(callbacks=[lambda trainer: None])


def test_a_number_that_is_not_one_does_not_improve():
    stopping = EarlyStopping(patience=2)
    nan = float("nan")
    assert [stopping.observe(value) for value in (nan, 1.0, nan, 0.5, nan, np.float32(0.5))] == [False] * 5 + [True]
    assert stopping.best == 0.5
    assert stopping._patience.read({"valid_loss": np.float32(0.5)}) == 0.5


# --- averages in runs -------------------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(24, 4, 3)).astype(np.float32)
DATA = snn.data.Dataset(X, np.arange(24) % 2, timed=True)


def averaged(out=None, decay=0.5, frozen=False, **options):
    net = snn.Sequential(snn.Linear(3, 8), snn.LIF(), snn.Linear(8, 2)).build((4, 4, 3))
    if frozen:
        net["linear1"].freeze()
    callbacks = options.pop("callbacks", [WeightAverage(decay)])
    return snn.Trainer(
        net, out=out, batch_size=4, optimizer=snn.optim.Adam(1e-2), callbacks=callbacks, clip_norm=1.0, **options
    )


def test_a_run_with_an_average_is_resumed_before_its_first_batch(tmp_path, assert_same_arrays):
    averaged(tmp_path).start(DATA, 1)
    resumed, whole = averaged(tmp_path), averaged()
    for trainer in (resumed, whole):
        trainer.fit(DATA, epochs=1, resume=True, progress=False)
    assert_same_arrays(resumed.callbacks[0].state()["arrays"], whole.callbacks[0].state()["arrays"])


def test_an_average_takes_updates_and_not_batches():
    trainer = averaged(accumulate=4)
    trainer.fit(DATA, epochs=1, progress=False)
    assert trainer.callbacks[0].updates == trainer.optimizer.steps == 2


def test_an_average_beside_frozen_layers_leaves_the_vectors_of_the_optimiser_alone(tmp_path, assert_same_arrays):
    """The parameters are moved to new vectors, and the moments with them, only if other layers are frozen."""
    plain, trainer = averaged(callbacks=[], frozen=True), averaged(tmp_path / "whole", frozen=True)
    places = []
    trainer.on_batch = lambda trainer: places.append(id(trainer.net.trainable()[0][1].flat))
    for each in (plain, trainer):
        each.fit(DATA, DATA, epochs=2, progress=False)
    assert len(set(places)) == 1
    assert_same_arrays(plain.net.state(), trainer.net.state())

    first = averaged(tmp_path / "parts", frozen=True, on_epoch=lambda trainer, metrics: True)
    first.fit(DATA, DATA, epochs=2, progress=False)
    second = averaged(tmp_path / "parts", frozen=True)
    second.fit(DATA, DATA, epochs=2, resume=True, progress=False)
    assert_same_arrays(second.callbacks[0].state()["arrays"], trainer.callbacks[0].state()["arrays"])
    assert_same_arrays(second.net.state(), trainer.net.state())


def test_an_average_of_a_frozen_network():
    net = snn.Sequential(snn.Linear(3, 2)).build((1, 1, 3)).freeze()
    average, before = WeightAverage(), net.state()
    average.update(net)
    average.swap(net)
    assert np.array_equal(net.state()["linear1.weight"], before["linear1.weight"])


def test_without_validation_the_average_is_told():
    trainer = averaged(decay=0.99)
    trainer.fit(DATA, epochs=2, progress=False, test=DATA)
    trained = trainer.evaluate(DATA).loss
    trainer.callbacks[0].swap(trainer.net)
    assert trainer.test.loss == trainer.evaluate(DATA).loss != trained


def test_training_goes_on_with_trained_weights_from_the_best_checkpoint(tmp_path, assert_same_arrays):
    """checkpoint.h5 is written while average and weights are exchanged."""
    trainer = averaged(tmp_path / "run")
    trainer.fit(DATA, DATA, epochs=1, progress=False)
    again = averaged()
    again.restore(tmp_path / "run" / BEST)
    assert again.evaluate(DATA).loss == trainer.history[0]["valid_loss"]
    again.fit(DATA, DATA, epochs=1, resume=True, progress=False)
    assert_same_arrays(again.net.state(), trainer.net.state())
    assert_same_arrays(again.callbacks[0].state()["arrays"], trainer.callbacks[0].state()["arrays"])


def test_other_callbacks_keep_what_they_know(tmp_path, assert_same_arrays):
    trainer = averaged(tmp_path, callbacks=[WeightAverage(0.5), EarlyStopping(5), EarlyStopping(6)])
    trainer.fit(DATA, DATA, epochs=2, progress=False)
    again = averaged(callbacks=[EarlyStopping(6), EarlyStopping(3, "valid_accuracy", higher=True), WeightAverage(0.9)])
    with pytest.raises(snn.CheckpointError, match="the run's callbacks was"):
        again.restore(tmp_path / LAST)
    again.restore(tmp_path / LAST, changes=True)
    assert again.callbacks[0].best == trainer.callbacks[2].best is not None
    assert again.callbacks[1].best is None  # another metric
    assert again.callbacks[2].updates == 12
    assert_same_arrays(again.callbacks[2].state()["arrays"], trainer.callbacks[0].state()["arrays"])


def test_another_run_begins_with_another_average():
    """From the weights that the network has then, such as those of the best epoch."""
    trainer = averaged(decay=0.999)
    trainer.fit(DATA, DATA, epochs=2, progress=False)
    trainer.restore_best()
    fresh = averaged(decay=0.999)
    fresh.start(DATA, 1)
    fresh.net.load_state(trainer.net.state())
    for each in (trainer, fresh):
        each.optimizer.load_state({"steps": 0, "arrays": {}})
        each.seed, each.epoch, each.first, each.epochs = 5, 2, 2, None if each is trainer else 1
    trainer.epochs = 0
    losses = [each.fit(DATA, DATA, epochs=1, progress=False)[-1]["valid_loss"] for each in (trainer, fresh)]
    assert losses[0] == losses[1] and trainer.callbacks[0].updates == 6


def test_parts_of_one_run_begin_the_next_run_anew():
    """As in a cross-validation whose callbacks and schedule are made once."""
    stopping, average = EarlyStopping(1, min_delta=1.0), WeightAverage(0.5)
    plateau = snn.schedules.Plateau(0.5, 1, min_delta=1.0)
    rows = [averaged(callbacks=[stopping, average], schedule=plateau).fit(DATA, DATA, 5, progress=False) for _ in "ab"]
    assert [len(history) for history in rows] == [2, 2] and average.updates == 12
    keys = ("train_loss", "valid_loss", "learning_rate")
    assert [[row[key] for key in keys] for row in rows[0]] == [[row[key] for key in keys] for row in rows[1]]
