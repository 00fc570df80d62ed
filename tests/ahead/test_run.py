"""Compiling ahead of a training run: the same numbers, and the kernels that the run needs."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import numsnn as snn
from numsnn.ahead.claims import fcntl
from numsnn.ahead.run import FEWER, Call, with_fewer_inputs

pytestmark = pytest.mark.skipif(fcntl is None, reason="this system has no locks of bytes")

CONFIG = """
[data]
name = "digits"
[model]
architecture = "{}"
[training]
epochs = 1
"""

RUN = """
import sys
from numsnn import cli, machine_code
assert cli.main(["train", sys.argv[1], "--quiet", "--out", sys.argv[2]]) == 0
print(sum(sum(kernel.stats.cache_misses.values()) for kernel in machine_code.KERNELS))
"""

USED = """
import json, sys
from pathlib import Path
from numsnn import config, experiment, machine_code
from numsnn.ahead import run
settings = config.read(sys.argv[1])
if sys.argv[2] == "run":
    experiment.run(settings, Path(sys.argv[3], "run"), progress=False)
else:
    order = run._order(experiment.prepare(settings))
    run.compile_ahead(order | {"number": 1, "processes": 2})
used = [f"{kernel.py_func.__module__}.{kernel.py_func.__name__} {types}"
        for kernel in machine_code.KERNELS for types in kernel.signatures]
print(json.dumps(sorted(used)))
"""


FULL_DISK = """
import sys
from numsnn import config, experiment, machine_code
from numsnn.ahead import run
def full(*arguments):
    raise OSError(28, "No space left on device")
machine_code._Files.save = full
order = run._order(experiment.prepare(config.read(sys.argv[1])))
run.compile_ahead(order | {"number": 1, "processes": 2})
print(sum(len(kernel.stats.cache_misses) for kernel in machine_code.KERNELS))
"""


def printed(code, *arguments, **variables):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def metrics(folder):
    """What a run has measured, without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "second" not in key} for line in lines]


def test_a_first_run_shares_its_work_and_computes_the_same(tmp_path):
    config = tmp_path / "small.toml"
    config.write_text(CONFIG.format("8"))
    printed(RUN, config, tmp_path / "alone", NUMSNN_COMPILERS="1")
    cache = tmp_path / "cache"
    own = printed(RUN, config, tmp_path / "shared", NUMSNN_COMPILERS="2", NUMBA_CACHE_DIR=str(cache))
    kept = len(list(cache.rglob("*.nbc")))
    assert 0 < own < kept  # a part came from the other process
    assert metrics(tmp_path / "alone") == metrics(tmp_path / "shared")
    one, two = (snn.load(tmp_path / name / "checkpoint.h5").state() for name in ("alone", "shared"))
    assert one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def test_what_is_compiled_ahead_is_what_a_run_needs(tmp_path):
    config = tmp_path / "small.toml"
    config.write_text(CONFIG.format("4c3-p2-8"))
    run, ahead = (set(printed(USED, config, what, tmp_path)) for what in ("run", "ahead"))
    assert len(run) > 20
    assert len(run - ahead) <= 3, run - ahead  # routes follow the activity, which training changes


def test_nothing_more_is_compiled_once_machine_code_cannot_be_kept(tmp_path):
    config = tmp_path / "small.toml"
    config.write_text(CONFIG.format("8"))
    assert printed(FULL_DISK, config, NUMBA_CACHE_DIR=str(tmp_path / "cache")) == 1


def test_calls_are_made_again_with_fewer_inputs():
    x = np.ones((4, 8, 8, 16), np.uint8)
    w, y = np.zeros((3, 3, 16, 8), np.float32), np.zeros((4, 6, 6, 8), np.float32)
    call = with_fewer_inputs(Call("conv2d_forward", (x, w, None, None, y), {"way": None}))
    fewer, *others = call.arguments
    assert fewer.dtype == x.dtype and fewer.shape == x.shape and abs(fewer.mean() - FEWER) < 0.01
    assert others[0] is w and others[3] is y and call.named == {"way": None}
    assert x.all()
