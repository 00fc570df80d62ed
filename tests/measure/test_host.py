"""Times, memory and a description of the machine, and the tables that show such numbers."""

import json
import subprocess
import sys

import pytest

from numsnn.measure import host
from numsnn.measure.table import bytes_text, table, time_text


def test_summary():
    assert host.summary([3.0, 1.0, 2.0, 10.0]) == {"median": 2.5, "min": 1.0, "max": 10.0, "count": 4}


def test_seconds_calls_as_often_as_asked():
    calls = []
    found = host.seconds(lambda: calls.append(1), 4)
    assert len(calls) == len(found) == 4 and all(value >= 0 for value in found)


@pytest.mark.parametrize(
    ("first", "budget", "expected"),
    [(1.0, 10.0, 10), (1.0, 0.0, 3), (1e-6, 10.0, 20), (100.0, 10.0, 3), (0.0, 1.0, 20)],
)
def test_repetitions(first, budget, expected):
    assert host.repetitions(first, budget, 3, 20) == expected


PEAKS = """
import numpy as np
from numsnn.measure import host
assert host.forget_peak()
before = host.peak()
block = np.ones(10_000_000)
high = host.peak()
del block
held = host.peak()
assert host.forget_peak()
print(before, high, held, host.peak())
"""


def test_peak_is_seen_and_forgotten():
    """The test runs in a process of its own, which holds nothing that the system may take back meanwhile."""
    if host.resident() is None or not host.forget_peak():
        pytest.skip("this system does not tell a process's peak memory")
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    before, high, held, after = map(int, done.stdout.split())
    assert high - before > 60e6
    assert held > high - 5e6  # the system's count is coarse
    assert after < high - 60e6


def test_a_system_that_tells_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "STATUS", tmp_path / "none")
    monkeypatch.setattr(host, "REFERENCES", tmp_path / "none" / "none")
    assert host.resident() is None and host.forget_peak() is False and host.peak() > 0


def test_machine_is_plain_data_and_names_what_counts():
    found = json.loads(json.dumps(host.machine()))
    assert found["cores"] >= 1 and found["processor"] and found["registers"] and found["python"].count(".") == 2


def test_table():
    text = table(["name", "time"], [["a", "1 s"], ["longer", "22 ms"]])
    assert text.splitlines() == [
        "| name   |  time |",
        "|--------|------:|",
        "| a      |   1 s |",
        "| longer | 22 ms |",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.50 s"), (12.34, "12.3 s"), (0.1234, "123 ms"), (0.0123, "12.3 ms"), (1.5e-5, "15.0 us"), (None, "")],
)
def test_times(seconds, text):
    assert time_text(seconds) == text


def test_sizes():
    assert bytes_text(1_500_000) == "2 MB" and bytes_text(None) == ""
