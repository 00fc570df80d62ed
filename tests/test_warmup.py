"""`numsnn warmup`: what is compiled ahead, and what it tells of it."""

import importlib
import subprocess
import sys

import numba
import numpy as np
import pytest

from numsnn import cli, machine_code, warmup
from numsnn.ahead.claims import fcntl
from numsnn.warmup import Kernel, report, warm_up


def fresh_kernel(factor):
    """A kernel nobody has compiled yet, which holds a flag and a function."""
    fast, slow = True, False

    @numba.njit
    def inner(x):
        return x * factor

    @numba.njit
    def tiles(x):
        return inner(x[0]) if fast and not slow else x[0]

    return tiles


def test_compilation_is_timed_and_named():
    kernels = warm_up([lambda: [lambda: fresh_kernel(2.0)(np.ones(3, np.float32))]])
    outer = [kernel for kernel in kernels if kernel.seconds is not None]
    assert len(outer) == 1  # what it calls is part of it
    assert outer[0].name == "test_warmup.tiles (fast,inner)" and outer[0].types == "float32"
    assert 0 < outer[0].seconds < 30


def test_slowest_first():
    first, second = fresh_kernel(3.0), fresh_kernel(4.0)
    kernels = warm_up([lambda: [lambda: first(np.ones(3)), lambda: second(np.ones(3, np.int64))]])
    times = [kernel.seconds for kernel in kernels if kernel.seconds is not None]
    assert len(times) == 2 and times == sorted(times, reverse=True)


def test_report():
    kernels = [Kernel("a.b (hard)", "float32 uint8", 1.25), Kernel("c.d", "float64", None)]
    assert report(kernels).splitlines() == [
        "  1.25 s  a.b (hard)  [float32 uint8]",
        "  cached  c.d  [float64]",
        "1 kernels compiled in 1.2 s, which later runs save; 1 were cached",
    ]
    assert report(kernels, every=False) == "1 kernels compiled in 1.2 s, which later runs save; 1 were cached"


def test_a_second_process_finds_everything_on_the_disk():
    """The second of two fresh processes compiles nothing. One job is enough; even the first may find it cached."""
    code = "from numsnn import warmup; print(warmup.report(warmup.warm_up([warmup.training])))"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    *lines, total = done.stdout.splitlines()
    assert total == f"0 kernels compiled in 0.0 s, which later runs save; {len(lines)} were cached" and len(lines) > 10
    assert any("loss._temporal_samples" in line for line in lines)


def test_the_first_run_compiles_nothing_after_its_job(tmp_path):
    code = f"""
from numsnn import cli, machine_code, warmup
import sys
if sys.argv[1] == "job":
    for task in warmup.recipes():
        task()
else:
    assert cli.main(["train", "digits", "--epochs", "2", "--quiet", "--out", {str(tmp_path / "run")!r}]) == 0
    print([kernel.py_func.__name__ for kernel in machine_code.KERNELS if kernel.stats.cache_misses])
"""
    for what in ("job", "run"):
        done = subprocess.run([sys.executable, "-c", code, what], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("job", warmup.JOBS, ids=lambda job: job.__name__)
def test_every_job_runs(job):
    for task in job():
        task()


def test_command(capsys, monkeypatch):
    monkeypatch.setattr(warmup, "warm_up", lambda: [Kernel("a.b", "float32", 2.0)])
    assert cli.main(["warmup"]) == 0
    total = "1 kernels compiled in 2.0 s, which later runs save; 0 were cached\n"
    assert capsys.readouterr().out == f"  2.00 s  a.b  [float32]\n{total}"
    assert cli.main(["warmup", "--quiet"]) == 0
    assert capsys.readouterr().out == total


SHARED = """
import os
import numpy as np
from numsnn import machine_code
from numsnn.kernels.compile import kernel

def made(number):
    @kernel
    def times(x):
        x[0] *= number
    return times

KERNELS = [made(number) for number in range(6)]

def job():
    return [lambda one=one: one(np.ones(1)) for one in KERNELS]

def job_that_ends_another_process():
    return [*job(), lambda: type(machine_code.claims).__name__ == "Claims" and os._exit(1)]
"""


@pytest.mark.skipif(fcntl is None, reason="this system has no locks of bytes")
@pytest.mark.parametrize("job", ["job", "job_that_ends_another_process"])
def test_processes_share_the_tasks(tmp_path, monkeypatch, job):
    name = f"shared_by_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SHARED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NUMSNN_COMPILERS", "3")
    monkeypatch.setattr(machine_code, "KERNELS", [])
    kernels = warm_up([getattr(importlib.import_module(name), job)])
    assert len(kernels) == 6  # every kernel once, whoever has compiled it
    assert all(kernel.seconds is not None for kernel in kernels) or job != "job"
