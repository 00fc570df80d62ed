"""Passes of single layers compute what the reference kernels compute, for every kind of case."""

from dataclasses import replace

import numpy as np
import pytest

from numsnn.kernels import for_device
from numsnn.kernels.types import Geometry
from numsnn.measure import neurons, passes

reference = for_device("reference")

CASES = [
    *passes.cases(quick=True),
    passes.Case("oblong", "conv", (4, 6, [3, 1], [1, 2], [1, 0]), (2, 2, 6, 7, 4), values="numbers"),
    passes.Case("groups", "conv", (4, 8, 3, 1, 1, 2), (1, 2, 6, 6, 4)),
    passes.Case("transposed", "transposed", (6, 4, 3, 2, 1), (1, 2, 5, 5, 6)),
]


@pytest.mark.parametrize("density", [0.05, 1.0])
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_against_the_reference(case, density):
    case = replace(case, density=density)
    arrays = passes.draw(case)
    found = passes.Passes(case, arrays).outcome()
    x, w, dy = (arrays[key].astype(np.float64) for key in ("x", "w", "dy"))
    y, dw, dx = np.empty(case.output_shape), np.empty(w.shape), np.empty(x.shape)
    if case.kind == "linear":
        flat = [a.reshape(-1, a.shape[-1]) for a in (x, dy, y, dx)]
        reference.linear_forward(flat[0], w, None, flat[2])
        reference.linear_backward_weight(flat[0], flat[1], dw)
        reference.linear_backward_input(flat[1], w, flat[3])
    else:
        geometry = Geometry(*case.window[1:])
        x, dy, y, dx = (a.reshape(-1, *a.shape[2:]) for a in (x, dy, y, dx))
        if case.kind == "conv":
            reference.conv2d_forward(x, w, None, geometry, y)
            reference.conv2d_backward_weight(x, dy, geometry, dw)
            reference.conv2d_backward_input(dy, w, geometry, dx)
        else:
            reference.conv2d_backward_input(x, w, geometry, y)
            reference.conv2d_backward_weight(dy, x, geometry, dw)
            reference.conv2d_forward(dy, w, None, geometry, dx)
    for name, want in {"forward": y, "weight_gradient": dw, "input_gradient": dx}.items():
        got = found[name].reshape(want.shape)
        assert np.linalg.norm(got - want) <= 1e-6 * np.linalg.norm(want), name


def test_operations_and_routes():
    """A convolution with one weight of each kind by hand, and the routes that were requested."""
    case = passes.Case("c", "conv", (4, 6, [3, 1], [1, 2], [1, 0]), (2, 2, 6, 7, 4))
    assert case.output_shape == (2, 2, 6, 4, 6) and case.operations == 2 * 4 * 24 * 3 * 4 * 6
    subject = passes.Passes(case, passes.draw(case))
    for route in ("dense", "events"):
        subject.take(route)
        subject.outcome()
        assert subject.routes() == {"forward": route, "weight_gradient": route, "input_gradient": "dense"}


def test_densities_are_met():
    case = passes.cases()[0]
    for one in passes.densities(case)[::3]:
        active = (passes.draw(one)["x"] != 0).mean()
        assert active == pytest.approx(one.density, rel=0.05)


def test_pooled_inputs_are_quarters():
    pooled = next(case for case in passes.cases() if case.values == "pooled")
    x = passes.draw(replace(pooled, shape=(1, 2, 16, 16, 256), density=0.2))["x"]
    assert x.dtype == np.float32 and set(np.unique(x)) == {0, 0.25, 0.5, 0.75, 1}


def test_names_are_distinct_and_everything_asked_for_is_there():
    names = [case.name for case in passes.cases()]
    assert len(set(names)) == len(names)
    for part in ("64->128 32x32", "128->256 16x16", "256->256 16x16", "512->512 8x8", "1x1", "linear 8192->512"):
        assert any(part in name for name in names), part


def test_rates_of_the_neuron_kernel():
    found = neurons.bandwidths(quick=True, turns=2)
    assert set(found) == set(neurons.BYTES) and found["copy"]["share_of_copy"] == 1
    for name, rate in found.items():
        assert rate["bytes"] == neurons.BYTES[name] and rate["count"] == 2
        expected = rate["bytes"] * 512 / rate["median"] / 1e9
        assert rate["gigabytes_per_second"] == pytest.approx(expected)


def test_the_copy_copies(threads):
    x = np.random.default_rng(0).random(100_001, np.float32)
    for count in (1, 2):
        threads(count)
        y = np.zeros_like(x)
        neurons.copy(x, y)
        np.testing.assert_array_equal(x, y)
