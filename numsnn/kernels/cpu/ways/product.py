"""Matrix products and dense convolutions: gathered patches of the input times packed weights, summed in registers.

A product c = a b is cut into register blocks of `blocks.TILE_ROWS` rows by `blocks.panel_columns` columns. b is packed
into panels of `blocks.panel_columns` columns, which a block reads from one end to the other. a holds gathered patches.
"""

import numpy as np

from ...compile import kernel
from ..inline.blocks import TILE_ROWS, multiply_tile, panel_columns
from ..inline.vector import clear_row, copy_row
from ..run.launch import count_tiles, launch, made_once, parallel_for, scratch
from ..run.reduce import sum_tiles

PACKED = "panels"

PATCH_ELEMENTS = 131072
"""Elements of patches and sums per tile: 512 KiB of float32."""

DEPTH = 256
"""Rows of a panel that are multiplied at a time. With 32 columns of float32 these are 32 KiB, which stay in the
first-level cache."""

OWNER_ROWS = 128
"""Largest number of rows of the weight gradient per owner."""


FEW_OWNERS, PARTS = 4, 16
"""With fewer than FEW_OWNERS owners, the positions that the weight gradient sums over are cut into PARTS slices."""

STRIP = 2 * TILE_ROWS
"""Number of rows of the weight gradient whose patches lie side by side in memory."""


def padded_rows(rows):
    """`rows` rounded up to a multiple of TILE_ROWS."""
    return count_tiles(rows, TILE_ROWS) * TILE_ROWS


@kernel
def _pack_panels(w, packed, lo, hi):
    # A panel is written from one end to the other; its columns beyond the last one of w are 0.
    width = packed.shape[2]
    taps_y, taps_x, inner, columns = w.shape
    for panel in range(lo, hi):
        first = panel * width
        size = min(width, columns - first)
        for ty in range(taps_y):
            for tx in range(taps_x):
                base = (ty * taps_x + tx) * inner
                for k in range(inner):
                    target = packed[panel, base + k]
                    for j in range(size):
                        target[j] = w[ty, tx, k, first + j]
                    for j in range(size, width):
                        target[j] = 0


@kernel
def _pack_transposed_panels(w, packed, lo, hi):
    """Like `_pack_panels`, for weights whose last two axes are swapped. w is read along its last axis."""
    width = packed.shape[2]
    taps_y, taps_x, columns, inner = w.shape
    for panel in range(lo, hi):
        first = panel * width
        size = min(width, columns - first)
        for ty in range(taps_y):
            for tx in range(taps_x):
                base = (ty * taps_x + tx) * inner
                for j in range(size):
                    row = w[ty, tx, first + j]
                    for k in range(inner):
                        packed[panel, base + k, j] = row[k]
                for j in range(size, width):
                    for k in range(inner):
                        packed[panel, base + k, j] = 0


def pack(w, transposed=False, kept=None, group=0, width=None):
    """Pack weights ``[ty, tx, K, N]`` of any strides into panels ``[panels, taps K, width]``.

    With transposed, the weights are ``[ty, tx, N, K]``. The last panel is filled up with columns of zeros.

    A panel has `width` columns, by default `blocks.panel_columns`. The panels are in scratch memory, or with a dict
    `kept` in this dict, under the number of the group.
    """
    taps_y, taps_x, inner, columns = w.shape
    if transposed:
        inner, columns = columns, inner
    width = panel_columns(w.dtype) if width is None else width
    shape = count_tiles(columns, width), taps_y * taps_x * inner, width
    pack_panels = _pack_transposed_panels if transposed else _pack_panels
    key = PACKED if kept is None else (PACKED, group)  # groups share the scratch memory
    return made_once(kept, key, shape, w.dtype, lambda packed: launch(pack_panels, len(packed), w, packed))


@kernel
def _gather(x, first_channel, channels, taps_y, taps_x, at_y, at_x, image, patch, at, begin, end):
    """Gather the inputs that rows begin..end-1 of the weights are multiplied with, at one position of an image.

    Row r of the weights stands for a tap and a channel. Its input goes to patch[at + r - begin]. The position is
    (at_y, at_x); inputs outside of the image are 0.
    """
    _, height, width, pitch = x.shape
    flat = x.reshape(-1)
    tap, c = begin // channels, begin % channels
    r = begin
    while r < end:
        size = min(channels - c, end - r)
        iy, ix = at_y + taps_y[tap], at_x + taps_x[tap]
        if 0 <= iy < height and 0 <= ix < width:
            source = ((image * height + iy) * width + ix) * pitch + first_channel + c
            copy_row(patch, at + r - begin, flat, source, size)
        else:
            clear_row(patch, at + r - begin, size)
        r += size
        tap, c = tap + 1, 0


