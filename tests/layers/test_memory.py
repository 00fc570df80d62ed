"""Memory of a training step: gradients reuse arrays; potentials and normalised currents are not stored."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import INFERENCE, TRAINING
from numsnn.layers.memory import Pool
from numsnn.layers.plan import plan_of

F32 = np.dtype(np.float32)


# --- the pool ---------------------------------------------------------------------------------------------------


def test_what_is_given_back_is_lent_again():
    pool = Pool()
    first = pool.take((4, 5), F32, np.empty)
    second = pool.take((20,), F32, np.empty)
    assert pool.made == 2 and not np.shares_memory(first, second)
    pool.give(first.reshape(2, 10)[1:])
    third = pool.take((3, 2), F32, np.empty)
    assert np.shares_memory(third, first) and pool.made == 2
    assert pool.take((1,), np.dtype(np.float64), np.empty).dtype == np.float64
    assert pool.made == 3


def test_the_smallest_that_fits_and_growth():
    pool = Pool()
    arrays = [pool.take((n,), F32, np.empty) for n in (100, 10, 50)]
    for array in arrays:
        pool.give(array)
    assert np.shares_memory(pool.take((40,), F32, np.empty), arrays[2])
    pool.take((90,), F32, np.empty)
    grown = pool.take((200,), F32, np.empty)  # the ten make room for it
    assert pool.made == 4 and pool.nbytes == 4 * (100 + 50 + 200)
    assert not any(np.shares_memory(grown, array) for array in arrays)


def test_holders():
    pool = Pool()
    array = pool.take((8,), F32, np.empty)
    assert pool.alone(array)
    pool.hold(array)
    assert not pool.alone(array)
    pool.give(array)
    assert pool.alone(array)
    pool.give(array)
    assert not pool.alone(array)
    pool.give(array)  # nobody's any more: nothing happens
    assert pool.take((8,), F32, np.empty) is not array and pool.made == 1


def test_arrays_of_others_are_left_alone():
    pool, mine = Pool(), np.zeros(5, np.float32)
    for action in (pool.hold, pool.give):
        action(mine)
    pool.give(None)
    assert not pool.alone(mine) and not pool.alone(None) and pool.made == 0


def test_settle_and_recall():
    pool = Pool()
    used, result = (pool.take((6,), F32, np.empty) for _ in range(2))
    pool.settle(used, used.reshape(2, 3))
    assert pool.alone(used)
    pool.settle(used, result)
    assert not pool.alone(used) and pool.alone(result)
    pool.settle(result, None)
    assert not pool.alone(result)
    lent = pool.take((6,), F32, np.empty)
    pool.recall()
    assert not pool.alone(lent)
    pool.clear()
    assert pool.made == pool.nbytes == 0


# --- networks ---------------------------------------------------------------------------------------------------


def conv(inputs, outputs):
    return snn.Conv2d(inputs, outputs, 3, padding=1)


def deep(depth=8):
    """Blocks of one size, with PDA in some, and joins of every kind."""
    layers = [conv(2, 8), snn.BatchNorm(8), snn.LIF()]
    for k in range(depth):
        layers += [conv(8, 8), snn.BatchNorm(8), snn.LIF(pda=k % 2 == 0)]
    return snn.Sequential(
        *layers,
        snn.Residual(conv(8, 8), snn.BatchNorm(8), snn.LIF()),
        snn.Residual(conv(8, 8), snn.BatchNorm(8), snn.LIF(), shortcut=conv(8, 8), join="add"),
        snn.Residual(snn.LIF(), shortcut=snn.Sequential(conv(8, 8), snn.LIF()), join="iand"),
        snn.Concat(None, snn.Sequential(conv(8, 8), snn.LIF())),
        snn.GlobalAvgPool2d(),
        snn.Linear(16, 3),
    )


SHAPE = (4, 3, 8, 8, 2)


def step(net, x, mode=TRAINING):
    z = net.forward(x, mode)
    dz = np.random.default_rng(1).normal(size=z.shape).astype(z.dtype)
    dx = net.backward(dz)
    return z.copy(), dx.copy(), [p.grad.copy() for _, p in net.parameters()]


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(0.5, 1, SHAPE).astype(np.float32)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_layer_by_layer_is_the_same(device, x):
    """A pass that runs layer by layer and keeps every array computes what the fused pass in shared memory computes."""
    x = x.astype(np.float64)
    together, apart = (deep().to(device, "float64").build(SHAPE) for _ in range(2))
    got, want = step(together, x), step(apart, x, replace(TRAINING, inspect=True))
    for a, b in zip([*got[:2], *got[2]], [*want[:2], *want[2]], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    for a, b in zip(together.walk(), apart.walk(), strict=True):
        assert a.input_gradient is None and b.input_gradient is not None
        assert b.output is not None
        if isinstance(a, snn.LIF):
            assert a.kept.u is None and b.kept.u is not None
            np.testing.assert_allclose(a.potentials(), b.potentials(), rtol=1e-9, atol=1e-12)
    assert together.input_gradient is not None


def test_gradients_do_not_grow_with_depth(x):
    """The pool holds equally many arrays for a deep and a shallow network; without it there is one per layer."""
    nets = [deep(depth).build(SHAPE) for depth in (1, 12)]
    for net in nets:
        step(net, x)
    assert plan_of(nets[0]).pool.made == plan_of(nets[1]).pool.made
    assert plan_of(nets[0]).pool.nbytes == plan_of(nets[1]).pool.nbytes
    assert all(layer.plan is plan_of(nets[1]) for layer in nets[1].tree())


@pytest.mark.parametrize("mode", [TRAINING, replace(TRAINING, inspect=True), INFERENCE], ids=["", "inspect", "infer"])
def test_a_steady_step_allocates_nothing_large(threads, mode, x):
    """After two equal steps no array of a tenth of a layer's size is allocated, not even for a while. The test uses one
    thread, because every thread makes work arrays of its own when it first gets such work."""
    threads(1)
    x = np.tile(x, (1, 1, 4, 4, 1))
    net = deep().build(x.shape)
    dz = np.ones((4, 3, 3), np.float32)

    def once():
        net.forward(x, mode)
        if mode.store:
            net.backward(dz, need_dx=False)

    for _ in range(2):
        once()
    made, layer = plan_of(net).pool.made, 4 * x[..., 0].size * 8
    tracemalloc.start()
    try:
        once()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        once()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert plan_of(net).pool.made == made
    assert after - before < layer / 10


def test_training_keeps_the_current_and_a_byte(x):
    """A block of convolution, normalisation and neuron: 4 bytes and 1 a neuron and step, and the statistics."""
    net = snn.Sequential(conv(2, 64), snn.BatchNorm(64), snn.LIF()).build(SHAPE)
    step(net, x)
    norm, neuron = net.layers[1:]
    neurons = neuron.output.size
    assert norm.output is None
    assert sum(b.nbytes for layer in (norm, neuron) for b in layer._buffers.values()) < 1.1 * neurons


def test_constants_are_made_in_the_first_pass_only(monkeypatch):
    """Delays, numbers of samples, the target of PDA, and the zeros in place of its correction."""
    neurons = snn.LIF(pda=snn.PDA(target=0.9)), snn.LIF()
    net = snn.Sequential(snn.Poisson(3), snn.Linear(4, 3), *neurons, snn.Delay(1)).to("reference")
    x = np.random.default_rng(0).random((2, 4), np.float32)
    made = []
    for name in ("from_host", "zeros"):
        make = getattr(net.kernels, name)
        monkeypatch.setattr(net.kernels, name, lambda *args, make=make: made.append(make(*args)) or made[-1])
    for mode in (TRAINING, snn.Mode()):
        net.forward(x, mode)
        again = len(made)
        net.forward(x, mode)
        assert len(made) == again
    assert net.to(dtype="float64").forward(x.astype(np.float64)).dtype == np.uint8


def test_inference_keeps_spikes_alone(x):
    net = snn.Sequential(conv(2, 64), snn.BatchNorm(64), snn.LIF(), snn.LIF(pda=True)).build(SHAPE)
    net.forward(x)
    for neuron in net.layers[2:]:
        assert {name for name, _ in neuron._buffers if name != "real"} == {"s"}
    assert net.layers[1]._buffers.keys() <= {("factor", F32), ("sums", F32)}


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_a_gradient_from_outside_is_left_alone(device, x):
    """A layer may write over a gradient of the network's own, but not over one that a user gave."""
    net = snn.Sequential(conv(2, 4), snn.BatchNorm(4), snn.LIF()).to(device).build(SHAPE)
    s = net.forward(x, TRAINING)
    ds = np.random.default_rng(2).normal(size=s.shape).astype(np.float32)
    before = ds.copy()
    first = net.backward(ds).copy()
    assert np.array_equal(ds, before)
    assert np.array_equal(net.backward(ds), first)  # what the forward pass stored is still there


