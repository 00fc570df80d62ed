"""Streams: one step at a time gives the same output as the whole sequence at once.

Matrix products of different sizes may round differently, so readouts agree up to a few roundings. One spike more or
less would change them a thousand times as much.
"""

import copy
import pickle
import threading
import time

import numpy as np
import pytest
from own_neurons import KLIF, QIF

import numsnn as snn
from numsnn.kernels.cpu.run import launch
from numsnn.layers import stream as streams
from numsnn.machine_code import KERNELS


def assert_same(first, second):
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-5 * np.abs(second).max())


KINDS = {
    "LIF": lambda: snn.LIF(pda=True, v_reset=None),
    "IF": lambda: snn.IF(v_reset="none", v_threshold=3.0),
    "refractory": lambda: snn.LIF(refractory=2),
    "ALIF": lambda: snn.ALIF(tau_adaptation=5.0),
    "CubaLIF": lambda: snn.CubaLIF(decay_input=True),
    "RecurrentALIF": lambda: snn.RecurrentALIF(v_reset=None, pda=snn.PDA(correct=True)),
    "RecurrentCubaLIF": lambda: snn.RecurrentCubaLIF(refractory=1),
    "QIF": lambda: QIF(k=0.1, pda=True),
    "KLIF": KLIF,
}


def sequence(steps=12, samples=3, features=6):
    return np.random.default_rng(0).normal(0.5, 2, (steps, samples, features)).astype(np.float32)


def network(kind):
    """Return a network that has tracked PDA corrections over fewer steps than the stream has."""
    net = snn.Sequential(snn.Linear(6, 8), KINDS[kind](), snn.Linear(8, 4), snn.LI(tau=5.0))
    x = sequence(steps=5)
    net.build(x.shape)
    for _ in range(3):
        net.forward(x, snn.layers.TRAINING)
    return net


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_equal_the_whole(kind, device):
    net, x = network(kind).to(device), sequence()
    whole = net(x)
    assert np.abs(whole).max() > 0
    stream = net.stream()
    assert_same(np.stack([stream.step(frame) for frame in x]), whole)
    assert stream.steps == len(x)
    stream.reset()
    assert_same(np.concatenate([stream.feed(x[:5]), stream.feed(x[5:])]), whole)


def test_a_picture_is_given_again_and_again():
    net = snn.models.from_string("4c3-p2-6c3", (8, 8, 1), 5, steps=6)
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype(np.float32)
    whole = net(x)
    stream = net.stream()
    assert_same(np.stack([stream.step(x) for _ in range(6)]), whole)


@pytest.mark.parametrize("inside", [snn.LIF, lambda: snn.Delay(1), lambda: snn.BNTT(8, 1), lambda: Cumulative()])
def test_layers_within_a_repeat_start_from_rest_at_every_step(inside):
    """They compute a picture once, as a single step, so that they carry nothing from one step to the next."""
    net = snn.Sequential(snn.Repeat(4, snn.Linear(6, 8), inside()), snn.LIF(v_threshold=0.7), snn.Linear(8, 2))
    x = sequence(1)[0]
    whole, stream = net(x), net.stream()
    assert_same(np.stack([stream.step(x) for _ in range(4)]), whole)
    assert list(stream.state()) == ["steps", "input", "lif1.state"]


class Cumulative(snn.Layer):
    """A layer that does not say whether it carries something."""

    def compute(self, x, mode):
        return np.cumsum(x, 0)


def test_streams_do_not_disturb_each_other_or_the_network():
    net, x = network("LIF"), sequence()
    whole = net(x)
    one, other = net.stream(), net.stream()
    for t in range(len(x)):
        assert_same(one.step(x[t]), whole[t])
        other.step(x[len(x) - 1 - t])
        net(x[:3])
    assert_same(net(x), whole)


def test_memory_does_not_grow():
    net = network("RecurrentCubaLIF")
    stream = net.stream()
    frame = sequence(1)[0]
    stream.step(frame)
    sizes = {name: array.nbytes for name, array in stream.state().items()}
    for _ in range(50):
        stream.step(frame)
    assert {name: array.nbytes for name, array in stream.state().items()} == sizes


def test_errors():
    stream = network("LIF").stream()
    stream.step(sequence(1)[0])
    with pytest.raises(snn.ShapeError, match=r"the stream has 3 samples; got 2\. Call reset\(\)"):
        stream.step(sequence(1, samples=2)[0])
    with pytest.raises(ValueError, match="every number must be finite"):
        stream.step(np.full((3, 6), np.nan, np.float32))
    with pytest.raises(snn.ShapeError, match=r"input must be \[T, N, 6\]"):
        stream.step(np.zeros((3, 5), np.float32))
    stream.reset()
    stream.step(sequence(1, samples=2)[0])


# --- taking a stream to another process ---


