"""One thread at a time: a second one gets an error in one line, whatever it does, and the first one its own numbers."""

import copy
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import numsnn as snn
from numsnn import machine_code
from numsnn.data import Dataset

REFUSED = r"^{}: another thread is using this network, or layers of it; give every thread a network of its own, made "
WAIT = 60


class Halting(snn.Layer):
    """A layer that hands its input on, and halts every pass as long as the test wants."""

    carries = False
    gates: dict = {}  # of the test that is running: events and locks cannot be copied with a network

    def compute(self, x, mode):
        if self.gates and threading.current_thread() is not threading.main_thread():
            self.gates["inside"].set()
            assert self.gates["go on"].wait(WAIT)
        return x

    def propagate(self, dy, need_dx):
        return dy


def network(device="reference"):
    layers = snn.Linear(6, 8), snn.LIF(pda=True), Halting(), snn.Linear(8, 3)
    return snn.Sequential(*layers, name="net").to(device).build((4, 5, 6), seed=1)


X = (np.random.default_rng(0).random((4, 5, 6)) < 0.4).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1])
SAMPLES = Dataset(X.swapaxes(0, 1), Y, timed=True)


@pytest.fixture
def halted(monkeypatch):
    """A function that starts `work` on another thread, and returns once it has halted inside a pass; and the function
    that lets it go on and returns its result."""
    gates = {"inside": threading.Event(), "go on": threading.Event()}
    monkeypatch.setattr(Halting, "gates", gates)
    pool = ThreadPoolExecutor(1)

    def start(work):
        running = pool.submit(work)
        assert gates["inside"].wait(WAIT)

        def end():
            gates["go on"].set()
            return running.result(WAIT)

        return end

    yield start
    gates["go on"].set()
    pool.shutdown()


def trainer(net, **options):
    return snn.Trainer(net, device="reference", batch_size=5, **options)


USES = {
    "call": lambda net: net(X),
    "forward": lambda net: net.forward(X),
    "backward": lambda net: net.backward(np.ones((4, 5, 3), np.float32)),
    "build": lambda net: net.build((4, 5, 6)),
    "step": lambda net: net.stream().step(X[0]),
    "feed": lambda net: net.stream().feed(X),
    "warm": lambda net: net.stream(samples=5, warm=True),
    "loop": lambda net: snn.Loop(net).forward(X),
    "fit": lambda net: trainer(net).fit(SAMPLES, epochs=1, progress=False),
    "evaluate": lambda net: trainer(net).evaluate(SAMPLES),
    "predict": lambda net: trainer(net).predict(SAMPLES),
    "state": lambda net: net.state(),
    "statistics": lambda net: net.statistics(),
    "load_state": lambda net: net.load_state({}),
    "copy": lambda net: net.copy(),
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "fold": lambda net: net.fold(),
    "to": lambda net: net.to("cpu"),
    "freeze": lambda net: net.freeze(),
    "unfreeze": lambda net: net.unfreeze(),
    "freeze_only": lambda net: net.freeze_only([]),
    "save": lambda net: snn.save(net, os.devnull),
    "diagnose": lambda net: snn.diagnose(net, X),
    "record": lambda net: snn.record(net, X),
    "check_gradients": lambda net: snn.check_gradients(net, X, Y),
    "count_operations": lambda net: snn.count_operations(net, X),
}


@pytest.mark.parametrize("use", USES)
def test_a_second_thread_is_refused_and_the_first_is_not_disturbed(use, halted):
    net = network()
    alone = net(X)
    end = halted(lambda: net(X))
    with pytest.raises(RuntimeError, match=REFUSED.format("net")):
        USES[use](net)
    np.testing.assert_array_equal(end(), alone)
    np.testing.assert_array_equal(net(X), alone)


def test_whoever_has_layers_in_common_is_refused_too(halted):
    net = network()
    before = snn.Sequential(*net[:3], snn.Linear(8, 2).to("reference"), name="before")
    alone = net(X)
    end = halted(lambda: net(X))
    with pytest.raises(RuntimeError, match=REFUSED.format("linear")):
        snn.Sequential(net[0], snn.LI().to("reference"), name="later")  # while the other thread computes
    with pytest.raises(RuntimeError, match=REFUSED.format("before")):
        before(X)
    with pytest.raises(RuntimeError, match="another thread is using this network"):
        net[0](X)
    assert np.isfinite(network().layers[0](X)).all()  # a network of its own
    np.testing.assert_array_equal(end(), alone)
    later = snn.Sequential(net[0], snn.LI().to("reference"), name="later")
    assert before(X).shape == (4, 5, 2) and later(X).shape == (4, 5, 8)


def test_a_graph_with_a_shared_layer_has_one_turn(halted):
    layer = snn.Linear(6, 6)
    nodes = {"first": (layer, "x"), "again": ("first", "first"), "end": (Halting(), "again")}
    net = snn.Graph(inputs=["x"], nodes=nodes, name="net").to("reference").build((4, 5, 6))
    alone = net(X)
    end = halted(lambda: net(X))
    for part in (net, layer, net["again"]):
        with pytest.raises(RuntimeError, match="another thread is using this network"):
            part(X)
    np.testing.assert_array_equal(end(), alone)


