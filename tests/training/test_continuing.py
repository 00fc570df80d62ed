"""A run that goes on: a second fit, more epochs, other settings, new data; what is refused, and what is said."""

import re

import numpy as np
import pytest

import numsnn as snn
from numsnn.training.run_state import BEST, LAST


def epochs_of(history):
    return [row["epoch"] for row in history]


def test_a_second_fit_goes_on(digits, small_trainer, capfd):
    trainer = small_trainer(schedule=snn.schedules.Step(1, 0.5), optimizer=snn.optim.Adam(1e-2))
    trainer.fit(*digits, epochs=2, progress=False)
    before = trainer.net.state()
    assert trainer.finished
    history = trainer.fit(*digits, epochs=1)
    assert epochs_of(history) == [1, 2, 3] and trainer.optimizer.steps == 15
    assert any(not np.array_equal(value, trainer.net.state()[name]) for name, value in before.items())
    assert [row["learning_rate"] for row in history] == pytest.approx([1e-2, 5e-3, 1e-2])
    assert "the run goes on for 1 epochs after epoch 2; the schedule begins anew" in capfd.readouterr().out


def test_a_second_fit_may_take_other_data(digits, small_trainer, tmp_path):
    trainer = small_trainer(tmp_path)
    trainer.fit(digits[0], epochs=1, progress=False)
    steps = trainer.optimizer.steps
    trainer.fit(digits[1].select(range(64)), epochs=2, progress=False)
    assert trainer.optimizer.steps == steps + 2 and trainer.epoch == 3
    again = small_trainer(tmp_path)
    again.restore(tmp_path / LAST)
    assert epochs_of(again.history) == [1, 2, 3] and again.finished


def test_a_run_that_was_stopped_is_finished(digits, small_trainer):
    """An exception in the second epoch; the same call ends the run, as if nothing had happened."""

    class Stop(Exception):
        pass

    def stop(trainer):
        if trainer.optimizer.steps == 7 and not trainer.paused:
            trainer.paused = True
            raise Stop

    whole, stopped = small_trainer(), small_trainer(on_batch=stop)
    stopped.paused = False
    whole.fit(*digits, epochs=2, progress=False)
    with pytest.raises(Stop):
        stopped.fit(*digits, epochs=2, progress=False)
    with pytest.raises(ValueError, match=r"the run has a length of 2 epochs; it cannot continue with 3\. resume="):
        stopped.fit(*digits, epochs=3, progress=False)
    stopped.fit(*digits, epochs=2, progress=False)
    assert all(np.array_equal(value, stopped.net.state()[name]) for name, value in whole.net.state().items())


def test_a_longer_run(digits, small_trainer, tmp_path, capfd):
    small_trainer(tmp_path).fit(*digits, epochs=1, progress=False)
    trainer = small_trainer(tmp_path)
    with pytest.raises(snn.CheckpointError, match="the run has a length of 1 epochs; it cannot continue with 3"):
        trainer.fit(*digits, epochs=3, resume=True, progress=False)
    trainer.fit(*digits, epochs=3, resume="changes")
    assert epochs_of(trainer.history) == [1, 2, 3]
    assert "the run's length changes from 1 to 3 epochs; the schedule follows it" in capfd.readouterr().out
    with pytest.raises(snn.CheckpointError, match="the run has 3 epochs already; got epochs=2"):
        small_trainer(tmp_path).fit(*digits, epochs=2, resume="changes", progress=False)


def test_other_settings(digits, small_trainer, tmp_path, capfd):
    """Another rate, batch size and loss: the moments of the optimiser stay, and every change is said."""
    small_trainer(tmp_path, optimizer=snn.optim.Adam(1e-3)).fit(*digits, epochs=1, progress=False)
    changes = {"optimizer": snn.optim.Adam(1e-4), "batch_size": 50, "loss": snn.losses.TET()}
    message = 'the run\'s optimizer was .*; it cannot continue with .*resume="changes" continues with another one'
    with pytest.raises(snn.CheckpointError, match=message):
        small_trainer(tmp_path, optimizer=snn.optim.Adam(1e-4)).fit(*digits, 1, resume=True, progress=False)
    trainer = small_trainer(tmp_path, **changes)
    trainer.fit(*digits, epochs=2, resume="changes")
    said = capfd.readouterr().out
    for text in (
        "loss changes from {'type': 'RateCrossEntropy'",
        "batch_size changes from 64 to 50",
        "optimizer changes",
    ):
        assert text in said
    assert trainer.optimizer.steps == 5 + 6 and trainer.history[-1]["learning_rate"] < 1e-4
    assert trainer.best.epoch == 2  # losses and metrics of another loss are not compared