def step_by_step(stream, x):
    return np.stack([stream.step(frame) for frame in x])


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_goes_on_bit_for_bit(kind, tmp_path):
    net, x = network(kind), sequence()
    stream = net.stream()
    step_by_step(stream, x[:5])
    state = stream.state()
    assert int(state["steps"]) == 5 and all(type(array) is np.ndarray for array in state.values())
    np.savez(tmp_path / "state.npz", **state)
    rest = step_by_step(stream, x[5:])
    again = network(kind)
    again.load_state(net.state())
    other = again.stream(samples=3, warm=kind == "LIF")
    with np.load(tmp_path / "state.npz") as file:
        other.load_state(file)
    assert other.steps == 5
    assert np.array_equal(step_by_step(other, x[5:]), rest)
    assert all(np.array_equal(array, other.state()[name]) for name, array in stream.state().items())
    assert all(np.shares_memory(a, b) is False for a, b in zip(state.values(), stream.state().values(), strict=True))


def test_a_state_of_pictures_delays_and_random_spikes():
    net = snn.Sequential(snn.Poisson(9), snn.Conv2d(1, 3, 3), snn.Delay(2), snn.LIF(), snn.Flatten())
    x = np.random.default_rng(0).random((2, 5, 5, 1)).astype(np.float32)
    whole, stream = net(x), net.stream()
    first = [stream.step(x) for _ in range(4)]
    other = net.stream()
    other.load_state(stream.state())
    assert np.array_equal(np.stack([*first, *(other.step(x) for _ in range(5))]), whole)
    assert 0 < whole.mean() < 1


def test_copies_and_pickles_of_a_stream_go_on():
    net, x = network("CubaLIF"), sequence()
    stream = net.stream()
    stream.feed(x[:5])
    copies = copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))
    rest = step_by_step(stream, x[5:])
    assert all(np.array_equal(step_by_step(one, x[5:]), rest) for one in copies)


def test_the_state_of_a_stream_at_rest():
    stream = network("LIF").stream()
    assert stream.state() == {"steps": 0}
    stream.step(sequence(1)[0])
    stream.load_state({"steps": np.array(0)})
    assert stream.steps == 0 and stream.state() == {"steps": 0}


def test_states_that_are_refused():
    net, x = network("LIF"), sequence()
    stream = net.stream()
    stream.feed(x[:4])
    state = stream.state()
    wider = snn.Sequential(snn.Linear(6, 9), snn.LIF(), snn.Linear(9, 4), snn.LI()).build(x.shape)
    unlike = snn.Sequential(snn.Linear(6, 8), snn.ALIF(name="lif2"), snn.Linear(8, 4), snn.LI()).build(x.shape)
    for other, given, message in (
        (net.stream(samples=2), state, "the stream has 2 samples; the state has 3"),
        (wider.stream(), state, r"'lif1.state' must be float32 of shape \(1, 3, 9\); got float32 of shape \(1, 3, 8\)"),
        (unlike.stream(), state, "the state is of another network: 'lif1.state' is not part of this network"),
        (stream, {k: v for k, v in state.items() if k != "li1.state"}, "of another network: 'li1.state' is missing"),
        (network("LIF").to(dtype="float64").stream(), state, "'lif1.state' must be float64 of shape"),
        (
            stream,
            state | {"input": np.array([3, 5])},
            r"the state is of another network: linear1 \(Linear\): input must",
        ),
    ):
        before = other.state()
        with pytest.raises(snn.ShapeError, match=rf"sequential\.stream\.load_state: .*{message}"):
            other.load_state(given)
        assert all(np.array_equal(array, other.state()[name]) for name, array in before.items())
    with pytest.raises(ValueError, match="these arrays are not the state of a stream; 'steps' is missing"):
        stream.load_state(net.state())
    with pytest.raises(ValueError, match="these arrays are not the state of a stream; 'input' is missing"):
        stream.load_state({"steps": np.array(3), "lif1.state": state["lif1.state"]})
    with pytest.raises(ValueError, match="'steps' must be a whole number of at least 0; got -1"):
        stream.load_state(state | {"steps": -1})
    with pytest.raises(
        ValueError, match=r"'input': every extent of shape \(3, 0\) must be a whole number of at least 1; got 0"
    ):
        stream.load_state(state | {"input": [3, 0]})
    with pytest.raises(ValueError, match=r"'input': a shape must be a sequence of whole numbers; got \[\]"):
        stream.load_state(state | {"input": np.zeros(0, np.int64)})
    with pytest.raises(ValueError, match=r"load_state: state must be arrays by name; got list"):
        stream.load_state([1])
    with pytest.raises(ValueError, match=r"stream\.warm: a shape must be a sequence of whole numbers; got 3"):
        stream.warm(3)


# --- in production ---


