"""Inner loops in vector instructions compared with NumPy: whole registers, remainders, both float types."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bounds import REALS, agree

from numsnn.kernels.compile import kernel
from numsnn.kernels.cpu.inline import blocks, nonzero, rows, vector
from numsnn.kernels.cpu.run.launch import ALIGNMENT, aligned, scratch
from numsnn.kernels.cpu.ways.winograd import INPUT, PRODUCTS, WEIGHTS

COLUMNS = (1, 3, 4, 15, 16, 17, 40, 129, 300, 620)


@kernel
def add(out, initial, table, table_at, columns, index, value, first, last):
    blocks.sum_rows(out, 2, initial, 1, table, table_at, columns, index, value, first, last)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("columns", COLUMNS)
def test_sum_rows(columns, real):
    """Some entries of a list, on top of what was there; nothing beside the columns is touched."""
    rng = np.random.default_rng(columns)
    table = rng.normal(size=(9, columns + 5)).astype(real)
    index, value = rng.integers(0, 8, 14).astype(np.int32), rng.normal(size=14).astype(real)
    initial, out = rng.normal(size=columns + 1).astype(real), np.full(columns + 4, 7, real)
    pitch = columns + 5
    add(out, initial, table.reshape(-1), pitch + 3, columns, index * np.int32(pitch), value, 2, 13)
    rows, factors = index[2:13] + 1, value[2:13]
    part = table[rows, 3 : 3 + columns].astype(np.float64)
    want = initial[1:] + factors.astype(np.float64) @ part
    scale = np.abs(initial[1:]) + np.abs(factors.astype(np.float64)) @ np.abs(part)
    agree(out[2:-2], want.astype(real), 2 * len(rows) + 2, scale)
    assert (out[:2] == 7).all() and (out[-2:] == 7).all()


@kernel
def dot(out, index, first, last, a, a_base, b, b_base, b_row, columns):
    blocks.dot_rows(out, 2, index, first, last, a, a_base, b, b_base, b_row, columns, len(a_base))


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("columns", COLUMNS)
def test_dot_rows(columns, real):
    """Fifteen rows take every number of rows at a time; a row's sum does not depend on which."""
    rng = np.random.default_rng(columns)
    a, b = rng.normal(size=(5, columns)).astype(real), rng.normal(size=(3, 20, columns)).astype(real)
    index = rng.permutation(20)[:17]
    segments = np.array([4, 1]), np.array([2, 0])
    bases = segments[0] * columns, segments[1] * 20 * columns
    out = np.full(24, 7, real)
    dot(out, index, 1, 16, a.reshape(-1), bases[0], b.reshape(-1), bases[1], columns, columns)
    left, right = a[segments[0]].astype(np.float64), b[segments[1]][:, index[1:16]].astype(np.float64)
    want, scale = (np.einsum("gc,gkc->k", f(left), f(right)) for f in (np.asarray, np.abs))
    agree(out[2 + index[1:16]], want.astype(real), 4 * columns + 2, scale)
    others = np.delete(out, 2 + index[1:16])
    assert (others == 7).all()
    for k in range(1, 16):
        alone = np.full(24, 7, real)
        dot(alone, index, k, k + 1, a.reshape(-1), bases[0], b.reshape(-1), bases[1], columns, columns)
        assert alone[2 + index[k]] == out[2 + index[k]]


@pytest.mark.parametrize("segments", [0, 1])
def test_dot_rows_of_nothing(segments):
    """No rows leave everything as it is; no segments are a sum of nothing."""
    base, out = np.zeros(segments, np.int64), np.full(6, 7.0)
    dot(out, np.arange(3), 1, 1, np.ones(4), base, np.ones(12), base, 4, 4)
    assert (out == 7).all()
    dot(out, np.arange(3), 0, 3, np.ones(4), base, np.ones(12), base, 4, 4)
    assert out.tolist() == [7, 7, *[4 * segments] * 3, 7]


@kernel
def multiply(a, row, column, depth, b, columns, initial, c, place, fresh):
    blocks.multiply_rows(a, row, 1, column, 2, depth, b, 3, columns, initial, 1, c, 2, place, 1, fresh)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("missing", [0, 3, 1 << 10])
