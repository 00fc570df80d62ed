"""`numsnn bench` as a user meets it."""

import json

import pytest

from numsnn import cli
from numsnn.measure.workloads import workloads


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The results that a quick run of everything wrote."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    assert cli.main(["bench", "--quick", "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_everything_is_measured(everything):
    assert [found["name"] for found in everything["workloads"]] == list(workloads())
    for found in everything["workloads"]:
        assert set(found["passes"]) == ({"infer"} if found["name"] == "vgg-one-sample" else {"train", "infer"})
        for times in found["passes"].values():
            assert 0 < times["min"] <= times["median"] <= times["max"] and times["count"] >= 3
        assert set(found["memory"]) == {"before", "peak"} and all(0 <= rate <= 1 for rate in found["rates"])
    assert {found["density"] for found in everything["layers"]} == {0.05, 1.0}
    assert "LIF backward" in everything["neurons"] and everything["quick"] and everything["machine"]["cores"] >= 1


def test_a_part_and_what_is_printed(capsys):
    assert cli.main(["bench", "--quick", "--only", "fc", "neurons", "--surrogate", "triangle"]) == 0
    shown = capsys.readouterr().out
    assert "| fc " in shown and "| LIF backward " in shown and "| vgg " not in shown and "| layer " not in shown


def test_threads(capsys, threads):
    assert cli.main(["bench", "--quick", "--only", "small", "--threads", "1"]) == 0
    assert ", 1 threads, load" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "vg"], "bench must be one of 'vgg', "),
        (["--threads", "0"], "--threads must be a whole number of at least 1 and at most 1024; got 0"),
        (["--only", "fc", "--json", "nowhere/bench.json"], "nowhere/bench.json"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench", "--quick", *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1