@pytest.mark.parametrize("copied", [snn.Sequential.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_has_a_turn_of_its_own(copied, halted):
    net = network()
    alone = net(X)
    other = copied(net)
    end = halted(lambda: net(X))
    np.testing.assert_array_equal(other(X), alone)
    np.testing.assert_array_equal(end(), alone)


def test_a_run_keeps_its_turn_between_its_passes():
    """Another thread cannot get in between two batches, where it would stop the run instead of itself."""
    undisturbed, net, seen = network(), network(), []
    trainer(undisturbed).fit(SAMPLES, epochs=3, progress=False)

    def look(run):
        with ThreadPoolExecutor(1) as pool:
            for use in ("call", "evaluate", "state", "copy", "fit"):
                with pytest.raises(RuntimeError, match=REFUSED.format("net")):
                    pool.submit(USES[use], net).result(WAIT)
        seen.append(run.evaluate(SAMPLES).loss)  # the run's own thread may do all of this

    trainer(net, on_batch=look).fit(SAMPLES, epochs=3, progress=False)
    assert len(seen) == 3
    for name, array in undisturbed.state().items():
        np.testing.assert_array_equal(net.state()[name], array)
    with ThreadPoolExecutor(1) as pool:  # and after it, everybody
        assert pool.submit(USES["evaluate"], net).result(WAIT).loss == trainer(net).evaluate(SAMPLES).loss


def test_forward_and_backward_of_a_pass_belong_to_one_thread():
    net, dz = network(), np.ones((4, 5, 3), np.float32)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(net.forward, X, snn.layers.TRAINING).result(WAIT)
        with pytest.raises(RuntimeError, match=r"net\.backward: the last forward pass was made by another thread; rep"):
            net.backward(dz)
        net.forward(X, snn.layers.TRAINING)
        net.backward(dz)


def test_an_error_gives_the_turn_back():
    net = network()
    wrong = [lambda: net(X[:, :, :4]), lambda: net.backward(X), lambda: net.load_state({}), lambda: net.to("gpu")]
    for use in wrong:
        with pytest.raises((ValueError, RuntimeError)):
            use()
    with ThreadPoolExecutor(1) as pool:
        np.testing.assert_array_equal(pool.submit(net, X).result(WAIT), net(X))


def train_alone(seed, device, steps=12):
    """Train and evaluate a network of its own; return its outputs and weights."""
    rng = np.random.default_rng(seed)
    net = snn.Sequential(snn.Linear(6, 40), snn.BatchNorm(40), snn.LIF(), snn.Linear(40, 3)).to(device)
    loop, stream = snn.Loop(net, snn.optim.Adam(1e-2), seed=seed), None
    for _ in range(steps):
        x, y = (rng.random((4, 30, 6)) < 0.5).astype(np.float32), rng.integers(0, 3, 30)
        z = loop.forward(x)
        loop.backward(snn.losses.TET()(z, y)[1])
        loop.step()
        stream = stream or net.stream()
        z = z + net(x) + stream.feed(x)
    return [z, *net.state().values()]


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_networks_in_different_threads_get_the_bits_that_they_get_alone(device, threads, monkeypatch):
    from numsnn.kernels.cpu.run import launch

    monkeypatch.setattr(launch, "TILE_ELEMENTS", 256)  # several tiles per kernel, so that several threads compute it
    threads(3)
    alone = [train_alone(seed, device) for seed in range(4)]
    before, running = sys.getswitchinterval(), True

    def change():
        while running:
            for n in (1, 4, 2):
                threads(n)

    changing = threading.Thread(target=change)
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            changing.start()
            together = [task.result(WAIT) for task in [pool.submit(train_alone, seed, device) for seed in range(4)]]
    finally:
        running = False
        changing.join()
        sys.setswitchinterval(before)
    for one, other in zip(alone, together, strict=True):
        assert [a.tobytes() for a in one] == [b.tobytes() for b in other]


FORKED = """
import os, sys, threading, warnings
sys.path.insert(0, {folder!r})
import test_turn as here

warnings.simplefilter("ignore")  # Python 3.12 warns of a fork with several threads
net = here.network()
alone = net(here.X)
here.Halting.gates = {{"inside": threading.Event(), "go on": threading.Event()}}
found = []
other = threading.Thread(target=lambda: found.append(net(here.X)))
other.start()
assert here.Halting.gates["inside"].wait(60)
child = os.fork()
if not child:
    same = net(here.X).tobytes() == alone.tobytes()
    copied = net.copy()(here.X).tobytes() == alone.tobytes()
    os._exit(0 if same and copied else 1)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
here.Halting.gates["go on"].set()
other.join(60)
assert found[0].tobytes() == alone.tobytes()
sys.exit(status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_process_that_is_forked_during_a_pass_of_another_thread_may_use_the_network():
    script = FORKED.format(folder=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=WAIT)
    assert done.returncode == 0, done.stderr


COMPILING = """
import os, sys, threading, time, warnings
import numsnn as snn
from numba.core.compiler_lock import global_compiler_lock as lock

warnings.simplefilter("ignore")  # Python 3.12 warns of a fork with several threads
snn.kernels.for_device("cpu")
inside = threading.Event()

def compile():
    with lock:
        inside.set()
        time.sleep(0.5)

other = threading.Thread(target=compile)
other.start()
inside.wait()
child = os.fork()
if not child:
    os._exit(0 if lock._lock.acquire(timeout=10) else 1)
other.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_process_that_is_forked_while_another_thread_compiles_may_compile():
    done = subprocess.run([sys.executable, "-c", COMPILING], capture_output=True, text=True, timeout=WAIT)
    assert done.returncode == 0, done.stderr


def test_no_kernel_uses_a_threading_layer_of_numba():
    """One of them, workqueue, ends the process when two threads start parallel code at once."""
    snn.kernels.for_device("cpu")
    cpu = [kernel for kernel in machine_code.KERNELS if kernel.__module__.startswith("numsnn.kernels.cpu")]
    assert len(cpu) > 50
    assert not any(kernel.targetoptions.get("parallel") for kernel in cpu)
