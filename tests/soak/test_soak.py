"""Some rounds of the soak, whose long form is `python tests/soak/run.py --minutes 60`; and that it finds what grows."""

import gc
import importlib.util
import mmap
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import soak_work as work

spec = importlib.util.spec_from_file_location("soak_run", Path(__file__).with_name("run.py"))
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


@pytest.fixture(autouse=True)
def few_objects():
    """What other tests of the process have made is not gone through again at every look for leaks."""
    gc.collect()
    gc.freeze()


def test_a_few_rounds():
    """In a process of its own, so that no other test moves the numbers."""
    command = [sys.executable, str(Path(run.__file__)), "--rounds", "5", "--device", "reference", "--draw-every", "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("flat\n")


def test_a_line_is_not_moved_by_single_rounds():
    flat = 1000 + np.random.default_rng(0).integers(-3, 4, 100)
    flat[[3, 50, 97]] += 10_000
    assert abs(run.growth(flat)) < 2
    assert run.growth(flat + 2 * np.arange(100)) == pytest.approx(198, abs=2)
    assert run.growth([7] * 30 + [8] * 30) > 0.9
    assert run.growth(np.arange(5_000)) == pytest.approx(4999)


kept = []
"""What the planted leaks keep."""


def a_thread():
    return threading.Thread(target=kept[0].wait, daemon=True)


def new_pages():
    """Memory of the system, which is not taken from what the process has freed before."""
    pages = mmap.mmap(-1, 1 << 24)
    pages.write(b"1" * (1 << 24))
    return pages


LEAKS = {
    "objects": lambda: kept.append([[] for _ in range(20)]),
    "blocks": lambda: kept.append(tuple(str(k) for k in range(1000, 1200))),
    "kilobytes": lambda: kept.append(new_pages()),
    "handles": lambda: kept.append(open(__file__)),  # noqa: SIM115
    "threads": lambda: kept.append(a_thread()) or kept[-1].start(),
}


@pytest.mark.parametrize("what", LEAKS)
def test_a_leak_is_found(what, monkeypatch, tmp_path):
    def leaking(folder, device):
        LEAKS[what]()
        return {}

    monkeypatch.setattr(work, "KINDS", (leaking, leaking))
    monkeypatch.setattr(run, "SETTLE", 0.01)
    kept[:] = [threading.Event()]
    try:
        with open(tmp_path / "log", "w") as log:
            wrong = run.soak("reference", lambda rounds, seconds: rounds < 8, 10, log)
    finally:
        kept[0].set()
        for one in kept[1:]:
            if what == "handles":
                one.close()
            if what == "threads":
                one.join()
        kept.clear()
    assert any(line.startswith(f"{what} grow by") for line in wrong)
    assert len((tmp_path / "log").read_text().splitlines()) == 8


def test_other_numbers_are_found(monkeypatch, tmp_path):
    numbers = count()
    monkeypatch.setattr(work, "KINDS", (lambda folder, device: {"number": next(numbers) // 3}, work.mistakes))
    with open(tmp_path / "log", "w") as log:
        (wrong,) = run.soak("reference", lambda rounds, seconds: rounds < 8, 10, log)
    assert wrong == "round 4 has other numbers than the first: <lambda>: number"
