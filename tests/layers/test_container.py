"""Sequential, Repeat, Residual and Concat: names of their layers, results and gradients."""

import re
from dataclasses import replace

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING


def paths(net):
    return [layer.path for layer in net.tree()]


# --- names ----------------------------------------------------------------------------------------------------------


def test_names_are_counted_by_class():
    net = snn.Sequential(
        snn.Conv2d(1, 2, 3), snn.LIF(), snn.Conv2d(2, 2, 3), snn.LIF(), snn.GlobalAvgPool2d(), snn.Linear(2, 2)
    )
    assert paths(net) == ["sequential", "conv2d1", "lif1", "conv2d2", "lif2", "globalavgpool2d1", "linear1"]


def test_names_of_layers_inside_layers():
    net = snn.Sequential(
        snn.Repeat(2, snn.Conv2d(1, 4, 3), snn.BatchNorm(4)),
        snn.LIF(),
        snn.Residual(
            snn.Conv2d(4, 4, 3, padding=1),
            snn.Residual(snn.BatchNorm(4)),
            shortcut=snn.Sequential(snn.Conv2d(4, 4, 1), snn.BatchNorm(4)),
        ),
        snn.Residual(snn.Conv2d(4, 4, 1), shortcut=snn.Conv2d(4, 4, 1)),
        snn.Sequential(snn.Flatten(), snn.Sequential(snn.LIF())),
    )
    assert paths(net) == [
        "sequential",
        "repeat1",
        "repeat1.conv2d1",
        "repeat1.batchnorm1",
        "lif1",
        "residual1",
        "residual1.branch",
        "residual1.branch.conv2d1",
        "residual1.branch.residual1",
        "residual1.branch.residual1.branch",
        "residual1.branch.residual1.branch.batchnorm1",
        "residual1.shortcut",
        "residual1.shortcut.conv2d1",
        "residual1.shortcut.batchnorm1",
        "residual2",
        "residual2.branch",
        "residual2.branch.conv2d1",
        "residual2.shortcut",
        "sequential1",
        "sequential1.flatten1",
        "sequential1.sequential1",
        "sequential1.sequential1.lif1",
    ]
    assert [layer.path for layer in net.walk()] == [layer.path for layer in net.tree() if not layer.container]


def test_own_names():
    net = snn.Sequential(
        snn.Conv2d(1, 2, 3, name="stem"),
        snn.Conv2d(2, 2, 3),
        snn.Residual(snn.BatchNorm(2, name="norm"), name="block"),
        snn.Sequential(snn.Conv2d(2, 2, 1), name="head"),
        name="net",
    )
    assert paths(net) == [
        "net",
        "stem",
        "conv2d2",
        "block",
        "block.branch",
        "block.branch.norm",
        "head",
        "head.conv2d1",
    ]


def test_a_layer_alone_is_named_by_its_class():
    assert snn.BatchNorm(3).path == "batchnorm"
    assert snn.Linear(3, 2, name="readout").path == "readout"
    assert paths(snn.Repeat(2, snn.Linear(3, 2))) == ["repeat", "linear1"]


def test_a_residual_alone_tells_its_paths_apart():
    """Otherwise two arrays of a state, and of an optimiser's memory, would share one name."""
    net = snn.Residual(
        snn.Linear(3, 3), snn.BatchNorm(3), shortcut=snn.Sequential(snn.Linear(3, 3), snn.BatchNorm(3))
    ).build((2, 2, 3))
    names = [name for name, _ in net.parameters()]
    assert len(names) == 8
    assert len(set(names)) == 8
    assert len(net.state()) == 8 + 4
    assert "branch.linear1.weight" in names and "shortcut.linear1.weight" in names


CONTAINERS = {
    "Sequential: layers": snn.Sequential,
    "Repeat: layers": lambda *layers: snn.Repeat(2, *layers),
    "Residual: branch": snn.Residual,
    "Concat: branches": snn.Concat,
}


@pytest.mark.parametrize("what", CONTAINERS)
def test_names_used_twice_are_refused(what):
    container = CONTAINERS[what]
    with pytest.raises(ValueError, match=rf"^{what}: two layers of one network are named 'fc'$"):
        container(snn.Linear(3, 3, name="fc"), snn.LIF(), snn.Linear(3, 3, name="fc"))
    with pytest.raises(ValueError, match=rf"^{what}: two layers of one network are named 'linear2'$"):
        container(snn.Linear(3, 3, name="linear2"), snn.Linear(3, 3))
    container(snn.Linear(3, 3, name="fc"), snn.Sequential(snn.Linear(3, 3, name="fc")))


