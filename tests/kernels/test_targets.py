"""What all devices share: names, arguments, and results that depend on the inputs only."""

import copy
import inspect
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from importlib import import_module

import numpy as np
import pytest
import workloads_layers  # noqa: F401  fills WORKLOADS
from targets import cpu, reference
from workloads import MEMORY, ON_ONE_THREAD, WORKLOADS

from numsnn import kernels
from numsnn.kernels.contract import ROOMS, Device
from numsnn.kernels.cpu.run import launch

# --- one contract -------------------------------------------------------------------------------------------


FUNCTIONS = [(room, name) for room, names in ROOMS.items() for name in names]


def test_numba_that_must_not_compile():
    """Only the device "cpu" is refused; the reference is plain NumPy."""
    script = """if True:
        import numpy as np
        import numsnn as snn

        net, x = snn.Sequential(snn.Linear(2, 3), snn.LIF()), np.ones((2, 1, 2), np.float32)
        try:
            net(x)
        except snn.DeviceError as error:
            print(error)
        print(net.to("reference")(x).shape)
    """
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "NUMBA_ENABLE_CUDASIM": "0"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines() == [
        "device 'cpu': its kernels have to be compiled, but NUMBA_DISABLE_JIT is set; unset it, or use "
        "device='reference', which is plain NumPy",
        "(2, 1, 3)",
    ]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(("room", "name"), FUNCTIONS)
def test_targets_have_the_same_rooms_and_arguments(device, room, name):
    if device == "cuda":
        pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    mine, text = (
        inspect.signature(getattr(import_module(f"numsnn.kernels.{target}.{room}"), name)).parameters
        for target in (device, "reference")
    )
    assert list(mine.values()) == list(text.values())


def test_a_target_that_lacks_a_function_is_refused(monkeypatch):
    monkeypatch.setitem(ROOMS, "encode", ("poisson", "rank_order"))
    message = r"kernels/cpu/encode.py lacks rank_order, which kernels/contract.py promises"
    with pytest.raises(ImportError, match=message):
        Device("cpu")


def test_targets_are_copied_and_pickled_by_name():
    assert copy.deepcopy(cpu) is cpu
    assert pickle.loads(pickle.dumps(reference)) is reference


@pytest.mark.parametrize("device", kernels.DEVICES)
def test_for_device(device):
    assert kernels.for_device(device).name == device


def test_for_device_says_what_there_is():
    with pytest.raises(ValueError, match=r"device must be one of 'reference', 'cpu', 'cuda'; got 'tpu'"):
        kernels.for_device("tpu")


# --- results depend on inputs alone -------------------------------------------------------------------------


def results(name, seed=0):
    return WORKLOADS[name](cpu, np.random.default_rng(seed))


def same(arrays, others):
    return all(np.array_equal(a, b) for a, b in zip(arrays, others, strict=True))


def test_every_kernel_is_tried():
    assert set(WORKLOADS) == {name for _, name in FUNCTIONS} - MEMORY


@pytest.mark.parametrize("name", WORKLOADS)
def test_results_do_not_depend_on_the_thread_count(threads, monkeypatch, name):
    """The bits are equal, although the work was in fact shared out."""
    asked = []
    workers = launch._workers
    monkeypatch.setattr(launch, "_workers", lambda: asked.append(name) or workers())
    threads(1)
    alone = results(name)
    assert not asked
    assert all(np.isfinite(array).all() for array in alone)
    for count in (2, 3):
        threads(count)
        assert same(results(name), alone)
    assert bool(asked) != (name in ON_ONE_THREAD)


def test_concurrent_callers_do_not_meet(threads):
    """Four callers with inputs of their own, all kernels at once, on a pool of two."""
    callers = 4
    threads(1)
    want = [{name: results(name, seed) for name in WORKLOADS} for seed in range(callers)]
    threads(3)
    start = threading.Barrier(callers)
    different, errors = [], []

    def call(seed):
        try:
            start.wait(timeout=60)
            names = list(WORKLOADS)
            for name in names[seed * 5 :] + names[: seed * 5]:
                if not same(results(name, seed), want[seed][name]):
                    different.append((seed, name))
        except Exception as error:
            errors.append(error)

    running = [threading.Thread(target=call, args=(seed,)) for seed in range(callers)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(timeout=120)
    assert not any(thread.is_alive() for thread in running)
    assert not errors and not different


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_computes_the_same(threads):
    """The parent has used its threads before it forks, and the child does not inherit them."""
    threads(3)
    want = {name: results(name) for name in WORKLOADS}
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()

    def child():
        there.send([name for name in WORKLOADS if not same(results(name), want[name])])

    process = context.Process(target=child)
    process.start()
    try:
        assert here.poll(120), "the child hangs"
        assert here.recv() == []
    finally:
        process.kill()
        process.join()
    assert same(results("conv2d_forward"), want["conv2d_forward"])
