"""Sequences of different length in one batch: nothing beyond a length has any influence.

Oracles in which padding does not exist are the samples alone, and the batch cut at the common length of its sequences.
"""

from dataclasses import replace

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import INFERENCE, TRAINING, Mode

CLOSE = 1e-12
STORED = Mode(training=True, store=True)


def real_steps(lengths, steps, axes):
    """Return an array [T, N, 1, ...] of this many axes that is True at real steps."""
    real = np.arange(steps)[:, None] < np.asarray(lengths)
    return real.reshape(*real.shape, *(1,) * (axes - 2))


def run(net, x, dy, mode, lengths=None, passes=1):
    """Return copies of what passes leave: the real outputs, all gradients, the penalty, and the statistics."""
    if lengths is not None:
        mode = replace(mode, lengths=np.asarray(lengths))
    for _ in range(passes):
        y = net.forward(x.copy(), mode)
        dx = net.backward(dy.copy())
    real = real_steps(len(y) if lengths is None else lengths, len(y), y.ndim)
    found = {"y": np.where(real, y, 0), "dx": np.array(dx), "penalty": np.array(net.total_penalty())}
    return found | {f"d {name}": p.grad.copy() for name, p in net.parameters()} | net.statistics()


def assert_equal(got, want, promise=0.0, but=()):
    assert got.keys() == want.keys()
    for name in got.keys() - set(but):
        assert np.isfinite(got[name]).all(), name
        scale = max(1.0, np.abs(want[name]).max(initial=0))
        np.testing.assert_allclose(got[name], want[name], rtol=0, atol=promise * scale, err_msg=name)


# --- networks ---------------------------------------------------------------------------------------------------------


def pictures():
    """A convolution, statistics of every kind that any number of steps allows, PSG and PDA."""
    return snn.Sequential(
        snn.Conv2d(2, 4, 3, padding=1),
        snn.BatchNorm(4),
        snn.LIF(
            surrogate=snn.PSG("gaussian", per="channel"),
            pda=snn.PDA(divergence=0.3),
            learn_tau=True,
            learn_threshold="channel",
        ),
        snn.RateBand(0.05, 0.1, per="channel"),
        snn.AvgPool2d(3),
        snn.Flatten(),
        snn.Linear(4, 5, bias=False),
        snn.BatchNorm(5, v_threshold=0.5),
        snn.RecurrentALIF(
            surrogate=snn.PSG("gaussian"), pda=snn.PDA(divergence=0.2, target=0.2), learn_adaptation=True
        ),
        snn.SpikePenalty(0.3, "l2"),
        snn.Linear(5, 3),
        snn.Divergence(0.2),
        snn.LI(learn_tau=True),
    )


def alone():
    """No layer whose output for a sample depends on the others."""
    return snn.Sequential(
        snn.Conv2d(2, 4, 3, padding=1, bias=True),
        snn.GroupNorm(2, 4),
        snn.LIF(v_threshold=0.5, learn_threshold=True, refractory=1),
        snn.Residual(snn.Conv2d(4, 4, 1), snn.PLIF(v_reset=None), shortcut=snn.Delay(1)),
        snn.Concat(None, snn.Sequential(snn.Conv2d(4, 2, 1), snn.LayerNorm(2), snn.IF())),
        snn.MaxPool2d(3),
        snn.Flatten(),
        snn.Linear(6, 5),
        snn.Delay((0, 1, 2, 0, 1)),
        snn.RecurrentCubaLIF(v_threshold=0.3, learn_tau_synapse=True, surrogate=snn.PSG("arctan")),
        snn.Linear(5, 3),
        snn.LI(learn_tau=True),
    )


STEPS = 5
LENGTHS = [5, 1, 3, 4]
SAMPLES = len(LENGTHS)


def data(samples=SAMPLES, steps=STEPS, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, (steps, samples, 3, 3, 2)), rng.normal(size=(steps, samples, 3))


