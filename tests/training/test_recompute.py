"""Training that recomputes: the same run, bit for bit, in less memory."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.config import parse
from numsnn.experiment import build_trainer
from numsnn.layers.plan import plan_of


def told(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def test_the_same_run(small_trainer, digits, tmp_path, assert_same_arrays):
    """Training, validation and test; a run may be resumed with the other value."""
    train, valid = digits[0].split(0.8)
    plain, lean = small_trainer(), small_trainer(out=tmp_path, recompute=True)
    for trainer in (plain, lean):
        trainer.fit(train, valid, epochs=2, progress=False, test=digits[1])
    assert told(lean.history) == told(plain.history)
    assert lean.test.told() == plain.test.told() and np.array_equal(lean.predict(digits[1]), plain.predict(digits[1]))
    assert_same_arrays(lean.net.state(), plain.net.state())
    assert plan_of(lean.net).lean and not plan_of(plain.net).lean
    other = small_trainer(out=tmp_path)
    other.restore(tmp_path / "last.h5")
    assert_same_arrays(other.net.state(), plain.net.state())


def test_chunks_of_a_sequence(assert_same_arrays):
    rng = np.random.default_rng(0)
    data = snn.data.Dataset(rng.normal(0, 1, (12, 9, 5)).astype(np.float32), rng.integers(0, 3, 12), timed=True)
    states = []
    for recompute in (False, True):
        net = snn.Sequential(snn.Linear(5, 8), snn.BatchNorm(8), snn.LIF(pda=True), snn.Linear(8, 3))
        trainer = snn.Trainer(net, device="reference", truncate=4, batch_size=6, recompute=recompute)
        trainer.fit(data, epochs=2, progress=False)
        states.append(net.state())
    assert_same_arrays(*states)


def test_a_loop_of_ones_own(assert_same_arrays):
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (4, 6, 5)).astype(np.float32), rng.integers(0, 3, 6)
    loss, states = snn.losses.RateCrossEntropy(), []
    for recompute in (False, True):
        net = snn.Sequential(snn.Linear(5, 8), snn.LIF(), snn.Dropout(0.2), snn.Linear(8, 3)).to("reference")
        loop = snn.Loop(net, recompute=recompute)
        for _ in range(3):
            z = loop.forward(x)
            loop.backward(loss(z, y)[1])
            loop.step()
        states.append(net.state())
    assert_same_arrays(*states)
    assert plan_of(net).lean


@pytest.mark.parametrize("recompute", [False, True])
def test_the_key_of_a_toml_file(recompute):
    config = parse(f"[training]\nrecompute = {str(recompute).lower()}\n")
    net = snn.models.from_string("4c3-p2", (8, 8, 1), 10)
    assert build_trainer(config, net).loop.recompute is recompute
    assert f"recompute = {str(recompute).lower()}" in config.to_toml()
