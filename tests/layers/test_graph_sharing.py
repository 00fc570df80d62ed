"""Layers that a graph uses several times: one set of parameters and statistics, and one state per use."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from own_neurons import QIF

import numsnn as snn
from numsnn.layers import TRAINING

SHAPE = (4, 6, 5)
LABELS = np.arange(6) % 3


def encoder(dropout=0.0):
    return snn.Sequential(
        snn.Linear(5, 4),
        snn.BatchNorm(4),
        snn.LIF(
            v_threshold=0.5, learn_tau="channel", surrogate=snn.PSG("arctan", width=2.0), pda=snn.PDA(divergence=0.1)
        ),
        snn.Dropout(dropout),
        snn.Linear(4, 5),
        snn.RecurrentLIF(v_threshold=0.5, surrogate=snn.PSG("arctan", width=2.0)),
    )


def siamese(part=None):
    part = encoder() if part is None else part
    return snn.Graph(
        ("a", "b"),
        {
            "left": (part, "a"),
            "right": (part, "b"),
            "pair": ("concat", "left", "right"),
            "readout": (snn.Linear(10, 3), "pair"),
        },
    )


def built(device="reference", part=None, dtype=None):
    return siamese(part).to(device, dtype).build({"a": SHAPE, "b": SHAPE})


def draw(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0.5, 1, SHAPE).astype(dtype) for name in ("a", "b")}


def separate(net):
    """The same network, but with two encoders of the same weights."""
    other = snn.Graph(
        ("a", "b"),
        {
            "left": (encoder(), "a"),
            "right": (encoder(), "b"),
            "pair": ("concat", "left", "right"),
            "readout": (snn.Linear(10, 3), "pair"),
        },
    )
    other.to(net.device, net.dtype).build({"a": SHAPE, "b": SHAPE})
    state = net.state()
    other.load_state({name: state[name.replace("right.", "left.")] for name in other.state()})
    return other


def backward(net, x, mode):
    z = np.array(net.forward(x, mode))
    dx = net.backward(np.cos(np.arange(z.size, dtype=net.dtype)).reshape(z.shape))
    return (
        z,
        {name: np.array(p.grad) for name, p in net.parameters()},
        {name: np.array(part) for name, part in dx.items()},
    )


def test_gradients_are_those_of_separate_layers_summed(device):
    """The second pass has other buffers: each use still has what its own backward pass needs."""
    net = built(device, dtype="float64")
    other, x = separate(net), draw(dtype=np.float64)
    mode = replace(TRAINING, track=False)
    for _ in range(2):
        (z, got, dx), (want_z, want, want_dx) = backward(net, x, mode), backward(other, x, mode)
        assert np.array_equal(z, want_z) and all(np.array_equal(dx[name], want_dx[name]) for name in dx)
        for name, value in got.items():
            second = want.get(name.replace("left.", "right.")) if name.startswith("left.") else 0
            np.testing.assert_allclose(value, want[name] + second, rtol=1e-12, atol=1e-15, err_msg=name)
            assert value.any(), name
    assert net.total_penalty() == pytest.approx(other.total_penalty()) != 0


def test_check_gradients_of_a_shared_part(device):
    report = snn.check_gradients(built(device), draw(), LABELS, entries=2)
    assert report.ok, report


def test_a_part_that_reads_its_own_output(device):
    """The gradient passes through both uses, one after the other."""
    nodes = {"once": (snn.Sequential(snn.Linear(5, 5), snn.LIF(v_threshold=0.5)), "x"), "twice": ("once", "once")}
    net = snn.Graph(("x",), nodes | {"readout": (snn.Linear(5, 3), "twice")}).to(device)
    assert snn.check_gradients(net, draw()["a"], LABELS).ok


def test_own_layers_and_neurons_are_shared():
    part = snn.Sequential(snn.Linear(5, 5), QIF(v_threshold=0.5, learn=("k",)))
    assert snn.check_gradients(built(part=part), draw(), LABELS, device="reference").ok


def test_parameters_stand_once():
    net = built()
    names = [name for name, _ in net.parameters()]
    assert not any(name.startswith("right") for name in net.state())
    assert len(names) == len({id(p) for _, p in net.parameters()}) and "left.linear1.weight" in names
    assert net["right.linear1"].weight is net["left.linear1"].weight
    assert net["right.lif1"] is not net["left.lif1"] and net["right.lif1"].kept is None
    rows = [row for row in snn.models.summary(net, draw()).splitlines() if "linear1" in row]
    assert [row.split()[-3] for row in rows] == ["24", "0"]


def test_statistics_are_updated_once_per_use():
    """In turn, as if the layer had been called twice."""
    net, alone, x = built(), encoder().to("reference").build(SHAPE), draw()
    alone.load_state({name.removeprefix("left."): v for name, v in net.state().items() if name.startswith("left.")})
    for step in range(2):
        net.forward(x, replace(TRAINING, seed=step))
        for name in ("a", "b"):
            alone.forward(x[name], replace(TRAINING, seed=step))
    want = alone.statistics()
    assert want["lif1.batches"] == 4
    for name, value in net.statistics().items():
        np.testing.assert_array_equal(value, want[name.removeprefix("left.")], err_msg=name)


class Passes(snn.Layer):
    """Counts the passes that it tracks, in an attribute that every pass replaces."""

    carries = False
    count = np.zeros(1)

    def compute(self, x, mode):
        self.kept = mode.store
        if mode.track:
            self.count = self.count + 1
        return x

    def propagate(self, dy, need_dx):
        return dy

    def own_statistics(self):
        return {"count": self.count}

    def set_statistic(self, name, value):
        self.count = np.array(value)


def test_statistics_that_a_pass_replaces():
    net = built(part=snn.Sequential(Passes(), snn.Linear(5, 5)))
    for _ in range(3):
        net.forward(draw(), TRAINING)
    assert net.statistics() == {"left.passes1.count": 6} and net["right.passes1"].count == 6
    net.load_state(net.state() | {"left.passes1.count": np.full(1, 2.0)})
    assert net["right.passes1"].count == 2
    net.copy().forward(draw(), TRAINING)
    assert net.statistics() == {"left.passes1.count": 2}


def test_dropout_and_carried_states_are_those_of_the_use():
    net = built(part=encoder(dropout=0.5))
    x = draw()["a"]
    net.forward({"a": x, "b": x}, TRAINING)
    assert not np.array_equal(net["left.dropout1"].output, net["right.dropout1"].output)
    carried: dict = {}
    for t in range(4):
        last = np.array(
            net.forward({"a": x[t : t + 1], "b": x[t : t + 1] / 2}, replace(snn.layers.INFERENCE, carried=carried))
        )
    assert np.array_equal(last[0], net({"a": x, "b": x / 2})[-1])
    assert {"left.lif1", "right.lif1"} <= carried.keys()
    assert not np.array_equal(carried["left.lif1"]["state"], carried["right.lif1"]["state"])


@pytest.mark.parametrize("way", ["device", "dtype", "copy", "pickle", "file", "description", "fold"])
def test_uses_stay_connected(way, tmp_path):
    """After whatever makes new arrays: a change of one use is a change of all."""
    net, x = built(), draw()
    net.forward(x, TRAINING)
    want = net(x)
    if way == "device":
        net = net.to("cpu").to("reference")
    elif way == "dtype":
        net = net.to(dtype="float64").to(dtype="float32")
    elif way == "copy":
        net = net.copy()
    elif way == "pickle":
        net = pickle.loads(pickle.dumps(net))
    elif way == "file":
        snn.save(net, tmp_path / "net.h5")
        net = snn.load(tmp_path / "net.h5").to("reference")
    elif way == "fold":
        net = net.fold()
        assert net["right.linear1"].weight is net["left.linear1"].weight
        np.testing.assert_allclose(net(x), want, rtol=1e-4, atol=1e-4)
        return
    else:
        state = net.state()
        net = snn.Layer.from_description(net.description()).to("reference").build(net.input_shape)
        net.load_state(state)
    assert np.array_equal(net(x), want)
    net["left.linear1"].weight.value = changed = np.array(net["left.linear1"].weight.value)[::-1]
    assert np.array_equal(net["right.linear1"].weight.value, changed)
    assert net["right.batchnorm1"].running is net["left.batchnorm1"].running
    z, grads, _ = backward(net, x, TRAINING)
    assert z.shape == (4, 6, 3) and grads["left.linear2.weight"].any()


def test_freezing_one_use_freezes_all():
    net = built()
    net["right"].freeze()
    assert net["left"].frozen and net["left.lif1"].frozen
    before = net.state()
    x = draw()
    optimizer = snn.optim.AdamW(1e-2, weight_decay=0.1)
    for _ in range(2):
        _, grads, _ = backward(net, x, TRAINING)
        optimizer.step(net.kernels, net.trainable())
    assert not any(value.any() for name, value in grads.items() if name.startswith("left"))
    for name, value in net.state().items():
        assert np.array_equal(value, before[name]) == name.startswith("left"), name
    net["left"].unfreeze()
    assert not net["right.lif1"].frozen


def test_a_trained_part_is_taken_along():
    part = encoder().build(SHAPE, seed=5)
    x = draw()
    part.forward(x["a"], TRAINING)
    net = built("cpu", part=part)
    assert np.array_equal(net["left"](x["a"]), part(x["a"])) and np.array_equal(net["right"](x["a"]), part(x["a"]))
    part["linear1"].weight.value = np.zeros((5, 4))
    assert not net["right.linear1"].weight.value.any()


def test_moving_the_part_alone_moves_its_uses():
    part = encoder()
    net, x = built(part=part), draw()
    want = net(x)
    part.to(dtype="float64")
    with pytest.raises(ValueError, match=r"^layers of one network must have one dtype; got float32, float64$"):
        net(x)
    part.to(dtype="float32")
    assert np.array_equal(net(x), want)


def test_a_use_is_a_network_of_its_own():
    net, x = built(), draw()
    right = net["right"]
    assert [name for name, _ in right.parameters()] == [
        name.removeprefix("left.") for name in dict(net.parameters()) if "left" in name
    ]
    copy = right.copy()
    assert np.array_equal(copy(x["a"]), net["left"](x["a"]))
    assert copy["linear1"].weight is not right["linear1"].weight
    state = right.state()
    state["batchnorm1.mean"] = np.full(4, 0.25)
    right.load_state(state)
    assert (net["left.batchnorm1"].running["mean"] == 0.25).all() and np.array_equal(net["left"](x["a"]), right(x["a"]))


def test_a_use_in_front_of_the_original():
    """The node that holds the layer may come later in the flow of data."""
    part = snn.Sequential(snn.Linear(5, 5), snn.LIF(v_threshold=0.5))
    nodes = {"second": (part, "first"), "first": ("second", "x"), "readout": (snn.Linear(5, 3), "second")}
    net = snn.Graph(("x",), nodes).to("reference").build(SHAPE)
    assert [name for name, _ in net.named()[1:]][:2] == ["first", "first.linear1"]
    assert "second.linear1.weight" in net.state() and "first.linear1.weight" not in net.state()
    x = draw()["a"]
    assert np.array_equal(net(x), net["readout"](part(part(x)).astype(np.uint8)))
    assert snn.check_gradients(net, x, LABELS).ok


def test_a_shared_graph():
    """Its own uses are shared once more."""
    inner = snn.Graph(
        ("x",), {"once": (snn.Linear(5, 5), "x"), "neuron": (snn.LIF(), "once"), "twice": ("once", "neuron")}
    )
    net = built(part=inner)
    assert snn.check_gradients(net, draw(), LABELS, device="reference").ok
    assert [name for name, _ in net.parameters() if "linear" in name or "once" in name] == [
        "left.once.weight",
        "left.once.bias",
    ]
    assert net["right.twice"].weight is net["left.once"].weight
    assert np.array_equal(net.copy()(draw()), net(draw()))


def test_trained_weights_move_together():
    net, x = built(), draw()
    optimizer = snn.optim.Adam(1e-2)
    before = np.array(net["left.linear1"].weight.value)
    for _ in range(2):
        backward(net, x, TRAINING)
        snn.optim.clip_global_norm(net.kernels, net.trainable(), 1.0)
        optimizer.step(net.kernels, net.trainable())
    assert not np.array_equal(net["right.linear1"].weight.value, before)
    assert np.array_equal(net(x), separate(net)(x))
