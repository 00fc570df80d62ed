"""Full names of layers are those in the network whose method is called; a layer may be part of several networks."""

import copy

import numpy as np
import pytest

import numsnn as snn
from numsnn.errors import DeviceError
from numsnn.layers import TRAINING

SHAPE = (3, 4, 6)


def layers():
    return (
        snn.Linear(6, 8),
        snn.BatchNorm(8),
        snn.LIF(pda=True),
        snn.Dropout(0.4),
        snn.Linear(8, 8),
        snn.BatchNorm(8),
        snn.LIF(),
        snn.Dropout(0.4),
        snn.Residual(snn.Linear(8, 8), snn.BatchNorm(8), snn.LIF()),
        snn.Linear(8, 3),
    )


def network():
    return snn.Sequential(*layers()).build(SHAPE, seed=2)


def draw(seed=0, features=6):
    return np.random.default_rng(seed).normal(0.5, 1, (*SHAPE[:2], features)).astype(np.float32)


class Own:
    """A training loop of one's own."""

    def __init__(self, net):
        self.net, self.optimizer, self.steps = net, snn.optim.Adam(1e-2), 0

    def step(self, x=None):
        x = draw(self.steps) if x is None else x
        mode = snn.Mode(training=True, store=True, track=True, seed=self.steps)
        z = self.net.forward(x, mode)
        _, dz = snn.losses.RateCrossEntropy()(z, np.arange(4) % 3, self.net.kernels, dtype=self.net.dtype)
        self.net.backward(dz, need_dx=False)
        self.optimizer.step(self.net.kernels, self.net.parameters())
        self.steps += 1
        return z.copy()


def assert_equal(state, other):
    assert state.keys() == other.keys()
    assert all(state[name].tobytes() == other[name].tobytes() for name in state)


LOOKS = {
    "a slice": lambda net: snn.Sequential(*net.layers[2:]),
    "another order": lambda net: snn.Sequential(*net.layers[1:3], net.layers[0]),
    "a head and a tail": lambda net: (snn.Sequential(*net.layers[:4]), snn.Sequential(*net.layers[4:])),
    "side by side": lambda net: snn.Concat(net.layers[0], net.layers[4]),
    "in a branch": lambda net: snn.Residual(*net.layers[:3], shortcut=net.layers[4]),
    "repeated": lambda net: snn.Repeat(3, *net.layers[:2]),
    "as a part": lambda net: snn.Sequential(net, snn.LI()),
    "a state": lambda net: snn.Sequential(*net.layers[4:]).state(),
    "a description": lambda net: repr(snn.Sequential(*net.layers[4:])),
}


@pytest.mark.parametrize("look", LOOKS)
def test_looking_changes_nothing(look):
    """Names, masks of dropout and what is trained are those of a network that was never looked at."""
    alone, looked = Own(network()), Own(network())
    for _ in range(3):
        alone.step()
        looked.step()
        LOOKS[look](looked.net)
    assert_equal(looked.net.state(), alone.net.state())
    assert [name for name, _ in looked.net.parameters()] == [name for name, _ in alone.net.parameters()]
    x = draw(9)
    assert np.array_equal(looked.net(x), alone.net(x))
    stream, other = looked.net.stream(), alone.net.stream()
    for frame in x:
        LOOKS[look](looked.net)
        assert np.array_equal(stream.step(frame), other.step(frame))


@pytest.mark.parametrize("look", LOOKS)
def test_looking_between_the_passes(look):
    one, other = network(), network()
    for net, looks in ((one, False), (other, True)):
        z = net.forward(draw(), TRAINING)
        if looks:
            LOOKS[look](net)
        net.backward(np.ones_like(z), need_dx=False)
    for (name, mine), (_, theirs) in zip(one.parameters(), other.parameters(), strict=True):
        assert np.array_equal(mine.grad, theirs.grad), name


@pytest.mark.parametrize("look", LOOKS)
def test_checkpoints_of_a_network_that_was_looked_at(look, tmp_path):
    """`on_epoch` may look at the network within a run, too; the run's checkpoints load as the network itself."""
    data = draw().swapaxes(0, 1).copy(), np.arange(4) % 3

    def train(out, **options):
        trainer = snn.Trainer(snn.Sequential(*layers()), batch_size=2, seed=1, out=out, **options)
        trainer.fit(snn.data.Dataset(*data, timed=True), epochs=2, progress=False)
        return trainer

    plain = train(tmp_path / "plain")
    looked = train(tmp_path / "looked", on_epoch=lambda trainer, metrics: LOOKS[look](trainer.net) and None)
    assert_equal(looked.net.state(), plain.net.state())
    LOOKS[look](looked.net)
    looked.save(tmp_path / "after.h5")
    for file in (tmp_path / "looked" / "last.h5", tmp_path / "after.h5"):
        loaded = snn.load(file)
        assert_equal(loaded.state(), plain.net.state())
        assert np.array_equal(loaded(draw()), plain.net(draw()))


def test_errors_name_the_network_that_is_used():
    net = snn.Sequential(snn.Linear(6, 8), snn.LIF(), snn.Linear(9, 3), name="net")
    tail = snn.Sequential(*net.layers[1:], name="tail")
    with pytest.raises(snn.ShapeError, match=r"^linear2 \(Linear\): input must be \[T, N, 9\]"):
        net.build(SHAPE)
    with pytest.raises(snn.ShapeError, match=r"^linear1 \(Linear\): input must be \[T, N, 9\]"):
        tail.build((3, 4, 8))
    with pytest.raises(snn.ShapeError, match=r"^linear2 \(Linear\): input must be \[T, N, 9\]"):
        net(draw())


