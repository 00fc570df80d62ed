"""Passes that drop outputs and compute them again: the same bits as without it, in much less memory."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from own_neurons import QIF

import numsnn as snn
from numsnn.layers import INFERENCE, TRAINING, Mode
from numsnn.layers.arena import Arena
from numsnn.layers.plan import plan_of

LEAN = replace(TRAINING, recompute=True)
SHAPE = 4, 3, 8, 8, 2


def conv(inputs, outputs, **options):
    return snn.Conv2d(inputs, outputs, 3, padding=1, **options)


def block(inputs, outputs, neuron=snn.LIF, **options):
    return conv(inputs, outputs), snn.BatchNorm(outputs), neuron(**options)


def chain():
    """Everything that takes part, PDA, and a dropout that does not."""
    return snn.Sequential(
        *block(2, 8, pda=snn.PDA(divergence=0.01), learn_threshold=True),
        snn.AvgPool2d(2),
        *block(8, 8, snn.PLIF, v_reset=None, v_init=0.2, learn_v_init=True),
        snn.Dropout(0.3),
        snn.ConvTranspose2d(8, 8, 2),
        snn.CubaLIF(),
        snn.MaxPool2d(2),
        conv(8, 8, bias=True),
        snn.LIF(surrogate="arctan"),
        snn.BatchNorm(8),
        snn.ALIF(refractory=1),
        snn.GlobalAvgPool2d(),
        snn.Linear(8, 5),
        snn.RecurrentLIF(),
        snn.RateBand(0.1, 0.2),
        snn.Linear(5, 3),
    )


def residual():
    """Sums whose paths are dropped, other joins, and containers in containers."""
    return snn.Sequential(
        snn.Sequential(*block(2, 8)),
        snn.Residual(*block(8, 8), conv(8, 8), snn.BatchNorm(8)),
        snn.LIF(),
        snn.Residual(*block(8, 8), shortcut=conv(8, 8)),
        snn.Sequential(conv(8, 8), snn.BatchNorm(8)),
        snn.Sequential(snn.LIF(), snn.AvgPool2d(2)),
        snn.Residual(*block(8, 8), shortcut=snn.Sequential(*block(8, 8)), join="and"),
        snn.Residual(*block(8, 8), snn.Residual(*block(8, 8)), shortcut=snn.GroupNorm(2, 8)),
        conv(8, 8),
        snn.LIF(),
        snn.Concat(None, snn.Sequential(*block(8, 8))),
        snn.SumPool2d(2),
        snn.GlobalAvgPool2d(),
        snn.Linear(16, 3),
        snn.LI(),
    )


def pictures():
    """Direct encoding, a loop of its own inside a graph, and a layer that is used twice."""
    shared = snn.Sequential(conv(8, 8), snn.LIF())
    return snn.Sequential(
        snn.Repeat(4, *block(2, 8), conv(8, 8), snn.BatchNorm(8)),
        snn.LIF(),
        snn.Graph(("x",), {"one": (shared, "x"), "two": ("one", "one"), "both": ("concat", "one", "two")}),
        snn.GlobalAvgPool2d(),
        snn.Linear(16, 3),
    )


NETWORKS = {"chain": chain, "residual": residual, "pictures": pictures}


def inputs(net, seed=0, dtype=np.float32):
    shape = SHAPE[1:] if net.takes_pictures else SHAPE
    return np.random.default_rng(seed).normal(0.4, 1, shape).astype(dtype)


def step(net, mode, seed=0, x=None):
    """Return output, gradients, statistics and penalty of a forward and a backward pass."""
    kernels = net.kernels
    x = inputs(net, seed, net.dtype) if x is None else x
    z = kernels.to_host(net.forward(kernels.from_host(x, x.dtype), replace(mode, seed=seed))).copy()
    dz = np.random.default_rng(1).normal(size=z.shape).astype(z.dtype)
    dx = kernels.to_host(net.backward(kernels.from_host(dz, dz.dtype))).copy()
    found = {"z": z, "dx": dx, "penalty": np.array(net.total_penalty())}
    found |= {name: kernels.to_host(p.grad).copy() for name, p in net.parameters()}
    return found | net.statistics()


def same(got, want):
    assert got.keys() == want.keys()
    assert not [name for name in want if not np.array_equal(got[name], want[name])]


def pair(make, device="reference", dtype="float32"):
    """Two equal networks."""
    nets = [make().to(device, dtype) for _ in range(2)]
    return [net.build(SHAPE[1:] if net.takes_pictures else SHAPE) for net in nets]


def kept(net):
    """Return the bytes that the layers hold between two passes."""
    return sum(array.nbytes for layer in net.tree() for array in layer._buffers.values())


# --- the same bits ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["kept while there is room", "forgotten at once"])
def forgetting(request, monkeypatch):
    """What is dropped stays as long as nothing else needs its memory; without that, all of it is computed again."""
    if request.param == "forgotten at once":
        monkeypatch.setattr(Arena, "lay_by", Arena.give)


@pytest.mark.usefixtures("forgetting")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_the_same_bits(name, device):
    """Statistics and corrections are updated once per pass, and dropout and potentials are those of the pass."""
    plain, lean = pair(NETWORKS[name], device)
    for seed in range(3):
        same(step(lean, LEAN, seed), step(plain, TRAINING, seed))
    assert kept(lean) < kept(plain)
    x = inputs(plain)
    got = lean.forward(x, Mode(recompute=True)).copy()
    np.testing.assert_array_equal(got, plain.forward(x, INFERENCE))


@pytest.mark.usefixtures("quick_simulator", "forgetting")
def test_the_same_bits_on_cuda():
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

    def make():
        inside = snn.Conv2d(2, 4, 1), snn.BatchNorm(4), snn.LIF()
        return snn.Sequential(
            *inside, snn.AvgPool2d(2), snn.Conv2d(4, 4, 1), snn.LIF(), snn.Flatten(), snn.Linear(16, 2)
        )

    nets = [make().to("cuda").build((2, 1, 4, 4, 2)) for _ in range(2)]
    x = np.random.default_rng(0).normal(0.5, 1, (2, 1, 4, 4, 2)).astype(np.float32)
    for net, mode in zip(nets, (TRAINING, LEAN), strict=True):
        step(net, mode, x=x)
    same(step(nets[1], LEAN, x=x), step(nets[0], TRAINING, x=x))
    assert plan_of(nets[1]).lean and nets[1][0].output is None


@pytest.mark.usefixtures("forgetting")
def test_a_second_backward_pass():
    """The same stored pass can be used again."""
    plain, lean = pair(residual)
    want = step(plain, TRAINING)
    step(lean, LEAN)
    dz = np.random.default_rng(1).normal(size=want["z"].shape).astype(np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(lean.backward(dz), want["dx"])


@pytest.mark.usefixtures("forgetting")
def test_frozen_parts():
    """A backward pass that ends early, and a frozen part in the middle."""
    for frozen in (slice(0, 5), slice(4, 8)):
        plain, lean = pair(chain)
        for net in (plain, lean):
            net[frozen].freeze()
        want, got = {}, {}
        for net, mode, found in ((plain, TRAINING, want), (lean, LEAN, got)):
            for _ in range(2):
                z = net.forward(inputs(net), mode)
                net.backward(np.ones_like(z), need_dx=False)
            found |= {name: p.grad.copy() for name, p in net.trainable()} | net.statistics()
        same(got, want)


@pytest.mark.usefixtures("forgetting")
def test_parts_of_a_sequence():
    """In truncated BPTT each part starts from the state that the part before has left."""
    plain, lean = pair(chain)
    for net, mode in ((plain, TRAINING), (lean, LEAN)):
        net.found = []
        mode = replace(mode, carried={})
        for part in (slice(0, 1), slice(1, 4)):
            net.found.append(step(net, mode, x=inputs(net)[part]))
    for got, want in zip(lean.found, plain.found, strict=True):
        same(got, want)


def test_sequences_of_different_length():
    """Padding keeps everything, and gives the same."""
    plain, lean = pair(residual)
    lengths = np.array([4, 2, 3])
    same(step(lean, replace(LEAN, lengths=lengths)), step(plain, replace(TRAINING, lengths=lengths)))
    assert not plan_of(lean).lean and lean[0].output is not None


def test_layers_from_outside():
    """A layer of a user's own keeps input and output, unless it declares more; a neuron of one's own takes part."""

    class Halved(snn.Layer):
        carries = False

        def compute(self, x, mode):
            self.kept = x if mode.store else None
            return self.as_real(x) / 2

        def propagate(self, dy, need_dx):
            assert self.kept is not None and not np.isnan(self.kept).any()
            return dy / 2

    class Loud(snn.Conv2d):
        def compute(self, x, mode):
            return 2 * super().compute(x, mode)

        def propagate(self, dy, need_dx):
            return super().propagate(2 * dy, need_dx)

    def make():
        inner = *block(4, 4, QIF), conv(4, 4), snn.LIF()
        return snn.Sequential(*block(2, 4), Halved(), *inner, Loud(4, 4, 1), snn.LIF(), conv(4, 2))

    plain, lean = pair(make)
    for _ in range(2):
        same(step(lean, LEAN), step(plain, TRAINING))
    written = {type(layer) for layer in plan_of(lean).dropped.writers}
    assert written == {snn.Conv2d, QIF, snn.LIF}
    assert [k for k, layer in enumerate(lean) if layer.output is not None] == [2, 3, 8, 9, 11]


def test_a_pass_that_fails_leaves_nothing_behind(monkeypatch):
    plain, lean = pair(chain)
    made = []
    for _ in range(3):
        step(lean, LEAN)
        made.append(plan_of(lean).pool.nbytes)
    fail = {"on": True}
    right = snn.GlobalAvgPool2d.compute, snn.LIF.propagate

    def compute(self, x, mode):
        if fail["on"]:
            raise KeyboardInterrupt
        return right[0](self, x, mode)

    def propagate(self, dy, need_dx):
        if fail["on"]:
            raise KeyboardInterrupt
        return right[1](self, dy, need_dx)

    monkeypatch.setattr(snn.GlobalAvgPool2d, "compute", compute)
    with pytest.raises(KeyboardInterrupt):
        lean.forward(inputs(lean), replace(LEAN, track=False))
    monkeypatch.undo()
    z = lean.forward(inputs(lean), replace(LEAN, track=False))
    monkeypatch.setattr(snn.Neuron, "propagate", propagate)
    with pytest.raises(KeyboardInterrupt):
        lean.backward(np.ones_like(z))
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match=r"needs a forward pass with Mode\(store=True\)"):
        lean.backward(np.ones_like(z))
    for _ in range(3):
        step(plain, TRAINING)
    same(step(lean, LEAN), step(plain, TRAINING))
    assert plan_of(lean).pool.nbytes == made[-1]


def test_passes_of_both_kinds_in_turn():
    """Recomputing is a setting of the pass. A copy of the network has no part in it."""
    plain, mixed = pair(residual)
    for k, mode in enumerate((LEAN, TRAINING, LEAN, replace(TRAINING, inspect=True), LEAN)):
        want = step(plain, TRAINING, k)
        got = step(mixed, mode, k)
        if not mode.inspect:
            same(got, want)
        mixed.forward(inputs(mixed), INFERENCE)
    same({"x": mixed.copy()(inputs(mixed))}, {"x": mixed(inputs(mixed))})


# --- memory -----------------------------------------------------------------------------------------------------------


def deep(depth):
    layers = [layer for _ in range(depth) for layer in block(8, 8)]
    return snn.Sequential(*block(2, 8), *layers, snn.GlobalAvgPool2d(), snn.Linear(8, 3))


def test_a_layer_keeps_a_bit_per_spike():
    """Deeper networks need one bit more per neuron and step; the memory that is lent does not grow."""
    nets = [deep(depth).to("cpu").build(SHAPE) for depth in (2, 6)]
    for net in nets:
        for seed in range(2):
            step(net, LEAN, seed)
    neurons = 4 * 3 * 8 * 8 * 8
    fewer, more = map(kept, nets)
    statistics = 4 * 8 * 16
    assert neurons // 8 * 4 <= more - fewer < (neurons // 8 + statistics) * 4
    assert plan_of(nets[0]).pool.nbytes == plan_of(nets[1]).pool.nbytes
    assert all(layer.output is None for layer in nets[1].layers[:-2])


def test_what_was_dropped_is_not_shown():
    net = deep(2).to("cpu").build(SHAPE)
    step(net, LEAN)
    neuron = net["lif2"]
    for look in (neuron.spikes, neuron.currents, neuron.potentials):
        with pytest.raises(RuntimeError, match="lif2: the last pass did not keep this; repeat it without Mode"):
            look()
    arrays = [signal for signal in neuron.signals() if isinstance(signal, np.ndarray)]
    assert arrays and all(np.isfinite(array).all() for array in arrays)
    assert net["conv2d2"].density > 0 and net["conv2d2"].routes["weight"]


@pytest.mark.parametrize("mode", [LEAN, TRAINING, INFERENCE, Mode(recompute=True)], ids=["lean", "", "infer", "both"])
@pytest.mark.parametrize("make", [chain, residual])
def test_a_steady_step_allocates_no_array(threads, mode, make, monkeypatch):
    """From the fourth of equal steps on, nothing asks the device for more than a few numbers per channel, and NumPy
    allocates numbers per channel alone."""
    threads(1)
    net, large = make().to("cpu"), (4, 3, 32, 32, 2)
    x = np.random.default_rng(0).normal(0.4, 1, large).astype(np.float32)
    net.build(large)
    asked, empty = [], net.kernels.empty

    def counted(shape, dtype):
        asked.append((shape, dtype))
        return empty(shape, dtype)

    def once():
        z = net.forward(x, mode)
        if mode.store:
            net.backward(np.ones(z.shape, np.float32), need_dx=False)

    for _ in range(3):
        once()
    monkeypatch.setattr(net.kernels, "empty", counted)
    tracemalloc.start()
    try:
        once()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        once()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    layer = 4 * 4 * 3 * 32 * 32 * 8
    assert [shape for shape, _ in asked if np.prod(shape) > 64] == []
    assert after - before < layer / 10 and peak - before < layer / 3
