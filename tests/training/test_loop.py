"""Loops of one's own: the same as the trainer's steps; accumulation, clipping, freezing; saved and restored."""

import re

import numpy as np
import pytest

import numsnn as snn
from numsnn.training import checkpoint

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 12, 3)).astype(np.float32)
Y = np.arange(12) % 2


def network(dropout=0.0):
    layers = [snn.Linear(3, 16), snn.LIF(), snn.Dropout(dropout)] if dropout else [snn.Linear(3, 16), snn.LIF()]
    return snn.Sequential(*layers, snn.Linear(16, 2))


def same(a, b):
    return all(np.array_equal(value, b.state()[name]) for name, value in a.state().items())


def test_a_loop_is_what_a_trainer_does():
    data = snn.data.Dataset(X.swapaxes(0, 1), Y, timed=True)
    trainer = snn.Trainer(network(), batch_size=5, schedule=snn.schedules.Constant(), clip_norm=0.1)
    trainer.fit(data, epochs=2, progress=False)
    net, loss = network(), snn.losses.RateCrossEntropy()
    loop = snn.Loop(net, clip_norm=0.1)
    loader = snn.data.Loader(data, 5, shuffle=True)
    for epoch in range(2):
        for x, y in loader.epoch(epoch):
            z = loop.forward(x)
            _, dz = loss(z, y)
            loop.backward(dz)
            loop.step()
    assert same(net, trainer.net) and loop.passes == loop.optimizer.steps == 6


def test_every_pass_has_its_own_mask():
    loop = snn.Loop(network(dropout=0.5))
    outputs = [loop.forward(X) for _ in range(3)]
    assert not np.array_equal(outputs[0], outputs[1]) and not np.array_equal(outputs[1], outputs[2])
    again = snn.Loop(network(dropout=0.5))
    assert np.array_equal(again.forward(X), outputs[0])
    other = snn.Loop(network(dropout=0.5).build(X.shape), seed=1)
    assert not np.array_equal(other.forward(X), outputs[0])


@pytest.mark.parametrize("parts", [(12,), (4, 4, 4), (7, 5), (1, 11)])
def test_accumulated_gradients_are_those_of_the_whole_batch(parts):
    net, loss = network().to(dtype="float64"), snn.losses.RateCrossEntropy()
    loop = snn.Loop(net, snn.optim.SGD(1.0, momentum=0.0))
    first = 0
    for n in parts:
        z = loop.forward(np.ascontiguousarray(X[:, first : first + n].astype(np.float64)))
        loop.backward(loss(z, Y[first : first + n])[1])
        first += n
    norm = loop.step()
    whole = network().to(dtype="float64")
    single = snn.Loop(whole, snn.optim.SGD(1.0, momentum=0.0))
    single.backward(loss(single.forward(X.astype(np.float64)), Y)[1])
    assert norm == pytest.approx(single.step(), rel=1e-12)
    for name, value in whole.state().items():
        np.testing.assert_allclose(net.state()[name], value, rtol=1e-12, atol=1e-14)


def test_a_trainer_accumulates(digits, small_trainer):
    """Two batches of 32 are one of 64; the last update of an epoch takes what is left."""
    train = digits[0].select(range(160))
    options = {"optimizer": snn.optim.SGD(0.1, momentum=0.0), "architecture": "4c3", "seed": 0}
    trainer = small_trainer(batch_size=32, accumulate=2, **options)
    trainer.fit(train, epochs=1, progress=False)
    assert trainer.optimizer.steps == 3
    with pytest.raises(ValueError, match="Trainer: accumulate cannot be used with truncate"):
        snn.Trainer(network(), truncate=2, accumulate=2)


def test_an_accumulated_run_is_resumed(digits, small_trainer, tmp_path, assert_same_checkpoint):
    """Ctrl-C takes effect at the next update."""
    import os
    import signal

    def press(trainer):
        if trainer.batch == 1 and trainer.epoch == 0:
            os.kill(os.getpid(), signal.SIGINT)

    options = {"accumulate": 3, "batch_size": 40}
    small_trainer(tmp_path / "whole", **options).fit(*digits, epochs=1, progress=False)
    with pytest.raises(KeyboardInterrupt, match="stopped at epoch 1, batch 3"):
        small_trainer(tmp_path / "parts", on_batch=press, **options).fit(*digits, epochs=1, progress=False)
    small_trainer(tmp_path / "parts", **options).fit(*digits, epochs=1, resume=True, progress=False)
    assert_same_checkpoint(tmp_path / "whole" / "last.h5", tmp_path / "parts" / "last.h5")


def test_clipping():
    loop = snn.Loop(network(), snn.optim.SGD(1.0, momentum=0.0), clip_norm=1e-3)
    before = {}
    z = loop.forward(X)
    before = {name: p.value.copy() for name, p in loop.net.parameters() if p.lr is None}
    loop.backward(snn.losses.RateCrossEntropy()(z, Y)[1])
    assert loop.step() > 1e-3
    moved = sum(((p.value - before[name]) ** 2).sum() for name, p in loop.net.parameters() if name in before)
    assert np.sqrt(moved) <= 1e-3 * (1 + 1e-5)