def test_names_of_a_part_are_its_own():
    net = network()
    assert next(name for name, _ in net.layers[8].parameters()) == "branch.linear1.weight"
    assert "residual1.branch.linear1.weight" in net.state()
    assert list(net.layers[0].state()) == ["linear.weight", "linear.bias"]
    assert [name for name, _ in snn.Sequential(net, snn.LI()).named()][:3] == [
        "sequential",
        "sequential1",
        "sequential1.linear1",
    ]


def heads():
    """Two networks on one feature extractor."""
    extractor = snn.Sequential(snn.Linear(6, 8), snn.BatchNorm(8), snn.LIF(), snn.Dropout(0.3), name="features")
    return [
        snn.Sequential(extractor, snn.Linear(8, 3)).build(SHAPE, seed=1),
        snn.Sequential(extractor, snn.Linear(8, 8), snn.LIF(), snn.Dropout(0.3), snn.Linear(8, 3)).build(SHAPE, seed=2),
    ]


def test_two_heads_are_trained_in_turns():
    """Two networks that share nothing, whose extractors are made equal by hand after every step, compute the same."""
    shared, apart = [Own(net) for net in heads()], [Own(copy.deepcopy(net)) for net in heads()]
    for k in range(6):
        x = draw(k)
        assert np.array_equal(shared[k % 2].step(x), apart[k % 2].step(x))
        state = apart[k % 2].net.state()
        common = {name: value for name, value in state.items() if name.startswith("features.")}
        other = apart[1 - k % 2].net
        other.load_state(other.state() | common)
    for mine, theirs in zip(shared, apart, strict=True):
        assert_equal(mine.net.state(), theirs.net.state())
    assert {name for name in shared[0].net.state() if name.startswith("features.")} == {
        f"features.{name}" for name in shared[0].net.layers[0].state()
    }


def test_streams_of_two_heads_at_once():
    first, second = heads()
    x = draw(3)
    want = [np.stack([stream.step(frame) for frame in x]) for stream in (first.stream(), second.stream())]
    streams = first.stream(), second.stream()
    got = [[stream.step(frame) for stream in streams] for frame in x]
    for k in range(2):
        assert np.array_equal(np.stack([frames[k] for frames in got]), want[k])


def test_checkpoints_of_two_heads(tmp_path):
    for k, net in enumerate(heads()):
        snn.Trainer(net).save(tmp_path / f"{k}.h5")
    for k, net in enumerate(heads()):
        assert_equal(snn.load(tmp_path / f"{k}.h5").state(), net.state())


def test_a_new_head_on_a_trained_network():
    trained = Own(network())
    trained.step()
    head = snn.Sequential(*trained.net.layers[:-1], snn.Linear(8, 3)).build(SHAPE)
    for name, value in trained.net.state().items():
        if not name.startswith("linear3"):
            assert np.array_equal(head.state()[name], value), name
    before = head.layers[0].weight.value.copy()
    Own(head).step()
    assert not np.array_equal(trained.net.state()["linear1.weight"], before), "the layers are shared, not copied"


def test_a_pass_of_another_network_in_between_is_refused():
    """The layers in common hold what the last pass left: gradients would be those of another input."""
    first, second = heads()
    z = first.forward(draw(), TRAINING)
    second.forward(draw(1), TRAINING)
    message = r"^sequential\.backward: features has been used by another network since the forward pass; repeat that$"
    with pytest.raises(RuntimeError, match=message):
        first.backward(np.ones_like(z))
    first.forward(draw(), TRAINING)
    second.forward(draw(1), TRAINING)
    first.build(SHAPE)
    with pytest.raises(RuntimeError, match=r"^sequential\.backward: needs a forward pass with Mode\(store=True\)"):
        first.backward(np.ones_like(z))
    first.forward(draw(), TRAINING)
    first.backward(np.ones_like(z))


def test_layers_that_have_moved_away():
    first, second = heads()
    first.to(dtype="float64")
    with pytest.raises(ValueError, match=r"^layers of one network must have one dtype; got float32, float64$"):
        second(draw())
    first.to("reference")
    with pytest.raises(DeviceError, match=r"^layers of one network must be on one device; got cpu, reference$"):
        second(draw())
    second.to("cpu", "float32")
    assert np.array_equal(second(draw()), heads()[1](draw()))
    tail = snn.Sequential(*network().to(dtype="float64").layers[4:])
    assert tail.dtype == np.float64 and tail(draw(features=8).astype(np.float64)).dtype == np.float64


def test_layers_that_are_called_by_themselves():
    """A user's own loop calls one layer after the other, and in it each layer goes by its own name."""
    net, apart = network(), network()
    x = y = draw()
    for layer in apart.layers:
        y = layer.forward(y)
    assert np.array_equal(net(x), y)
    assert np.array_equal(net(x), apart(x))
    assert apart.layers[4].path == "linear2"


def test_states_of_layers_of_one_name_are_told_apart():
    first, second = snn.LI(), snn.LI()
    mode = snn.Mode(carried={})
    first.forward(draw(), mode)
    first.forward(draw(), mode)
    with pytest.raises(ValueError, match=r"^li: another layer of this name has left its state here already; call both"):
        second.forward(draw(), mode)