def built(make, device, steps=STEPS, samples=SAMPLES):
    return make().build((steps, samples, 3, 3, 2), seed=3).to(device, "float64")


def padded(x, lengths, filling):
    return np.where(real_steps(lengths, len(x), x.ndim), x, filling)


@pytest.mark.parametrize("relaxed", [False, True], ids=["spikes", "relaxed"])
def test_padding_has_no_influence(device, relaxed):
    """Zeros and large numbers in the padding: the same bits, but for the rounding of the first convolution's products
    on the CPU, which skips zeros."""
    x, dy = data()
    dy = padded(dy, LENGTHS, 0)
    mode = replace(TRAINING, relaxed=relaxed)
    found = [
        run(built(pictures, device), padded(x, LENGTHS, filling), dy, mode, LENGTHS, 2) for filling in (0, 1e6, -7)
    ]
    first = "d conv2d1.weight"
    for other in found[1:]:
        assert_equal(other, found[0], but=[first])
        np.testing.assert_allclose(other[first], found[0][first], rtol=0, atol=1e-13)
    assert_equal(found[1], found[2])
    assert not found[0]["dx"][~real_steps(LENGTHS, STEPS, 2)].any()
    assert found[0]["penalty"] > 0.1
    assert all(np.abs(found[0][name]).max() > 1e-4 for name in found[0] if name.startswith("d "))


def test_padding_has_an_influence_without_lengths(device):
    """The test above can fail."""
    x, dy = data()
    found = [
        run(built(pictures, device), padded(x, LENGTHS, filling), padded(dy, LENGTHS, 0), TRAINING)
        for filling in (0, 1e6)
    ]
    unequal = [name for name in found[0] if not np.allclose(found[0][name], found[1][name])]
    assert {"y", "penalty", "d batchnorm1.gamma", "lif1.correction", "batchnorm2.mean"} <= set(unequal)


def test_samples_of_a_batch_are_as_alone(device):
    """Outputs up to each length, and gradients, which are the sums of the samples' own gradients."""
    x, dy = data()
    dy = padded(dy, LENGTHS, 0)
    got = run(built(alone, device), padded(x, LENGTHS, 1e6), dy, STORED, LENGTHS)
    want = {name: np.zeros_like(value) for name, value in got.items()}
    for n, length in enumerate(LENGTHS):
        part = slice(0, length), slice(n, n + 1)
        own = run(built(alone, device), x[part], dy[part], STORED)
        for name, value in own.items():
            if name in ("y", "dx"):
                want[name][part] = value
            else:
                want[name] += value
    assert_equal(got, want, CLOSE)
    assert all(np.abs(want[name]).max() > 1e-4 for name in want if name.startswith("d "))


@pytest.mark.parametrize(("samples", "length"), [(1, 3), (3, 2), (1, 1), (2, 4)])
def test_a_batch_of_one_length_is_the_batch_cut_there(device, samples, length):
    """Batch statistics, running statistics, PDA and penalties too."""
    x, dy = data(samples, seed=1)
    lengths = [length] * samples
    got = run(
        built(pictures, device, samples=samples), padded(x, lengths, 1e6), padded(dy, lengths, 0), TRAINING, lengths, 3
    )
    want = run(built(pictures, device, length, samples), x[:length], dy[:length], TRAINING, passes=3)
    for name in ("y", "dx"):
        assert not got[name][length:].any()
        got[name] = got[name][:length]
    assert_equal(got, want, 1e-11)


def test_whole_sequences_are_a_batch_without_lengths(device):
    """To the bit; the layers are fused."""
    x, dy = data()
    nets = [built(pictures, device) for _ in range(2)]
    assert_equal(run(nets[0], x, dy, TRAINING, [STEPS] * len(LENGTHS), 2), run(nets[1], x, dy, TRAINING, passes=2))
    assert nets[0].layers[1].output is None


