"""How a matrix product (`product`) is cut into tiles, and where their numbers lie, which follows from shapes alone.

It is computed once per shape, because it takes as long as a small product.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..inline.blocks import TILE_ROWS, panel_columns
from ..run.launch import count_tiles
from . import positions
from .panels import DEPTH, padded_columns, padded_rows
from .positions import Tiling, positions_of, tile_offsets, tile_positions

FEW_WEIGHTS = 65536
"""Up to this number of weights, which stay in the second-level cache, there are enough tiles for the threads because
tiles get fewer positions, and above it because they get fewer columns: every tile reads its weights anew."""

COLLIDING, PAD = 256, 16
"""Pixels with a multiple of COLLIDING channels would lie in the same sets of the cache; PAD numbers keep them apart."""

MOST_SUMS = 65536
"""Results of a tile, beyond which they are summed up in a small array if the sums are made in several slices. The part
of y is spread over memory, and would not stay in the cache from one slice to the next."""

OWNER_ROWS = 128
"""Rows of the weight gradient per owner, at least one channel with all its taps."""

FEW_OWNERS, PARTS = 4, 16
"""With rows for fewer than FEW_OWNERS owners, the positions that the weight gradient sums over are cut into PARTS
slices, if there are enough of them. Otherwise the number of owners is a multiple of FEW_OWNERS."""


class ForwardCut(NamedTuple):
    """The cut of `product.correlate`. Its arrays must not be changed.

    Attributes:
        tiling, position: as of `positions.tile_positions`, and tap, which is flat.
        in_y, in_sums: where the sums of a tile's positions begin in y, and in the small array.
        channels: number of channels that are read.
        pitch: numbers per pixel of a tile's copy of its inputs.
        width: columns per panel.
        columns: columns of y per tile.
        copied, summed: shapes of a tile's copy and of its sums.
        tiles: number of tiles, for all blocks of columns.
    """

    tiling: Tiling
    position: np.ndarray
    tap: np.ndarray
    in_y: np.ndarray
    in_sums: np.ndarray
    channels: int
    pitch: int
    width: int
    columns: int
    copied: tuple[int]
    summed: tuple[int]
    tiles: int


@lru_cache(256)
def forward_cut(extent, taps, stride, weights, outputs, target, dtype, origin, step):
    """The cut of `product.correlate` for x of the shape `extent`, y of the shape `target`, and this number of packed
    weights."""
    images, channels = extent[0], weights // padded_columns(outputs, dtype) // len(taps[0])
    height, width = positions_of(target, origin, step)
    panel, blocks = panel_columns(dtype), 1
    if weights > FEW_WEIGHTS:
        most = count_tiles(images * height * width, positions.MOST_POSITIONS)
        blocks = min(count_tiles(outputs, panel), count_tiles(positions.LEAST_TILES, most))
    columns = count_tiles(outputs, panel * blocks) * panel
    tiles = max(1, positions.LEAST_TILES // blocks)
    pitch = channels if channels % COLLIDING else channels + PAD
    tiling, position, tap = tile_positions(images, height, width, taps, stride, channels, tiles, pitch)
    again = tap.size > DEPTH and len(position) * columns > MOST_SUMS
    in_sums = np.arange(len(position) if again else TILE_ROWS) * (columns + PAD)
    return ForwardCut(
        *(tiling, position, tap.reshape(-1), tile_offsets(tiling, step, target[1:]), in_sums),
        *(channels, pitch, panel, columns, (tiling.pixels * pitch,), (len(in_sums) * (columns + PAD),)),
        tiling.tiles * count_tiles(outputs, columns),
    )


class GradientCut(NamedTuple):
    """The cut of `product.weight_gradient`. Its arrays must not be changed.

    Attributes:
        tiling, position: as of `positions.tile_positions`.
        in_rows: where the inputs of each row of an owner begin, filled up to whole register blocks.
        in_sums: where the sums of these rows begin.
        nothing: a row of zeros.
        channels, share: numbers of channels, of all owners and of one.
        owners: number of owners.
        shared: whether threads share the positions, and not the owners.
        width, columns: columns per panel, and of all panels.
        copied, packed: shapes of a tile's copy of its inputs, and of the panels of its gradients.
    """

    tiling: Tiling
    position: np.ndarray
    in_rows: np.ndarray
    in_sums: np.ndarray
    nothing: np.ndarray
    channels: int
    share: int
    owners: int
    shared: bool
    width: int
    columns: int
    copied: tuple[int]
    packed: tuple[int]


@lru_cache(256)
def gradient_cut(source, taps, stride, target, dtype):
    """The cut of `product.weight_gradient` for dy of the shape `source` and dw of the shape `target`."""
    (images, height, width, _), (depth, outputs) = source, target
    channels = depth // len(taps[0])
    owners = count_tiles(count_tiles(depth, OWNER_ROWS), FEW_OWNERS) * FEW_OWNERS
    # If dw has few rows, as in the first layer of a network, threads share the positions instead of the rows.
    enough = images * height * width >= PARTS * positions.LEAST_POSITIONS
    shared = depth < FEW_OWNERS * OWNER_ROWS and enough
    share = channels if shared else count_tiles(channels, owners)
    tiling, position, tap = tile_positions(images, height, width, taps, stride, share, PARTS if shared else 1)
    rows, columns, panel = padded_rows(tap.size), padded_columns(outputs, dtype), panel_columns(dtype)
    in_rows = np.zeros(rows, np.int32)
    in_rows[: tap.size] = tap.T.reshape(-1)
    return GradientCut(
        *(tiling, position, in_rows, np.arange(rows) * columns, np.zeros(panel, dtype)),
        *(channels, share, count_tiles(channels, share), shared, panel, columns),
        *((tiling.pixels * share,), (len(position) * columns,)),
    )
