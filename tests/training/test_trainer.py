"""The training loop: it learns, reports plain data, refuses what it cannot use, and stops at NaN and infinity."""

import json

import numpy as np
import pytest

import numsnn as snn
from numsnn.training.run_state import BEST, LAST, METRICS

KEYS = {
    "epoch",
    "train_loss",
    "train_accuracy",
    "valid_loss",
    "valid_accuracy",
    "seconds",
    "learning_rate",
    "widths",
}


def test_it_learns_and_reports(digits, small_trainer, tmp_path):
    trainer = small_trainer(tmp_path, optimizer=snn.optim.Adam(1e-2), batch_size=32)
    history = trainer.fit(*digits, epochs=4, progress=False)
    assert [metrics["epoch"] for metrics in history] == [1, 2, 3, 4]
    assert all(metrics.keys() == KEYS for metrics in history)
    assert history[-1]["valid_accuracy"] > 0.8 > history[0]["valid_accuracy"]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert json.loads(json.dumps(history)) == history
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert lines == history
    names = {"lif1", "residual1.branch.lif1", "lif2"}
    assert history[-1]["widths"].keys() == names
    assert any(abs(width - 1) > 0.01 for width in history[-1]["widths"].values())
    best = max(metrics["valid_accuracy"] for metrics in history)
    net = snn.load(tmp_path / BEST)
    assert snn.Trainer(net).evaluate(digits[1]).accuracy == best
    assert snn.load(tmp_path / LAST).state().keys() == net.state().keys()


def test_evaluation_and_prediction_agree(digits, small_trainer):
    trainer = small_trainer()
    trainer.fit(*digits, epochs=1, progress=False)
    test = digits[1]
    result = trainer.evaluate(test)
    answers = trainer.predict(test.x * np.float32(test.scale))
    assert result.accuracy == (answers == test.y).mean()
    assert result.confusion.sum() == len(test) and np.trace(result.confusion) == (answers == test.y).sum()
    assert result.confusion[test.y[0], answers[0]] >= 1
    state = trainer.net.state()
    trainer.evaluate(test)
    assert all(np.array_equal(value, trainer.net.state()[name]) for name, value in state.items())


def test_plain_arrays_and_no_test_data(small_trainer):
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 8, 8, 1)).astype(np.float32), rng.integers(0, 10, 40)
    history = small_trainer().fit((x, y), epochs=1, progress=False)
    assert history[0].keys() == {key for key in KEYS if not key.startswith("valid")}


def test_on_epoch_can_end_the_run(digits, small_trainer):
    seen = []
    trainer = small_trainer(on_epoch=lambda trainer, metrics: seen.append(metrics["epoch"]) or len(seen) == 2)
    assert len(trainer.fit(*digits, epochs=5, progress=False)) == 2 and seen == [1, 2]


def test_progress_bar_shows_loss_accuracy_and_speed(digits, small_trainer, capsys):
    small_trainer().fit(digits[0].select(range(64)), epochs=1)
    shown = capsys.readouterr().err
    assert "epoch 1/1" in shown and "loss" in shown and "accuracy" in shown and "samples/s" in shown


def test_learning_rate_follows_the_schedule(digits, small_trainer):
    schedule = snn.schedules.Step(every=1, gamma=0.5)
    history = small_trainer(schedule=schedule, optimizer=snn.optim.SGD(0.1)).fit(*digits, epochs=3, progress=False)
    assert [metrics["learning_rate"] for metrics in history] == pytest.approx([0.1, 0.05, 0.025])


def test_divergence_names_step_layer_and_checkpoint(digits, small_trainer, tmp_path):
    def poison(trainer):
        if trainer.optimizer.steps == 2:
            dict(trainer.net.parameters())["linear1.weight"].value[0, 0] = np.nan

    with pytest.raises(
        snn.DivergenceError,
        match=r"the loss is not finite at epoch 1, batch 3 \(step 3\); first in "
        r"linear1\.weight; the last good checkpoint is .*last\.h5",
    ):
        small_trainer(tmp_path, on_batch=poison).fit(*digits, epochs=1, progress=False)
    net = snn.load(tmp_path / LAST)
    assert all(np.isfinite(value).all() for value in net.state().values())


def test_divergence_hidden_by_silent_neurons(digits, small_trainer):
    """NaN potentials never fire, so the loss stays finite; the trainer finds them by the gradient."""

    def poison(trainer):
        dict(trainer.net.parameters())["repeat1.conv2d1.weight"].value[0, 0, 0, 0] = np.nan

    with pytest.raises(snn.DivergenceError, match=r"first in repeat1\.conv2d1\.weight; no checkpoint was written"):
        small_trainer(on_batch=poison).fit(*digits, epochs=1, progress=False)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_huge_learning_rate_diverges_with_a_message(digits, small_trainer):
    trainer = small_trainer(optimizer=snn.optim.SGD(1e30, momentum=0.0))
    with pytest.raises(snn.DivergenceError, match="training diverged"):
        trainer.fit(*digits, epochs=2, progress=False)


