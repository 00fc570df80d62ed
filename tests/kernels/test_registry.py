"""Every function of the contract, by its entry in the registry: devices agree, gradients are those of differences,
results do not depend on threads, and a function writes its outputs and nothing else."""

import inspect
import multiprocessing
import os
import threading

import numpy as np
import pytest
from bands import banded, untouched
from bounds import REALS, is_gradient
from registry import filled, mapped, once
from targets import COMPILED, SIMULATED, cpu, reference

from numsnn.kernels.contract import ROOMS
from numsnn.kernels.cpu.run import launch

REGISTRY = filled()
FUNCTIONS = [name for names in ROOMS.values() for name in names]
LARGE = [name for name, entry in REGISTRY.items() if entry.large]


def test_every_function_has_an_entry_and_every_entry_a_function():
    assert sorted(REGISTRY) == sorted(FUNCTIONS)


@pytest.mark.parametrize("name", REGISTRY)
def test_an_entry_names_what_there_is(name):
    """Its samples are arguments of the function, its outputs are among them, and it has a check."""
    entry = REGISTRY[name]
    parameters = inspect.signature(getattr(reference, name)).parameters
    assert {*entry.writes, *entry.updates} <= parameters.keys()
    if entry.call is None:
        assert entry.writes or entry.updates
        given = {key for key in entry.sample(next(iter(entry.cases.values())), np.float32) if not key.startswith("_")}
        inspect.signature(getattr(reference, name)).bind(**dict.fromkeys(given))
    assert entry.relaxed or "relaxed" not in parameters
    if name.endswith("_backward") or "_backward_" in name:
        assert entry.gradients is not None


# --- devices agree, and write their outputs only ----------------------------------------------------------------------


def called(k, entry, case, real):
    """Call a function of a device with bands around its arrays; return the arguments before the call, and the results.

    Everything but its outputs must be as it was.
    """
    before = entry.sample(entry.cases[case], real)
    memories = []

    def with_bands(array):
        memory, part = banded(array)
        memories.append((memory, array, part))
        return part

    arguments = mapped(before, once(with_bands))
    results = entry.results(k, arguments)
    written = [id(array) for array in entry.outputs(arguments).values()]
    for memory, array, part in memories:
        assert untouched(memory), "it wrote beside an array"
        if id(part) not in written:
            assert part.tobytes() == array.tobytes(), "it wrote to an input"
    return before, results


def left_out(k, entry, case, real):
    return SIMULATED and k.name == "cuda" and entry.slow(case, real)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", REGISTRY)
@COMPILED
def test_is_the_reference(small_tiles, k, name, real):
    entry = REGISTRY[name]
    for case in entry.cases:
        if real not in entry.reals(entry.cases[case]) or left_out(k, entry, case, real):
            continue
        try:
            before, want = called(reference, entry, case, real)
            _, got = called(k, entry, case, real)
            if not entry.differs:
                entry.agrees(before, got, want)
        except Exception as error:
            error.add_note(f"sample of {name}: {case}, {real.__name__}")
            raise


@COMPILED
def test_what_the_simulator_leaves_out(k):
    """It takes long for some samples, but for few, and for none of the functions as a whole."""
    samples = [(e, case, real) for e in REGISTRY.values() for case in e.cases for real in e.reals(e.cases[case])]
    kept = [sample for sample in samples if not left_out(k, *sample)]
    assert len(kept) > 0.85 * len(samples) and {id(e) for e, _, _ in kept} == {id(e) for e in REGISTRY.values()}


@pytest.mark.parametrize("name", [name for name, entry in REGISTRY.items() if entry.gradients is not None])
def test_gradients_are_those_of_differences(name):
    """Of the reference, in every case in float64 that the entry has differences for."""
    entry, found = REGISTRY[name], 0
    for case in entry.cases.values():
        arguments = entry.sample(case, np.float64)
        for gradient, loss, array in entry.gradients(arguments, entry.results(reference, arguments)):
            is_gradient(gradient, loss, array)
            found += 1
    assert found


def strided(array):
    """The same numbers with others between them, in memory that cannot be written."""
    part = np.zeros((*array.shape, 2), array.dtype)[..., 0]
    part[...] = array
    part.flags.writeable = False
    return part


