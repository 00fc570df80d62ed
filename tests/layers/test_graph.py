"""Graphs: several inputs, paths that part and join under names, and everything that networks can do."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

import numsnn as snn
from numsnn.describe import Described
from numsnn.layers import TRAINING
from numsnn.layers.plan import plan_of
from numsnn.training.room import largest_batch

SHAPES = {"eye": (3, 4, 6, 6, 2), "ear": (3, 4, 5)}
LABELS = np.arange(4) % 3


def two_inputs(**options):
    return snn.Graph(
        inputs=("eye", "ear"),
        nodes={
            "seen": (snn.Sequential(snn.Conv2d(2, 3, 3), snn.BatchNorm(3), snn.LIF(pda=True), snn.Flatten()), "eye"),
            "heard": (snn.Sequential(snn.Linear(5, 4), snn.LIF(v_threshold=0.5)), "ear"),
            "both": ("concat", "seen", "heard"),
            "hidden": (snn.Sequential(snn.Linear(52, 6), snn.LIF(v_threshold=0.5)), "both"),
            "readout": (snn.Linear(6, 3), "hidden"),
        },
        **options,
    )


def draw(seed=0, shapes=SHAPES, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0.5, 1, shape).astype(dtype) for name, shape in shapes.items()}


def built(device="reference", seed=0):
    return two_inputs().to(device).build(SHAPES, seed)


def backward(net, x, need_dx=True, mode=TRAINING):
    """A forward and backward pass: copies of the readout, the gradients of the parameters and those of the inputs."""
    z = np.array(net.forward(x, mode))
    dx = net.backward(np.cos(np.arange(z.size, dtype=net.dtype)).reshape(z.shape), need_dx)
    dx = {name: np.array(part) for name, part in dx.items()} if isinstance(dx, dict) else dx
    return z, {name: np.array(p.grad) for name, p in net.parameters()}, dx


# --- numbers --------------------------------------------------------------------------------------------------------


def test_two_inputs_by_hand(device):
    """The nodes, called one after the other, give the same numbers."""
    net = built(device)
    x = draw()
    want = net["seen"](x["eye"]), net["heard"](x["ear"])
    assert want[0].dtype == want[1].dtype == np.uint8 and want[0].any() and want[1].any()
    want = net["readout"](net["hidden"](np.concatenate(want, -1)))
    assert np.array_equal(net(x), want)
    assert np.array_equal(net((x["eye"], x["ear"])), want)
    assert np.array_equal(net({"ear": x["ear"], "eye": x["eye"]}), want)


def test_gradients_of_two_inputs(device):
    report = snn.check_gradients(built(device), draw(), LABELS, entries=2)
    assert report.ok, report
    assert [row.name for row in report.rows[-2:]] == ["input eye", "input ear"]


def test_a_chain_of_nodes_is_a_sequential(device, grid):
    """To the last bit, gradients included, although nothing is fused between nodes."""
    shape = (3, 2, 4)
    layers = [snn.Linear(4, 5), snn.LIF(v_threshold=0.5), snn.Linear(5, 3), snn.LIF(v_threshold=0.5), snn.Linear(3, 2)]
    chain = snn.Sequential(*layers).to(device).build(shape)
    names = ["x", "a", "b", "c", "d", "e"]
    nodes = {name: (layer.copy(), names[k]) for k, (name, layer) in enumerate(zip(names[1:], layers, strict=True))}
    graph = snn.Graph(("x",), nodes).to(device).build(shape)
    graph.load_state(dict(zip(graph.state(), chain.state().values(), strict=True)))
    x = grid(shape)
    for got, want in zip(backward(graph, x), backward(chain, x), strict=True):
        got, want = (list(part.values()) if isinstance(part, dict) else [part] for part in (got, want))
        assert all(np.array_equal(a, b) for a, b in zip(got, want, strict=True))


def test_a_residual_block_by_names(device, grid):
    shape, branch = (3, 2, 4), (snn.Linear(4, 4), snn.LIF(v_threshold=0.5))
    block = snn.Residual(*branch).to(device).build(shape)
    nodes = {"branch": (snn.Sequential(*branch).copy(), "x"), "sum": ("add", "branch", "x")}
    graph = snn.Graph(("x",), nodes).to(device).build(shape)
    for got, want in zip(backward(graph, grid(shape)), backward(block, grid(shape)), strict=True):
        if isinstance(got, dict):
            assert got.keys() == want.keys() and all(np.array_equal(got[name], want[name]) for name in want)
        else:
            assert np.array_equal(got, want)


def test_paths_that_part_and_join(device):
    """An input and a node with several readers, joins of three, and the gradient of every path."""
    net = snn.Graph(
        ("x",),
        {
            "a": (snn.Linear(3, 3), "x"),
            "b": (snn.Sequential(snn.Linear(3, 3), snn.LIF()), "a"),
            "sum": ("add", "a", "b", "x"),
            "wide": ("concat", "sum", "a", "b"),
            "out": (snn.Linear(9, 3), "wide"),
        },
    ).to(device)
    x = np.random.default_rng(0).normal(0.5, 1, (3, 4, 3)).astype(np.float32)
    report = snn.check_gradients(net, x, LABELS)
    assert report.ok and report.rows[-1].name == "input", report


def test_concatenated_spikes_stay_spikes(grid):
    parts = {"a": (snn.IF(), "x"), "b": (snn.LIF(), "x")}
    assert snn.Graph(("x",), parts | {"out": ("concat", "a", "b")})(grid((3, 2, 4))).dtype == np.uint8
    assert snn.Graph(("x",), parts | {"out": ("add", "a", "b")})(grid((3, 2, 4))).dtype == np.float32
    assert snn.Graph(("x",), {"a": parts["a"], "out": ("concat", "a", "x")})(grid((3, 2, 4))).dtype == np.float32


def test_masks_of_needed_gradients_pass_through_a_graph(device):
    """The layers that read spikes skip what the surrogate does not see; the gradients do not change."""

    def network():
        spikes = {"a": (snn.LIF(surrogate="rectangle"), "x"), "b": (snn.LIF(surrogate="rectangle"), "x")}
        joins = {"both": ("concat", "a", "b"), "sum": ("add", "a", "b")}
        readers = {"c": (snn.Linear(12, 3), "both"), "d": (snn.Linear(6, 3), "sum"), "out": ("add", "c", "d")}
        return snn.Graph(("x",), spikes | joins | readers).to(device).build((3, 4, 6))

    x = np.random.default_rng(0).normal(0.5, 1, (3, 4, 6)).astype(np.float32)
    found = []
    for wanted in (True, False):
        net = network()
        plan_of(net).asks = lambda neuron, wanted=wanted: wanted
        found.append(backward(net, x))
        assert [reader for reader, _ in plan_of(net).readers] == [net["c"], net["d"]]
        masks = [net[name].needed for name in ("c", "d")]
        if wanted:
            seen = [net[name].visible() for name in ("a", "b")]
            assert np.array_equal(masks[0], np.concatenate(seen, -1)) and not masks[0].all()
            assert np.array_equal(masks[1], seen[0] | seen[1])
        else:
            assert masks == [None, None]
    np.testing.assert_allclose(found[0][2], found[1][2], rtol=1e-5, atol=1e-6)


def test_inspected_gradients():
    """Every layer keeps its own gradient, which no other overwrites."""
    net, x = built(), draw()
    want = backward(built(), x)
    got = backward(net, x, mode=replace(TRAINING, inspect=True))
    assert all(layer.input_gradient is not None for layer in net.walk())
    np.testing.assert_allclose(net["seen"].input_gradient, got[2]["eye"])
    for name, value in want[1].items():
        np.testing.assert_allclose(got[1][name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_frozen_path_is_not_computed_backwards():
    net, x = built(), draw()
    want = backward(built(), x, need_dx=False)[1]
    net["heard"].freeze()
    got = backward(net, x, need_dx=False)[1]
    assert net["heard.linear1"].input_gradient is None and not got["heard.linear1.weight"].any()
    assert all(np.array_equal(got[name], value) for name, value in want.items() if not name.startswith("heard"))
    net.freeze()
    assert backward(net, x, need_dx=False)[2] is None


# --- what networks can do -------------------------------------------------------------------------------------------


def same(net, other, x):
    assert np.array_equal(net(x), other(x)) and net(x).any()


def test_description_and_repr():
    net = two_inputs(name="net")
    text = json.dumps(net.description())
    again = Described.from_description(json.loads(text))
    assert again.description() == net.description() and repr(again) == repr(net)
    assert repr(eval(repr(net), {name: getattr(snn, name) for name in snn.__all__})) == repr(net)
    same(net.build(SHAPES), again.build(SHAPES), draw())


def test_copies():
    net, x = built(), draw()
    net.forward(x, TRAINING)
    for copy in (net.copy(), pickle.loads(pickle.dumps(net))):
        same(net, copy, x)
        assert copy.parameters()[0][1] is not net.parameters()[0][1]


def test_a_file(tmp_path):
    net, x = built(seed=3), draw()
    net.forward(x, TRAINING)
    snn.save(net, tmp_path / "net.h5")
    loaded = snn.load(tmp_path / "net.h5")
    assert loaded.input_shape == SHAPES
    same(net, loaded.to("reference"), x)


def test_folding():
    net, x = built(), draw()
    net.forward(x, TRAINING)
    folded = net.fold()
    assert not any(isinstance(layer, snn.BatchNorm) for layer in folded.walk())
    np.testing.assert_allclose(folded(x), net(x), rtol=1e-4, atol=1e-4)


def test_streaming_and_shapes():
    net, x = built(), draw()
    stream = net.stream()
    answers = [stream.step({name: part[t] for name, part in x.items()}) for t in range(3)]
    assert np.array_equal(np.stack(answers), net(x))
    stream.reset()
    assert np.array_equal(stream.feed({name: part[:2] for name, part in x.items()}), net(x)[:2])
    with pytest.raises(snn.ShapeError, match=r"^graph: the stream has 4 samples; got 2\. Call reset\(\)$"):
        stream.step({name: part[0, :2] for name, part in x.items()})


def test_one_input_is_a_picture():
    nodes = {
        "seen": (snn.Repeat(3, snn.Linear(4, 2)), "eye"),
        "both": ("concat", "seen", "ear"),
        "out": (snn.LIF(), "both"),
    }
    net = snn.Graph(("eye", "ear"), nodes)
    x = draw(shapes={"eye": (2, 4), "ear": (3, 2, 5)})
    assert net.picture_inputs == ("eye",) and not net.takes_pictures
    want, stream = net(x), net.stream()
    answers = [stream.step({"eye": x["eye"], "ear": x["ear"][t]}) for t in range(3)]
    assert want.shape == (3, 2, 7) and np.array_equal(np.stack(answers), want)


@pytest.mark.parametrize("encoder", [lambda: snn.Repeat(3), lambda: snn.Poisson(3, seed=5)], ids=["repeat", "poisson"])
def test_a_stream_of_a_picture_and_a_sequence_in_parts(encoder):
    """The picture lasts as many steps as the part of the sequence has, also within a Sequential."""
    nodes = {
        "seen": (snn.Sequential(encoder(), snn.Linear(4, 5)), "eye"),
        "both": ("add", "seen", "ear"),
        "out": (snn.LIF(v_threshold=0.7), "both"),
    }
    net = snn.Sequential(snn.Graph(("eye", "ear"), nodes), snn.Linear(5, 2), snn.LI())
    x = draw(shapes={"eye": (2, 4), "ear": (3, 2, 5)})
    want, stream = net(x), net.stream()
    steps = [stream.step({"eye": x["eye"], "ear": x["ear"][t]}) for t in range(3)]
    np.testing.assert_allclose(np.stack(steps), want, rtol=1e-5, atol=1e-6)
    stream.reset()
    parts = [stream.feed({"eye": x["eye"], "ear": x["ear"][part]}) for part in (slice(0, 1), slice(1, 3))]
    np.testing.assert_allclose(np.concatenate(parts), want, rtol=1e-5, atol=1e-6)
    assert stream.steps == 3 and np.abs(np.diff(want, axis=0)).min() > 0


def test_a_graph_in_a_sequential():
    front = two_inputs(name="front")
    net = snn.Sequential(front, snn.LIF(), name="net").to("reference").build(SHAPES)
    x = draw()
    assert np.array_equal(net(x), net[1](front(x)))
    assert set(backward(net, x)[2]) == {"eye", "ear"} and net.input_shape == SHAPES
    assert "front.seen.conv2d1.weight" in net.state()
    inner = snn.Graph(("x",), {"a": (snn.Linear(2, 2), "x"), "out": ("add", "a", "x")})
    assert snn.Sequential(snn.Linear(3, 2), inner, snn.Residual(inner.copy()))(np.ones((2, 1, 3), np.float32)).any()


def test_first_call_builds():
    net = two_inputs().to("reference")
    assert np.array_equal(net(draw()), built()(draw()))


def test_a_stream_of_two_inputs_goes_on_elsewhere():
    net, x = two_inputs().build(SHAPES), draw()
    for seed in range(2):
        net.forward(draw(seed), TRAINING)
    steps = [{name: part[t] for name, part in x.items()} for t in range(3)]
    stream, other = net.stream(), net.stream(samples=4, warm=True)
    assert other.steps == 0 and np.array_equal(other.step(steps[0]), stream.step(steps[0]))
    state = stream.state()
    assert tuple(state["input eye"]) == (4, 6, 6, 2) and tuple(state["input ear"]) == (4, 5)
    rest = [stream.step(step) for step in steps[1:]]
    other.warm({"eye": (4, 6, 6, 2), "ear": (4, 5)})
    other.reset()
    other.load_state(state)
    assert other.steps == 1 and np.array_equal([other.step(step) for step in steps[1:]], rest)
    recording = snn.record(net, x)
    assert np.array_equal(recording.output, net(x)) and recording["seen.lif1"].s.any()
    with pytest.raises(ValueError, match="not the state of a stream; 'input ear' is missing"):
        other.load_state({name: array for name, array in state.items() if name != "input ear"})
    with pytest.raises(snn.ShapeError, match=r"the stream has 2 samples; the state has 4"):
        net.stream(samples=2).load_state(state)
    with pytest.raises(snn.ShapeError, match="graph: the input 'ear' is missing; got 'eye'"):
        other.step({"eye": x["eye"][0]})
    with pytest.raises(snn.ShapeError, match="graph: the input 'ear' is missing; got 'eye'"):
        other.warm({"eye": (4, 6, 6, 2)})
    with pytest.raises(ValueError, match=r"warm: ear: a shape must be a sequence of whole numbers; got 3"):
        other.warm({"eye": (4, 6, 6, 2), "ear": 3})
    with pytest.raises(snn.ShapeError, match="takes one input; got a dict of 'eye', 'ear'"):
        snn.Linear(2, 2).stream().step(steps[0])


def test_nodes_in_any_order():
    nodes = two_inputs().nodes
    net = snn.Graph(("eye", "ear"), dict(reversed(nodes.items()))).to("reference").build(SHAPES)
    other = built()
    net.load_state(other.state())
    same(net, other, draw())


class Pairs:
    """A source of batches with two inputs."""

    def __len__(self):
        return 6

    def batch(self, indices):
        x = draw(5, {"eye": (3, 6, 6, 6, 2), "ear": (3, 6, 5)})
        return {name: part[:, indices] for name, part in x.items()}, np.asarray(indices) % 3


def test_training_with_two_inputs():
    net = two_inputs()
    trainer = snn.Trainer(net, optimizer=snn.optim.Adam(1e-2), batch_size=3, device="cpu")
    history = trainer.fit(Pairs(), Pairs(), epochs=10, progress=False)
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"] and history[-1]["valid_loss"] > 0
    assert set(trainer.widths()) == {"seen.lif1", "heard.lif1", "hidden.lif1"}


def test_truncated_training_with_two_inputs():
    """A single chunk of all steps is a training without truncation; more chunks make more updates."""
    states = []
    for truncate in (None, 3, 2):
        net = built()
        trainer = snn.Trainer(net, batch_size=6, truncate=truncate, device="reference")
        trainer.fit(Pairs(), epochs=1, progress=False)
        states.append(net.state())
        assert trainer.optimizer.steps == (2 if truncate == 2 else 1)
    assert all(np.array_equal(value, states[1][name]) for name, value in states[0].items())
    assert not np.array_equal(states[0]["readout.weight"], states[2]["readout.weight"])


def test_the_largest_batch_of_two_inputs():
    net = built()
    assert largest_batch(net, snn.losses.RateCrossEntropy(), 2, 8, Pairs()) == 4


def test_tools():
    net, x = built("cpu"), draw()
    before = net.state()
    assert [row.name for row in snn.diagnose(net, x, LABELS).layers] == ["seen.lif1", "heard.lif1", "hidden.lif1"]
    assert len(snn.count_operations(net, x).rows) == 7
    assert "heard.linear1" in snn.models.summary(net, x)
    assert all(np.array_equal(value, before[name]) for name, value in net.state().items())