def test_clip_norm_limits_the_step(digits, small_trainer):
    plain = {"optimizer": snn.optim.SGD(1.0, momentum=0.0), "schedule": snn.schedules.Constant()}
    trainer = small_trainer(clip_norm=1e-3, **plain)
    train = digits[0].select(range(64))
    trainer.start(train, 1)
    before = {name: p.value.copy() for name, p in trainer.net.parameters() if p.lr is None}
    trainer.fit(train, epochs=1, progress=False)
    moved = sum(((p.value - before[name]) ** 2).sum() for name, p in trainer.net.parameters() if name in before)
    assert 0 < np.sqrt(moved) <= 1e-3 * (1 + 1e-5)


def test_start_takes_what_fit_takes(small_trainer):
    trainer = small_trainer()
    trainer.start((np.zeros((4, 8, 8, 1), np.float32), np.zeros(4, int)), 1)
    assert trainer.net.input_shape == (4, 8, 8, 1) and trainer.epochs == 1


def test_bad_data_is_refused(small_trainer):
    trainer = small_trainer()
    x, y = np.zeros((4, 8, 8, 1), np.float32), np.zeros(4, int)
    with pytest.raises(ValueError, match="empty"):
        trainer.fit((x[:0], y[:0]), epochs=1)
    bad = x.copy()
    bad[2, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="sample 2"):
        trainer.fit((bad, y), epochs=1)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.9 for a readout of 10; got 12 at index"):
        trainer.fit((x, y + 12), epochs=1, progress=False)
    with pytest.raises(snn.ShapeError, match=r"repeat1\.conv2d1 \(Conv2d\): input must be \[T, N, H, W, 1\]"):
        trainer.fit((np.zeros((4, 8, 8, 3), np.float32), y), epochs=1, progress=False)
    with pytest.raises(TypeError, match="train must be a Dataset or a tuple"):
        trainer.fit([x, y], epochs=1)
    with pytest.raises(ValueError, match="epochs must be a whole number of at least 1; got 0"):
        trainer.fit((x, y), epochs=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0; got -1"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1; got 0"),
        ({"clip_norm": 0}, "clip_norm must be positive; got 0"),
        ({"save_every": -1}, "save_every must be at least 0; got -1"),
        ({"device": "gpu"}, "device must be one of 'reference', 'cpu', 'cuda'; got 'gpu'"),
    ],
)
def test_bad_settings_are_refused(small_trainer, options, message):
    with pytest.raises(ValueError, match=message):
        small_trainer(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "tet"}, "Trainer: loss must be a numsnn.losses.Loss; got 'tet'"),
        ({"optimizer": 1e-3}, "Trainer: optimizer must be a numsnn.optim.Optimizer; got 0.001"),
        ({"schedule": snn.schedules.Cosine}, "Trainer: schedule must be a numsnn.schedules.Schedule; got <class"),
    ],
)
def test_parts_of_another_kind_are_refused(small_trainer, options, message):
    with pytest.raises(TypeError, match=message):
        small_trainer(**options)


def test_unwritable_folder(small_trainer, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"folder .*file.*cannot be written to"):
        small_trainer(tmp_path / "file" / "run")


def test_output_without_time_is_refused(digits):
    trainer = snn.Trainer(snn.Sequential(snn.Repeat(2, snn.Conv2d(1, 10, 3)), snn.LIF()))
    with pytest.raises(snn.ShapeError, match=r"readout must be \[T, N, K\]"):
        trainer.fit(*digits, epochs=1, progress=False)


def test_the_report_of_a_run(digits, small_trainer, tmp_path):
    trainer = small_trainer()
    trainer.fit(*digits, epochs=1, progress=False, test=digits[1])
    page = trainer.report(tmp_path / "run.html", digits[1], title="Mine", samples=20)
    text = page.read_text()
    assert page == tmp_path / "run.html" and [path.name for path in tmp_path.iterdir()] == ["run.html"]
    for part in ("<title>Mine", f"{100 * trainer.test.accuracy:.2f} %", "Confusion", "Diagnosis", "Conv2d(1, 8"):
        assert part in text
    (tmp_path / "folder").mkdir()
    short = trainer.report(tmp_path / "folder").read_text()  # without data: the history alone
    assert "Learning curves" in short and "No diagnosis was made." in short and "Confusion" not in short
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        trainer.report(tmp_path / "none" / "run.html")


def test_the_history_is_a_table_in_a_notebook(digits, small_trainer):
    trainer = small_trainer()
    assert "<table>" in trainer.history._repr_html_()
    trainer.fit(digits[0].select(range(64)), digits[1].select(range(20)), epochs=1, progress=False)
    table = trainer.history._repr_html_()
    assert "valid accuracy" in table and f"{trainer.history[0]['valid_loss']:.4g}" in table
    shown = trainer.evaluate(digits[1].select(range(20)))
    assert repr(shown).startswith("Evaluation(loss ") and "20 samples" in repr(shown)
    assert f"{shown.accuracy:.4g}" in shown._repr_html_()
