"""The fit of the costs of routes, and a run with tiny layers."""

import numpy as np
import pytest

from benchmarks.speed import costs
from numsnn.kernels.cpu.costs import COSTS
from numsnn.measure.passes import Case


def test_constants_are_found_again():
    """Times that are made of the terms; a term that does not occur has the cost 0."""
    rng = np.random.default_rng(0)
    matrix, true = rng.exponential(size=(60, 4)), np.array([3.0, 0.0, 0.5, 20.0])
    assert costs.constants_of(matrix, matrix @ true) == pytest.approx(true, abs=1e-6)
    assert (costs.constants_of(matrix, rng.exponential(size=60)) >= 0).all()


def test_usual_layers():
    assert all(case.shape[1] >= 1 and case.operations < 2e9 for case in costs.usual())


def test_tiny_layers(tmp_path, capsys, monkeypatch):
    layers = [
        Case("conv", "conv", (8, 9, (3, 3), (1, 1), (1, 1)), (1, 2, 6, 6, 8), 0.1),
        Case("strided", "conv", (4, 5, (3, 2), (2, 2), (1, 0)), (1, 2, 7, 6, 4), 0.3, "numbers"),
        Case("grouped", "conv", (8, 8, (3, 3), (1, 1), (1, 1), 2), (1, 2, 6, 6, 8), 0.1),
        Case("linear", "linear", (20, 10), (1, 5, 20), 0.2),
    ]
    monkeypatch.setattr(costs, "shapes", lambda count, *others: layers[:2] if others[1] else layers[2:])
    monkeypatch.setattr(costs, "usual", list)
    monkeypatch.setattr(costs, "SECONDS", 0)
    file = str(tmp_path / "measured.json")
    costs.main(["--count", "4", "--json", file])
    first = capsys.readouterr().out
    costs.main(["--from", file])
    assert capsys.readouterr().out == first
    namespace = {}
    exec(first[: first.index("}\n\n") + 2], namespace)
    found = namespace["COSTS"]
    assert found.keys() == COSTS.keys()
    for name, passes in found.items():
        for passing, constants in passes.items():
            assert len(constants) == len(COSTS[name][passing])
            assert all(np.isfinite(constants)) and min(constants) >= 0
