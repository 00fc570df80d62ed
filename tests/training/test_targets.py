"""Runs on targets of every kind: they learn, report their own metrics, and predict in the form of their targets."""

import re

import numpy as np
import pytest

import numsnn as snn

ADAM = {"optimizer": snn.optim.Adam(2e-2), "seed": 1}


def trained(net, loss, data, epochs, **options):
    trainer = snn.Trainer(net, loss, batch_size=32, **{**ADAM, "optimizer": snn.optim.Adam(2e-2), **options})
    train, valid = data.split(0.75)
    history = trainer.fit(train, valid, epochs=epochs, progress=False, test=valid)
    return trainer, history, valid


def test_regression():
    """Two numbers from the mean of three noisy inputs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 3)).astype(np.float32)
    y = np.stack([x[:, 0] - x[:, 1], 0.5 * x[:, 2] + 3], 1)
    net = snn.Sequential(snn.Repeat(4, snn.Linear(3, 32)), snn.LIF(), snn.Linear(32, 2))
    trainer, history, valid = trained(net, snn.losses.MeanSquaredError(), snn.data.Dataset(x, y), 40)
    assert {"train_r2", "train_mae", "valid_r2", "valid_mae"} <= history[-1].keys()
    assert history[-1]["valid_r2"] > 0.8 > history[0]["valid_r2"]
    found = trainer.predict(valid)
    assert found.shape == (60, 2) and np.abs(found - valid.y).mean() == pytest.approx(history[-1]["valid_mae"])
    result = trainer.evaluate(valid)
    assert result.confusion is None and result.metrics["mae"] == history[-1]["valid_mae"]
    with pytest.raises(AttributeError, match="this evaluation has no accuracy; its metrics are r2, mae"):
        result.accuracy  # noqa: B018


def test_several_labels():
    """Which of three inputs are positive."""
    x = np.random.default_rng(0).normal(size=(240, 3)).astype(np.float32)
    net = snn.Sequential(snn.Repeat(4, snn.Linear(3, 32)), snn.LIF(), snn.Linear(32, 3))
    data = snn.data.Dataset(x, x > 0, classes=("left", "middle", "right"))
    trainer, history, valid = trained(net, snn.losses.BinaryCrossEntropy(), data, 12)
    assert history[-1]["valid_f1"] > 0.9 and 0.6 < history[-1]["valid_exact_match"] < history[-1]["valid_f1"]
    found = trainer.predict(valid.x)
    assert found.dtype == np.uint8 and (found == valid.y).all(1).mean() == history[-1]["valid_exact_match"]


def test_a_label_per_step():
    """Each step has the sign of the sum so far as its label; the first steps have none."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(160, 12, 2)).astype(np.float32)
    y = (x.sum(2).cumsum(1) > 0).astype(int)
    y[:, :2] = -1
    data = snn.data.Dataset(x, y, timed=True)
    net = snn.Sequential(snn.Linear(2, 24), snn.LIF(tau=8.0), snn.Linear(24, 2), snn.LI(tau=4.0))
    trainer, history, valid = trained(net, snn.losses.StepCrossEntropy(), data, 15)
    assert history[-1]["valid_accuracy"] > 0.8
    found = trainer.predict(valid)
    assert found.shape == (40, 12)
    assert (found == valid.y)[:, 2:].mean() == pytest.approx(history[-1]["valid_accuracy"])
    assert trainer.evaluate(valid).confusion.sum() == 40 * 10


def test_pictures_as_targets():
    """An autoencoder: the readout has the shape of the pictures."""
    pictures = (snn.data.load("digits")[0].x[:160] / 16).astype(np.float32)
    net = snn.Sequential(
        snn.Repeat(3, snn.Conv2d(1, 8, 3, stride=2, padding=1)),
        snn.LIF(),
        snn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
    )
    data = snn.data.Dataset(pictures, pictures)
    trainer, history, valid = trained(net, snn.losses.MembraneMSE(), data, 25)
    assert history[-1]["valid_r2"] > 0.6 > 0.1 > history[0]["valid_r2"]
    found = trainer.predict(valid)
    assert found.shape == valid.x.shape
    assert np.abs(found - valid.x).mean() == pytest.approx(history[-1]["valid_mae"], rel=1e-6)


def test_sequences_of_different_length():
    """The class is the sign of the sum; behind the end of a sequence stands its opposite, which must not be read."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 9, 200)
    sequences = [rng.normal(0.4 * (k % 2 * 2 - 1), 0.3, (n, 2)) for k, n in enumerate(lengths)]
    data = snn.data.Dataset.padded(sequences, np.arange(200) % 2)
    x = data.x.copy()
    for row, n, label in zip(x, lengths, data.y, strict=True):
        row[n:] = 3 - 6 * label
    garbage = snn.data.Dataset(x, data.y, timed=True, lengths=lengths)
    states = []
    for source in (data, garbage):
        net = snn.Sequential(snn.Linear(2, 16, bias=False), snn.BatchNorm(16), snn.LIF(), snn.Linear(16, 2))
        trainer, history, valid = trained(net, snn.losses.RateCrossEntropy(), source, 8)
        assert history[-1]["valid_accuracy"] > 0.95
        states.append((trainer.net.state(), history[-1]["valid_loss"], trainer.predict(valid)))
    assert states[0][1] == pytest.approx(states[1][1], rel=1e-3) and (states[0][2] == states[1][2]).all()
    for name, value in states[0][0].items():
        np.testing.assert_allclose(value, states[1][0][name], atol=1e-3, err_msg=name)


def test_weights_of_samples():
    """Samples of weight 0 teach nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    wrong = np.arange(120) % 3 == 0
    weights = np.where(wrong, 0.0, 1.0)
    mixed = snn.data.Dataset(x, np.where(wrong, 1 - y, y), weights=weights)
    net = snn.Sequential(snn.Repeat(3, snn.Linear(2, 16)), snn.LIF(), snn.Linear(16, 2))
    trainer = snn.Trainer(net, **ADAM)
    trainer.fit(mixed, epochs=25, progress=False)
    assert (trainer.predict(x) == y).mean() > 0.9
    assert trainer.evaluate(mixed).loss < trainer.evaluate((x, mixed.y)).loss