def test_another_dtype_forgets_the_pool(x):
    net = deep(1).build(SHAPE)
    step(net, x)
    net.to(dtype="float64")
    assert plan_of(net).pool.made == 0
    step(net, x.astype(np.float64))


# --- pairs --------------------------------------------------------------------------------------------------------


def fused(net):
    stages = plan_of(net).stages[net]
    return [(stage.first.path, stage.second.path) for stage in stages if hasattr(stage, "first")]


def test_who_is_run_as_one():
    net = snn.Sequential(
        snn.BatchNorm(4),
        snn.LIF(),
        snn.BatchNorm(4, v_threshold=0.5),
        snn.PLIF(pda=True, record="u"),
        snn.BatchNorm(4),
        snn.ALIF(),
        snn.BatchNorm(4),
        snn.LIF(refractory=2),
        snn.BatchNorm(4),
        snn.RateBand(0, 1),
        snn.LIF(),
        snn.TEBN(4, 3),
        snn.IF(),
        snn.BatchNorm(4),
        snn.IF(v_reset=None),
    )
    assert fused(net) == [("batchnorm1", "lif1"), ("batchnorm2", "plif1"), ("batchnorm6", "if2")]


class Doubled(snn.BatchNorm):
    """Another normalisation, derived from the package's."""

    def compute(self, x, mode):
        return 2 * super().compute(x, mode)