def test_frozen_layers_stay(digits, small_trainer):
    trainer = small_trainer(optimizer=snn.optim.AdamW(1e-2), clip_norm=1.0)
    trainer.start(digits[0], 1)
    trainer.net["repeat1"].freeze()
    before = trainer.net.state()
    trainer.fit(digits[0], epochs=1, progress=False)
    after = trainer.net.state()
    changed = {name.split(".")[0] for name, value in before.items() if not np.array_equal(value, after[name])}
    assert "repeat1" not in changed and {"residual1", "linear1"} <= changed


def test_a_loop_is_saved_and_restored(tmp_path):
    loss = snn.losses.TET()

    def steps(loop, count):
        for _ in range(count):
            loop.backward(loss(loop.forward(X), Y)[1])
            loop.step()

    whole = snn.Loop(network(dropout=0.3))
    steps(whole, 5)
    first = snn.Loop(network(dropout=0.3))
    steps(first, 2)
    first.save(tmp_path / "loop.h5", epoch=2, name="mine")
    second = snn.Loop(network(dropout=0.3))
    assert second.restore(tmp_path / "loop.h5") == {"epoch": 2, "name": "mine"}
    steps(second, 3)
    assert same(whole.net, second.net) and not same(first.net, second.net)
    assert same(snn.load(tmp_path / "loop.h5"), first.net)
    with pytest.raises(snn.CheckpointError, match="belongs to another network"):
        snn.Loop(network()).restore(tmp_path / "loop.h5")
    with pytest.raises(snn.CheckpointError, match="holds a network but no training state to resume"):
        snn.Trainer(network(dropout=0.3)).restore(tmp_path / "loop.h5")


def test_penalties_are_part_of_the_loss():
    net = snn.Sequential(snn.Linear(3, 4), snn.LIF(), snn.SpikePenalty(0.5))
    loop = snn.Loop(net)
    spikes = loop.forward(X)
    assert loop.penalty == pytest.approx(0.5 * spikes.mean(), rel=1e-6) and loop.penalty > 0


def test_what_is_refused():
    loop = snn.Loop(network())
    for call, error, message in (
        (lambda: loop.step(), RuntimeError, "Loop.step: call forward and backward first"),
        (
            lambda: loop.backward(np.zeros((4, 12, 2))),
            RuntimeError,
            "Loop.backward: call forward first; every backward",
        ),
        (
            lambda: snn.Loop(network(), "adam"),
            TypeError,
            "Loop: optimizer must be a numsnn.optim.Optimizer; got 'adam'",
        ),
        (lambda: snn.Loop([1]), TypeError, "Loop: net must be a numsnn.layers.Layer; got [1]"),
        (lambda: snn.Loop(network(), clip_norm=0), ValueError, "Loop: clip_norm must be positive; got 0"),
    ):
        with pytest.raises(error, match=f"^{re.escape(message)}"):
            call()
    loop.forward(X)
    with pytest.raises(
        snn.ShapeError, match=r"^Loop\.backward: dz must have the output's shape \(4, 12, 2\); got \(4, 2"
    ):
        loop.backward(np.zeros((4, 2)))
    bad = np.zeros((4, 12, 2), np.float32)
    bad[0, 0, 0] = np.nan
    loop.backward(bad)
    before = loop.net.state()
    with pytest.raises(
        snn.DivergenceError, match=r"^Loop\.step: the gradient is not finite at step 1; first in linear"
    ):
        loop.step()
    assert all(np.array_equal(value, loop.net.state()[name]) for name, value in before.items())


def test_gradients_are_forgotten(tmp_path):
    """By reset and by restore; and layers cannot be frozen between the passes of one update."""
    loss, loop = snn.losses.TET(), snn.Loop(network())
    loop.backward(loss(loop.forward(X), Y)[1])
    loop.save(tmp_path / "loop.h5")
    norm = loop.step()
    for forget in (loop.reset, lambda: loop.restore(tmp_path / "loop.h5")):
        loop.backward(1e3 * loss(loop.forward(X), Y)[1])
        forget()
        with pytest.raises(RuntimeError, match="call forward and backward first"):
            loop.step()
    loop.backward(loss(loop.forward(X), Y)[1])
    assert loop.step() == norm
    for _ in range(2):
        loop.backward(loss(loop.forward(X), Y)[1])
    loop.net["linear1"].freeze()
    with pytest.raises(RuntimeError, match=r"^Loop: layers were frozen or unfrozen between the passes of one update"):
        loop.step()
    loop.reset()
    loop.backward(loss(loop.forward(X), Y)[1])
    loop.step()