PATHS, CHAIN = "Residual: branch and shortcut", "Sequential: layers"
TWICE = {
    "side by side": (CHAIN, lambda a: snn.Sequential(a, snn.LIF(), a)),
    "in a repeat": ("Repeat: layers", lambda a: snn.Repeat(2, a, a)),
    "in a branch": ("Residual: branch", lambda a: snn.Residual(a, a)),
    "in both paths": (PATHS, lambda a: snn.Residual(a, shortcut=a)),
    "in a branch and below the shortcut": (PATHS, lambda a: snn.Residual(a, shortcut=snn.Sequential(a))),
    "at different depths": (CHAIN, lambda a: snn.Sequential(a, snn.Sequential(snn.LIF(), a))),
    "in two blocks": (CHAIN, lambda a: snn.Sequential(snn.Residual(a), snn.Residual(a))),
}


@pytest.mark.parametrize("place", TWICE)
def test_a_layer_that_stands_twice_is_refused(place):
    """Its second pass would overwrite what the first one keeps for the backward pass."""
    message = "a layer stands in the network twice; make a second one, or share it between two nodes of an snn.Graph"
    what, make = TWICE[place]
    with pytest.raises(ValueError, match=f"^{re.escape(f'{what}: {message}')}$"):
        make(snn.Linear(3, 3))


# --- Sequential -----------------------------------------------------------------------------------------------------


def test_sequential_is_its_layers_in_order(grid, step):
    layers = snn.Linear(5, 4), snn.LIF(), snn.Linear(4, 3)
    net = snn.Sequential(*layers).to("reference").build((3, 2, 5))
    x, dy = grid((3, 2, 5)), grid((3, 2, 3), 1)
    found = step(net, x, dy)
    y = x
    for layer in layers:
        y = layer.forward(y, TRAINING)
    dx = dy
    for layer in reversed(layers):
        dx = layer.backward(dx)
    np.testing.assert_array_equal(found["y"], y)
    np.testing.assert_array_equal(found["dx"], dx)


def test_the_first_layer_s_input_gradient_is_left_out_where_nobody_needs_it():
    net = snn.Sequential(snn.Linear(5, 4), snn.LIF(), snn.Linear(4, 3)).to("reference").build((3, 2, 5))
    z = net.forward(np.ones((3, 2, 5), np.float32), replace(TRAINING, inspect=True))
    assert net.backward(z, need_dx=False) is None
    assert [layer.input_gradient is None for layer in net.layers] == [True, False, False]


# --- Repeat ---------------------------------------------------------------------------------------------------------

T = 4
PICTURES = (3, 6, 6, 2)


def encoder():
    return snn.Conv2d(2, 4, 3, padding=1), snn.BatchNorm(4)


def rest():
    return snn.LIF(pda=snn.PDA(divergence=0.2)), snn.MaxPool2d(2), snn.Flatten(), snn.Linear(36, 3)


def test_repeat_is_the_whole_network_on_repeated_pictures(device, step, assert_close):
    """What stands inside sees the picture once; mean, variance and all sums are the same as over T equal pictures."""
    once = snn.Sequential(snn.Repeat(T, *encoder()), *rest()).to(device, "float64").build(PICTURES)
    often = snn.Sequential(*encoder(), *rest()).to(device, "float64").build((T, *PICTURES))
    rng = np.random.default_rng(0)
    for p in (p for _, p in once.parameters() if p.group == "norm"):
        p.value += rng.normal(0, 0.3, p.value.shape)
    often.load_state({name.removeprefix("repeat1."): value for name, value in once.state().items()})
    for _ in range(3):
        x, dy = rng.normal(0, 1, PICTURES), rng.normal(0, 1, (T, 3, 3))
        found = step(once, x, dy)
        assert 0.05 < once.layers[1].output.mean() < 0.60
        found = {name.replace("repeat1.", ""): value for name, value in found.items()}
        want = step(often, np.repeat(x[None], T, axis=0), dy)
        want["dx"] = want["dx"].sum(0)
        assert_close(found, want)


@pytest.mark.parametrize("samples", [1, 40])
def test_a_neuron_reads_one_step_for_all(samples):
    """At inference no step is copied for a neuron on the host; what is behind it gets the same numbers. The larger
    batch is one whose rows are joined."""
    x = np.random.default_rng(0).normal(0, 2, (samples, 8, 8, 2)).astype(np.float32)
    net = snn.Sequential(snn.Repeat(T, snn.Conv2d(2, 4, 3, padding=1)), snn.LIF(), snn.Flatten()).build(x.shape)
    spikes = net(x)
    assert net.layers[0].output.strides[0] == 0
    assert 0.05 < spikes.mean() < 0.6
    assert not np.array_equal(spikes[0], spikes[-1])
    net.forward(x, TRAINING)
    assert net.layers[0].output.strides[0] > 0
    np.testing.assert_array_equal(net.layers[-1].output, spikes)


