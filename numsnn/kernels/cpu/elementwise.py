"""Joins and copies along time, compiled; `reference.elementwise` is the text it equals."""

from .compile import kernel
from .launch import TILE_ELEMENTS, count_tiles, launch


@kernel
def _add_tiles(a, b, y, size, lo, hi):
    real = type(y[0])
    for k in range(lo * size, min(len(y), hi * size)):
        y[k] = real(a[k]) + real(b[k])


def add(a, b, y):
    """See `reference.elementwise.add`."""
    launch(_add_tiles, count_tiles(y.size, TILE_ELEMENTS), a.ravel(), b.ravel(), y.reshape(-1), TILE_ELEMENTS)


@kernel
def _repeat_tiles(x, y, size, lo, hi):
    steps, features = y.shape
    last = min(features, hi * size)
    for t in range(steps):
        for f in range(lo * size, last):
            y[t, f] = x[f]


def repeat(x, y):
    """See `reference.elementwise.repeat`."""
    launch(_repeat_tiles, count_tiles(len(x), TILE_ELEMENTS), x, y, TILE_ELEMENTS)


@kernel
def _sum_steps_tiles(dy, dx, size, lo, hi):
    steps, features = dy.shape
    last = min(features, hi * size)
    for f in range(lo * size, last):
        dx[f] = dy[0, f]
    for t in range(1, steps):
        for f in range(lo * size, last):
            dx[f] += dy[t, f]


def sum_steps(dy, dx):
    """See `reference.elementwise.sum_steps`."""
    launch(_sum_steps_tiles, count_tiles(len(dx), TILE_ELEMENTS), dy, dx, TILE_ELEMENTS)