@pytest.mark.parametrize("depth", [0, 1, 7, 64])
def test_multiply_rows(depth, missing, fresh, real):
    """Rows, columns and places in any order; a row of one vector where it suffices; nothing is written beside c."""
    rng = np.random.default_rng(depth)
    width = blocks.panel_columns(real)
    columns = width - missing if missing < width else 1
    pitch = width if columns > width // blocks.TILE_VECTORS else width // blocks.TILE_VECTORS
    a, b = rng.normal(size=900).astype(real), rng.normal(size=(depth, pitch)).astype(real)
    row, column = rng.integers(0, 400, blocks.TILE_ROWS + 1), rng.integers(0, 400, depth + 2).astype(np.int32)
    place = np.append(99, rng.permutation(blocks.TILE_ROWS) * (width + 3))
    initial, c = rng.normal(size=width + 1).astype(real), rng.normal(size=blocks.TILE_ROWS * (width + 3)).astype(real)
    before = c.copy()
    multiply(a, row, column, depth, np.append(a[:3], b), columns, initial, c, place, fresh)
    left, right = (array.astype(np.float64) for array in (a[row[1:, None] + column[None, 2:]], b[:, :columns]))
    at = 2 + place[1:, None] + np.arange(columns)
    there = initial[1 : 1 + columns].astype(np.float64) if fresh else before[at].astype(np.float64)
    agree(c[at], (there + left @ right).astype(real), 2 * depth + 2, np.abs(there) + np.abs(left) @ np.abs(right))
    beside = np.delete(np.arange(c.size), at.reshape(-1))
    assert np.array_equal(c[beside], before[beside])


@kernel
def transpose(target, target_row, source, source_row):
    rows.transpose_square(target, 2, target_row, source, 1, source_row)


@pytest.mark.parametrize("real", REALS)
def test_transpose_square(real):
    size = vector.REGISTER_BYTES // np.dtype(real).itemsize
    source = np.random.default_rng(0).normal(size=1 + size * (size + 3)).astype(real)
    target = np.full(2 + size * (size + 5), 7, real)
    transpose(target, size + 5, source, size + 3)
    rows = target[2:].reshape(size, size + 5)
    assert np.array_equal(rows[:, :size], source[1:].reshape(size, size + 3)[:, :size].T)
    assert (rows[:, size:] == 7).all() and (target[:2] == 7).all()


@kernel
def take(target, pitch, source, step, columns, count):
    rows.take_columns(target, 2, pitch, source, 1, step, columns, count)


@kernel
def put(target, step, source, pitch, columns, count):
    rows.put_columns(target, 2, step, source, 1, pitch, columns, count)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("count", [1, 5, 16, 37])
@pytest.mark.parametrize(("columns", "step"), [(1, 2), (2, 2), (1, 3), (3, 5), (4, 4), (6, 11)])
def test_columns_are_taken_apart_and_put_together(columns, step, count, real):
    """Whole vectors and remainders; nothing beside the numbers that count is touched."""
    size = vector.REGISTER_BYTES // np.dtype(real).itemsize
    pixels = np.random.default_rng(0).normal(size=(count + size, step)).astype(real)
    source = np.concatenate([np.zeros(1, real), pixels.reshape(-1), np.zeros(rows.COLUMNS, real)])
    pitch = count + size + 3
    planes = np.full((columns + rows.COLUMNS + 1) * pitch, 7, real)
    take(planes, pitch, source, step, columns, count)
    taken = planes[2 : 2 + columns * pitch].reshape(columns, pitch)
    assert np.array_equal(taken[:, :count], pixels[:count, :columns].T)
    assert (taken[:, count:] == 7).all() and (planes[:2] == 7).all() and (planes[2 + columns * pitch :] == 7).all()
    whole = np.full(2 + count * step + 9, 7, real)
    put(whole, step, planes[1:], pitch, columns, count)
    written = whole[2 : 2 + count * step].reshape(count, step)
    assert np.array_equal(written[:, :columns], pixels[:count, :columns])
    assert (written[:, columns:] == 7).all() and (whole[:2] == 7).all() and (whole[2 + count * step :] == 7).all()


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("columns", [1, 16, 37])
@pytest.mark.parametrize("matrix", [INPUT, WEIGHTS, PRODUCTS, ((-1, 0), (2, -1), (0, 0.5))])
def test_square_transform(matrix, columns, real):
    transform = blocks.square_transform(matrix)

    @kernel
    def run(y, x, tall, wide, columns):
        transform(y, 1, tall * columns, columns, x, 2, wide * columns, columns, columns)

    m = np.array(matrix, np.float64)
    tall, wide = m.shape
    x = np.random.default_rng(1).normal(size=(wide, wide, columns)).astype(real)
    y = np.full(tall * tall * columns + 2, np.nan, real)
    run(y, np.concatenate([[np.nan, np.nan], x.reshape(-1)]).astype(real), tall, wide, columns)
    want = np.einsum("ik,klc,jl->ijc", m, x.astype(np.float64), m)
    scale = np.einsum("ik,klc,jl->ijc", np.abs(m), np.abs(x).astype(np.float64), np.abs(m))
    agree(y[1:-1].reshape(want.shape), want.astype(real), 4 * wide, scale)
    assert np.isnan(y[[0, -1]]).all()


