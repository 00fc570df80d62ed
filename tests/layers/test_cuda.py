"""Whole networks on the CUDA device compared with the reference, in float64, in which rounding changes no spikes.

Without a GPU they run in Numba's simulator, so there are few shapes, and they are small.
"""

import copy
import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest
from own_neurons import KLIF, QIF

import numsnn as snn
from numsnn.errors import DeviceError, DeviceMemoryError
from numsnn.layers import TRAINING, Mode
from numsnn.optim import SGD, AdamW

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")


pytestmark = pytest.mark.usefixtures("quick_simulator")


CLOSE = 1e-9
PDA = snn.PDA(divergence=0.01)


def dense():
    return snn.Sequential(
        snn.Linear(5, 6),
        snn.LIF(pda=PDA, learn_threshold=True),
        snn.Linear(6, 8),
        snn.LIF(v_reset=None, surrogate=snn.PSG("arctan", per="channel"), learn_tau="channel"),
        snn.SpikePenalty(0.1, "l2"),
        snn.Linear(8, 3),
        snn.LI(learn_tau=True),
    )


def pictures():
    return snn.Sequential(
        snn.Repeat(2, snn.Conv2d(2, 4, 3, padding=1), snn.BatchNorm(4)),
        snn.LIF(pda=True, surrogate=snn.PSG(rule="window")),
        snn.AvgPool2d(2),
        snn.Conv2d(4, 4, 3, padding=1, groups=2, bias=True),
        snn.BatchNorm(4, v_threshold=0.5),
        snn.PLIF(v_threshold=0.5, surrogate="gaussian"),
        snn.Dropout(0.25),
        snn.Flatten(),
        snn.Linear(16, 3),
    )


def joined():
    return snn.Sequential(
        snn.Conv2d(2, 4, 3, padding=1),
        snn.GroupNorm(2, 4),
        snn.IF(v_threshold=0.5),
        snn.MaxPool2d(2),
        snn.Residual(snn.Conv2d(4, 4, 1), snn.TEBN(4, 2), snn.LIF(v_threshold=0.3), join="iand"),
        snn.Concat(None, snn.Sequential(snn.Conv2d(4, 2, 1), snn.BNTT(2, 2), snn.LIF(v_threshold=0.3))),
        snn.RateBand(0.3, 0.4),
        snn.GlobalAvgPool2d(),
        snn.Flatten(),
        snn.Linear(6, 3),
    )


def recurrent():
    return snn.Sequential(
        snn.RecurrentALIF(v_threshold=0.4, learn_adaptation=True),
        snn.Delay(1),
        snn.Linear(5, 4),
        snn.CubaLIF(v_threshold=0.3, refractory=1, learn_tau_synapse=True),
        snn.Linear(4, 3),
        snn.Divergence(0.1),
    )


def own():
    return snn.Sequential(
        snn.Linear(5, 8),
        QIF(k=0.2, learn={"k": "channel"}, v_reset=None, pda=PDA),
        snn.Linear(8, 4),
        snn.BatchNorm(4),
        KLIF(learn=("k", "beta"), v_threshold=0.5, surrogate=snn.PSG("gaussian")),
        snn.Linear(4, 3),
    )


def starting():
    return snn.Sequential(
        snn.CubaLIF(v_reset="delayed", v_init=0.3, learn_v_init=True, learn_tau="channel", learn_threshold=True),
        snn.Linear(5, 4),
        snn.RecurrentLIF(v_reset="delayed", v_init=(0.5, 0.25, 0.0, 0.75), learn_v_init="channel", learn_tau=True),
        snn.Linear(4, 3),
        snn.LI(v_init=0.2, learn_v_init="channel", record="v"),
    )