def test_another_batch_size_within_an_epoch_begins_it_anew(digits, small_trainer, tmp_path, capfd):
    class Stop(Exception):
        pass

    def stop(trainer):
        trainer.save(trainer.out / LAST)
        if trainer.batch == 2:
            raise Stop

    with pytest.raises(Stop):
        small_trainer(tmp_path, on_batch=stop).fit(*digits, epochs=1, progress=False)
    trainer = small_trainer(tmp_path, batch_size=100)
    trainer.fit(*digits, epochs=1, resume="changes")
    assert "epoch 1 begins anew, because its batches are not the same" in capfd.readouterr().out
    assert trainer.optimizer.steps == 2 + 3


def test_other_data_are_found(digits, small_trainer, tmp_path):
    small_trainer(tmp_path).fit(*digits, epochs=1, progress=False)
    with pytest.raises(snn.CheckpointError, match="the run's samples was 300; it cannot continue with 100"):
        small_trainer(tmp_path).fit(digits[1], epochs=1, resume=True, progress=False)


def test_resume_takes_three_values(digits, small_trainer):
    with pytest.raises(ValueError, match=r"^Trainer\.fit: resume must be True, False or \"changes\"; got 'yes'$"):
        small_trainer().fit(*digits, epochs=1, resume="yes", progress=False)


# --- the best epoch and the test part ---------------------------------------------------------------------------------


def test_of_equal_epochs_the_one_with_the_lower_loss_is_best(digits, small_trainer, tmp_path):
    """A metric that never changes: the loss decides, and the test part is told by the network of that epoch."""

    class Same(snn.metrics.Accuracy):
        def value(self, counts):
            return 1.0

    trainer = small_trainer(tmp_path, metrics=[Same()], optimizer=snn.optim.Adam(1e-2))
    history = trainer.fit(*digits, epochs=3, progress=False, test=digits[1])
    losses = [row["valid_loss"] for row in history]
    assert trainer.best.epoch == int(np.argmin(losses)) + 1 and trainer.best.loss == min(losses)
    assert trainer.test.loss == pytest.approx(min(losses), rel=1e-6)
    last = trainer.evaluate(digits[1]).loss
    assert last == pytest.approx(losses[-1], rel=1e-6)  # the trained network itself is that of the last epoch
    assert trainer.restore_best() == trainer.best.epoch
    assert trainer.evaluate(digits[1]).loss == pytest.approx(min(losses), rel=1e-6)


def test_other_validation_data_begin_the_choice_anew(digits, small_trainer, tmp_path, capfd):
    """Easy data, whose epoch is best for ever, and then hard ones; a resumed run knows which data chose."""
    train, test = digits
    hard = snn.data.Dataset(test.x, (test.y + 1) % 10, test.classes, scale=test.scale)
    trainer = small_trainer(tmp_path, optimizer=snn.optim.Adam(1e-2))
    trainer.fit(train, test, epochs=2, progress=False)
    first = trainer.best.value
    trainer.fit(train, hard, epochs=1)
    assert trainer.best.epoch == 3 and trainer.best.value < first
    assert "the best epoch is chosen anew after epoch 2: the validation data are others" in capfd.readouterr().out
    again = small_trainer(tmp_path, optimizer=snn.optim.Adam(1e-2))
    again.fit(train, hard, epochs=1, resume=True, progress=False)
    assert (again.best.epoch, again.best.value) == (3, trainer.best.value)


def test_the_best_network_of_a_resumed_run_is_read_from_its_file(digits, small_trainer, tmp_path):
    small_trainer(tmp_path).fit(*digits, epochs=1, progress=False)
    want = snn.load(tmp_path / BEST).state()
    trainer = small_trainer(tmp_path)
    trainer.fit(*digits, epochs=1, resume=True, progress=False, test=digits[1])
    assert trainer.test.metrics["accuracy"] == trainer.history[0]["valid_accuracy"]
    trainer.restore_best()
    assert all(np.array_equal(value, trainer.net.state()[name]) for name, value in want.items())


