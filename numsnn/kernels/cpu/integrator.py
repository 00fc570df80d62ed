"""The leaky integrator, compiled. `reference.integrator` documents it."""

import numpy as np

from .. import equations as eq
from ..compile import kernel
from ..steps import integrator_step_back
from .inline.local import local
from .inline.runs import copy_run
from .run.launch import count_tiles, launch, rows_per_tile
from .run.reduce import sum_tiles


@kernel
def _forward_tiles(i, beta, decay_input, u, carried, carry, rows, lo, hi):
    steps, total, channels = u.shape
    real = type(beta[0])
    first, last = lo * rows, min(total, hi * rows)
    # The potential of the step before is read from u itself.
    for t in range(steps):
        for m in range(first, last):
            for c in range(channels):
                gain = eq.input_gain(beta[c], decay_input)
                before = carried[m, c] if carry else real(0)
                if t > 0:
                    before = u[t - 1, m, c]
                u[t, m, c] = eq.charge(before, real(i[t, m, c]), beta[c], gain)
    if carry:  # row by row: Numba takes 3 s to compile an assignment of a part of one array to a part of another
        for m in range(first, last):
            copy_run(carried, (m, 0), u, (steps - 1, m, 0), channels)


@kernel
def _backward_tiles(du, i, u, beta, decay_input, di, dbeta, start, dstart, carry, leave, rows, lo, hi):
    steps, total, channels = u.shape
    real = type(beta[0])
    # e holds the tile's delta of the step after; dL/dv is beta times it.
    e = local((rows, channels), u.dtype)
    for tile in range(lo, hi):
        first = tile * rows
        last = min(total, first + rows)
        e[:] = real(0)
        dbeta[tile] = real(0)
        for t in range(steps - 1, -1, -1):
            for m in range(first, last):
                for c in range(channels):
                    before = start[m, c] if carry else real(0)
                    if t > 0:
                        before = u[t - 1, m, c]
                    delta, di[t, m, c], change = integrator_step_back(
                        du[t, m, c], e[m - first, c], before, real(i[t, m, c]), beta[c], decay_input
                    )
                    dbeta[tile, c] += change
                    e[m - first, c] = delta
        if leave:
            for m in range(first, last):
                for c in range(channels):
                    dstart[m, c] = beta[c] * e[m - first, c]


def integrator_forward(i, beta, decay_input, u, carried=None):
    """See `reference.integrator.integrator_forward`."""
    rows = min(u.shape[1], rows_per_tile(u.shape[2]))
    state = u[0] if carried is None else carried
    launch(_forward_tiles, count_tiles(u.shape[1], rows), i, beta, decay_input, u, state, carried is not None, rows)


def integrator_backward(du, i, u, beta, decay_input, di, dbeta, start=None, dstart=None):
    """See `reference.integrator.integrator_backward`."""
    rows = min(u.shape[1], rows_per_tile(u.shape[2]))
    partial = np.empty((count_tiles(u.shape[1], rows), u.shape[2]), u.dtype)
    states = (u[0] if x is None else x for x in (start, dstart))
    given = start is not None, dstart is not None
    launch(_backward_tiles, len(partial), du, i, u, beta, decay_input, di, partial, *states, *given, rows)
    if dbeta is not None:
        sum_tiles(partial, dbeta)