@kernel
def find(x, at, found):
    bits = nonzero.nonzero_bits(x, at)
    n = 0
    while bits != 0:
        found[n] = nonzero.lowest_bit(bits)
        n += 1
        bits &= bits - np.uint64(1)
    return n


@pytest.mark.parametrize("dtype", [np.uint8, *REALS])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_nonzero_bits(dtype, share):
    """Negative numbers, NaN and counts above 1 are active inputs too; -0.0 is not."""
    rng = np.random.default_rng(2)
    width = vector.REGISTER_BYTES // np.dtype(dtype).itemsize
    size = 3 + max(width, 3)  # a register may hold two numbers only
    x = np.where(rng.random(size) < share, rng.integers(1, 200, size), 0).astype(dtype)
    if dtype != np.uint8 and share:
        x[3:6] = -2, np.nan, -0.0
    found = np.zeros(width, np.int64)
    count = find(x, 3, found)
    assert found[:count].tolist() == np.flatnonzero(x[3 : 3 + width]).tolist()


def test_memory_begins_at_a_cache_line():
    for size in (1, 7, 1000):
        assert aligned(size, np.float32).ctypes.data % ALIGNMENT == 0
        assert scratch.get("test", (size, 3), np.float64).ctypes.data % ALIGNMENT == 0


@pytest.mark.parametrize(
    ("triple", "features", "registers"),
    [
        ("x86_64-unknown-linux-gnu", "+avx,+avx2,+avx512f", (64, 32)),
        ("x86_64-unknown-linux-gnu", "+avx,+avx2,+fma", (32, 16)),
        ("x86_64-unknown-linux-gnu", "+sse2", (16, 16)),
        ("aarch64-unknown-linux-gnu", "+neon,+fp-armv8", (16, 32)),
        ("arm64-apple-darwin23.1.0", "", (16, 32)),
        ("armv7l-unknown-linux-gnueabihf", "+neon", (16, 16)),
    ],
)
def test_registers(monkeypatch, triple, features, registers):
    """A 64-bit ARM processor has 32 of them, whether or not LLVM lists NEON; a 32-bit one has 16."""
    context = SimpleNamespace(codegen=lambda: SimpleNamespace(_tm_features=features))
    monkeypatch.setattr(vector, "cpu_target", SimpleNamespace(target_context=context))
    monkeypatch.setattr(vector.binding, "get_process_triple", lambda: triple)
    assert vector._registers() == registers


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names registers of x86-64 processors")
@pytest.mark.parametrize(
    ("name", "features", "registers"), [("haswell", "+avx,+avx2,+fma", (32, 16)), ("x86-64", "", (16, 16))]
)
def test_processors_with_smaller_registers(tmp_path, name, features, registers):
    """Compiled for an older processor in a process of its own: the same sums of rows, products and transforms."""
    here = Path(__file__)
    environment = os.environ | {
        "NUMBA_CPU_NAME": name,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    run = subprocess.run(
        [sys.executable, str(here.with_name("probe_registers.py"))],
        env=environment,
        cwd=here.parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [str(n) for n in registers]
