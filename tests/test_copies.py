"""Copies, pickles and processes: every public object can be copied, and a copy computes the same bits."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest

import numsnn as snn
from numsnn import data
from numsnn.data.dataset import Dataset
from numsnn.data.digits_dvs import simulate
from numsnn.data.formats import FormatError
from numsnn.layers import TRAINING

SHAPE = (3, 4, 6, 6, 2)
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda value: pickle.loads(pickle.dumps(value))}


@pytest.fixture(params=COPIES.values(), ids=COPIES)
def copied(request):
    return request.param


def network(device="cpu"):
    """Every kind of state: weights, running moments, corrections, learned widths, joined paths, penalties, routes."""
    return snn.Sequential(
        snn.Conv2d(2, 4, 3, padding=1),
        snn.BatchNorm(4),
        snn.LIF(pda=snn.PDA(divergence=0.1), learn_tau=True, learn_threshold="channel"),
        snn.Residual(snn.Conv2d(4, 4, 3, padding=1), snn.BatchNorm(4, affine=False), snn.ALIF(), join="add"),
        snn.BNTT(4, 3),
        snn.CubaLIF(refractory=1),
        snn.Concat(None, snn.Delay(1), snn.RateBand(0.1, 0.2)),
        snn.MaxPool2d(2),
        snn.Dropout(0.3),
        snn.Flatten(),
        snn.Linear(108, 8),
        snn.TEBN(8, 3),
        snn.RecurrentLIF(),
        snn.Linear(8, 3),
        snn.Divergence(0.1),
        snn.LI(learn_tau=True),
    ).to(device)


def draw(seed=0):
    return np.random.default_rng(seed).normal(0.5, 1, SHAPE).astype(np.float32)


def step(net, optimizer, seed):
    z = net.forward(draw(seed), snn.Mode(training=True, store=True, track=True, seed=seed))
    _, dz = snn.losses.RateCrossEntropy()(z, np.arange(4) % 3, net.kernels, dtype=net.dtype)
    net.backward(dz, need_dx=False)
    optimizer.step(net.kernels, net.parameters())


def trained(device="cpu"):
    net, optimizer = network(device).build(SHAPE, seed=1), snn.optim.AdamW(1e-2)
    for seed in range(2):
        step(net, optimizer, seed)
    return net, optimizer


def assert_equal(net, other):
    mine, theirs = net.state(), other.state()
    assert mine.keys() == theirs.keys()
    assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_a_network_goes_on_as_its_copy(copied, device):
    """A copy of a network and its optimiser goes on like the original, and neither changes the other."""
    net, optimizer = trained(device)
    twin, other = copied((net, optimizer))
    assert_equal(net, twin)
    assert [layer.path for layer in twin.tree()] == [layer.path for layer in net.tree()]
    before = net.state()
    step(twin, other, 7)
    assert all(before[name].tobytes() == value.tobytes() for name, value in net.state().items())
    step(net, optimizer, 7)
    assert_equal(net, twin)
    assert np.array_equal(net(draw(3)), twin(draw(3)))
    assert any(before[name].tobytes() != value.tobytes() for name, value in net.state().items())


def test_a_copy_shares_no_memory(copied):
    net, _ = trained()
    twin = copied(net)
    for (_, mine), (_, theirs) in zip(net.parameters(), twin.parameters(), strict=True):
        assert mine is not theirs
        assert not np.shares_memory(mine.value, theirs.value) and not np.shares_memory(mine.grad, theirs.grad)


def test_a_pickle_holds_no_buffers():
    """Buffers grow with the batch; what is pickled does not."""
    net, _ = trained()
    small = len(pickle.dumps(net))
    net(np.tile(draw(), (1, 50, 1, 1, 1)))
    assert len(pickle.dumps(net)) < small + 100


def test_a_copy_has_no_pass_behind_it(copied):
    net, _ = trained()
    twin = copied(net)
    with pytest.raises(RuntimeError, match=r"^sequential.backward: needs a forward pass"):
        twin.backward(np.ones((3, 4, 3), np.float32))


@pytest.mark.parametrize("built", [False, True])
def test_other_forms(copied, built):
    """A network can be copied before it is built, in float64 and folded; so can a part of it."""
    net = network().build(SHAPE) if built else network()
    assert np.array_equal(copied(net)(draw()), net(draw()))
    net.to(dtype="float64")
    assert np.array_equal(copied(net)(draw().astype(np.float64)), net(draw().astype(np.float64)))
    net.to(dtype="float32")
    folded = net.fold()
    want = folded(draw())
    assert np.array_equal(copied(folded)(draw()), want)
    part = net.layers[3]
    spikes = (draw()[..., :1] > 0).astype(np.uint8).repeat(4, -1)
    assert np.array_equal(copied(part)(spikes), part(spikes))


def test_a_stream_goes_on(copied):
    net = snn.Sequential(snn.Linear(3, 6), snn.LIF(), snn.CubaLIF(), snn.Linear(6, 2), snn.LI())
    x = np.random.default_rng(0).normal(1, 1, (6, 4, 3)).astype(np.float32)
    stream = net.stream()
    stream.feed(x[:3])
    twin = copied(stream)
    want = stream.feed(x[3:])
    assert np.array_equal(twin.feed(x[3:]), want)
    assert twin.steps == 6


def dataset(n=24):
    rng = np.random.default_rng(0)
    return Dataset(rng.random((n, 6, 6, 2), np.float32), np.arange(n) % 3)


def trainer(**options):
    net = snn.Sequential(
        snn.Repeat(3, snn.Conv2d(2, 4, 3), snn.BatchNorm(4)), snn.LIF(), snn.Flatten(), snn.Dropout(), snn.Linear(64, 3)
    )
    return snn.Trainer(net, batch_size=8, seed=3, **options)


def test_a_trainer_before_and_after_fitting(copied):
    first = trainer()
    second = copied(first)
    assert first.fit(dataset(), epochs=1, progress=False)[0]["train_loss"] > 0
    second.fit(dataset(), epochs=1, progress=False)
    assert_equal(first.net, second.net)
    third = copied(first)
    assert third.history == first.history
    assert third.evaluate(dataset()).loss == first.evaluate(dataset()).loss
    for one in (first, third):
        one.fit(dataset(), epochs=1, progress=False)
    assert_equal(first.net, third.net)


OBJECTS = {
    "loss": lambda: 0.5 * snn.losses.TET() + snn.losses.MembraneMSE(),
    "surrogate": lambda: snn.PSG("gaussian", 0.5, per="channel"),
    "PDA": lambda: snn.PDA(0.3),
    "optimiser": lambda: snn.optim.SGD(0.1),
    "schedule": lambda: snn.schedules.Step(2),
    "mode": lambda: TRAINING,
}


@pytest.mark.parametrize("name", OBJECTS)
def test_settings(copied, name):
    value = OBJECTS[name]()
    assert repr(copied(value)) == repr(value)


def test_reports(copied):
    net, _ = trained()
    for report in (
        snn.diagnose(net, draw(), np.arange(4) % 3),
        snn.count_operations(net, draw()),
    ):
        assert str(copied(report)) == str(report)


def test_a_dataset_stays_read_only(copied):
    mine = dataset()
    twin = copied(mine)
    assert np.array_equal(twin.x, mine.x) and np.array_equal(twin.y, mine.y) and twin.classes == mine.classes
    assert not twin.x.flags.writeable and not twin.y.flags.writeable


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_parts_of_a_store_open_the_file_again(copied, tmp_path, memory, monkeypatch):
    path = tmp_path / "mine.h5"
    data.save(path, train=dataset(), test=dataset(6))
    monkeypatch.chdir(tmp_path)
    store = data.open("mine.h5", memory=memory)
    store["train"].batch([0])
    monkeypatch.chdir("/")
    twin, whole = copied(store["train"]), copied(store)
    store.close()
    for part in (twin, whole["train"]):
        x, y = part.batch([5, 2])
        assert np.array_equal(x, dataset().x[[5, 2]]) and np.array_equal(y, [2, 2])
        assert part.in_memory == bool(memory)
    assert len(pickle.dumps(twin)) < 3000


def test_a_store_that_is_another_one_now(tmp_path):
    path = tmp_path / "mine.h5"
    data.save(path, train=dataset())
    with data.open(path) as store:
        pickled = pickle.dumps(store["train"])
    data.save(path, train=dataset(12))
    with pytest.raises(FormatError, match="the file is not the one that the part had when it was copied"):
        pickle.loads(pickled)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickled)


def test_recordings_in_memory(copied):
    recordings = simulate(data.load("digits")[1].select(range(5)), "few")
    some = recordings.frames(4)
    twin = copied(recordings)
    assert twin.name == recordings.name and not twin.y.flags.writeable
    for mine, theirs in zip(recordings.packed(3), twin.packed(3), strict=True):
        assert np.array_equal(mine, theirs)
    assert np.array_equal(copied(some).batch([1, 2])[0], some.batch([1, 2])[0])


def evaluated(task):
    """Run in another process: return the answer to an input, and the state after the next update."""
    trainer, x = task
    trainer.fit(dataset(), epochs=1, progress=False)
    return trainer.net(x), trainer.net.state()


def test_another_process():
    """The other process begins with nothing, as on Windows and macOS."""
    mine = trainer()
    mine.fit(dataset(), epochs=1, progress=False)
    x = dataset().batch(range(3))[0]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        ((answer, state),) = pool.map(evaluated, [(mine, x)])
    want, expected = evaluated((mine, x))
    assert np.array_equal(answer, want)
    assert all(state[name].tobytes() == value.tobytes() for name, value in expected.items())