def shared():
    """A graph with one input, in which one part is used twice, and a frozen layer."""
    part = snn.Sequential(snn.Linear(5, 5), snn.BatchNorm(5), snn.LIF(v_threshold=0.5, pda=PDA))
    return snn.Graph(
        ("x",),
        {
            "once": (part, "x"),
            "twice": (part, "once"),
            "both": ("concat", "once", "twice"),
            "sum": ("add", "once", "twice", "x"),
            "left": (snn.Linear(10, 3).freeze(), "both"),
            "right": (snn.Linear(5, 3), "sum"),
            "readout": ("add", "left", "right"),
        },
    )


NETWORKS = {
    "starting": starting,
    "own": own,
    "dense": dense,
    "pictures": pictures,
    "joined": joined,
    "recurrent": recurrent,
    "shared": shared,
}
SHAPES = {
    "starting": (4, 2, 5),
    "own": (3, 3, 5),
    "dense": (2, 3, 5),
    "pictures": (2, 4, 4, 2),
    "joined": (2, 2, 4, 4, 2),
    "recurrent": (4, 2, 5),
    "shared": (3, 3, 5),
}
EVERY = pytest.mark.parametrize("name", NETWORKS)


def pair(name, other="reference"):
    """The same network on both targets, input and labels."""
    x = np.random.default_rng(3).uniform(0, 1.5, SHAPES[name])
    nets = [NETWORKS[name]().to(device, "float64").build(x.shape, 1) for device in (other, "cuda")]
    samples = x.shape[0 if nets[0].takes_pictures else 1]
    return nets, x, np.arange(samples) % 3


def close(got, want, what):
    """Equal but for rounding, relative to the largest entry."""
    assert got.keys() == want.keys()
    for name, value in want.items():
        scale = max(1.0, np.abs(value).max(initial=0))
        np.testing.assert_allclose(got[name], value, rtol=0, atol=CLOSE * scale, err_msg=f"{what} {name}")


def gradients(net):
    return {name: net.kernels.to_host(p.grad) for name, p in net.parameters()}


def step(net, x, y, mode=TRAINING):
    """A forward and backward pass: readout, losses and the input's gradient, on the host."""
    k = net.kernels
    z = net.forward(k.from_host(x, net.dtype), mode)
    losses, dz = snn.losses.RateCrossEntropy(0.1)(z, y, k, dtype=net.dtype)
    z = k.to_host(z)
    dx = net.backward(dz)
    return {"readout": z, "losses": k.to_host(losses), "input gradient": k.to_host(dx)}


@EVERY
def test_training_steps_are_the_reference_s(name):
    """Forward, backward and update, three times, first layer by layer; a step like the one before it asks the
    device for no memory."""
    from numsnn.kernels.cuda.run.memory import store

    (plain, cuda), x, y = pair(name)
    optimizers = [AdamW(0.01, weight_decay=0.1) for _ in range(2)]
    for k in range(3):
        mode = Mode(training=True, store=True, track=True, seed=k, inspect=k == 0)
        asked = store.allocations
        got, want = step(cuda, x, y, mode), step(plain, x, y, mode)
        close(got, want, f"step {k}:")
        close(gradients(cuda), gradients(plain), f"step {k}: gradient of")
        penalties = [sum(getattr(layer, "penalty", 0.0) for layer in net.walk()) for net in (cuda, plain)]
        assert penalties[0] == pytest.approx(penalties[1], abs=CLOSE)
        for net, optimizer in zip((plain, cuda), optimizers, strict=True):
            snn.optim.clip_global_norm(net.kernels, net.parameters(), 0.5)
            optimizer.step(net.kernels, net.parameters(), 0.7)
        close(cuda.state(), plain.state(), f"step {k}: state")
        assert k < 2 or store.allocations == asked
    assert max(np.abs(g).max() for g in gradients(plain).values()) > 1e-3
    assert set(optimizers[0].state()["arrays"]) == set(optimizers[1].state()["arrays"])


