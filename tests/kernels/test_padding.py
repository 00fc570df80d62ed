"""Rows of padded batches: copied to a compact array and back; and losses on potentials that end with a sequence."""

import numpy as np
import pytest
from bounds import PROMISE, is_gradient, within
from neurons import draw, forward
from targets import ALL, REFERENCE, reference
from test_recurrent import CHANNELS, STEPS, Neuron

from numsnn.kernels import rules
from numsnn.kernels.types import Direct, Firing, Reset, Stored, Wanted

DTYPES = np.uint8, np.float32, np.float64
REAL = np.array([True, False, True, True, False, False, True, False, True, True, False])
INDEX = np.flatnonzero(REAL)
PLACE = np.where(REAL, np.cumsum(REAL) - 1, -1)


def rows(count, dtype):
    return np.random.default_rng(1).integers(1, 100, (count, 7)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@REFERENCE
def test_rows_are_gathered(small_tiles, k, dtype):
    x, y = rows(len(REAL), dtype), np.full((len(INDEX), 7), 99, dtype)
    k.gather_rows(x, INDEX, y)
    assert np.array_equal(y, [row for row, real in zip(x, REAL, strict=True) if real])


@pytest.mark.parametrize("dtype", DTYPES)
@REFERENCE
def test_rows_are_scattered(small_tiles, k, dtype):
    x, y = rows(len(INDEX), dtype), np.full((len(REAL), 7), 99, dtype)
    k.scatter_rows(x, PLACE, y)
    left = iter(x)
    assert np.array_equal(y, [next(left) if real else np.zeros(7) for real in REAL])


@pytest.mark.parametrize("dtype", DTYPES)
@REFERENCE
def test_rows_are_cleared(small_tiles, k, dtype):
    x = rows(len(REAL), dtype)
    before = x.copy()
    k.clear_rows(x, PLACE)
    assert np.array_equal(x[REAL], before[REAL])
    assert not x[~REAL].any()


@ALL
def test_rows_of_one_number(k):
    x, y = np.array([[3.0], [5.0]]), np.zeros((1, 1))
    k.gather_rows(x, np.array([1]), y)
    assert y == 5
    k.scatter_rows(y, np.array([0, -1]), x)
    assert x.tolist() == [[5], [0]]


# --- a loss on potentials, which acts up to the end of each row ---------------------------------------------


def leaky_gradients(k, case, ds, s, direct):
    """Return the gradients of the current, leak, threshold and width."""
    di, (dbeta, dtheta, dalpha) = np.full_like(case.i, np.nan), np.full((3, len(case.beta)), np.nan, case.i.dtype)
    k.neuron_backward(
        rules.LEAKY,
        ds,
        case.i,
        s,
        case.beta[None],
        Firing(case.theta, case.alpha, "gaussian"),
        Reset(0.0),
        case.d,
        direct,
        di,
        Wanted((dbeta,), dtheta, dalpha),
    )
    return di, dbeta, dtheta, dalpha


@ALL
def test_gradients_of_rows_that_end(small_tiles, k):
    """Every row has the gradients of its own sequence, cut at its end, and nothing comes from beyond."""
    steps, count, channels = shape = (6, 10, 5)
    rng = np.random.default_rng(3)
    case = draw(rng, shape, np.float64)
    _, s = forward(k, case, 0.0, False, None)
    ends = rng.integers(1, steps + 1, count)
    ends[:2] = 1, steps
    ds = rng.normal(size=shape) * (np.arange(steps)[:, None, None] < ends[:, None])
    direct = Direct(*rng.normal(size=(3, channels)), ends)
    di, *totals = leaky_gradients(k, case, ds, s, direct)
    wanted = [np.zeros(channels) for _ in totals]
    for m, end in enumerate(ends):
        part = slice(0, end), slice(m, m + 1)
        alone = type(case)(**vars(case) | {"i": case.i[part].copy(), "d": case.d[:end]})
        arrays = ds[part].copy(), s[part].copy()
        own, *parts = leaky_gradients(k, alone, *arrays, Direct(*direct[:3]))
        within(di[part], own, PROMISE)
        assert not di[end:, m].any()
        for total, one in zip(wanted, parts, strict=True):
            total += one
    for total, want in zip(totals, wanted, strict=True):
        within(total, want, PROMISE * np.abs(want).max())
    unended = leaky_gradients(k, case, ds, s, Direct(*direct[:3]))[0]
    assert np.abs(unended[ends[0] :, 0]).max() > 0.1


@ALL
def test_rows_that_end_at_the_last_step(k):
    """Then nothing ends."""
    case = draw(np.random.default_rng(4), (4, 6, 5), np.float64)
    _, s = forward(k, case, 0.0, False, None)
    loss = np.random.default_rng(5).normal(size=(3, 5))
    ended, whole = (
        leaky_gradients(k, case, np.ones_like(case.i), s, Direct(*loss, ends)) for ends in (np.full(6, 4), None)
    )
    assert np.array_equal(ended[0], whole[0])
    for got, want in zip(ended, whole, strict=True):
        within(got, want, PROMISE * np.abs(want).max())


@pytest.mark.parametrize("parts", [(False, True, True, True), (True, True, True, False)], ids=["alone", "lateral"])
@ALL
def test_gradients_of_rows_with_extensions_that_end(k, parts):
    n = Neuron(parts, 6, relaxed="arctan", rows=4)
    ends = np.array([STEPS, 1, 4, 3])
    n.ds *= np.arange(STEPS)[:, None, None] < ends[:, None]
    direct = Direct(n.theta, n.alpha, n.beta, ends)
    di, *totals = extended_gradients(k, n, direct)
    wanted = [np.zeros_like(total) for total in totals]
    for m, end in enumerate(ends):
        one = Neuron(parts, 6, relaxed="arctan", rows=4)
        one.i, one.ds, one.d = one.i[:end, m : m + 1].copy(), n.ds[:end, m : m + 1].copy(), one.d[:end].copy()
        one.shape = one.i.shape
        own, *alone = extended_gradients(k, one, Direct(n.theta, n.alpha, n.beta))
        within(di[:end, m : m + 1], own, PROMISE)
        assert not di[end:, m].any()
        for total, part in zip(wanted, alone, strict=True):
            total += part
    for total, want in zip(totals, wanted, strict=True):
        within(total, want, PROMISE * np.abs(want).max())


def extended_gradients(k, n, direct):
    """Return the gradients of the current, the lateral weights and the values of a `Neuron`."""
    stored = n.forward(k, 0.0, False)
    di = np.full(n.shape, np.nan)
    dw = None if n.w is None else np.full_like(n.w, np.nan)
    values = np.full((6, CHANNELS), np.nan)
    firing = Firing(n.theta, n.alpha, "arctan")
    k.recurrent_backward(
        n.ds,
        Stored(*stored[:5]),
        n.beta,
        n.extensions,
        firing,
        Reset(0.0),
        n.d,
        False,
        direct,
        di,
        dw,
        Wanted(tuple(values[:4]), *values[4:]),
    )
    return [di, *values] if dw is None else [di, dw, *values]


def test_a_loss_on_potentials_that_end_has_these_gradients():
    """The loss reads the potentials up to each row's end; the reference against differences."""
    n, ends = Neuron((True, True, True, False), 8, relaxed="arctan", rows=3), np.array([1, 4, 2])
    real = np.arange(STEPS)[:, None, None] < ends[:, None]
    n.ds *= real
    direct = Direct(*np.random.default_rng(9).normal(size=(3, CHANNELS)), ends)
    centre, offset, slope, _ = direct

    def loss():
        u, s, *_ = n.forward(reference, 0.0, False)
        return float((n.ds * s + real * (offset * u + slope * (u - centre) ** 2 / 2)).sum())

    di, dw, dbeta, *_ = extended_gradients(reference, n, direct)
    is_gradient(di, loss, n.i)
    is_gradient(dw, loss, n.w)
    is_gradient(dbeta, loss, n.beta)
