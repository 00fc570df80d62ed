"""Every example ends well, in a quick form, and prints what its docstring says it prints, numbers aside."""

import ast
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from own_neurons import QIF

import numsnn as snn
from numsnn import data
from numsnn.data.dvs import Sensor

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))
ONE_EPOCH = ("--epochs", "1")
QUICK = {
    "05_silent_network": ONE_EPOCH,
    "06_mnist": (*ONE_EPOCH, "--data", "mnist"),
    "07_events": (*ONE_EPOCH, "--data", "nmnist"),
    "08_cifar10": (*ONE_EPOCH, "--data", "cifar10", "--width", "4"),
    "09_cifar10_dvs": ONE_EPOCH,
    "10_dvs_gesture": ONE_EPOCH,
    "11_shd": ONE_EPOCH,
    "12_own_neuron": ONE_EPOCH,
    "13_deploy": ONE_EPOCH,
    "14_targets": ONE_EPOCH,
    "15_own_loop": ONE_EPOCH,
}
"""Arguments that make a run short; data are those of the functions below."""

SMALLER = {
    "09_cifar10_dvs": {"TRAIN, TEST = 40, 10": "TRAIN, TEST = 8, 2"},
    "10_dvs_gesture": {'PERSONS = {"train": 12, "test": 4}': 'PERSONS = {"train": 3, "test": 1}'},
}
"""Lines of examples that make stand-in data, and what is run in their place: less of the same data."""

SCRIPT = """
import sys
path, text = sys.argv[1], sys.stdin.read()
sys.argv[:1] = []
exec(compile(text, path, "exec"), {"__name__": "__main__", "__file__": path})
"""
"""Runs the text of a file as if the file held it."""

MOST_LINES = 150


def docstring(example):
    return ast.get_docstring(ast.parse(example.read_text(encoding="utf-8")))


def promised(example):
    """The lines that a docstring says are printed: those set off behind its last "prints"."""
    behind = re.split(r"\b[Pp]rints\b", docstring(example))[-1]
    return [line.strip() for line in behind.splitlines() if line.startswith("    ")]


def masked(line):
    """A line without its numbers, whatever their length."""
    return " ".join(re.sub(r"[-+]?\d[\d.,]*(e[-+]\d+)?", " # ", line).split())


# --- a little of the data that are not shipped, in the published formats ---


def mnist(folder):
    digits, _ = data.load("digits")
    for part, n in (("train", 100), ("t10k", 20)):
        pictures = np.kron(digits.x[:n, :, :, 0] * 15, np.ones((3, 3), np.uint8))
        pictures = np.pad(pictures.astype(np.uint8), ((0, 0), (2, 2), (2, 2)))
        header = struct.pack(">4i", 0x803, n, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + pictures.tobytes())
        labels = struct.pack(">2i", 0x801, n) + digits.y[:n].astype(np.uint8).tobytes()
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def cifar10(folder):
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        records = rng.integers(0, 256, (10, 3073), np.uint8)
        records[:, 0] = range(10)
        (folder / f"{name}.bin").write_bytes(records.tobytes())


def nmnist(folder):
    digits, _ = data.load("digits")
    sensor = Sensor()
    for digit in range(10):
        for name, index in zip(("Train", "Test"), np.flatnonzero(digits.y == digit), strict=False):
            events = sensor.record(np.kron(digits.x[index, :, :, 0] / 16, np.ones((2, 2))), index=int(index))
            columns = events.x, events.y, events.p << 7 | events.t >> 16, events.t >> 8 & 255, events.t & 255
            (folder / name / str(digit)).mkdir(parents=True)
            (folder / name / str(digit) / "1.bin").write_bytes(np.column_stack(columns).astype(np.uint8).tobytes())


# --- tests ---


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_runs_and_prints_what_it_says(example, tmp_path):
    arguments = QUICK.get(example.stem, ())
    for write in (mnist, cifar10, nmnist):
        if write.__name__ in arguments:
            (tmp_path / write.__name__).mkdir()
            write(tmp_path / write.__name__)
    command, text = [example], None
    if smaller := SMALLER.get(example.stem):
        command, text = ["-c", SCRIPT, example], example.read_text(encoding="utf-8")
        for line, other in smaller.items():
            assert text.count(f"\n{line}\n") == 1
            text = text.replace(f"\n{line}\n", f"\n{other}\n")
    done = subprocess.run(
        [sys.executable, *command, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Warning" not in done.stderr
    printed = [masked(line) for line in done.stdout.splitlines()]
    for line in promised(example):
        assert any(masked(line) in other for other in printed), f"{line!r} is not among what was printed: {printed}"
    for picture in re.findall(r"picture: (\S+)", done.stdout):
        assert (tmp_path / picture).stat().st_size > 10_000


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_is_short_and_opens_with_what_it_shows(example):
    assert len(example.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    text = docstring(example)
    assert f"python examples/{example.name}" in text
    assert re.search(r"[Tt]akes? about|about .* per epoch", text), "the docstring says no run time"
    assert promised(example), "the docstring does not say what is printed"


def test_there_are_all_of_them_and_the_page_of_examples_names_each():
    assert [int(path.name[:2]) for path in EXAMPLES] == list(range(1, 16))
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    for example in EXAMPLES:
        assert f"examples/{example.name}" in page


def test_the_own_neuron_remembers():
    """Fed step by step, or in pieces, as all at once; a neuron that began from rest at every step would be far off."""
    net = snn.Sequential(snn.Linear(6, 8), QIF(k=0.1), snn.Linear(8, 3))
    x = np.random.default_rng(0).normal(0.3, 1, (9, 4, 6)).astype(np.float32)
    whole, stream = net(x), net.stream()
    np.testing.assert_allclose(np.stack([stream.step(frame) for frame in x]), whole, rtol=1e-5, atol=1e-5)
    stream.reset()
    np.testing.assert_allclose(np.concatenate([stream.feed(x[:4]), stream.feed(x[4:])]), whole, rtol=1e-5, atol=1e-5)
    assert not np.allclose(np.concatenate([net(frame[None]) for frame in x]), whole, atol=0.1)
