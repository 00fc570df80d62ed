"""Processes that compile for another one: they share the work, and they end with it."""

import importlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from numsnn import ahead, machine_code
from numsnn.ahead import Compilers
from numsnn.ahead.claims import fcntl

pytestmark = pytest.mark.skipif(fcntl is None, reason="this system has no locks of bytes")

TASKS = """
import os
import time
import numpy as np
from numsnn import machine_code
from numsnn.kernels.compile import kernel

@kernel
def twice(x):
    for k in range(len(x)):
        x[k] *= 2

def compile_ahead(order):
    if "claim" in order:
        machine_code.claims.take(order["claim"])
    if "wait" in order:
        time.sleep(order["wait"])
    if order.get("compile"):
        twice(np.ones(2))
    return [order["number"], order["processes"], os.getpid()]
"""


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A module with a task and a kernel that nobody has compiled."""
    name = f"tasks_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(TASKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(ahead.VARIABLE, "2")
    monkeypatch.setattr(machine_code, "KERNELS", [])
    yield importlib.import_module(name)
    assert machine_code.claims is None


def calls(kernel):
    """What a kernel makes of 1, and how often its machine code was on the disk and was not."""
    x = np.ones(1)
    kernel(x)
    return x[0], sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values())


def file_of(kernel):
    """The name of the file for the machine code of a kernel of numbers in float64."""
    from numba import float64
    from numba.core.registry import cpu_target

    key = kernel._cache._index_key((float64[::1],), cpu_target.target_context.codegen())
    return kernel._cache._cache_file.path(key).name


def claimed(compilers, name):
    """Wait until another process has a claim."""
    claims = compilers.start()
    while claims.take_free(name):
        claims.release(name)
        time.sleep(0.01)


def ends(process):
    """Wait until there is no process of this number, or until it only waits for its parent to ask for its status."""
    for _ in range(1000):
        try:
            with open(f"/proc/{process}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_what_another_process_compiles_is_read(tasks):
    with Compilers(tasks.__name__, lambda: {"compile": True}) as compilers:
        compilers.start()
        (answer,) = compilers.answers()
        assert answer[:2] == [1, 2] and answer[2] != os.getpid()
        assert calls(tasks.twice) == (2, 1, 0)


def test_a_kernel_that_another_process_compiles_is_waited_for(tasks):
    name = file_of(tasks.twice)
    with Compilers(tasks.__name__, lambda: {"claim": name, "wait": 0.3, "compile": True}) as compilers:
        claimed(compilers, name)
        assert calls(tasks.twice) == (2, 1, 0)


def test_a_process_that_is_killed_is_not_waited_for(tasks):
    name = file_of(tasks.twice)
    with Compilers(tasks.__name__, lambda: {"claim": name, "wait": 600}) as compilers:
        claimed(compilers, name)
        compilers._children[0].kill()
        assert calls(tasks.twice) == (2, 0, 1)
        assert compilers.answers() == [None]


def test_nothing_starts_before_something_has_to_be_compiled(tasks):
    calls(tasks.twice)
    del sys.modules[tasks.__name__]
    again = importlib.import_module(tasks.__name__)
    with Compilers(tasks.__name__, dict) as compilers:
        assert calls(again.twice) == (2, 1, 0)
        assert compilers._children == []


def test_all_end_with_the_block(tasks, monkeypatch):
    monkeypatch.setenv(ahead.VARIABLE, "3")
    with Compilers(tasks.__name__, lambda: {"wait": 600}) as compilers:
        compilers.start()
        numbers = [child.pid for child in compilers._children]
        assert len(numbers) == 2 and not any(child.poll() for child in compilers._children)
    assert all(ends(number) for number in numbers)


@pytest.mark.parametrize(("cores", "threads", "asked"), [(1, 4, ""), (4, 1, ""), (4, 4, "1")])
def test_one_core_and_one_thread_and_the_environment_leave_a_process_alone(tasks, monkeypatch, cores, threads, asked):
    monkeypatch.setattr(ahead, "available_cores", lambda: cores)
    monkeypatch.setattr(ahead, "get_num_threads", lambda: threads)
    monkeypatch.setenv(ahead.VARIABLE, asked)
    with Compilers(tasks.__name__, dict) as compilers:
        assert calls(tasks.twice) == (2, 0, 1)
        assert compilers._children == [] and compilers.start() is None and compilers.answers() == []


@pytest.mark.parametrize("fault", [TypeError("cannot be pickled"), OSError(28, "No space left on device")])
def test_a_process_compiles_alone_if_others_cannot_start(tasks, fault):
    def order():
        raise fault

    with Compilers(tasks.__name__, order):
        assert calls(tasks.twice) == (2, 0, 1)


def test_a_folder_of_this_process_alone_is_no_reason_to_start_others(tasks, monkeypatch):
    monkeypatch.setattr(tasks.twice._cache, "_shared", False)
    with Compilers(tasks.__name__, dict) as compilers:
        assert calls(tasks.twice)[0] == 2
        assert compilers._children == []


@pytest.mark.parametrize("asked", ["0", "two", "1.5"])
def test_the_environment_is_checked(monkeypatch, asked):
    monkeypatch.setenv(ahead.VARIABLE, asked)
    with pytest.raises(ValueError, match=rf"^NUMSNN_COMPILERS must be a whole number in 1\.\.1024; got '{asked}'"):
        Compilers("numsnn.ahead.run", dict)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_one_that_has_started_it(tasks, tmp_path, number):
    code = f"""
import time
from numsnn.ahead import Compilers
with Compilers({tasks.__name__!r}, lambda: {{"claim": "a", "wait": 600}}) as compilers:
    claims = compilers.start()
    while claims.take_free("a"):  # until the other process is at work
        claims.release("a")
        time.sleep(0.01)
    print(compilers._children[0].pid, flush=True)
    time.sleep(600)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as process:
        child = int(process.stdout.readline())
        os.kill(child, signal.SIGINT)  # Ctrl-C reaches both
        process.send_signal(number)
        process.wait()
    assert ends(child)
