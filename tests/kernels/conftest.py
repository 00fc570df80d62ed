"""Lets the tests of this folder import its helpers by name; cuts work into very small tiles on request."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("bounds", "neurons")


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of a few elements: small arrays then have dozens of them, the last one cut short."""
    for module in ("launch", "dropout", "elementwise", "optim"):
        monkeypatch.setattr(import_module(f"numsnn.kernels.cpu.{module}"), "TILE_ELEMENTS", 24)
    for module, name, size in (
        ("product", "PATCH_ELEMENTS", 40),
        ("product", "OWNER_ROWS", 16),
        ("events", "PIXELS", 6),
        ("events", "CHUNK_BYTES", 200),
        ("events", "TABLE_BYTES", 2000),
        ("winograd", "BATCH_BYTES", 1),
        ("winograd", "GRADIENT_BATCH_BYTES", (1, 1)),
        ("visible", "TABLE_BYTES", 600),
        ("visible", "TILE_BYTES", 100),
    ):
        monkeypatch.setattr(import_module(f"numsnn.kernels.cpu.{module}"), name, size)
    for name, value in {"ROW_ELEMENTS": 12, "LEAST_ELEMENTS": 6, "WIDTH_GRAIN": 4}.items():
        monkeypatch.setattr(import_module("numsnn.kernels.cpu.tiles"), name, value)
    for name, value in {"STATE_ELEMENTS": 24, "SCRATCH_ELEMENTS": 100}.items():
        monkeypatch.setattr(import_module("numsnn.kernels.cpu.neuron"), name, value)
    for module, name, size in (
        ("tiles", "THREADS", 12),
        ("tiles", "HEAVY_THREADS", 8),
        ("tiles", "FEW_THREADS", 12),
        ("tiles", "MOST_BLOCKS", 6),
        ("tiles", "FILL", 1),
        ("tiles", "WARP", 1),
        ("reduce", "SUM_COLUMNS", 4),
        ("reduce", "SUM_LANES", 3),
        ("moments", "COLUMNS", 4),
        ("moments", "LANES", 3),
        ("neuron", "MEASURED_CHANNELS", 4),
        ("neuron", "LEAST_WIDE", 0),
        ("lateral", "LIST", 3),
        ("lateral", "THREADS", 2),
        ("lateral", "MOST_BLOCKS", 4),
    ):
        if f"numsnn.kernels.cuda.{module}" in sys.modules:
            monkeypatch.setattr(sys.modules[f"numsnn.kernels.cuda.{module}"], name, size)
    monkeypatch.setattr(import_module("numsnn.kernels.cpu.grouped"), "WEIGHT_TILES", 3)
    for module, name, size in (
        ("launch", "BLOCK", 8),
        ("rows", "COLUMNS", 3),
        ("rows", "THREADS", 9),
        ("rows", "ROWS_PER_LANE", 4),
        ("rows", "FINISH_COLUMNS", 2),
        ("measure", "AHEAD", 2),
        ("norm", "ELEMENTS_PER_LANE", 5),
        ("norm", "THREADS", 9),
    ):
        if f"numsnn.kernels.cuda.{module}" in sys.modules:
            monkeypatch.setattr(sys.modules[f"numsnn.kernels.cuda.{module}"], name, size)
    if "numsnn.kernels.cuda.product_tiles" in sys.modules:
        tile = sys.modules["numsnn.kernels.cuda.product_tiles"]
        wide, small = tile.Tile(16, 16, 4, 4, 4), tile.Tile(8, 8, 4, 2, 2)
        tiles = {np.dtype(np.float32): (wide, small), np.dtype(np.float64): (small, small)}
        for module, name, value in (
            ("product_tiles", "TILES", tiles),
            ("product_tiles", "ENOUGH_BLOCKS", 1),
            ("product", "LEAST_PIXELS", 20),
            ("grouped", "SHARE_PIXELS", 10),
            ("pixels", "THREADS", 8),
        ):
            monkeypatch.setattr(sys.modules[f"numsnn.kernels.cuda.{module}"], name, value)
