"""The latency of a stream: the command runs, and names the machine."""

import pytest

from benchmarks.speed import stream


def test_a_few_steps(capsys):
    stream.main(["--steps", "5"])
    machine, _, header, _, *rows = capsys.readouterr().out.splitlines()
    assert "threads, 5 steps" in machine
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "network",
        "first step",
        "median",
        "99th percentile",
    ]
    assert [row.split(":")[0] for row in rows] == ["| camera, 2x32x32", "| sound, 700 channels"]
    assert all(row.count("s |") == 3 for row in rows)


def test_errors(capsys):
    with pytest.raises(SystemExit):
        stream.main(["--steps", "0"])
    assert "--steps must be a positive whole number; got 0" in capsys.readouterr().err
