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


@pytest.fixture(scope="module")
def two_hundred():
    return run("--count", "200", "--errors", "60")


def test_killed_anywhere(two_hundred):
    """Every file is whole afterwards, and the continued run ends in the bytes of an undisturbed one."""
    status, counts, output = two_hundred
    assert status == 0 and "FAILED" not in output, output
    if "at random moments" in output:
        pytest.skip("processes cannot be stopped at system calls here; they were killed at random moments")
    kills = {pair: number for pair, number in counts.items() if pair[0] in ("entry", "exit", "part")}
    assert sum(kills.values()) >= 200 and counts["moment", "killed"] > 0
    for call in ("openat", "write", "fsync", "unlink", "ftruncate", "flock"):
        assert kills["entry", call] > 0 and kills["exit", call] > 0
    assert kills["part", "write"] > 5


def test_a_disk_that_fails_anywhere(two_hundred):
    """The process ends with one line that names the file, or goes on; nothing that was there is lost."""
    _, counts, output = two_hundred
    if "at random moments" in output:
        pytest.skip("calls cannot be made to fail here")
    for kind in ("error ENOSPC", "error EIO", "full ENOSPC", "short"):
        assert sum(number for pair, number in counts.items() if pair[0] == kind) > 0
    assert counts["error ENOSPC", "write"] + counts["full ENOSPC", "write"] > 3


@pytest.mark.parametrize("writer", ["in-place", "removed-first"])
def test_an_unsafe_writer_is_caught(two_hundred, writer):
    if "at random moments" in two_hundred[2]:
        pytest.skip("at random moments it may escape")
    status, _, output = run("--count", "25", "--errors", "15", "--plant", writer)
    assert status == 1
    assert re.search(r"^FAILED (entry|exit|part) at ", output, re.MULTILINE)
    if writer == "in-place":
        assert "truncated" in output and re.search(r"^FAILED (error|full) at ", output, re.MULTILINE)
