"""The memory of a training step: the command runs, and counts what the layers keep."""

import pytest

from benchmarks.speed import memory
from numsnn.measure.network import Network, prepare
from numsnn.measure.workloads import workloads


def test_the_tables(capsys):
    memory.main(["vgg", "--quick", "--turns", "1", "--layers"])
    machine, _, header, _, row, *largest = capsys.readouterr().out.splitlines()
    assert "threads, 1 turns" in machine
    names = [cell.strip() for cell in header.strip("|").split("|")]
    assert names == ["workload", "kept", "lent", "recompute: kept", "lent", "of both", "time"]
    assert row.startswith("| vgg ") and "%" in row and len(largest) == 2 + memory.LARGEST


def test_what_is_counted():
    """The current of a neuron takes four bytes per spike; the list of active inputs is there once per layer."""
    network = Network(*prepare(workloads(quick=True)["vgg"]))
    network.train()
    arrays = {(name, key): nbytes for nbytes, name, key in memory.kept_arrays(network.net)}
    assert arrays["conv2d1", "y"] == 4 * arrays["lif1", "s"] == 4 * network.net["lif1"].output.size
    assert ("linear1", "list of active inputs: start") in arrays


def test_errors(capsys):
    with pytest.raises(SystemExit):
        memory.main(["vgg-one-sample"])
    assert "unknown workload vgg-one-sample; known: vgg, vgg-20%" in capsys.readouterr().err
