"""Threads of the CPU device: each tile is computed once, errors reach the caller, and a launch has one owner."""

import threading
import time

import numpy as np
import pytest

from numsnn.cores import available_cores
from numsnn.kernels.cpu.run import launch

# --- tiles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_tile_once(threads, count):
    threads(count)
    for tiles in (0, 1, 2, 3, 5, 8, 40, 101):
        done = []
        launch.parallel_for(lambda lo, hi, done=done: done.extend(range(lo, hi)), tiles)
        assert sorted(done) == list(range(tiles))


def test_tiles_cover_rows():
    assert launch.rows_per_tile(launch.TILE_ELEMENTS) == 1
    assert launch.rows_per_tile(10 * launch.TILE_ELEMENTS) == 1
    assert launch.rows_per_tile(16) * 16 == launch.TILE_ELEMENTS
    assert [launch.count_tiles(rows, 4) for rows in (0, 1, 4, 5, 8, 9)] == [0, 1, 1, 2, 2, 3]


def test_range_kernel_gets_its_arguments_then_its_range(threads):
    threads(2)
    calls = []
    launch.launch(lambda *arguments: calls.append(arguments), 1, "x", 2)
    assert calls == [("x", 2, 0, 1)]


def test_threads_work_at_the_same_time(threads):
    """Three ranges that wait for each other come to an end only on three threads."""
    threads(3)
    meet, met = threading.Barrier(3), []
    launch.parallel_for(lambda lo, hi: met.append(meet.wait(timeout=30)), 3)
    assert sorted(met) == [0, 1, 2]


def test_work_that_is_done_waits_for_nobody(threads):
    """The pool's only thread is busy with something else; the caller does its tiles by itself and goes on."""
    threads(2)
    free = threading.Event()
    both, met = threading.Barrier(3), []

    def hold(lo, hi):
        both.wait(timeout=30)
        met.append(free.wait(timeout=30))

    other = threading.Thread(target=launch.parallel_for, args=(hold, 2))
    other.start()
    both.wait(timeout=30)  # the other caller and the helper have begun
    done = []
    launch.parallel_for(lambda lo, hi: done.extend(range(lo, hi)), 20)
    assert sorted(done) == list(range(20)) and not met
    free.set()
    other.join(timeout=30)
    assert met == [True, True]


def test_an_offer_is_taken_back_from_a_helper_that_did_not_begin(threads):
    """A helper that gets no core for a while does not keep the caller waiting, and helps with a later job."""
    threads(2)
    names = set()
    launch.parallel_for(lambda lo, hi: time.sleep(0.05), 2)  # the helper is there from now on
    helper = launch._workers()._free[0]
    with launch._workers()._lock:
        helper.called = True  # so that it is not called, as if it were on its way
    done = []
    launch.parallel_for(lambda lo, hi: done.extend(range(lo, hi)), 20)
    assert done == list(range(20)) and launch._workers()._free == [helper] and helper.job is None
    helper.call.release()
    meet = threading.Barrier(2)
    launch.parallel_for(lambda lo, hi: names.add((meet.wait(timeout=30), threading.current_thread().name)[1]), 2)
    assert names == {"MainThread", helper.name}


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("bad", [0, 17, 29])
def test_exception_of_a_range_reaches_the_caller(threads, count, bad):
    """The threads are fit for the next call afterwards."""
    threads(count)

    def body(lo, hi):
        if lo <= bad < hi:
            raise ArithmeticError(f"tile {bad}")

    with pytest.raises(ArithmeticError, match=f"^tile {bad}$"):
        launch.parallel_for(body, 30)
    done = []
    launch.parallel_for(lambda lo, hi: done.extend(range(lo, hi)), 30)
    assert sorted(done) == list(range(30))


@pytest.mark.parametrize("raising", [0, 1])
def test_nothing_runs_on_after_an_exception(threads, raising):
    """Whichever helper fails, the caller gets its arrays back only when no other still writes to them."""
    threads(3)
    meet = threading.Barrier(3)
    running = []

    def body(lo, hi):
        me = threading.current_thread().name
        running.append(me)
        meet.wait(timeout=30)
        if me.endswith(f"_{raising}"):
            running.remove(me)
            raise ArithmeticError(me)
        if me.startswith("numsnn"):
            time.sleep(0.3)
        running.remove(me)

    with pytest.raises(ArithmeticError):
        launch.parallel_for(body, 3)
    assert running == []


def test_threads_end_when_their_number_is_set(threads):
    """Those that wait end at once, and one that is busy ends after its job."""
    threads(3)
    meet = threading.Barrier(3)
    launch.parallel_for(lambda lo, hi: meet.wait(timeout=30), 3)
    waiting = [worker for worker in threading.enumerate() if worker in launch._workers()._free]
    assert len(waiting) == 2
    threads(2)
    for worker in waiting:
        worker.join(timeout=30)
    both, free = threading.Barrier(3), threading.Event()

    def hold(lo, hi):
        both.wait(timeout=30)
        free.wait(timeout=30)

    other = threading.Thread(target=launch.parallel_for, args=(hold, 2))
    other.start()
    both.wait(timeout=30)
    busy = [thread for thread in threading.enumerate() if thread.name.startswith("numsnn_")]
    threads(1)
    free.set()
    for thread in (other, *busy):
        thread.join(timeout=30)
    assert busy and not any(thread.is_alive() for thread in (other, *waiting, *busy))


def test_many_callers_share_the_helpers(threads):
    """Each caller gets all of its tiles once, whoever helps."""
    threads(3)
    lost = []

    def call():
        for tiles in range(2, 200):
            done = []
            launch.parallel_for(lambda lo, hi, done=done: done.extend(range(lo, hi)), tiles)
            if sorted(done) != list(range(tiles)):
                lost.append(tiles)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert not lost and not any(caller.is_alive() for caller in callers)


