"""The route events input pixel by input pixel, and its inner loops, compared with the reference and with NumPy."""

import numpy as np
import pytest
from bounds import REALS, agree
from convolutions import CASES, draw, magnitudes, run
from targets import cpu, reference

from numsnn.kernels.compile import kernel
from numsnn.kernels.cpu import route
from numsnn.kernels.cpu.inline import lines as inline
from numsnn.kernels.cpu.inline.vector import REGISTER_BYTES
from numsnn.kernels.cpu.run.launch import get_num_threads, set_num_threads
from numsnn.kernels.cpu.ways import events, lines
from numsnn.kernels.types import Way

LINES = {name: case for name, case in CASES.items() if len(case) == 5 or case[5][1] == 1} | {
    "two blocks per row": ((2, 6, 5, 3), (3, 3, 67), (1, 1), (1, 1), 1),
    "more kernel rows than input rows": ((3, 2, 9, 4), (5, 5, 19), (1, 1), (2, 2), 1),
    "a stride larger than the kernel": ((2, 9, 11, 5), (2, 1, 9), (3, 4), (1, 2), 1),
    "other strides and paddings down and across": ((2, 11, 12, 6), (7, 5, 13), (2, 3), (3, 1), 1),
    "dilated vertically": ((2, 9, 7, 3), (3, 3, 5), (2, 1), (2, 1), 1, (3, 1)),
    "single pixels": ((40, 1, 1, 30), (1, 1, 7), (1, 1), (0, 0), 1),
    "groups, strided": ((2, 9, 8, 12), (3, 5, 20), (2, 1), (1, 2), 4),
    "two groups of two blocks": ((1, 5, 6, 8), (3, 3, 260), (1, 1), (1, 1), 2),
    "images in pieces": ((2, 40, 3, 5), (3, 3, 4), (1, 1), (1, 1), 1),
}
"""Name -> case without a horizontal dilation, as in `convolutions.CASES`."""


def compute(x, w, b, dy, geometry):
    """y and dw, in memory that held NaN."""
    y, dw = np.full_like(dy, np.nan), np.full_like(w, np.nan)
    active = cpu.active_inputs(x, w.dtype)
    active.list(x)
    stride, padding, groups, dilation = geometry
    lines.forward(active, w, b, stride, padding, dilation, y, None, groups)
    lines.backward_weight(active, dy, stride, padding, dilation, dw, groups)
    return y, dw


def sparse(name, density, spikes, real, monkeypatch):
    """The arrays of a case, with a share of its inputs."""
    monkeypatch.setitem(CASES, name, LINES[name])
    x, w, b, dy, geometry = draw(name, real)
    x = np.where(np.random.default_rng(3).random(x.shape) < density, x, 0).astype(real)
    return (x != 0).astype(np.uint8) if spikes else x, w, b, dy, geometry


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("name", LINES)
def test_sums_by_input_pixel_are_the_reference(small_tiles, monkeypatch, name, density, spikes, real):
    case = sparse(name, density, spikes, real, monkeypatch)
    y, dw = compute(*case)
    for got, want, (terms, scale) in zip((y, dw), run(reference, *case), magnitudes(*case), strict=False):
        agree(got, want, terms, scale)
    if density == 0:
        assert (y == case[2]).all() and not dw.any()


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("name", LINES)
def test_transposed_convolutions_are_the_reference(small_tiles, monkeypatch, name, density, real):
    """Active elements of dy, the input of a transposed convolution, give its output dx, and dw."""
    monkeypatch.setitem(CASES, name, LINES[name])
    x, w, b, dy, geometry = draw(name, real)
    stride, padding, groups, dilation = geometry
    dy = np.where(np.random.default_rng(3).random(dy.shape) < density, dy, 0).astype(real)
    dx, dw = np.full_like(x, np.nan), np.full_like(w, np.nan)
    active = cpu.active_inputs(dy, real)
    active.list(dy)
    lines.forward(active, w, None, stride, padding, dilation, dx, None, groups, transposed=True)
    lines.backward_weight(active, x, stride, padding, dilation, dw, groups, transposed=True)
    case = x, w, b, dy, geometry
    for got, want, (terms, scale) in zip((dx, dw), run(reference, *case)[:0:-1], magnitudes(*case)[:0:-1], strict=True):
        agree(got, want, terms, scale)


@pytest.mark.parametrize("name", ["3x3", "strided", "images in pieces", "groups, strided"])
def test_sums_by_input_pixel_do_not_depend_on_threads(small_tiles, monkeypatch, name):
    case = sparse(name, 0.4, False, np.float32, monkeypatch)
    found, before = [], get_num_threads()
    try:
        for threads in (1, 3):
            set_num_threads(threads)
            found.append(compute(*case))
    finally:
        set_num_threads(before)
    for one, three in zip(*found, strict=True):
        assert np.array_equal(one, three)


def test_infinite_inputs_reach_no_further_outputs():
    """A row of a table ends within a vector, and what lies beside it in the line is not touched."""
    x = np.zeros((1, 6, 7, 2), np.float32)
    x[0, 3, 2, 1] = np.inf
    w, y = np.ones((3, 3, 2, 5), np.float32), np.empty((1, 6, 7, 5), np.float32)
    active = cpu.active_inputs(x, w.dtype)
    active.list(x)
    lines.forward(active, w, None, (1, 1), (1, 1), (1, 1), y)
    reached = np.zeros(y.shape, bool)
    reached[0, 2:5, 1:4] = True
    assert np.isposinf(y[reached]).all() and not y[~reached].any()


