"""Fully connected layers: reference against sums written out, compiled kernels against reference."""

import math

import numpy as np
import pytest
from bounds import agree
from targets import ALL, reference

from numsnn.kernels import for_device
from numsnn.kernels.cpu.ways import row
from numsnn.kernels.types import AUTO

SHAPES = [(1, 1, 1), (5, 7, 3), (13, 1, 2), (1, 9, 11), (10, 8, 1)]
"""(M, I, O); in small tiles of three most have several, the last one cut short."""


def draw(shape, real):
    """x, w, b and dy."""
    rows, inputs, outputs = shape
    rng = np.random.default_rng(1)
    return [
        rng.normal(size=extents).astype(real)
        for extents in ((rows, inputs), (inputs, outputs), (outputs,), (rows, outputs))
    ]


def run(k, x, w, b, dy):
    """y, dw, dx and db of one target, in memory that held NaN."""
    y, dw, dx, db = (np.full(shape, np.nan, w.dtype) for shape in (dy.shape, w.shape, x.shape, w.shape[1:]))
    k.linear_forward(x, w, b, y)
    k.linear_backward_weight(x, dy, dw)
    k.linear_backward_input(dy, w, dx)
    k.bias_backward(dy, db)
    return y, dw, dx, db


def assert_agree(got, want, x, w, b, dy):
    """Every entry is a sum of products; its scale is the same sum over absolute values."""
    b = None if b is None else np.abs(b).astype(np.float64)
    x, w, dy = (np.abs(a).astype(np.float64) for a in (x, w, dy))
    terms = x.shape[1] + 1, x.shape[0], w.shape[1], x.shape[0]
    for array, oracle, n, scale in zip(got, want, terms, run(reference, x, w, b, dy), strict=True):
        agree(array, oracle, n, scale)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_reference_is_the_sum_of_products(shape, bias):
    rows, inputs, outputs = (range(n) for n in shape)
    x, w, b, dy = draw(shape, np.float64)
    offset = b if bias else np.zeros_like(b)
    want = (
        [[offset[o] + math.fsum(x[m, i] * w[i, o] for i in inputs) for o in outputs] for m in rows],
        [[math.fsum(x[m, i] * dy[m, o] for m in rows) for o in outputs] for i in inputs],
        [[math.fsum(dy[m, o] * w[i, o] for o in outputs) for i in inputs] for m in rows],
        [math.fsum(dy[m, o] for m in rows) for o in outputs],
    )
    b = b if bias else None
    assert_agree(run(reference, x, w, b, dy), map(np.array, want), x, w, b, dy)


@ALL
def test_spikes(small_tiles, k):
    """uint8 inputs give to the bit what the same numbers in float32 give."""
    x, w, b, dy = draw((10, 8, 3), np.float32)
    spikes = (x > 0.5).astype(np.uint8)
    assert 0.05 < spikes.mean() < 0.6
    assert all(map(np.array_equal, run(k, spikes, w, b, dy), run(k, spikes.astype(np.float32), w, b, dy)))


@pytest.mark.parametrize("route", ["auto", "events", "dense"])
@pytest.mark.parametrize("outputs", [5, row.COLUMNS, row.COLUMNS + 3])
def test_a_single_row(outputs, route):
    """Its active inputs are known after the product, also if the row has been overwritten and the next is another."""
    k, active = for_device("cpu"), None
    for seed, density in ((0, 0.3), (1, 0.8), (2, 0.0)):
        rng = np.random.default_rng(seed)
        x = (rng.random((1, 40)) < density) * rng.normal(size=(1, 40)).astype(np.float32)
        w, b = (rng.normal(size=shape).astype(np.float32) for shape in ((40, outputs), (outputs,)))
        y, given, found = np.full((1, outputs), np.nan, np.float32), x.copy(), np.count_nonzero(x) / 40
        active = k.active_inputs(given, np.float32, active)
        if seed == 1:
            assert active.density == found
        taken = k.linear_forward(given, w, b, y, active, AUTO._replace(route=route))
        given[:] = 1
        assert active.density == found
        assert (taken == "events") == (route != "dense")
        np.testing.assert_allclose(y, x.astype(np.float64) @ w + b, rtol=0, atol=1e-4)