@EVERY
def test_inference_is_the_reference_s(name):
    (plain, cuda), x, y = pair(name)
    step(plain, x, y)
    cuda.load_state(plain.state())
    np.testing.assert_allclose(cuda(x), plain(x), rtol=0, atol=CLOSE)
    if name == "dense":  # what looks inside takes long in the simulator
        reports = [snn.diagnose(net, x, y) for net in (cuda, plain)]
        assert [row.rate for row in reports[0].layers] == [row.rate for row in reports[1].layers]
        for mine, theirs in zip(reports[0].layers, reports[1].layers, strict=True):
            assert mine.window_normal == pytest.approx(theirs.window_normal, abs=CLOSE)


def test_there_and_back_again():
    """Parameters, statistics and the network's answers survive a move; what is learned there is there."""
    (_, cuda), x, y = pair("pictures")
    step(cuda, x, y)
    SGD(0.1).step(cuda.kernels, cuda.parameters())
    state, answer = cuda.state(), cuda(x)
    moved = cuda.to("cpu")
    close(moved.state(), state, "state")
    np.testing.assert_allclose(moved(x), answer, rtol=0, atol=CLOSE)
    assert moved.device == "cpu" and isinstance(dict(moved.parameters())["linear1.weight"].value, np.ndarray)


def test_streaming_and_folding():
    (_, cuda), x, _ = pair("dense")
    stream, whole = cuda.stream(), cuda(x)
    steps = np.stack([stream.step(x_t) for x_t in x])
    np.testing.assert_allclose(steps, whole, rtol=0, atol=CLOSE)
    (plain, cuda), x, y = pair("pictures")
    step(cuda, x, y)
    plain.load_state(cuda.state())
    np.testing.assert_allclose(cuda.fold()(x), plain.fold()(x), rtol=0, atol=CLOSE)


def test_recordings_counts_and_states_of_streams():
    (plain, cuda), x, _ = pair("dense")
    plain.load_state(cuda.state())
    ours, theirs = (snn.record(net, x, what=("s", "v", "i", "y")) for net in (cuda, plain))
    assert list(ours) == list(theirs) and ours["lif1"].s.any()
    for name, layer in ours.items():
        close(dict(layer), dict(theirs[name]), name)
    assert snn.count_operations(cuda, x).accumulates == snn.count_operations(plain, x).accumulates > 0
    streams = cuda.stream(samples=x.shape[1], warm=True), plain.stream()
    streams[0].step(x[0])
    streams[1].load_state(streams[0].state())  # a stream may go on on another device
    steps = [stream.step(x[1]) for stream in streams]
    np.testing.assert_allclose(*steps, rtol=0, atol=CLOSE)