@pytest.mark.parametrize("cut", [2, 3, 5])
def test_a_loop_that_unfreezes_is_restored(tmp_path, cut):
    """While a layer is frozen, before its first update, and after two of them; bit for bit."""
    loss = snn.losses.TET()

    def loop_of():
        net = network().build(X.shape)
        net["linear1"].freeze()
        return snn.Loop(net)

    def steps(loop, numbers):
        for k in numbers:
            if k == 3:
                loop.net["linear1"].unfreeze()
            loop.backward(loss(loop.forward(X), Y)[1])
            loop.step()

    whole, first, second = loop_of(), loop_of(), loop_of()
    steps(whole, range(7))
    steps(first, range(cut))
    first.save(tmp_path / "loop.h5")
    if cut > 3:
        second.net["linear1"].unfreeze()
    second.restore(tmp_path / "loop.h5")
    steps(second, range(cut, 7))
    assert same(whole.net, second.net) and not same(first.net, second.net)
    assert second.optimizer.counts == whole.optimizer.counts
    assert whole.optimizer.counts["linear1.weight"] == 4 and whole.optimizer.counts["linear2.weight"] == 7


def test_an_older_file_of_a_loop(tmp_path):
    """It holds no counts of single parameters: all were updated in every step."""
    loss, loop = snn.losses.TET(), snn.Loop(network())
    for _ in range(3):
        loop.backward(loss(loop.forward(X), Y)[1])
        loop.step()
    loop.save(tmp_path / "loop.h5")
    net, arrays, training = checkpoint.read(tmp_path / "loop.h5")
    counts = training["loop"].pop("counts")
    checkpoint.write(tmp_path / "older.h5", net, arrays, training)
    other = snn.Loop(network())
    other.restore(tmp_path / "older.h5")
    assert other.optimizer.counts == counts == loop.optimizer.counts and set(counts.values()) == {3}
    for each in (loop, other):
        each.backward(loss(each.forward(X), Y)[1])
        each.step()
    assert same(loop.net, other.net)


FROZEN = "every layer that can learn is frozen; net.unfreeze() or the same of some of its layers lets them learn again"


@pytest.mark.parametrize("frozen", [("linear1", "lif1", "linear2"), ("linear1", "linear2")])
def test_a_wholly_frozen_network_is_refused(frozen):
    """Also if layers without parameters are not frozen."""
    net = snn.Sequential(snn.Linear(3, 16), snn.LIF(surrogate="triangle"), snn.Linear(16, 2)).build(X.shape)
    assert [name for name, _ in net.parameters() if name.startswith("lif")] == []
    for name in frozen:
        net[name].freeze()
    loop = snn.Loop(net)
    loop.backward(np.ones_like(loop.forward(X)))
    with pytest.raises(ValueError, match=f"^Loop.step: {re.escape(FROZEN)}$"):
        loop.step()
    assert loop.optimizer.steps == 0
    net["linear2"].unfreeze()
    loop.backward(np.ones_like(loop.forward(X)))
    loop.step()
    assert loop.optimizer.steps == 1


def test_what_can_change_without_trained_parameters_is_not_refused():
    """A network without parameters, and statistics that are still tracked."""
    linear = snn.Linear(3, 16)
    tracked = snn.Sequential(linear, snn.BatchNorm(16, affine=False), snn.LIF(surrogate="triangle")).build(X.shape)
    linear.freeze()
    for net in (snn.Sequential(snn.LIF(surrogate="triangle")), tracked):
        loop = snn.Loop(net)
        loop.backward(np.ones_like(loop.forward(X)))
        assert loop.step() == 0.0


def test_factors_and_data_that_are_refused(tmp_path):
    loop = snn.Loop(network())
    loop.backward(np.ones_like(loop.forward(X)))
    before = loop.net.state()
    with pytest.raises(ValueError, match=r"^Loop\.step: factor must be a finite number; got nan$"):
        loop.step(float("nan"))
    assert all(np.array_equal(value, loop.net.state()[name]) for name, value in before.items())
    with pytest.raises(TypeError, match=r"^Loop\.save: order must be plain data, which JSON can hold; got array"):
        loop.save(tmp_path / "loop.h5", order=np.arange(3))


def test_the_moments_of_another_network_are_refused():
    """As in a cross-validation whose optimiser is made once."""
    loss, optimizer = snn.losses.TET(), snn.optim.Adam(1e-2)

    def step(net, optimizer):
        loop = snn.Loop(net, optimizer)
        loop.backward(loss(loop.forward(X), Y)[1])
        loop.step()

    net = network()
    step(net, optimizer)
    step(net, optimizer)  # another loop of the same network
    net["linear1"].freeze()
    step(net.to(dtype="float64").to(dtype="float32"), optimizer)
    before = network().build(X.shape)
    message = "Adam: has made 3 updates of another network, whose moments it has; give every network an optimiser of"
    with pytest.raises(ValueError, match=f"^{message}"):
        step(before, optimizer)
    assert same(before, network().build(X.shape))
    loaded = snn.optim.Adam(1e-2)
    loaded.load_state(optimizer.state())
    step(before, loaded)
    for plain in (snn.optim.SGD(0.1, momentum=0.0),):
        step(network(), plain)
        step(network(), plain)