def test_other_layers_get_a_copy_of_every_step():
    x = np.ones((1, 8, 8, 2), np.float32)
    for behind in (snn.AvgPool2d(2), snn.Sequential(snn.Flatten(), snn.RecurrentLIF())):
        net = snn.Sequential(snn.Repeat(T, snn.Conv2d(2, 4, 3, padding=1)), behind).build(x.shape)
        net(x)
        assert net.layers[0].output.strides[0] > 0


def test_repeat_without_layers(grid, step):
    layer = snn.Repeat(3).to("reference").build((2, 5))
    dy = grid((3, 2, 5), 1)
    found = step(layer, grid((2, 5)), dy)
    np.testing.assert_array_equal(found["y"], [grid((2, 5))] * 3)
    np.testing.assert_array_equal(found["dx"], dy[0] + dy[1] + dy[2])


def test_repeat_keeps_spikes_as_they_are():
    spikes = (np.random.default_rng(0).random((2, 5)) < 0.5).astype(np.uint8)
    y = snn.Repeat(3).to("reference")(spikes)
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, [spikes] * 3)


# --- Residual -------------------------------------------------------------------------------------------------------


def test_residual_adds_the_input(grid, step):
    inner = snn.Linear(5, 5)
    block = snn.Residual(inner).to("reference").build((3, 2, 5))
    x, dy = grid((3, 2, 5)), grid((3, 2, 5), 1)
    inner.weight.value[...], inner.offset.value[...] = grid((5, 5), 2) / 2, grid((5,), 3)
    found = step(block, x, dy)
    np.testing.assert_array_equal(found["y"], x + (x @ inner.weight.value + inner.offset.value))
    np.testing.assert_array_equal(found["dx"], dy + dy @ inner.weight.value.T)
    np.testing.assert_array_equal(inner.weight.grad, np.einsum("tni,tno->io", x, dy))


def test_residual_adds_both_paths(grid, step):
    main, side = snn.Linear(5, 3, bias=False), snn.Linear(5, 3, bias=False)
    block = snn.Residual(main, shortcut=side).to("reference").build((3, 2, 5))
    x, dy = grid((3, 2, 5)), grid((3, 2, 3), 1)
    main.weight.value[...], side.weight.value[...] = grid((5, 3), 2), grid((5, 3), 3)
    found = step(block, x, dy)
    np.testing.assert_array_equal(found["y"], x @ (main.weight.value + side.weight.value))
    np.testing.assert_array_equal(found["dx"], dy @ (main.weight.value + side.weight.value).T)
    np.testing.assert_array_equal(main.weight.grad, side.weight.grad)
    np.testing.assert_array_equal(main.weight.grad, np.einsum("tni,tno->io", x, dy))


def test_residual_of_spikes_counts_them(device):
    """Spikes of both paths add up to 2, in the network's float type."""
    x = np.full((2, 3, 4), 1, np.uint8)
    y = snn.Residual(snn.LIF()).to(device)(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.full((2, 3, 4), 2))


def test_residual_spoils_nothing_that_both_paths_share(grid, device):
    """All three paths of two nested shortcuts are the same array, forward and backward: none may write into it."""
    block = snn.Residual(snn.Residual(snn.Flatten())).to(device).build((3, 2, 5))
    x, dy = grid((3, 2, 5)), grid((3, 2, 5), 1)
    y = block.forward(x, TRAINING)
    np.testing.assert_array_equal(y, 3 * grid((3, 2, 5)))
    np.testing.assert_array_equal(block.backward(dy), 3 * grid((3, 2, 5), 1))
    np.testing.assert_array_equal(x, grid((3, 2, 5)))
    np.testing.assert_array_equal(dy, grid((3, 2, 5), 1))
    np.testing.assert_array_equal(y, 3 * x)


JOINS = {"and": lambda a, s: a & s, "iand": lambda a, s: ~a & s}


@pytest.mark.parametrize("join", JOINS)
def test_residual_of_spikes_is_logic(device, join):
    """The branch is inverted in "iand", not the shortcut; spikes stay spikes."""
    rng = np.random.default_rng(0)
    x = (rng.random((3, 4, 6)) < 0.5).astype(np.uint8)
    branch = snn.Sequential(snn.Delay(1), snn.LIF(v_threshold=0.5))
    block = snn.Residual(branch, join=join).to(device).build(x.shape)
    y = block(x)
    a = branch(x)
    assert 0.1 < a.mean() < 0.9 and not np.array_equal(a, x)
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, JOINS[join](a.astype(bool), x.astype(bool)))