def test_layers_run_one_by_one_give_the_same(device):
    """With `Mode.inspect`, which also keeps the input gradient of every layer: zero at padding."""
    x, dy = data()
    dy = padded(dy, LENGTHS, 0)
    nets = [built(pictures, device) for _ in range(2)]
    inspected = run(nets[0], x, dy, replace(TRAINING, inspect=True), LENGTHS)
    assert_equal(inspected, run(nets[1], x, dy, TRAINING, LENGTHS), CLOSE)
    padding = ~real_steps(LENGTHS, STEPS, 2)
    for layer in nets[0].walk():
        assert not layer.input_gradient[padding].any(), layer.path


def test_frozen_statistics(device):
    """A stored pass with running statistics, in which a normalisation and its neuron stay fused."""
    x, dy = data()
    dy = padded(dy, LENGTHS, 0)
    found = []
    for filling in (0, 1e6):
        net = built(pictures, device)
        net.forward(x, TRAINING)
        found.append(run(net, padded(x, LENGTHS, filling), dy, Mode(store=True, track=True), LENGTHS, 2))
        assert net.layers[1].output is None
    assert_equal(found[0], found[1], CLOSE)


def test_inference_needs_no_lengths(device):
    x, _ = data()
    net = built(pictures, device)
    net.forward(x, TRAINING)
    real = real_steps(LENGTHS, STEPS, 3)
    outputs = [np.where(real, net(padded(x, LENGTHS, filling)), 0) for filling in (0, 1e6)]
    told = net.forward(padded(x, LENGTHS, 1e6), replace(INFERENCE, lengths=np.array(LENGTHS)))
    assert np.array_equal(*outputs)
    assert np.array_equal(np.where(real, told, 0), outputs[0])


@pytest.mark.parametrize("make", [pictures, alone])
def test_gradients_are_those_of_the_padded_loss(make):
    x, _ = data(seed=5)
    net = make().to("reference").build(x.shape, seed=4)
    report = snn.check_gradients(net, x.astype(np.float32), np.array([0, 2, 1, 2]), lengths=LENGTHS, entries=3)
    assert report.ok, str(report)


def test_every_layer_ignores_padding(case, device):
    """Every kind of layer, with gradients that are zero at padding: the same bits for other numbers there."""
    if case.samples_axis == 0:
        pytest.skip("takes pictures")
    steps, samples = case.shape[:2]
    lengths = [1 + k % steps for k in range(samples)]
    mode = replace(TRAINING, lengths=np.array(lengths))
    dy = padded(case.rough(shape=case.out, seed=2), lengths, 0)
    found = []
    for filling in (-3.0, 1e6):
        layer = case.layer(device, "float64")
        y = np.array(layer.forward(padded(case.rough(), lengths, filling), mode))
        dx = layer.backward(dy.copy())
        found.append(
            {"y": np.where(real_steps(lengths, steps, y.ndim), y, 0), "dx": np.array(dx)}
            | {name: p.grad.copy() for name, p in layer.parameters()}
            | layer.statistics()
        )
        assert not dx[~real_steps(lengths, steps, 2)].any()
    assert_equal(*found)


# --- parts of sequences -----------------------------------------------------------------------------------------------


def test_lengths_in_parts_of_sequences(device):
    """A sequence may be over in a part. Outputs, corrections and gradients ignore what lies beyond."""
    x, _ = data()
    found = []
    for filling in (0, 1e6):
        net = snn.Sequential(
            snn.Flatten(), snn.Linear(18, 4), snn.RecurrentLIF(pda=snn.PDA(correct=True, divergence=0.1))
        )
        net = net.build(x.shape, seed=2).to(device, "float64")
        filled, carried, parts = padded(x, LENGTHS, filling), {}, []
        for first in (0, 2, 4):
            lengths = np.clip(np.array(LENGTHS) - first, 0, len(x[first : first + 2]))
            mode = replace(TRAINING, lengths=lengths, carried=carried)
            y = np.array(net.forward(filled[first : first + 2], mode))
            real = real_steps(lengths, len(y), 3)
            net.backward(np.where(real, 1.0, 0.0) * np.ones_like(y, dtype=np.float64))
            parts.append(np.where(real, y, 0))
        found.append({"y": np.concatenate(parts), "dw": net.layers[1].weight.grad.copy()} | net.statistics())
    assert_equal(*found)
    assert found[0]["recurrentlif1.correction"].shape == (5, 4)
    assert found[0]["y"].any()


