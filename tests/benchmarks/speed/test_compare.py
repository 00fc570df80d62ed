"""The command line of the comparison, without peers; the peers themselves: peers/test_sides.py."""

import json

import pytest
from made_up import made_up

from benchmarks.speed import compare
from benchmarks.speed.comparison import cut, with_ratios
from numsnn.measure.workloads import draw, workloads


def test_without_peers(tmp_path, capsys):
    """numsnn alone in its processes, every part that needs no peer, and the files."""
    arguments = ["--quick", "--only", "small", "--parts", "workloads", "layers", "neurons", "--peers"]
    compare.main([*arguments, "--out", str(tmp_path / "out"), "--json", str(tmp_path / "r.json")])
    found = json.loads((tmp_path / "r.json").read_text())
    assert set(found) == set(made_up())  # the schema of README.md
    (workload,) = found["workloads"]
    assert set(workload) == set(made_up()["workloads"][0]) and set(workload["passes"]["train"]) == {"numsnn"}
    assert "ratio" not in workload["passes"]["train"]["numsnn"] and found["layers"] == []
    assert found["neurons"]["copy"]["share_of_copy"] == 1
    assert (tmp_path / "out" / "report.md").read_text() == capsys.readouterr().out.removesuffix("\n")
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == found


def test_a_peer_that_is_not_there_is_told(tmp_path):
    """An interpreter that ends at once."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such library >&2\nexit 1\n")
    python.chmod(0o755)
    chosen = compare.options(
        ["--quick", "--only", "small", "--peers", "jax", "--parts", "neurons", "--jax-python", str(python)]
    )
    said = []
    found = compare.measure(chosen, said.append)
    assert found["missing"] == {"jax": "jax ended during 'hello': no such library"}
    assert said[0] == "jax is left out: jax ended during 'hello': no such library"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "vg"], "invalid choice: 'vg'"),
        (["--peers", "bindsnet"], "invalid choice: 'bindsnet'"),
        (["--threads", "0"], "--threads must be a positive whole number; got 0"),
        (["--surrogate", "gaussian"], "invalid choice: 'gaussian'"),
        (["--parts", "all"], "invalid choice: 'all'"),
    ],
)
def test_errors(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        compare.options(arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_help_is_shown(capsys):
    """A workload's name has a per cent sign, which argparse would take for a place to fill in."""
    with pytest.raises(SystemExit) as stop:
        compare.options(["--help"])
    assert stop.value.code == 0 and "vgg-20%" in capsys.readouterr().out


def test_parts_that_follow_from_workloads():
    assert compare.options([]).parts == list(compare.PARTS)
    assert compare.options(["--only", "vgg"]).parts == ["workloads"]


def test_the_reset_of_all_workloads_is_attached():
    """Each workload once, under a name that says so; the gradients of those that were detached differ from before."""
    every = workloads(quick=True)
    chosen = compare.options(["--only", "small", "fc", "fc-attached", "--attached"])
    found = compare.selected(every, chosen)
    assert [workload.name for workload in found] == ["small-attached", "fc-attached"]
    assert not any(workload.detach for workload in found) and found[1] == every["fc-attached"]
    assert compare.selected(every, compare.options(["--only", "small"])) == [every["small"]]


def test_the_fastest_peer():
    found = with_ratios({"numsnn": {"median": 2.0}, "a": {"median": 6.0}, "b": {"median": 5.0}})
    assert found["numsnn"] == {"median": 2.0, "fastest_peer": "b", "ratio": 2.5}
    assert with_ratios({"numsnn": {"median": 2.0}}) == {"numsnn": {"median": 2.0}}


@pytest.mark.parametrize("name", ["vgg", "small"])
def test_a_part_of_the_arrays(name):
    workload = workloads(quick=True)[name]
    part = cut(draw(workload), workload, 1, 1)
    smaller = workload.cut(1, 1)
    assert part["x"].shape == (smaller.shape[1:] if name == "small" else smaller.shape) and len(part["y"]) == 1