def test_without_validation_no_epoch_is_best(digits, small_trainer, tmp_path):
    trainer = small_trainer(tmp_path)
    history = trainer.fit(digits[0], epochs=1, progress=False, test=digits[1])
    assert not [key for key in history[0] if key.startswith(("valid", "test"))]
    assert trainer.best.epoch == 0 and not (tmp_path / BEST).exists()
    assert trainer.test.accuracy == trainer.evaluate(digits[1]).accuracy
    message = "Trainer.restore_best: no epoch was chosen; give fit validation data: valid=..."
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        trainer.restore_best()


def test_an_epoch_without_a_number_is_not_best():
    from numsnn.training import Evaluation
    from numsnn.training.best import Best

    net, best, metrics, nan = (
        snn.Sequential(snn.Linear(2, 2)).build((1, 1, 2)),
        Best(),
        (snn.metrics.R2(),),
        float("nan"),
    )
    epochs = ((nan, nan), (0.5, 1.0), (nan, nan), (0.5, nan), (0.4, 0.1), (0.5, 0.9))
    found = [
        best.observe(k, Evaluation(loss, {"r2": value}), metrics, net) for k, (value, loss) in enumerate(epochs, 1)
    ]
    assert found == [True, True, False, False, False, True]
    best = Best()
    assert [best.observe(k, Evaluation(loss), (), net) for k, loss in enumerate((nan, nan, 1.0, nan), 1)] == [
        True,
        False,
        True,
        False,
    ]


def test_other_data_within_an_epoch_begin_it_anew(digits, small_trainer, capfd):
    class Stop(Exception):
        pass

    def stop(trainer):
        if trainer.batch == 4:
            trainer.on_batch = None
            raise Stop

    trainer = small_trainer(on_batch=stop)
    with pytest.raises(Stop):
        trainer.fit(digits[0], epochs=1, progress=False)
    trainer.fit(digits[1], epochs=1)
    assert "epoch 1 begins anew, because its batches are not the same" in capfd.readouterr().out
    assert trainer.optimizer.steps == 4 + 2


def test_another_run_is_resumed_before_its_first_batch(digits, small_trainer, tmp_path):
    class Stop(Exception):
        pass

    def stop(trainer):
        raise Stop

    trainer = small_trainer(tmp_path)
    trainer.fit(digits[1], epochs=1, progress=False)
    trainer.on_batch = stop
    with pytest.raises(Stop):
        trainer.fit(digits[1], epochs=2, progress=False)
    history = small_trainer(tmp_path).fit(digits[1], epochs=2, resume=True, progress=False)
    assert epochs_of(history) == [1, 2, 3]


def test_settings_may_change_between_two_fits(digits, small_trainer):
    trainer = small_trainer()
    trainer.fit(digits[1], epochs=1, progress=False)
    trainer.loss, trainer.clip_norm = snn.losses.TET(), 1.0
    with pytest.raises(ValueError, match=r"Trainer: clip_norm must be positive; got -1"):
        trainer.clip_norm = -1
    other = small_trainer()
    other.fit(digits[1], epochs=1, progress=False)
    last = [each.fit(digits[1], epochs=1, progress=False)[-1]["train_loss"] for each in (trainer, other)]
    assert trainer.loop.clip_norm == 1.0 and last[0] != last[1]


def test_a_run_that_on_epoch_stopped_goes_on_where_it_was(digits, small_trainer):
    """One epoch per call, with the bits of the whole run; without resume, another run begins."""
    whole, parts = small_trainer(), small_trainer(on_epoch=lambda trainer, metrics: True)
    whole.fit(*digits, epochs=3, progress=False)
    for k in range(3):
        assert epochs_of(parts.fit(*digits, epochs=3, resume=True, progress=False)) == list(range(1, k + 2))
    assert parts.finished
    assert all(np.array_equal(value, parts.net.state()[name]) for name, value in whole.net.state().items())
    parts.fit(*digits, epochs=3, progress=False)
    assert parts.first == 3 and parts.epoch == 4


def test_a_true_of_numpy_ends_the_run(digits, small_trainer):
    trainer = small_trainer(on_epoch=lambda trainer, metrics: np.bool_(metrics["epoch"] == 1))
    assert len(trainer.fit(*digits, epochs=np.int64(3), progress=False)) == 1
    assert trainer.finished
