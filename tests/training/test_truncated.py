"""Truncated back-propagation through time: chunks of steps, with the neurons' state carried from one to the next."""

import numpy as np
import pytest

import numsnn as snn


def task(steps=24, samples=120):
    """Noisy sequences that have one of two rhythms, which only the last third of a sequence shows."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, samples)
    x = rng.normal(0, 0.3, (samples, steps, 4))
    for n, label in enumerate(y):
        x[n, 2 * steps // 3 :: 2 + label, : 2 + label] += 2
    return snn.data.Dataset(x, y, timed=True)


def network():
    return snn.Sequential(snn.Linear(4, 12), snn.RecurrentLIF(tau=4.0), snn.Linear(12, 2), snn.LI(tau=8.0))


def test_it_learns_and_reports():
    data = task()
    history = snn.Trainer(network(), truncate=8, optimizer=snn.optim.Adam(1e-2)).fit(data, data, 6, progress=False)
    assert history[-1]["valid_accuracy"] > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_a_chunk_as_long_as_the_sequence_is_the_whole():
    data = task()
    states = []
    for truncate in (None, 24, 100):
        trainer = snn.Trainer(network(), truncate=truncate)
        trainer.fit(data, epochs=1, progress=False)
        states.append(trainer.net.state())
    for state in states[1:]:
        assert all(np.array_equal(value, state[name]) for name, value in states[0].items())


def test_chunks_see_the_state_of_those_before_and_no_gradient_goes_back():
    """A pass in chunks gives the potentials of the whole sequence; the gradient of a chunk is that of its own steps."""
    data = task(samples=8)
    net = network()
    x, _ = data.batch(np.arange(8))
    net.build(x.shape)
    whole = net(x)
    mode = snn.Mode(store=True, carried={})
    parts = [net.forward(chunk, mode).copy() for chunk in (x[:10], x[10:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert net.backward(np.ones_like(parts[1])).shape[0] == 14


def test_updates_one_a_chunk():
    data = task(samples=10)
    trainer = snn.Trainer(network(), truncate=7, batch_size=10)
    trainer.fit(data, epochs=1, progress=False)
    assert trainer.optimizer.steps == 4  # 24 steps in chunks of 7, 7, 7 and 3


@pytest.mark.parametrize("neuron", [snn.RecurrentLIF, snn.RecurrentCubaLIF, snn.RecurrentALIF])
@pytest.mark.parametrize("steps", [1, 7])
def test_a_chunk_of_one_step(neuron, steps):
    """No spikes come before a sequence of one step, and those of the chunk before it come before a last one of one."""
    data = task(steps, samples=6)
    losses = []
    for device in ("reference", "cpu"):
        net = snn.Sequential(snn.Linear(4, 12), neuron(v_threshold=0.3), snn.Linear(12, 2)).to(device, "float64")
        trainer = snn.Trainer(net, device=device, truncate=3)
        losses.append([epoch["train_loss"] for epoch in trainer.fit(data, epochs=3, progress=False)])
        assert trainer.optimizer.steps == 3 * -(-steps // 3)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
    assert losses[0][-1] < losses[0][0]


def test_errors():
    with pytest.raises(ValueError, match="truncate must be a whole number of at least 1; got 0"):
        snn.Trainer(network(), truncate=0)
    with pytest.raises(ValueError, match="truncate needs inputs with a time axis"):
        snn.Trainer(snn.models.mlp(4), truncate=3)


class Still(snn.schedules.Schedule):
    """Chunks do not change the network."""

    def factor(self, epoch, epochs):
        return 0.0


@pytest.mark.parametrize("kind", ["class", "steps", "values"])
def test_short_sequences(kind):
    """Batches whose sequences end before the others do, with the metrics and the loss of whole passes."""
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(n, 4)).astype(np.float32) for n in (2, 3, 2, 7, 5, 1)]
    y = {
        "class": np.arange(6) % 2,
        "steps": [np.arange(len(row)) % 2 for row in sequences],
        "values": [row[:, :2] for row in sequences],
    }[kind]
    losses = {"class": snn.losses.TET(), "steps": snn.losses.StepCrossEntropy(), "values": snn.losses.MembraneMSE()}
    data = snn.data.Dataset.padded(sequences, y)
    rows = []
    for truncate in (None, 3):
        trainer = snn.Trainer(network(), losses[kind], schedule=Still(), truncate=truncate, batch_size=2)
        (row,) = trainer.fit(data, epochs=1, progress=False)
        rows.append({name: value for name, value in row.items() if name.startswith("train")})
    assert rows[0].keys() == rows[1].keys() and len(rows[0]) > 1
    for name, value in rows[0].items():
        assert rows[1][name] == pytest.approx(value, rel=1e-5), name