@pytest.mark.parametrize("name", [name for name, entry in REGISTRY.items() if not entry.differs])
def test_inputs_may_be_parts_of_other_arrays_and_locked(name):
    """The reference takes strided and read-only inputs."""
    entry = REGISTRY[name]
    for case in entry.cases.values():
        arguments = entry.sample(case, entry.reals(case)[0])
        want = entry.results(reference, mapped(arguments, once(np.copy)))
        written = [id(array) for array in entry.outputs(arguments).values()]

        others = mapped(arguments, once(lambda x, written=written: x.copy() if id(x) in written else strided(x)))
        got = entry.results(reference, others)
        entry.agrees(entry.sample(case, entry.reals(case)[0]), got, want)


WAYS = "add", "batchnorm_forward", "rate_cross_entropy", "max_pool2d_forward", "gather_rows", "linear_forward"
"""One function per way in which compiled kernels go through an array. Each is compiled anew for such inputs."""


@pytest.mark.parametrize("name", WAYS)
def test_compiled_kernels_take_them_too_or_refuse_them(name):
    entry = REGISTRY[name]
    case = next(iter(entry.cases.values()))
    arguments, others = (entry.sample(case, np.float32) for _ in range(2))
    written = [id(array) for array in entry.outputs(arguments).values()]
    try:
        got = entry.results(cpu, mapped(arguments, once(lambda x: x if id(x) in written else strided(x))))
    except ValueError as refused:
        assert name == "gather_rows" and "must be contiguous" in str(refused)
        return
    entry.agrees(entry.sample(case, np.float32), got, entry.results(reference, others))


# --- results depend on inputs alone -----------------------------------------------------------------------------------


def results(name, seed=0):
    """The results of all large samples on the CPU."""
    entry = REGISTRY[name]
    found = (entry.results(cpu, entry.sample(case, np.float32, seed)) for case in entry.large)
    return [array for one in found for array in one.values()]


@pytest.mark.parametrize("name", [name for name in LARGE if not REGISTRY[name].differs])
def test_large_samples_are_the_reference(name):
    """Tiles of the usual size. Where a gradient is not visible, it may be 0 or what it is."""
    entry = REGISTRY[name]
    for case in entry.large:
        before, *samples = (entry.sample(case, np.float32) for _ in range(3))
        got, want = (entry.results(k, one) for k, one in zip((cpu, reference), samples, strict=True))
        if name.endswith("backward_input") and before["visible"] is not None:
            got["dx"] *= before["visible"]
        entry.agrees(before, got, want)


def same(arrays, others):
    return all(np.array_equal(a, b) for a, b in zip(arrays, others, strict=True))


def test_every_kernel_has_large_samples():
    assert {name for name in FUNCTIONS if name not in LARGE} == {*ROOMS["array"], "lacks", "visible_limit"}


@pytest.mark.parametrize("name", LARGE)
def test_results_do_not_depend_on_the_thread_count(threads, monkeypatch, name):
    """The bits are equal, although the work was in fact shared out; a repeated call has equal bits, too."""
    asked = []
    workers = launch._workers
    monkeypatch.setattr(launch, "_workers", lambda: asked.append(name) or workers())
    threads(1)
    alone = results(name)
    assert not asked
    assert all(np.isfinite(array).all() for array in alone)
    for count in (1, 2, 3):
        threads(count)
        assert same(results(name), alone)
    assert bool(asked) != REGISTRY[name].one_thread


def test_concurrent_callers_do_not_meet(threads):
    """Four callers with inputs of their own, all kernels at once, on a pool of two."""
    callers = 4
    threads(1)
    want = [{name: results(name, seed) for name in LARGE} for seed in range(callers)]
    threads(3)
    start = threading.Barrier(callers)
    different, errors = [], []

    def call(seed):
        try:
            start.wait(timeout=60)
            for name in LARGE[seed * 5 :] + LARGE[: seed * 5]:
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
    want = {name: results(name) for name in LARGE}
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()

    def child():
        there.send([name for name in LARGE if not same(results(name), want[name])])

    process = context.Process(target=child)
    process.start()
    try:
        assert here.poll(120), "the child hangs"
        assert here.recv() == []
    finally:
        process.kill()
        process.join()
    assert same(results("conv2d_forward"), want["conv2d_forward"])