@kernel
def _correlate_tiles(
    x,
    first_channel,
    channels,
    taps_y,
    taps_x,
    stride,
    packed,
    bias,
    y,
    first_output,
    origin,
    step,
    height,
    width,
    patches,
    sums,
    rows,
    lo,
    hi,
):
    """Compute tiles of `correlate`. A tile is a number of rows of positions.

    An image has height x width positions, and position (i, j) is pixel origin + step (i, j) of y.
    """
    panels, depth, columns = packed.shape
    pitch = panels * columns
    outputs = len(bias)
    row_pitch = patches.shape[1]
    left, right, total = patches.reshape(-1), packed.reshape(-1), sums.reshape(-1)
    for tile in range(lo, hi):
        # left gets one patch per position of the tile.
        start, stop = tile * rows, min(len(x) * height, (tile + 1) * rows)
        n = 0
        for row in range(start, stop):
            image, i = row // height, row % height
            for j in range(width):
                at_y, at_x = i * stride[0], j * stride[1]
                _gather(x, first_channel, channels, taps_y, taps_x, at_y, at_x, image, left, n * row_pitch, 0, depth)
                n += 1
        # A slice of a panel stays in the first-level cache while it is multiplied with all patches.
        for k in range(0, depth, DEPTH):
            block = min(DEPTH, depth - k)
            for panel in range(panels):
                for m in range(0, n, TILE_ROWS):
                    multiply_tile(
                        left,
                        m * row_pitch + k,
                        row_pitch,
                        1,
                        right,
                        (panel * depth + k) * columns,
                        block,
                        total,
                        m * pitch + panel * columns,
                        pitch,
                        k == 0,
                    )
        # The sums go to y without the columns that fill up the last panel.
        n = 0
        for row in range(start, stop):
            image, i = row // height, row % height
            for j in range(width):
                pixel, result = y[image, origin[0] + step[0] * i, origin[1] + step[1] * j], sums[n]
                target = pixel[first_output : first_output + outputs]
                for c in range(outputs):
                    target[c] = result[c] + bias[c]
                n += 1


