"""Penalties on the activity of a layer, as CUDA kernels. `reference.activity` documents them."""

import numpy as np

from .. import equations as eq
from .. import steps
from .inline.rows import THREADS, cut_rows, launch_finish, launch_rows, place, sum_lanes, transform, transform_two
from .run.api import cuda
from .run.compile import device, kernel
from .run.launch import scratch


def _count_kernel(dtype):
    @kernel
    def count_parts(s, counts, parts, part_rows, across):
        """Compute the sum of s per slice of rows and unit: counts ``[P, F]``."""
        room = cuda.shared.array(THREADS, dtype)
        rows, units = s.shape
        real = counts.dtype.type
        _, part, f = place(parts, across)
        total = real(0)
        if f < units:
            last = min(rows, (part + 1) * part_rows)
            for m in range(part * part_rows + cuda.threadIdx.y, last, cuda.blockDim.y):
                total += real(s[m, f])
        total = sum_lanes(room, total)
        if cuda.threadIdx.y == 0 and f < units:
            counts[part, f] = total

    return count_parts


_count_parts = {np.dtype(real): _count_kernel(real) for real in (np.float32, np.float64)}


def _penalty_kernel(penalty, dtype):
    """The kernel of one penalty: a function of a unit's rate and of the tuple `numbers`."""

    @kernel
    def penalise_units(counts, inverse_rows, numbers, share, value, pull):
        """Compute value and pull from the counts of the slices of rows."""
        room = cuda.shared.array(THREADS, dtype)
        parts, units = counts.shape
        f, lane = cuda.grid(2)
        total = counts.dtype.type(0)
        if f < units:
            for part in range(lane, parts, cuda.blockDim.y):
                total += counts[part, f]
        total = sum_lanes(room, total)
        if lane == 0 and f < units:
            penalty_f, slope = penalty(total * inverse_rows, *numbers)
            value[f] = share * penalty_f
            pull[f] = share * inverse_rows * slope

    return penalise_units


_band_units, _power_units = (
    {np.dtype(real): _penalty_kernel(penalty, real) for real in (np.float32, np.float64)}
    for penalty in (steps.band_penalty, steps.power_penalty)
)


def _launch_penalty(kernels, s, numbers, weight, value, pull):
    rows, units = s.shape
    real, cut = value.dtype.type, cut_rows(1, rows, units)
    counts = scratch.get("counts", (cut.parts, units), value.dtype)
    cut.launch(_count_parts[value.dtype], 1, s, counts)
    share = real(weight / units)
    launch_finish(kernels[value.dtype], units, cut.parts, counts, real(1 / rows), numbers, share, value, pull)


def rate_band(s, band, weight, value, pull):
    """See `reference.activity.rate_band`."""
    real = value.dtype.type
    _launch_penalty(_band_units, s, (real(band.low), real(band.high)), weight, value, pull)


def rate_power(s, power, weight, value, pull):
    """See `reference.activity.rate_power`."""
    _launch_penalty(_power_units, s, (power == 2,), weight, value, pull)


@device
def _plus(row, x):
    return x + row


@device
def _plus_affine(constants, u, x):
    centre, offset, slope = constants
    return eq.with_direct_gradient(x, u, centre, offset, slope)


_transform_plus, _transform_plus_affine = transform(_plus), transform_two(_plus_affine)


@kernel
def _add_row(x, row, y):
    rows, width = x.shape
    f, first = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if f < width:
        _transform_plus(row[f], x, y, f, first, rows, stride)


def add_row(x, row, y):
    """See `reference.activity.add_row`."""
    launch_rows(_add_row, *x.shape, x, row, y)


@kernel
def _add_affine(x, u, centre, offset, slope, y):
    rows, width = x.shape
    c, first = cuda.grid(2)
    _, stride = cuda.gridsize(2)
    if c < width:
        _transform_plus_affine((centre[c], offset[c], slope[c]), u, x, y, c, first, rows, stride)


def add_affine(x, u, direct, y):
    """See `reference.activity.add_affine`."""
    launch_rows(_add_affine, *x.shape, x, u, *direct[:3], y)
