"""What layers, networks and streams remember from pass to pass: it is right after every change, and stays small."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import numsnn as snn
from numsnn.kernels.cpu import norm, recurrent
from numsnn.kernels.cpu.run import tiles
from numsnn.kernels.cpu.ways import product_cut, winograd, winograd_gradient
from numsnn.layers import INFERENCE, TRAINING, Mode
from numsnn.layers.plan import plan_of
from numsnn.training.loop import pass_seed, step_seed

SHAPE = 4, 3, 6


def network(seed=0, **options):
    layers = snn.Linear(6, 8), snn.BatchNorm(8), snn.LIF(**options), snn.Linear(8, 5), snn.RecurrentLIF(), snn.LI()
    return snn.Sequential(*layers).build(SHAPE, seed)


def numbers(shape=SHAPE, dtype=np.float32):
    return np.random.default_rng(0).normal(0.5, 2, shape).astype(dtype)


def gradients(net, x, mode=TRAINING):
    """The output and all gradients of a pass."""
    z = net.forward(x, mode).copy()
    net.backward(np.ones_like(z))
    return [z, *(np.array(p.grad) for _, p in net.parameters())]


def assert_equal(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_options_that_change_after_a_pass():
    """A neuron whose current is no longer scaled charges by another rule."""
    used, fresh, x = network(decay_input=True), network(decay_input=False), numbers()
    before = gradients(used, x)
    used["lif1"].decay_input = False
    fresh.load_state(used.state())
    found = gradients(used, x)
    assert_equal(found, gradients(fresh, x))
    assert not np.array_equal(found[0], before[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), snn.Sequential.copy])
def test_copies_compute_with_their_own_numbers(copied):
    net, x = network(), numbers()
    gradients(net, x)
    twin = copied(net)
    assert twin["lif1"].run.neuron is twin["lif1"] and twin["recurrentlif1"].run.neuron is twin["recurrentlif1"]
    assert {id(p) for _, p in twin.parameters()}.isdisjoint(id(p) for _, p in net.parameters())
    twin["linear1"].weight.value = 2 * twin["linear1"].weight.value
    for layer in (twin["lif1"], twin["recurrentlif1"]):
        layer.width.parameter.value = layer.width.parameter.value + 1
    fresh = network()
    fresh.load_state(twin.state())
    wanted = gradients(copied(net), x)
    assert_equal(gradients(twin, x), gradients(fresh, x))
    assert_equal(gradients(net, x), wanted)


def test_parameters_that_are_replaced():
    """Also if an optimiser has taken them into its memory before."""
    net, x = network(), numbers()
    loop = snn.Loop(net, snn.optim.Adam(1e-2))
    for _ in range(2):
        loop.forward(x)
        loop.backward(np.ones(net.output_shape, np.float32))
        loop.step()
    other = network(seed=1)
    net.load_state(other.state())
    assert_equal(gradients(net, x), gradients(other, x))
    weight = net["linear2"].weight
    weight.value = np.zeros_like(weight.value)
    assert dict(net.trainable())["linear2.weight"] is weight and not weight.value.any()
    other["linear2"].weight.value = weight.value
    assert_equal(gradients(net, x), gradients(other, x))


@pytest.mark.parametrize("change", [{"device": "reference"}, {"dtype": "float64"}])
def test_networks_and_streams_that_move(change):
    net, fresh = network(), network()
    stream, x = net.stream(), numbers()
    for frame in x[:2]:
        stream.step(frame)
    for one in (net, fresh):
        one.to(**change)
    x = x.astype(net.dtype)
    stream.reset()
    other = fresh.stream()
    assert_equal([stream.step(frame) for frame in x], [other.step(frame) for frame in x])
    assert_equal(gradients(net, x), gradients(fresh, x))
    for one in (net, fresh):
        one.to("cpu", "float32")
    x = x.astype(np.float32)
    assert_equal(gradients(net, x), gradients(fresh, x))


def test_a_stream_overwrites_no_array_of_its_user():
    net, x = network(), numbers()
    stream, kept, found = net.stream(), x.copy(), []
    for frame in x:
        given = frame.copy()
        found.append((given, stream.step(given)))
    assert_equal([given for given, _ in found], kept)
    again = net.stream()
    assert_equal([y for _, y in found], [again.step(frame) for frame in kept])


def test_the_inputs_of_stored_passes_of_a_stream_stay():
    """The backward pass of a chunk reads the input that its forward pass got."""
    net, x = network(), numbers()
    wanted = gradients(net, x[2:], Mode(store=True))
    stream = network().stream()
    stream.advance(x[:2], INFERENCE)
    stream.reset()
    z = stream.advance(x[2:], Mode(store=True))
    stored = stream.net["linear1"].kept.x
    kept = stored.copy()
    stream.advance(x[:2], INFERENCE)
    np.testing.assert_array_equal(stored, kept)
    np.testing.assert_array_equal(z, wanted[0])


def test_no_array_of_a_user_is_kept_alive():
    net, x = network(), numbers()
    stream, seen = net.stream(), []
    for use in (net, stream.feed, snn.Loop(net).forward):
        given = x.copy()
        seen.append(weakref.ref(given))
        use(given)
        del given
    gc.collect()
    assert [reference() for reference in seen] == [None] * 3


def test_what_is_remembered_by_shape_is_bounded():
    of_products = product_cut.forward_cut, product_cut.gradient_cut, winograd._cut, winograd_gradient._cut
    for function in (norm._moment_cut, recurrent._rows, tiles.cut, tiles.rows_to_join, *of_products):
        assert function.cache_info().maxsize is not None
    net = network()
    for samples in range(1, 40):
        net.forward(numbers((2, samples, 6)), TRAINING)
    assert len(net["lif1"]._views) < 10 and len(net["batchnorm1"]._views) < 10


def test_seeds_are_made_for_layers_that_draw():
    class Noise(snn.Layer):
        carries = False

        def compute(self, x, mode):
            return x

    for layer, draws in ((snn.Dropout(), True), (Noise(), True), (snn.LIF(), False)):
        net = snn.Sequential(snn.Linear(6, 8), layer)
        assert plan_of(net).draws is draws
        assert pass_seed(net, 1, 2) == (step_seed(1, 2) if draws else 0)
    assert plan_of(snn.Sequential(snn.layers.Poisson(3), snn.Linear(6, 8))).draws


def test_recurrent_neurons_store_potentials_only_where_somebody_reads_them():
    net, x = network(), numbers()
    neuron = net["recurrentlif1"]
    spikes = net(x)
    assert "u" not in {name for name, _ in neuron._buffers}
    net.forward(x, Mode(inspect=True))
    assert "u" in {name for name, _ in neuron._buffers}
    neuron.record = ("u",)
    np.testing.assert_array_equal(net(x), spikes)
    assert neuron.recorded["u"].shape == (4, 3, 5)