def correlate(x, first_channel, taps, stride, packed, bias, y, first_output=0, origin=(0, 0), step=(1, 1)):
    """Compute y[origin + step (i, j)] = bias + sum over taps of x[stride (i, j) + tap] w[tap] for all pixels in y.

    Args:
        x: ``[B, H, W, C]``, real or uint8. Outside of the image it counts as 0.
        first_channel: first channel of x that is read.
        taps: offsets of the taps in pixels, a pair of arrays (vertical, horizontal).
        stride: pair (vertical, horizontal).
        packed: panels of the weights, as `pack` makes them.
        bias: ``[O]``.
        y: output, ``[B, Ho, Wo, ...]``. O channels from first_output on are written.
        first_output: first channel of y that is written.
        origin, step: pairs (vertical, horizontal): the first pixel of y, and the distance between pixels.
    """
    _, depth, columns = packed.shape
    height, width = (
        count_tiles(extent - first, by) for extent, first, by in zip(y.shape[1:3], origin, step, strict=True)
    )
    rows = max(1, min(PATCH_ELEMENTS // (depth + len(packed) * columns), 256) // width)
    pixels = padded_rows(rows * width)
    taps_y, taps_x = (np.array(axis, np.int64) for axis in taps)
    channels = depth // len(taps_y)

    def work(lo, hi):
        patches = scratch.get("patches", (pixels, depth + columns), y.dtype)  # rows a power of two apart would collide
        sums = scratch.get("sums", (pixels, len(packed) * columns), y.dtype)
        _correlate_tiles(
            x,
            first_channel,
            channels,
            taps_y,
            taps_x,
            stride,
            packed,
            bias,
            y,
            first_output,
            origin,
            step,
            height,
            width,
            patches,
            sums,
            rows,
            lo,
            hi,
        )

    parallel_for(work, count_tiles(len(x) * height, rows))


@kernel
def _weight_gradient_owners(
    x,
    first_channel,
    channels,
    taps_y,
    taps_x,
    stride,
    dy,
    first_output,
    dw,
    line,
    patches,
    panels,
    sums,
    size,
    opening,
    closing,
    rows,
    lo,
    hi,
):
    """Compute owners of `weight_gradient`. An owner is a number of `size` rows of dw ``[taps C, O]``.

    The sum runs over rows opening..closing-1 of dy, a few of them at a time. The patches lie in strips
    ``[strips, pixels, STRIP]``, which a register block of the product reads from one end to the other.
    """
    _, height, width, _ = dy.shape
    taps, outputs = dw.shape
    columns = panels.shape[2]
    pitch = panels.shape[0] * columns
    left, right, total, slopes = patches.reshape(-1), panels.reshape(-1), sums.reshape(-1), dy.reshape(-1)
    for start in range(opening, closing, rows):
        stop = min(closing, start + rows)
        pixels = (stop - start) * width
        # right gets the rows of dy as panels, which all owners use.
        n = 0
        for row in range(start, stop):
            for j in range(width):
                source = (row * width + j) * dy.shape[3] + first_output
                for panel in range(len(panels)):
                    first = panel * columns
                    block = min(columns, outputs - first)
                    at = (panel * len(panels[0]) + n) * columns
                    copy_row(right, at, slopes, source + first, block)
                    clear_row(right, at + block, columns - block)
                n += 1
        for owner in range(lo, hi):
            begin = owner * size
            end = min(taps, begin + size)
            # left gets the owner's patches, one position after the other, cut into strips.
            n = 0
            for row in range(start, stop):
                image, i = row // height, row % height
                for j in range(width):
                    at_y, at_x = i * stride[0], j * stride[1]
                    _gather(x, first_channel, channels, taps_y, taps_x, at_y, at_x, image, line, 0, begin, end)
                    for strip in range(len(patches)):
                        copy_row(left, (strip * len(patches[0]) + n) * STRIP, line, strip * STRIP, STRIP)
                    n += 1
            # The patches are multiplied with the rows of dy; the sums of all positions stay in total.
            for panel in range(len(panels)):
                for m in range(0, end - begin, TILE_ROWS):
                    at_strip = m // STRIP * len(patches[0]) * STRIP + m % STRIP
                    multiply_tile(
                        left,
                        at_strip,
                        1,
                        STRIP,
                        right,
                        panel * len(panels[0]) * columns,
                        pixels,
                        total,
                        ((owner - lo) * size + m) * pitch + panel * columns,
                        pitch,
                        start == opening,
                    )
    for r in range(lo * size, min(taps, hi * size)):
        target, result = dw[r], sums[r - lo * size]
        for c in range(outputs):
            target[c] = result[c]


def weight_gradient(x, first_channel, taps, stride, dy, first_output, dw):
    """Compute dw[tap] = sum over positions of x[stride position + tap]^T dy[position], for dw ``[taps C, O]``.

    The other arguments are those of `correlate`, with dy in the place of y.
    """
    depth, outputs = dw.shape
    images, height, width, _ = dy.shape
    rows = max(1, DEPTH // width)
    size = min(OWNER_ROWS // STRIP, count_tiles(depth, 8 * STRIP)) * STRIP
    owners = count_tiles(depth, size)
    columns = panel_columns(dw.dtype)
    panels = count_tiles(outputs, columns)
    taps_y, taps_x = (np.array(axis, np.int64) for axis in taps)

    def add_up(lo, hi, dw, opening, closing):
        line = scratch.get("patch", (size,), dw.dtype)
        patches = scratch.get("patches", (size // STRIP, rows * width, STRIP), dw.dtype)
        packed = scratch.get("gradient panels", (panels, rows * width, columns), dw.dtype)
        sums = scratch.get("sums", ((hi - lo) * size, panels * columns), dw.dtype)
        _weight_gradient_owners(
            x,
            first_channel,
            depth // len(taps_y),
            taps_y,
            taps_x,
            stride,
            dy,
            first_output,
            dw,
            line,
            patches,
            packed,
            sums,
            size,
            opening,
            closing,
            rows,
            lo,
            hi,
        )

    if owners >= FEW_OWNERS:
        parallel_for(lambda lo, hi: add_up(lo, hi, dw, 0, images * height), owners, chunks_per_thread=1)
        return
    # dw has few rows, as in the first layer of a network: threads share the positions instead of the rows.
    share = count_tiles(count_tiles(images * height, rows), PARTS) * rows
    parts = scratch.get("gradient parts", (count_tiles(images * height, share), depth, outputs), dw.dtype)

    def work(lo, hi):
        for part in range(lo, hi):
            add_up(0, owners, parts[part], part * share, min(images * height, (part + 1) * share))

    parallel_for(work, len(parts))
    sum_tiles(parts, dw)