class Inverted(snn.LIF):
    """Another neuron, derived from the package's."""

    def compute(self, x, mode):
        return super().compute(-x, mode)


@pytest.mark.parametrize(
    "layers", [(Doubled(4), snn.LIF()), (snn.BatchNorm(4), Inverted())], ids=["a normalisation", "a neuron"]
)
def test_classes_that_compute_something_else_are_not_run_as_one(layers):
    x = np.random.default_rng(3).normal(0, 1, (3, 20, 4)).astype(np.float32)
    net = snn.Sequential(*layers).build(x.shape)
    assert fused(net) == []
    first, second = (layer.forward for layer in layers)
    assert np.array_equal(net.forward(x), second(first(x)))


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("training", [False, True])
def test_parts_are_those_of_the_layers(device, training):
    """Running statistics, corrections, records and the readout are the ones of the layers called one by one."""
    x = np.random.default_rng(3).normal(1, 2, (3, 20, 4))

    def layers():
        net = snn.Sequential(
            snn.BatchNorm(4, v_threshold=0.7), snn.LIF(pda=snn.PDA(0.3, divergence=0.1), record=("u", "v", "s"))
        )
        return net.to(device, "float64").build(x.shape)

    mode = replace(TRAINING, training=training)
    net, apart = layers(), layers()
    for _ in range(3):
        s = net.forward(x, mode)
        y = x
        for layer in apart.layers:
            y = layer.forward(y, mode)
        assert np.array_equal(s, y)
    for name, value in apart.state().items():
        np.testing.assert_allclose(net.state()[name], value, rtol=1e-9, atol=1e-12)
    for key, value in apart.layers[1].recorded.items():
        np.testing.assert_allclose(net.layers[1].recorded[key], value, rtol=1e-9, atol=1e-12)
    assert net.layers[1].penalty == pytest.approx(apart.layers[1].penalty, rel=1e-9)
    assert net.layers[1].penalty > 0


@pytest.mark.parametrize("v_reset", [0.0, None, "none"])
@pytest.mark.parametrize(("family", "scaled"), [("rectangle", False), ("logistic", True)])
def test_gradients_of_a_pair(v_reset, family, scaled):
    """Every parameter and the input are compared with finite differences. (The kernels of neurons with a rectangle are
    those that `test_visible` compiles.)"""
    neuron = snn.LIF(
        learn_tau="channel",
        learn_threshold="channel",
        surrogate=snn.PSG(family, per="channel"),
        v_reset=v_reset,
        decay_input=scaled,
    )
    net = snn.Sequential(snn.Linear(3, 4), snn.BatchNorm(4), neuron, snn.Linear(4, 3))
    x = np.random.default_rng(4).normal(0, 2, (4, 6, 3)).astype(np.float32)
    report = snn.check_gradients(net, x, np.arange(6) % 3)
    assert report.ok, report


# --- where gradients matter ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_visible(device):
    x = np.random.default_rng(5).normal(1, 1, (3, 10, 4)).astype(np.float32)
    layer = snn.LIF(surrogate=snn.PSG("triangle", width=0.5)).to(device).build(x.shape)
    layer.forward(x, TRAINING)
    assert layer.visible() is None and layer.visible_share is None
    layer.want_visible = True
    layer.forward(x, TRAINING)
    visible = layer.visible()
    assert visible.shape == x.shape and visible.dtype == np.uint8
    assert np.array_equal(visible, (np.abs(layer.potentials() - 1) <= 0.5).reshape(x.shape))
    assert layer.visible_share == pytest.approx(visible.mean()) and 0 < layer.visible_share < 1
    ds = np.random.default_rng(6).normal(size=x.shape).astype(np.float32)
    want = layer.backward(ds).copy()
    assert np.array_equal(layer.backward(np.where(visible, ds, 7)), want)
    layer.forward(x)
    assert layer.visible_share is None


@pytest.mark.parametrize("layer", [snn.LIF(surrogate="arctan"), snn.ALIF()], ids=str)
def test_visible_everywhere(layer):
    """Families without an end, and neurons with more to them."""
    layer.want_visible = True
    layer.forward(np.ones((2, 3, 4), np.float32), TRAINING)
    assert layer.visible() is None
