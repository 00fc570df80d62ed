"""Random layers: what is drawn, what is measured without PyTorch, and the report."""

import json

import numpy as np
import pytest

from benchmarks.peers import agreement
from benchmarks.speed import layers, shapes
from numsnn.measure.passes import Case


def test_a_seed_determines_the_layers():
    cases = shapes.draw(12, seed=3)
    assert cases[:5] == shapes.draw(5, seed=3) and cases != shapes.draw(12, seed=4)
    for case in cases:
        assert shapes.OPERATIONS[0] <= case.operations <= shapes.OPERATIONS[1]
        assert 0.01 <= case.density <= 0.6 and min(case.output_shape) > 0


def test_everything_occurs():
    cases = shapes.draw(400, seed=0)
    kernels = {tuple(case.numbers[2]) for case in cases if case.kind != "linear"}
    assert {(1, 1), (3, 3), (7, 7)} <= kernels and any(a != b for a, b in kernels)
    assert {case.kind for case in cases} == {"conv", "transposed", "linear"}
    groups = {case.window[3] for case in cases if case.kind != "linear"}
    assert {1, 2, 4, 8} <= groups and any(case.numbers[1] == case.numbers[-1] > 8 for case in cases)
    assert {case.values for case in cases} == {"spikes", "pooled", "numbers"}


def test_sparse_layers():
    for case in shapes.draw(50, seed=0, sparse=True):
        assert case.density <= 0.1 and min(case.numbers[:2]) >= 8


def test_long_sums_may_differ_by_their_rounding():
    """A sum of many random terms, one after the other, is farther from float64 than a short one may be."""
    terms = np.random.default_rng(0).normal(size=(600_000, 8)).astype(np.float32)
    sums = np.cumsum(terms, axis=0)[-1]
    difference = agreement.relative(sums, terms.sum(0, dtype=np.float64))
    long = Case("long", "linear", (8, 8), (1, len(terms), 8))
    assert layers.TOLERANCE < difference < layers.allowed(long, 64)
    assert layers.allowed(Case("short", "linear", (8, 8), (1, 10_000, 8)), 64) == layers.TOLERANCE


def test_without_a_peer(tmp_path, capsys, monkeypatch):
    """numsnn alone in its process, with the routes that were not chosen, and the file."""
    case = Case("3x3/1 8->8 6x6 x2", "conv", (8, 8, [3, 3], [1, 1], [1, 1], 1), (1, 2, 6, 6, 8), 0.1)
    monkeypatch.setattr(shapes, "draw", lambda *chosen: [case])
    file = tmp_path / "r.json"
    shapes.main(["--peers", "--count", "1", "--budget", "0.01", "--routes", "--json", str(file)])
    found = json.loads(file.read_text())
    (layer,) = found["layers"]
    assert set(layer["passes"]) == set(shapes.TIMED) and found["product_rate"] > 0
    for route, times in layer["other_routes"].items():
        assert all(layer["routes"][what] != route and seconds > 0 for what, seconds in times.items())
    assert layer["other_routes"]
    assert "3x3/1 8->8 6x6 x2, 10.0% spikes" in capsys.readouterr().out


def test_the_worst_come_first():
    def layer(name, own, theirs):
        passes = {"forward": {"numsnn": {"median": own}, "pytorch": {"median": theirs}, "ratio": theirs / own}}
        case = Case(name, "linear", (10, 10), (1, 5, 10)).to_dict()
        return (
            case
            | {"operations": 1000, "passes": passes, "routes": {"forward": "events"}}
            | {"other_routes": {"dense": {"forward": 0.5 * own}}}
        )

    text = shapes.report([layer("quick", 1e-3, 3e-3), layer("slow", 2e-3, 1e-3)], rate=1e9)
    worst, ratios = text.split("Ratios:")
    assert worst.index("slow") < worst.index("quick") and "0.50x" in worst
    assert "| forward |      2 |  1.75x |  0.50x |       1 |" in ratios
    assert "events | 2.00 ms | dense | 1.00 ms" in " ".join(ratios.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "--count must be a positive whole number; got 0"),
        (["--peers", "jax"], "invalid choice: 'jax'"),
    ],
)
def test_errors(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        shapes.options(arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err
