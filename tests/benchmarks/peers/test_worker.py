"""The worker's protocol, in this process with numsnn's own side."""

import io
import json

import numpy as np
import pytest

from benchmarks.peers.worker import Server
from benchmarks.process import serve
from numsnn.measure import passes
from numsnn.measure.workloads import workloads


@pytest.fixture(scope="module")
def ask():
    """ask(do, ...): what the worker answers."""
    server = Server("numsnn", 2)

    def question(do, **arguments):
        answers = io.StringIO()
        serve(server, [json.dumps({"do": do} | arguments)], answers)
        return json.loads(answers.getvalue())

    return question


def test_a_workload_from_numbers_to_memory(ask, tmp_path):
    workload = workloads(quick=True)["vgg-20%"]
    file, out, g = (str(tmp_path / name) for name in ("a.npz", "o.npz", "g.npy"))
    answer = ask("prepare", workload=workload.to_dict(), out=file, seed=3)["workload"]
    assert answer["layers"] != workload.to_dict()["layers"]  # thresholds have been set
    assert ask("build", workload=answer, arrays=file) == {}
    assert ask("rates")["rates"] == pytest.approx([0.2] * 6, abs=0.01)
    assert ask("cannot", workload=answer, what="train") == {"reason": None}
    times = ask("time", what="train", count=3)["seconds"]
    assert len(times) == 3 and min(times) > 0
    np.save(g, np.ones((2, 2, 10), np.float32))
    assert ask("outcome", out=out, training=True, g=g) == {}
    with np.load(out) as found:
        assert {"z", "s0", "s5", "p0"} <= set(found)
    assert ask("potentials", out=out, k=1, training=True) == {}
    with np.load(out) as found:
        assert found["u"].shape == (2, 2, 8, 8, 16)
    memory = ask("memory")
    assert memory["peak"] is None or memory["peak"] >= memory["before"]
    assert ask("drop") == {}


def test_a_layer(ask, tmp_path):
    case = passes.cases(quick=True)[0]
    file, out = str(tmp_path / "a.npz"), str(tmp_path / "o.npz")
    np.savez(file, **passes.draw(case))
    ask("build", workload=case.to_dict(), arrays=file, kind="Passes")
    assert ask("outcome", out=out) == {}
    with np.load(out) as found:
        assert set(found) == set(passes.PASSES)


def test_who_is_there(ask):
    assert {"numsnn", "numba", "numpy"} <= set(ask("hello")["versions"])
    assert ask("machine")["machine"]["cores"] >= 1
    assert "copy" in ask("neurons", quick=True)["neurons"]


def test_errors_are_answers(ask):
    answer = ask("build", workload={}, arrays="nowhere.npz")
    assert answer["error"].startswith("FileNotFoundError")
    assert "error" in ask("nothing of the kind")
