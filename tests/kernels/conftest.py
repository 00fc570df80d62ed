"""Setup for the tests in this folder: they can import its helpers by name and request very small tiles."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

CPU_SIZES = {
    "run.launch": {"TILE_ELEMENTS": 24},
    "dropout": {"TILE_ELEMENTS": 24},
    "elementwise": {"TILE_ELEMENTS": 24},
    "optim": {"TILE_ELEMENTS": 24},
    "ways.product": {"PATCH_ELEMENTS": 40, "OWNER_ROWS": 16},
    "ways.events": {"PIXELS": 6, "CHUNK_BYTES": 200, "TABLE_BYTES": 2000},
    "ways.winograd": {"BATCH_BYTES": 1, "GRADIENT_BATCH_BYTES": (1, 1)},
    "ways.visible": {"TABLE_BYTES": 600, "TILE_BYTES": 100},
    "ways.grouped": {"WEIGHT_TILES": 3},
    "run.tiles": {"ROW_ELEMENTS": 12, "LEAST_ELEMENTS": 6, "WIDTH_GRAIN": 4},
    "neuron": {"STATE_ELEMENTS": 24, "SCRATCH_ELEMENTS": 100},
}

CUDA_SIZES = {
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


@pytest.fixture
def small_tiles(monkeypatch):
    """Set tiles of a few elements, so that small arrays have dozens of tiles and an incomplete last one."""
    for module, sizes in CPU_SIZES.items():
        for name, size in sizes.items():
            monkeypatch.setattr(import_module(f"numsnn.kernels.cpu.{module}"), name, size)
    if "numsnn.kernels.cuda.run.api" not in sys.modules:
        return
    for module, sizes in CUDA_SIZES.items():
        for name, size in sizes.items():
            monkeypatch.setattr(import_module(f"numsnn.kernels.cuda.{module}"), name, size)
    tile = import_module("numsnn.kernels.cuda.inline.product_tiles")
    wide, small = tile.Tile(16, 16, 4, 4, 4), tile.Tile(8, 8, 4, 2, 2)
    monkeypatch.setattr(tile, "TILES", {np.dtype(np.float32): (wide, small), np.dtype(np.float64): (small, small)})