# --- the door ---------------------------------------------------------------------------------------------------------

WHOLE = "sequential: lengths must be 4 whole numbers, one per sample; got"


@pytest.mark.parametrize(
    ("error", "lengths", "message"),
    [
        (snn.ShapeError, [1, 2, 3], f"{WHOLE} int64 of shape (3,)"),
        (snn.ShapeError, [[1, 2, 3, 4]], f"{WHOLE} int64 of shape (1, 4)"),
        (snn.ShapeError, [1.0, 2.0, 3.0, 4.0], f"{WHOLE} float64 of shape (4,)"),
        (snn.ShapeError, [True] * 4, f"{WHOLE} bool of shape (4,)"),
        (snn.ShapeError, 3, f"{WHOLE} int64 of shape ()"),
        (ValueError, [1, 6, 3, 4], "sequential: lengths must lie in 1..5, the steps of the input; got 6 for sample 1"),
        (ValueError, [1, 2, 0, 4], "sequential: lengths must lie in 1..5, the steps of the input; got 0 for sample 2"),
        (
            ValueError,
            [1, 2, 3, -1],
            "sequential: lengths must lie in 1..5, the steps of the input; got -1 for sample 3",
        ),
    ],
)
def test_wrong_lengths(refuses, error, lengths, message):
    net = snn.Sequential(snn.Linear(2, 3))
    with refuses(error, message):
        net.forward(np.zeros((5, 4, 2), np.float32), Mode(lengths=lengths))
    with refuses(error, message):
        snn.check_gradients(net, np.zeros((5, 4, 2), np.float32), np.zeros(4, np.int64), lengths=lengths)


def test_a_part_without_sequences(refuses):
    net = snn.Sequential(snn.Linear(2, 3))
    with refuses(ValueError, "sequential: all lengths are 0: no sequence has a step in this pass. Leave out the pass"):
        net.forward(np.zeros((5, 2, 2), np.float32), Mode(lengths=np.zeros(2, int), carried={}))


@pytest.mark.parametrize("first", [snn.Repeat(3), snn.Poisson(3)])
def test_pictures_have_no_lengths(refuses, first):
    net = snn.Sequential(first, snn.Linear(2, 3))
    message = "sequential: lengths are for sequences; the network takes pictures without a time axis. Leave out lengths"
    with refuses(snn.ShapeError, message):
        net.forward(np.zeros((4, 2), np.float32), Mode(lengths=np.ones(4, int)))


def test_a_layer_that_changes_the_number_of_steps(refuses):
    """The lengths no longer say which of its steps are real."""

    class Halve(snn.Layer):
        def infer(self, shape):
            return (shape[0] // 2, *shape[1:])

        def compute(self, x, mode):
            return np.ascontiguousarray(x[::2])

    net = snn.Sequential(Halve(), snn.BatchNorm(2, name="norm"))
    message = "norm (BatchNorm): the lengths are for 4 steps of 3 samples; the layer's input has shape (2, 3, 2)"
    with refuses(snn.ShapeError, message):
        net.forward(np.zeros((4, 3, 2), np.float32), replace(TRAINING, lengths=np.array([4, 1, 2])))


def test_layers_of_ones_own_see_the_lengths():
    """And None if all sequences are whole."""
    seen = []

    class Look(snn.Layer):
        def compute(self, x, mode):
            seen.append(mode.lengths)
            return x

    for lengths in ([1, 2], np.array([2, 2], np.uint8), None):
        Look().forward(np.zeros((2, 2, 1), np.float32), Mode(lengths=lengths))
    assert np.array_equal(seen[0], [1, 2])
    assert seen[1:] == [None, None]