def test_top_k_chooses_the_epoch(digits, small_trainer):
    trainer = small_trainer(metrics=[snn.metrics.TopK(3), snn.metrics.Accuracy()])
    history = trainer.fit(*digits, epochs=2, progress=False)
    assert history[-1]["valid_top3"] >= history[-1]["valid_accuracy"]
    best = max(history, key=lambda row: (row["valid_top3"], -row["valid_loss"]))
    assert (trainer.best.epoch, trainer.best.value) == (best["epoch"], best["valid_top3"])


# --- how data enter ---------------------------------------------------------------------------------------------------


def test_prediction_takes_what_training_took(digits, small_trainer):
    """A dataset, its raw whole numbers, and scaled floats give the same answers."""
    train, test = digits
    bytes_ = snn.data.Dataset((train.x * (255 / 16)).astype(np.uint8), train.y, scale=1 / 255)
    trainer = small_trainer()
    trainer.fit(bytes_, epochs=1, progress=False)
    x = (test.x * (255 / 16)).astype(np.uint8)
    want = trainer.predict(snn.data.Dataset(x, test.y, scale=1 / 255))
    assert len(set(want)) > 3
    assert np.array_equal(trainer.predict(x), want)
    assert np.array_equal(trainer.predict(x * np.float32(1 / 255)), want)


@pytest.mark.parametrize("shape", [(6, 5, 3), (6, 5, 4, 3), (6, 5, 4, 4, 3)])
def test_arrays_with_time_need_no_word(shape):
    """A network that takes sequences reads the second axis of arrays as time, also if it is as long as the batch."""
    layers = {3: [snn.Linear(3, 2)], 4: [snn.Conv1d(3, 2, 2), snn.Flatten(), snn.Linear(6, 2)]}
    pictures = [snn.Conv2d(3, 2, 2), snn.Flatten(), snn.Linear(18, 2)]
    net = snn.Sequential(*layers.get(len(shape), pictures))
    x, y = np.random.default_rng(0).normal(size=shape).astype(np.float32), np.arange(6) % 2
    trainer = snn.Trainer(net, batch_size=5)
    trainer.fit((x, y), epochs=1, progress=False)
    want = net(np.ascontiguousarray(x.swapaxes(0, 1))).mean(0).argmax(1)
    assert np.array_equal(trainer.predict(x), want)
    assert trainer.evaluate((x, y)).accuracy == np.mean(want == y)


SEQUENCES = snn.data.Dataset(np.zeros((4, 3, 2), np.float32), np.zeros(4, int), timed=True)
VECTORS = snn.data.Dataset(np.zeros((4, 2), np.float32), np.zeros(4, int))


@pytest.mark.parametrize(
    ("layers", "data", "message"),
    [
        (
            [snn.Linear(2, 2)],
            VECTORS,
            "train: the samples have no time axis: begin the network with Repeat(steps) or Poisson(steps), or give "
            "sequences [N, T, ...] with timed=True",
        ),
        (
            [snn.Repeat(3), snn.Linear(2, 2)],
            SEQUENCES,
            "train: the samples are sequences, but the network begins with Repeat, which makes the time axis: leave "
            "it out, or give the data without timed=True",
        ),
        (
            [snn.Repeat(3), snn.Linear(2, 2)],
            snn.data.Dataset(VECTORS.x, np.zeros(4)),
            "RateCrossEntropy needs one class per sample as targets; train has values per sample. Use "
            "MeanSquaredError, or if these are classes, give whole numbers: y.astype(int), and y.argmax(1) for one-hot "
            "rows",
        ),
        (
            [snn.Linear(2, 2)],
            snn.data.Dataset(SEQUENCES.x, np.zeros((4, 3), int), timed=True),
            "RateCrossEntropy needs one class per sample as targets; train has one class per step. "
            "Use StepCrossEntropy, or give the data other targets",
        ),
    ],
)
def test_data_that_do_not_fit(layers, data, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        snn.Trainer(snn.Sequential(*layers)).fit(data, epochs=1, progress=False)


PICTURES = np.zeros((4, 6, 5, 2), np.float32)


@pytest.mark.parametrize(
    ("layers", "x"),
    [
        ([snn.Conv2d(2, 3, 3), snn.LIF(), snn.Flatten(), snn.Linear(36, 2)], PICTURES),
        ([snn.Linear(2, 2)], VECTORS.x),
    ],
)
def test_arrays_that_could_be_sequences(layers, x):
    """The network takes such samples one step at a time only, so that they were meant to be repeated."""
    trainer = snn.Trainer(snn.Sequential(*layers))
    message = f"the samples have no time axis: .*; got x of shape {re.escape(str(x.shape))}$"
    with pytest.raises(ValueError, match=f"^train: {message}"):
        trainer.fit((x, np.zeros(4, int)), epochs=1, progress=False)
    trainer.net.build((3, 4, *x.shape[1:]))
    with pytest.raises(ValueError, match=f"^x: {message}"):
        trainer.predict(x)


def test_a_prediction_of_another_kind_is_refused():
    trainer = snn.Trainer(snn.Sequential(snn.Repeat(3), snn.Linear(2, 2)))
    with pytest.raises(ValueError, match=r"^Trainer\.predict: target must be one of 'class'; got 'values'"):
        trainer.predict(VECTORS.x, target="values")