# --- how much work a thread must have -----------------------------------------------------------------------


def helped(monkeypatch, body, tiles):
    """Whether a launch called for help."""
    asked, workers = [], launch._workers
    with monkeypatch.context() as patch:
        patch.setattr(launch, "_workers", lambda: asked.append(1) or workers())
        launch.parallel_for(body, tiles)
    return bool(asked)


def test_little_work_is_not_divided(threads, monkeypatch):
    """The first launch of a kind is divided, because nothing is known of it; the others by what the last one took."""
    threads(2)
    monkeypatch.setattr(launch, "LEAST_SECONDS", 0.01)
    seconds = 0.0

    def body(lo, hi):
        for _ in range(lo, hi):
            time.sleep(seconds)

    assert helped(monkeypatch, body, 8)
    assert not helped(monkeypatch, body, 8)
    seconds = 0.004
    assert not helped(monkeypatch, body, 8)  # takes 32 ms; from the estimate before, one step of doubling is not enough
    while not helped(monkeypatch, body, 8):
        pass
    assert helped(monkeypatch, body, 8)
    seconds = 0.0
    assert helped(monkeypatch, body, 8)
    assert not helped(monkeypatch, body, 8)


def test_launches_of_one_code_are_told_apart_by_their_arrays(threads, monkeypatch):
    """A launch of much work is divided, although a launch of little work by the same code came before it."""
    threads(2)
    monkeypatch.setattr(launch, "LEAST_SECONDS", 0.01)

    def body(x):
        return lambda lo, hi: time.sleep(1e-5 * len(x) * (hi - lo))

    little, much = (body(np.empty(size)) for size in (1, 1000))
    assert helped(monkeypatch, little, 8) and helped(monkeypatch, much, 8)
    for _ in range(3):
        assert not helped(monkeypatch, little, 8)
        assert helped(monkeypatch, much, 8)


def test_the_kinds_that_are_remembered_are_bounded(threads, monkeypatch):
    threads(2)
    monkeypatch.setattr(launch, "MOST_KINDS", 3)
    for tiles in range(2, 20):
        launch.parallel_for(lambda lo, hi: None, tiles)
        assert len(launch._kinds) <= 3 and len(launch._places) <= 3


def test_little_work_is_timed_now_and_then(threads, monkeypatch):
    """The launches between are run without a look at the clock; work that has become more is noticed after them."""
    threads(2)
    monkeypatch.setattr(launch, "LEAST_SECONDS", 0.01)
    looks, seconds = [], 0.0
    monkeypatch.setattr(launch, "perf_counter", lambda: looks.append(1) or time.perf_counter())

    def body(lo, hi):
        time.sleep(seconds)

    launch.parallel_for(body, 8)
    looks.clear()
    for _ in range(launch.UNTIMED):
        launch.parallel_for(body, 8)
    assert not looks
    seconds = 0.2
    launch.parallel_for(body, 8)
    assert len(looks) == 2


# --- the number of threads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "2", None])
def test_set_num_threads_rejects(threads, n):
    before = launch.get_num_threads()
    with pytest.raises(ValueError, match=r"^set_num_threads: n must be a positive whole number; got "):
        threads(n)
    assert launch.get_num_threads() == before


def test_set_num_threads_is_read_back(threads):
    for n in (1, 5, 2):
        threads(n)
        assert launch.get_num_threads() == n


def test_environment_sets_the_start(monkeypatch):
    monkeypatch.setenv("NUMSNN_NUM_THREADS", "3")
    assert launch._initial_threads() == 3
    monkeypatch.delenv("NUMSNN_NUM_THREADS")
    assert launch._initial_threads() == available_cores() >= 1
    for nothing in ("", " "):
        monkeypatch.setenv("NUMSNN_NUM_THREADS", nothing)
        assert launch._initial_threads() == available_cores()
    monkeypatch.setenv("NUMSNN_NUM_THREADS", " 2\n")
    assert launch._initial_threads() == 2


@pytest.mark.parametrize("asked", ["0", "-1", "two", "2.5", "2 3"])
def test_environment_is_checked(monkeypatch, asked):
    monkeypatch.setenv("NUMSNN_NUM_THREADS", asked)
    with pytest.raises(ValueError, match=r"^NUMSNN_NUM_THREADS must be a whole number in 1\.\.1024; got "):
        launch._initial_threads()


# --- work arrays --------------------------------------------------------------------------------------------


def test_scratch_is_kept_by_purpose_type_and_thread():
    scratch = launch._Scratch()
    first = scratch.get("a", (3, 4), np.dtype(np.float32))
    assert first.shape == (3, 4) and first.dtype == np.float32 and first.flags.c_contiguous
    assert np.shares_memory(first, scratch.get("a", (2, 5), np.dtype(np.float32)))
    others = [scratch.get("b", (3, 4), np.dtype(np.float32)), scratch.get("a", (3, 4), np.dtype(np.float64))]
    other_thread = threading.Thread(target=lambda: others.append(scratch.get("a", (3, 4), np.dtype(np.float32))))
    other_thread.start()
    other_thread.join()
    assert len(others) == 3
    assert not any(np.shares_memory(first, other) for other in others)
    assert scratch.get("a", (100,), np.dtype(np.float32)).size == 100
    for size in range(1, 3 * launch.MOST_VIEWS):
        assert scratch.get("a", (size,), np.dtype(np.float32)).shape == (size,)
        assert len(scratch.arrays["a", np.dtype(np.float32)][1]) <= launch.MOST_VIEWS
