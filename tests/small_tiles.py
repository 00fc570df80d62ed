"""Very small tiles and blocks, so that small arrays have dozens of them and an incomplete last one."""

from importlib import import_module

import numpy as np

CPU = {
    "run.launch": {"TILE_ELEMENTS": 24},
    "run.reduce": {"SUM_NUMBERS": 100},
    "activity": {"UNIT_BLOCK": 3},
    "dropout": {"TILE_ELEMENTS": 24},
    "elementwise": {"TILE_ELEMENTS": 24},
    "optim": {"TILE_ELEMENTS": 24},
    "ways.positions": {"INPUT_ELEMENTS": 60, "MOST_POSITIONS": 12, "LEAST_POSITIONS": 3},
    "ways.product_cut": {"FEW_WEIGHTS": 100, "OWNER_ROWS": 16},
    "ways.events": {"PIXELS": 6, "CHUNK_BYTES": 200, "TABLE_BYTES": 2000, "NEAR_BYTES": 300},
    "ways.lines": {"TILE_PIXELS": 40, "TILES": 5, "PART_ENTRIES": 1},
    "ways.winograd": {"BATCH_BYTES": (1, 1)},
    "ways.winograd_gradient": {"GRADIENT_BATCH_BYTES": (1, 1)},
    "ways.visible": {"TABLE_BYTES": 600, "TILE_BYTES": 100},
    "ways.depthwise": {"MOST_VECTORS": 2, "TILES": 5, "WEIGHT_TILES": 3},
    "run.tiles": {"ROW_ELEMENTS": 12, "LEAST_ELEMENTS": 6, "WIDTH_GRAIN": 4},
    "neuron": {"STATE_ELEMENTS": 24, "SCRATCH_ELEMENTS": 100, "LEAST_JOINED": 0},
}

REMEMBERED = (
    ("run.tiles", "rows_to_join"),
    ("norm", "rows_to_join"),
    ("norm", "_moment_cut"),
    ("recurrent", "_rows"),
    ("neuron", "cut"),
    ("ways.product", "forward_cut"),
    ("ways.product", "gradient_cut"),
)
"""(module, function whose results are remembered by shape): with small tiles it must compute them anew."""

CUDA = {
    "run.tiles": {"THREADS": 12, "HEAVY_THREADS": 8, "FEW_THREADS": 12, "MOST_BLOCKS": 6, "FILL": 1, "WARP": 1},
    "run.reduce": {"SUM_COLUMNS": 4, "SUM_LANES": 3},
    "run.launch": {"BLOCK": 8},
    "inline.moments": {"COLUMNS": 4, "LANES": 3},
    "inline.rows": {"COLUMNS": 3, "THREADS": 9, "ROWS_PER_LANE": 4, "FINISH_COLUMNS": 2},
    "inline.measure": {"AHEAD": 2},
    "inline.pixels": {"THREADS": 8},
    "inline.product_tiles": {"ENOUGH_BLOCKS": 1},
    "neuron": {"MEASURED_CHANNELS": 4, "LEAST_WIDE": 0},
    "lateral": {"LIST": 3, "THREADS": 2, "MOST_BLOCKS": 4},
    "norm": {"ELEMENTS_PER_LANE": 5, "THREADS": 9},
    "ways.product": {"LEAST_PIXELS": 20},
    "ways.grouped": {"SHARE_PIXELS": 10},
}
"""Module -> sizes while a test asks for small tiles. A kernel is not allowed to read one of these by itself: compiled
machine code would go on with the size that was there when it was compiled."""


def on_cpu(monkeypatch):
    """Make the tiles of the CPU small until the end of the test."""
    _set(monkeypatch, "cpu", CPU)
    for module, name in REMEMBERED:
        module = import_module(f"numsnn.kernels.cpu.{module}")
        monkeypatch.setattr(module, name, getattr(module, name).__wrapped__)


def on_cuda(monkeypatch):
    """Make the blocks and tiles of the CUDA device small until the end of the test."""
    _set(monkeypatch, "cuda", CUDA)
    tile = import_module("numsnn.kernels.cuda.inline.product_tiles")
    wide, small = tile.Tile(16, 16, 4, 4, 4), tile.Tile(8, 8, 4, 2, 2)
    monkeypatch.setattr(tile, "TILES", {np.dtype(np.float32): (wide, small), np.dtype(np.float64): (small, small)})


def _set(monkeypatch, device, sizes):
    for module, names in sizes.items():
        for name, size in names.items():
            monkeypatch.setattr(import_module(f"numsnn.kernels.{device}.{module}"), name, size)