def test_few_outputs_are_computed_by_input_pixel(monkeypatch):
    """The route events takes this order where the estimates say so, and never with a horizontal dilation."""
    wide, narrow = np.empty((3, 3, 64, 512), np.float32), np.empty((3, 3, 64, 8), np.float32)
    for passing in ("forward", "weight"):
        assert route.by_input_pixel(passing, 0.05, narrow, (1, 1), (16, 32, 32))
        assert not route.by_input_pixel(passing, 0.05, wide, (1, 1), (16, 32, 32))
        assert not route.by_input_pixel(passing, 0.05, narrow, (1, 1), (16, 32, 32), (), (1, 2))
    case = sparse("3x3", 0.4, False, np.float32, monkeypatch)
    x, w, b, dy, geometry = case
    for first, other in ((lines, events), (events, lines)):
        with monkeypatch.context() as patch:
            patch.setitem(cpu.conv2d_forward.__globals__, "by_input_pixel", lambda *a, to=first: to is lines)
            for name in ("forward", "backward_weight"):
                patch.setattr(other, name, lambda *a: pytest.fail("the other order"))
            cpu.conv2d_forward(x, w, b, geometry, np.empty_like(dy), None, Way("events"))
            cpu.conv2d_backward_weight(x, dy, geometry, np.empty_like(w), None, Way("events"))


# --- the inner loops ------------------------------------------------------------------------------------------------


@kernel
def sum_one(out, at, columns, table, pitch, channel, value, first, last, vectors):
    inline.sum_pixel(out, at, columns, table, 1, pitch, channel, value, first, last, vectors)


@kernel
def add_one(table, pitch, row, at, channel, value, first, last, vectors):
    inline.add_pixel(table, 1, pitch, row, at, channel, value, first, last, vectors)


@kernel
def sum_all(out, at, step, initial, table, base, pitch, pieces, columns, count):
    inline.sum_pieces(out, at, step, initial, 1, table, base, pitch, pieces, columns, count)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("vectors", inline.BLOCKS)
def test_one_pixel(vectors, real):
    """Every block size, with no entries to several, and columns that end within the last vector."""
    numbers = vectors * REGISTER_BYTES // np.dtype(real).itemsize
    rng = np.random.default_rng(vectors)
    pitch, columns = numbers + 2, numbers - 1
    channel, value = rng.permutation(12)[:9].astype(np.int32), rng.normal(size=9).astype(real)
    table = rng.normal(size=12 * pitch + 1).astype(real)
    rows = table[1:].reshape(12, pitch)[:, :numbers]
    for first, last in ((2, 2), (2, 3), (1, 9)):
        out = rng.normal(size=numbers + 5).astype(real)
        factors, part = value[first:last].astype(np.float64), rows[channel[first:last]].astype(np.float64)
        want, scale = out.astype(np.float64), np.abs(out).astype(np.float64)
        want[3 : 3 + columns] += (factors @ part)[:columns]
        scale[3 : 3 + columns] += (np.abs(factors) @ np.abs(part))[:columns]
        sum_one(out, 3, columns, table, pitch, channel, value, first, last, vectors)
        agree(out, want.astype(real), 2 * len(factors) + 6, scale)
        changed, row = table.copy(), rng.normal(size=numbers + 2).astype(real)
        add_one(changed, pitch, row, 2, channel, value, first, last, vectors)
        products = factors[:, None] * row[2:].astype(np.float64)
        want, scale = table.astype(np.float64), np.abs(table).astype(np.float64)
        want[1:].reshape(12, pitch)[channel[first:last], :numbers] += products
        scale[1:].reshape(12, pitch)[channel[first:last], :numbers] += np.abs(products)
        agree(changed, want.astype(real), 4, scale)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("columns", [1, 16, 37])
@pytest.mark.parametrize(("pieces", "count"), [(1, 0), (3, 1), (11, 3)])
def test_pieces(pieces, count, columns, real):
    rng = np.random.default_rng(columns)
    base, pitch = rng.integers(0, 5, count), columns + np.arange(count)
    table, initial = rng.normal(size=5 + pieces * (columns + count)).astype(real), rng.normal(size=columns + 1)
    step = columns + 2
    out = np.full(pieces * step + 3, 7, real)
    sum_all(out, 3, step, initial.astype(real), table, base, pitch, pieces, columns, count)
    cut = [[table[b + i * p : b + i * p + columns] for b, p in zip(base, pitch, strict=True)] for i in range(pieces)]
    parts = np.array(cut, np.float64).reshape(pieces, count, columns)
    want, scale = initial[1:] + parts.sum(1), np.abs(initial[1:]) + np.abs(parts).sum(1)
    got = out[3:].reshape(pieces, step)
    agree(got[:, :columns], want.astype(real), count + 4, scale)
    assert (out[:3] == 7).all() and (got[:, columns:] == 7).all()


def test_blocks_cover_every_length():
    lanes = REGISTER_BYTES // 4
    for numbers in range(1, 3 * inline.MOST_VECTORS * lanes):
        count, vectors = inline.blocks_of(numbers, np.dtype(np.float32))
        assert vectors in inline.BLOCKS and (count - 1) * vectors * lanes < numbers <= count * vectors * lanes