def test_a_run_is_the_cpu_s(tmp_path):
    """A trainer's run: batches, a short last one, a schedule, evaluation, a checkpoint, and resuming on the CPU."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1, (7, 5)).astype(np.float32), rng.integers(0, 3, 7)
    histories = []
    for device in ("cpu", "cuda"):
        net = snn.Sequential(snn.Repeat(2), snn.Linear(5, 4), snn.LIF(), snn.Linear(4, 3))
        trainer = snn.Trainer(net, device=device, batch_size=3, out=tmp_path / device, clip_norm=1.0)
        histories.append(trainer.fit((x, y), (x, y), epochs=2, progress=False))
    for here, there in zip(*histories, strict=True):
        for key in ("train_loss", "valid_loss", "learning_rate"):
            assert there[key] == pytest.approx(here[key], rel=1e-4)
    assert trainer.predict(x).shape == (7,)
    assert snn.load(tmp_path / "cuda" / "last.h5")(x).shape == (2, 7, 3)
    resumed = snn.Trainer(net, device="cpu", batch_size=3, out=tmp_path / "cuda", clip_norm=1.0)
    assert len(resumed.fit((x, y), (x, y), epochs=2, resume=True, progress=False)) == 2


def test_truncated_bptt_is_the_reference_s():
    x, y = np.random.default_rng(0).uniform(0, 1, (3, 4, 5)).astype(np.float32), np.array([0, 1, 2])
    found = []
    for device in ("reference", "cuda"):
        net = snn.Sequential(snn.Linear(5, 4), snn.CubaLIF(), snn.Linear(4, 3), snn.LI())
        trainer = snn.Trainer(net, device=device, batch_size=3, truncate=2)
        trainer.fit(snn.data.Dataset(x, y, name="sequences", timed=True), epochs=1, progress=False)
        found.append(net.state())
    for key, value in found[0].items():
        np.testing.assert_allclose(found[1][key], value, rtol=1e-4, atol=1e-6)


# --- copies and assigned parameters -------------------------------------------------------------------------------


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda value: pickle.loads(pickle.dumps(value))}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_on_the_device_goes_on(copied):
    """Parameters, statistics, corrections, moments and a stream's state; then both sides go their own way."""
    (_, net), x, y = pair("dense")

    def step(one, optimizer):
        z = one.forward(one.kernels.from_host(x, "float64"), TRAINING)
        one.backward(snn.losses.RateCrossEntropy()(z, y, one.kernels)[1], need_dx=False)
        optimizer.step(one.kernels, one.parameters())

    optimizer = AdamW(1e-2)
    step(net, optimizer)
    stream = net.stream()
    stream.step(x[0])
    twin, other, flow = copied((net, optimizer, stream))
    assert twin.device == "cuda" and all(layer.kernels.name == "cuda" for layer in twin.walk())
    np.testing.assert_array_equal(flow.step(x[1]), stream.step(x[1]))
    before = net.state()
    step(twin, other)
    assert all(np.array_equal(before[name], value) for name, value in net.state().items())
    step(net, optimizer)
    assert all(np.array_equal(twin.state()[name], value) for name, value in net.state().items())


def test_assigned_parameters():
    layer = snn.Linear(3, 2).to("cuda").build((1, 1, 3))
    given = np.asfortranarray(np.arange(6).reshape(3, 2))
    layer.weight.value, layer.weight.grad = given, 2 * given
    for array, want in ((layer.weight.value, given), (layer.weight.grad, 2 * given)):
        host = layer.kernels.to_host(array)
        assert host.dtype == np.float32 and np.array_equal(host, want)
    other = snn.Linear(3, 2).to("cuda").build((1, 1, 3))
    other.weight.value = layer.weight.value
    assert np.array_equal(other.kernels.to_host(other.weight.value), given)
    on_cpu = snn.Linear(3, 2).build((1, 1, 3))
    on_cpu.weight.value = layer.weight.value
    assert np.array_equal(on_cpu.weight.value, given)
    with pytest.raises(snn.ShapeError, match=r"^linear\.weight\.value must have shape \(3, 2\); got \(2, 3\)$"):
        layer.weight.value = given.T


class HandsOn(snn.Layer):
    """Hands on what a function makes of its input."""

    carries = False

    def __init__(self, on):
        super().__init__()
        self.on = on

    def compute(self, x, mode):
        return self.on(self, x)


def test_arrays_of_the_host_are_not_handed_on():
    x = np.ones((1, 2, 3), np.float32)
    assert np.array_equal(HandsOn(lambda layer, x: x).to("cuda")(x), x)
    layer = HandsOn(lambda layer, x: layer.kernels.to_host(x)).to("cuda")
    message = (
        r"^handson \(HandsOn\): what compute returns must be an array of float32 or uint8 on 'cuda'; "
        r"got ndarray of shape \(1, 2, 3\) and dtype float32$"
    )
    with pytest.raises(snn.ShapeError, match=message):
        layer(x)


class Pairs:
    """A source of batches with two inputs and lengths."""

    def __len__(self):
        return 4

    def batch(self, indices):
        rng = np.random.default_rng(5)
        x = {"still": rng.random((4, 3)), "heard": rng.random((4, 4, 2))}
        x = {"still": x["still"][indices], "heard": x["heard"][:, indices].copy()}
        return snn.data.Batch(x, np.asarray(indices) % 2, np.array([4, 1, 3, 2])[indices])


