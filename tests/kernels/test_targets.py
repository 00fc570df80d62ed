"""What all targets share: names, arguments, and results that depend on inputs alone."""

import inspect
import multiprocessing
import os
import threading
from importlib import import_module

import numpy as np
import pytest
import workloads_layers  # noqa: F401  fills WORKLOADS
from workloads import MEMORY, ON_ONE_THREAD, WORKLOADS

from numsnn import kernels
from numsnn.kernels import cpu, reference
from numsnn.kernels.cpu import launch

# --- one contract -------------------------------------------------------------------------------------------


@pytest.fixture(params=["cpu", "cuda"], scope="module")
def target(request):
    """A compiled target."""
    if request.param == "cuda":
        pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    return import_module(f"numsnn.kernels.{request.param}")


def test_targets_have_the_same_names(target):
    assert sorted(target.__all__) == sorted(reference.__all__)
    assert len(set(target.__all__)) == len(target.__all__)
    for k in (target, reference):
        assert all(hasattr(k, name) for name in k.__all__)


@pytest.mark.parametrize("name", sorted(set(reference.__all__) - {"name"}))
def test_targets_have_the_same_arguments(target, name):
    mine, text = (inspect.signature(getattr(k, name)).parameters for k in (target, reference))
    assert list(mine.values()) == list(text.values())


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
    assert set(WORKLOADS) == set(cpu.__all__) - MEMORY


@pytest.mark.parametrize("name", WORKLOADS)
def test_results_do_not_depend_on_the_thread_count(threads, monkeypatch, name):
    """To the bit, and the work was in fact shared out."""
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
    """After the parent has used its threads, which the child does not inherit."""
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
