"""Lets the tests of this folder import its helpers by name; cuts work into very small tiles on request."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("bounds", "neurons")


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of a few elements: small arrays then have dozens of them, the last one cut short."""
    for module in ("launch", "dropout", "elementwise", "optim"):
        monkeypatch.setattr(import_module(f"numsnn.kernels.cpu.{module}"), "TILE_ELEMENTS", 24)
    for name, value in {"ROW_ELEMENTS": 12, "LEAST_ELEMENTS": 6, "WIDTH_GRAIN": 4}.items():
        monkeypatch.setattr(import_module("numsnn.kernels.cpu.tiles"), name, value)
    for name, value in {"STATE_ELEMENTS": 24, "SCRATCH_ELEMENTS": 100}.items():
        monkeypatch.setattr(import_module("numsnn.kernels.cpu.neuron"), name, value)
    monkeypatch.setattr(import_module("numsnn.kernels.cpu.linear"), "ROWS", 3)
    monkeypatch.setattr(import_module("numsnn.kernels.cpu.conv"), "PATCH_ELEMENTS", 40)
    monkeypatch.setattr(import_module("numsnn.kernels.cpu.conv"), "CHANNEL_BLOCK", 2)
    monkeypatch.setattr(import_module("numsnn.kernels.cpu.grouped"), "WEIGHT_TILES", 3)
