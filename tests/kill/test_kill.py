"""A training run can be killed, and its disk can fail, at every system call that touches its folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
RUN = Path(__file__).with_name("run.py")


def run(*arguments):
    """The exit status, the counts by what was done and by system call, and the output of `run.py`."""
    done = subprocess.run([sys.executable, RUN, *arguments], capture_output=True, text=True, timeout=600)
    assert done.stderr == "", done.stderr
    counts = {}
    for kind, call, number in re.findall(r"^(\w+(?: [A-Z]+)?) +(\w+|too late) +(\d+)$", done.stdout, re.MULTILINE):
        counts[kind, call] = int(number)
    return done.returncode, counts, done.stdout


RUNS = {"trainer": ("--count", "200", "--errors", "50"), "command": ("--count", "50", "--errors", "25", "--command")}


@pytest.fixture(scope="module", params=RUNS)
def trials(request):
    """What is run, and the result."""
    return request.param, *run(*RUNS[request.param])


def need_calls(output):
    if "at random moments" in output:
        pytest.skip("processes cannot be stopped at system calls here; they were killed at random moments")


def test_killed_anywhere(trials):
    """Every file is whole afterwards, and the continued run ends in the bytes of an undisturbed one."""
    name, status, counts, output = trials
    assert status == 0 and "FAILED" not in output, output
    need_calls(output)
    kills = {pair: number for pair, number in counts.items() if pair[0] in ("entry", "exit", "part")}
    assert sum(kills.values()) >= int(RUNS[name][1])
    if name == "trainer":
        assert counts["moment", "killed"] > 0 and kills["part", "write"] > 5
        for call in ("openat", "write", "fsync", "unlink", "ftruncate", "flock"):
            assert kills["entry", call] > 0 and kills["exit", call] > 0


def test_a_disk_that_fails_anywhere(trials):
    """The process ends with one line that names the file, or goes on; nothing that was there is lost."""
    name, _, counts, output = trials
    need_calls(output)
    for kind in ("error ENOSPC", "error EIO", "full ENOSPC"):
        assert sum(number for pair, number in counts.items() if pair[0] == kind) > 0
    if name == "trainer":
        assert counts["short", "write"] > 0
        assert counts["error ENOSPC", "write"] + counts["full ENOSPC", "write"] > 2


@pytest.mark.parametrize("writer", ["in-place", "removed-first"])
def test_an_unsafe_writer_is_caught(writer):
    status, _, output = run("--count", "25", "--errors", "15", "--plant", writer)
    need_calls(output)
    assert status == 1
    assert re.search(r"^FAILED (entry|exit|part) at ", output, re.MULTILINE)
    if writer == "in-place":
        assert "neither the seal" in output and re.search(r"^FAILED (error|full) at ", output, re.MULTILINE)


def test_kills_at_random_moments():
    """What other systems than Linux do."""
    status, counts, output = run("--count", "10", "--moments")
    assert status == 0 and sum(counts.values()) >= 10, output
