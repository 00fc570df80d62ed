"""What `Repeat` gains: both networks compute the same, and each turn is a ratio of its own."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.peers.agreement import TOLERANCE, compare_gradients, compare_spikes
from benchmarks.speed import repeat
from numsnn.measure import network
from numsnn.measure.workloads import workloads


def test_both_networks_compute_the_same():
    workload, arrays = network.prepare(workloads(quick=True)["small"])
    g = np.ones((*workload.shape[:2], workload.classes), np.float32)
    once, every = (network.Network(w, arrays).outcome(True, g) for w in (workload, replace(workload, once=0)))
    assert compare_spikes(once, every)[0] == [0, 0]
    assert max(compare_gradients(once, every).values()) <= TOLERANCE


def test_ratios_are_of_turns():
    """A machine that is half as fast in one turn does not change the ratio."""
    times = {"train": [[1.0, 2.0, 1.0], [1.5, 3.0, 2.0]], "infer": [[1.0], [4.0]]}
    assert repeat.rows("small", times) == [
        ["small, training step", "1.00 s", "2.00 s", "1.50x", "1.50x to 1.75x"],
        ["small, inference", "1.00 s", "4.00 s", "4.00x", "4.00x to 4.00x"],
    ]


def test_the_command(capsys, threads):
    repeat.main(["--quick", "--turns", "2", "--threads", "1"])
    machine, header, _, *rows = capsys.readouterr().out.splitlines()
    assert "1 threads, 2 turns" in machine and "with Repeat" in header
    assert [row.split("|")[1].strip() for row in rows] == [
        f"{name}, {what}"
        for name in ("resnet", "small", "tutorial-fc", "tutorial-conv")
        for what in ("training step", "inference")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--turns", "0"], "--turns must be a positive whole number; got 0"),
        (["--only", "vgg"], "invalid choice: 'vgg'"),
    ],
)
def test_errors(arguments, message, capsys):
    with pytest.raises(SystemExit):
        repeat.main(arguments)
    assert message in capsys.readouterr().err
