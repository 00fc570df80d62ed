"""Tables and plots of made-up results."""

import pytest
from made_up import made_up

from benchmarks.speed.report import report, steepness


def test_every_number_has_its_place():
    text = report(made_up())
    for line in (
        "| vgg (arctan) training step | 2.00 s | 5.00 s |       5.00 s |             2.50x jax | 1.00 s to 3.00 s |",
        "| vgg (arctan) inference     | 2.00 s |        |              |                       | 1.00 s to 3.00 s |",
        "- snntorch was missing: no module",
        "- vgg (arctan) training step: norse has no arctan surrogate",
        "- vgg (arctan) inference: spikingjelly does not agree: no tie",
        "- jax: jax 1",
    ):
        assert line in text, line
    assert "250 MB (350 MB)" in text and "1.50x (2.00 s)" in text and "differs" in text
    agreement = next(line for line in text.splitlines() if "1 of 50" in line)
    assert "1.0e-07" in agreement and "3.0e-06" in agreement and "10 x 2" in agreement and "agrees" in agreement
    assert "no tie" in next(line for line in text.splitlines() if "9 of 50" in line)
    assert "TINY" not in text


def test_what_was_not_measured_is_not_there():
    results = made_up() | {"workloads": [], "layers": [], "neurons": {}, "scaling": {}, "missing": {}, "quick": True}
    text = report(results)
    assert "TINY SHAPES" in text and "##" not in text


def test_steepness():
    assert steepness({"5": 1.0, "10": 2.1}, False) == "2x as many: 2.10x the time"
    assert steepness({"1": 3.0, "2": 2.0}, True) == "1.50x faster on 2"


def test_plots(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is missing")
    from benchmarks.speed.plots import plot_all

    made = plot_all(made_up(), tmp_path)
    assert [path.name for path in made] == ["workloads.png", "layers.png", "scaling.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000 for path in made)
    assert plot_all(made_up() | {"workloads": [], "layers": [], "scaling": {}}, tmp_path) == []