@pytest.mark.parametrize("join", JOINS)
def test_residual_products_and_their_gradients(grid, device, step, join):
    main, side = snn.Linear(5, 3, bias=False), snn.Linear(5, 3, bias=False)
    block = snn.Residual(main, shortcut=side, join=join).to(device).build((3, 2, 5))
    x, dy = grid((3, 2, 5)), grid((3, 2, 3), 1)
    w, v = main.weight.value, side.weight.value
    w[...], v[...] = grid((5, 3), 2) / 2, grid((5, 3), 3) / 2
    found = step(block, x, dy)
    a, s = x @ w, x @ v
    left, sign = (a, 1) if join == "and" else (1 - a, -1)
    da, ds = sign * dy * s, dy * left
    np.testing.assert_array_equal(found["y"], left * s)
    np.testing.assert_array_equal(found["dx"], da @ w.T + ds @ v.T)
    np.testing.assert_array_equal(main.weight.grad, np.einsum("tni,tno->io", x, da))
    np.testing.assert_array_equal(side.weight.grad, np.einsum("tni,tno->io", x, ds))


@pytest.mark.parametrize("join", JOINS)
def test_spikes_joined_with_numbers_are_numbers(device, join):
    x = np.ones((3, 2, 4), np.uint8)
    assert snn.Residual(snn.Linear(4, 4), join=join).to(device)(x).dtype == np.float32


# --- Concat ---------------------------------------------------------------------------------------------------------


def test_concat_is_its_branches_side_by_side(grid, step):
    first, second = snn.Linear(5, 3), snn.Linear(5, 2)
    block = snn.Concat(first, None, second).to("reference").build((3, 2, 5))
    for k, layer in enumerate((first, second)):
        layer.weight.value[...] = grid(layer.weight.value.shape, k) / 2
    x, dy = grid((3, 2, 5)), grid((3, 2, 10), 1)
    found = step(block, x, dy)
    np.testing.assert_array_equal(found["y"], np.concatenate([first.forward(x), x, second.forward(x)], axis=-1))
    want = dy[..., :3] @ first.weight.value.T + dy[..., 3:8] + dy[..., 8:] @ second.weight.value.T
    np.testing.assert_array_equal(found["dx"], want)
    np.testing.assert_array_equal(second.weight.grad, np.einsum("tni,tno->io", x, dy[..., 8:]))


def test_concat_of_one_branch_is_the_branch(grid, device, step, assert_same):
    x, dy = grid((3, 2, 5)), grid((3, 2, 5), 1)
    found = step(snn.Concat(snn.Delay(1)).to(device).build(x.shape), x, dy)
    assert_same(found, step(snn.Delay(1).to(device).build(x.shape), x, dy))


def test_concat_of_spikes_is_spikes(device):
    """What came before stays, and what is new is put behind it, as in DenseNet."""
    x = (np.random.default_rng(0).random((3, 2, 4, 4, 2)) < 0.5).astype(np.uint8)
    new = snn.Sequential(snn.Conv2d(2, 3, 3, padding=1), snn.LIF(v_threshold=0.3))
    y = snn.Concat(None, new).to(device)(x)
    assert y.dtype == np.uint8 and y.shape == (3, 2, 4, 4, 5)
    np.testing.assert_array_equal(y[..., :2], x)
    assert 0 < y[..., 2:].mean() < 1
    assert snn.Concat(None, snn.Conv2d(2, 3, 3, padding=1)).to(device)(x).dtype == np.float32


def test_concat_leaves_both_ends_alone(grid, device):
    """The input and the gradient are the same arrays in all branches: none may write into them."""
    block = snn.Concat(None, snn.Concat(None, snn.Flatten()), None).to(device).build((3, 2, 5))
    x, dy = grid((3, 2, 5)), grid((3, 2, 20), 1)
    y = block.forward(x, TRAINING)
    np.testing.assert_array_equal(y, np.concatenate([x] * 4, axis=-1))
    np.testing.assert_array_equal(block.backward(dy), sum(np.split(dy, 4, axis=-1)))
    np.testing.assert_array_equal(x, grid((3, 2, 5)))
    np.testing.assert_array_equal(dy, grid((3, 2, 20), 1))


def test_names_of_branches():
    net = snn.Sequential(
        snn.Concat(
            None,
            snn.Conv2d(2, 1, 1),
            snn.Sequential(snn.Conv2d(2, 1, 1), snn.LIF()),
            snn.Conv2d(2, 1, 1, name="shortcut"),
        ),
        snn.Concat(snn.LIF()),
    )
    assert paths(net) == [
        "sequential",
        "concat1",
        "concat1.conv2d1",
        "concat1.sequential1",
        "concat1.sequential1.conv2d1",
        "concat1.sequential1.lif1",
        "concat1.shortcut",
        "concat2",
        "concat2.lif1",
    ]
    assert paths(snn.Concat(None, snn.LIF())) == ["concat", "lif1"]