def test_warm_changes_neither_state_nor_results():
    net, x = network("LIF"), sequence()
    stream, plain = net.stream(samples=3, warm=True), net.stream()
    assert stream.steps == 0
    parameters = net.state()
    assert np.array_equal(step_by_step(stream, x[:4]), step_by_step(plain, x[:4]))
    stream.warm()
    stream.warm((5, 6))
    assert np.array_equal(step_by_step(stream, x[4:]), step_by_step(plain, x[4:]))
    assert all(np.array_equal(value, net.state()[name]) for name, value in parameters.items())
    with pytest.raises(
        RuntimeError, match=r"sequential\.stream: build the network first, or call stream\.warm\(shape\)"
    ):
        snn.Sequential(snn.Linear(6, 4)).stream(warm=True)


def test_after_warming_a_step_compiles_nothing():
    """For real numbers and spikes, few and many: the route that a step takes depends on them."""
    net = snn.Sequential(snn.Conv2d(2, 9, 3, padding=1), snn.LIF(), snn.Flatten(), snn.Linear(9 * 64, 5))
    stream = net.build((4, 1, 8, 8, 2)).stream(warm=True)
    rng, before = np.random.default_rng(0), {kernel: len(kernel.signatures) for kernel in KERNELS}
    for share in (0.0, 0.02, 0.5, 1.0):
        spikes = rng.random((1, 8, 8, 2)) < share
        stream.step(spikes.astype(np.uint8))
        stream.step(spikes.astype(np.float32))
    assert {kernel: len(kernel.signatures) for kernel in KERNELS} == before


def threads_used(monkeypatch, work):
    """The names of the threads that ran kernels during work(), as far as it was divided among threads."""
    names, forward = set(), launch._divide

    def spy(body, tiles, *rest):
        def noted(lo, hi):
            names.add(threading.current_thread().name)
            time.sleep(0.002)  # so that helpers have the time to start
            body(lo, hi)

        return forward(noted, tiles, *rest)

    monkeypatch.setattr(launch, "_divide", spy)
    work()
    monkeypatch.setattr(launch, "_divide", forward)
    return names


def test_little_work_runs_on_one_thread(threads, monkeypatch):
    threads(2)
    net = snn.Sequential(snn.LIF(), snn.Linear(64, 4)).build((3, 2, 64))
    x = np.ones((3000, 64), np.float32)
    stream = net.stream()
    stream.step(x)  # the first step finds out how much work it is
    assert threads_used(monkeypatch, lambda: stream.step(x)) == set()
    assert len(threads_used(monkeypatch, lambda: net(x[None]))) == 2
    monkeypatch.setattr(streams, "LITTLE_WORK", 3000 * 64 * 4 - 1)
    stream = net.stream()
    stream.step(x)
    assert len(threads_used(monkeypatch, lambda: stream.step(x))) == 2
    assert snn.get_num_threads() == 2


def test_a_single_thread_is_asked_for_by_one_thread_only():
    seen = []
    with launch.SingleThread():
        with launch.SingleThread():
            pass
        assert launch._local.alone
        other = threading.Thread(target=lambda: seen.append(launch._local.alone))
        other.start()
        other.join()
    assert seen == [False] and not launch._local.alone


def test_an_input_without_its_first_axis():
    stream = network("LIF").stream()
    with pytest.raises(
        snn.ShapeError, match=r"sequential: step takes \[N, ...\]; got shape \(6,\), .*Add it: x\[None\]"
    ):
        stream.step(np.zeros(6, np.float32))
    with pytest.raises(
        snn.ShapeError, match=r"feed takes \[T, N, ...\]; got shape \(3, 6\), .* time steps. Call step\(x\)"
    ):
        stream.feed(np.zeros((3, 6), np.float32))
    pictures = snn.models.from_string("4c3", (8, 8, 1), 5, steps=6).build((2, 8, 8, 1)).stream()
    for call in pictures.step, pictures.feed:
        with pytest.raises(
            snn.ShapeError, match=r"got shape \(8, 8, 1\), which has no axis for samples. Add it: x\[None\]"
        ):
            call(np.zeros((8, 8, 1), np.float32))


@pytest.mark.parametrize("norm", [snn.BNTT, snn.TEBN])
def test_parameters_for_a_fixed_number_of_steps(norm):
    net = snn.Sequential(snn.Linear(6, 8), norm(8, 4), snn.LIF()).build((4, 3, 6))
    x, stream = sequence(4), net.stream(warm=True)
    message = (
        rf"sequential: {norm.__name__.lower()}1 \({norm.__name__}\) has parameters for 4 steps, .*stream\.feed\(x\)"
    )
    with pytest.raises(ValueError, match=message):
        stream.step(x[0])
    assert np.array_equal(stream.feed(x), net(x))
    with pytest.raises(ValueError, match=message):
        stream.feed(x)


def test_samples():
    stream = network("LIF").stream(samples=2)
    with pytest.raises(snn.ShapeError, match=r"the stream has 2 samples; got 3"):
        stream.step(sequence(1)[0])
    with pytest.raises(ValueError, match=r"sequential\.stream: samples must be a whole number of at least 1; got 0"):
        network("LIF").stream(samples=0)