def test_a_run_with_two_inputs_and_lengths():
    nodes = {
        "shown": (snn.Repeat(4, snn.Linear(3, 4, bias=False), snn.BatchNorm(4)), "still"),
        "taken": (snn.Linear(2, 4), "heard"),
        "both": ("add", "shown", "taken"),
        "out": (snn.Sequential(snn.LIF(pda=PDA), snn.Linear(4, 2)), "both"),
    }
    found = []
    for device in ("reference", "cuda"):
        net = snn.Graph(("still", "heard"), nodes).copy().to(device, "float64")
        net["taken"].freeze()
        trainer = snn.Trainer(net, device=device, batch_size=3, optimizer=AdamW(1e-2))
        history = trainer.fit(Pairs(), Pairs(), epochs=1, progress=False)
        losses = {key: history[-1][key] for key in ("train_loss", "valid_loss")}
        found.append((net.state(), losses, trainer.predict(Pairs())))
    close(found[1][0], found[0][0], "state")
    assert found[1][1] == pytest.approx(found[0][1]) and np.array_equal(found[0][2], found[1][2])


# --- errors -------------------------------------------------------------------------------------------------------


def test_inputs_of_the_other_side_are_refused():
    (cpu, cuda), x, _ = pair("dense", "cpu")
    with pytest.raises(DeviceError, match=r"^linear: the layer is on 'cuda', but its input is not\. Call the network"):
        cuda.layers[0].forward(x)
    with pytest.raises(DeviceError, match=r"^sequential: the layer is on 'cpu', but its input is not\."):
        cpu.forward(cuda.kernels.from_host(x, "float64"))
    with pytest.raises(DeviceError, match=r"^layers of one network must be on one device; got cpu, cuda$"):
        snn.Sequential(snn.Linear(2, 2), snn.Linear(2, 2).to("cuda"))
    assert snn.Sequential(snn.Linear(2, 2).to("cuda")).device == "cuda"
    with pytest.raises(ValueError, match="device must be one of 'cpu', 'reference'; got 'cuda'"):
        snn.check_gradients(cuda, x, np.zeros(3, int), device="cuda")
    small = snn.Sequential(snn.Linear(5, 3)).to("cuda", "float64")
    assert snn.check_gradients(small, x, np.zeros(3, int)).ok  # on the CPU


def test_a_batch_that_does_not_fit_is_told_which_would(monkeypatch):
    from numsnn.kernels.cuda.run import memory as array

    x, y = np.ones((16, 40), np.float32), np.zeros(16, int)
    net = snn.Sequential(snn.Repeat(2), snn.Linear(40, 3, bias=False))
    trainer = snn.Trainer(net, device="cuda", batch_size=16, optimizer=SGD(0.1, momentum=0.0))
    net.build(x.shape)
    array.store.release()
    limit, real = array.store.held + 7_000, array._Piece  # a batch and its repetition are 7,680 bytes

    def piece(nbytes):
        if array.store.held + nbytes > limit:
            raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY")
        return real(nbytes)

    monkeypatch.setattr(array, "_Piece", piece)
    context = SimpleNamespace(get_memory_info=lambda: (0, 2**30))
    monkeypatch.setattr(array.cuda, "current_context", lambda: context, raising=False)
    with pytest.raises(DeviceMemoryError, match=r"no memory for .*\. The batch has 16 samples; ") as caught:
        trainer.fit((x, y), epochs=1, progress=False)
    fitting = int(re.fullmatch(r".*; (\d+) fit: batch_size=\1", str(caught.value))[1])
    assert 1 <= fitting < 16
    snn.Trainer(net, device="cuda", batch_size=fitting, optimizer=SGD(0.1, momentum=0.0)).fit(
        (x[:fitting], y[:fitting]), epochs=1, progress=False
    )
    limit = 0
    with pytest.raises(DeviceMemoryError, match=r"not even a single sample fits$"):
        trainer.fit((x, y), epochs=1, progress=False)
