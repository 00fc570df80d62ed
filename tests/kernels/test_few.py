"""Dense convolutions with few output channels, by dot products and sums of runs."""

import numpy as np
import pytest
from bounds import REALS, agree
from convolutions import CASES, draw, magnitudes, run
from targets import cpu, reference

from numsnn.kernels.cpu import conv
from numsnn.kernels.cpu.ways import few
from numsnn.kernels.types import Geometry, Way

DENSE = [name for name, case in CASES.items() if case[4] == 1 or case[4] == 2 < case[0][3]]
"""Cases that the route dense can take; those of many groups, or with groups of one input, have a route of their own."""


@pytest.fixture
def always(monkeypatch):
    """Every layer of any size is computed in this way, and how often is counted."""
    calls = []
    for name in ("correlate", "weight_gradient"):
        function = getattr(few, name)
        monkeypatch.setattr(few, name, lambda *a, function=function: calls.append(1) or function(*a))
    monkeypatch.setattr(conv, "narrow_way", lambda *a: few)
    monkeypatch.setattr(conv, "groups_together", lambda *a: False)
    return calls


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", DENSE)
def test_few_outputs_are_the_reference(small_tiles, always, name, real):
    x, w, b, dy, geometry = draw(name, real)
    y, dw, dx = (np.full_like(like, np.nan) for like in (dy, w, np.zeros(x.shape, real)))
    cpu.conv2d_forward(x, w, b, geometry, y, None, Way("dense"))
    cpu.conv2d_backward_weight(x, dy, geometry, dw, None, Way("dense"))
    cpu.conv2d_backward_input(dy, w, geometry, dx, Way("dense"))
    assert len(always) >= 3
    want = run(reference, x, w, b, dy, geometry)
    for array, oracle, (terms, scale) in zip((y, dw, dx), want, magnitudes(x, w, b, dy, geometry), strict=True):
        agree(array, oracle, terms, scale)


def test_spikes_and_several_images_per_tile(always):
    """With tiles of their usual size, rows that are longer than a register, and weights that are kept."""
    rng = np.random.default_rng(0)
    x = (rng.random((70, 5, 6, 40)) < 0.3).astype(np.uint8)
    w, b = rng.normal(size=(3, 3, 40, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    dy = rng.normal(size=(70, 5, 6, 3)).astype(np.float32)
    geometry, kept = draw("3x3", np.float32)[4], {}
    want = run(reference, x, w, b, dy, geometry)
    scales = magnitudes(x, w, b, dy, geometry)
    for _ in range(2):
        y, dw = np.full_like(dy, np.nan), np.full_like(w, np.nan)
        cpu.conv2d_forward(x, w, b, geometry, y, None, Way("dense"), kept)
        cpu.conv2d_backward_weight(x, dy, geometry, dw, None, Way("dense"))
        for array, oracle, (terms, scale) in zip((y, dw), want, scales, strict=False):
            agree(array, oracle, terms, scale)
    assert list(kept) == [(few.PACKED, 0)] and len(always) == 4


@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_single_taps_read_the_pixels_themselves(always, groups, spikes):
    """Several tiles, rows that end within a register, at the end of the array, too, and channels of another group."""
    rng = np.random.default_rng(0)
    x = (rng.random((9, 11, 7, 74)) < 0.3) * rng.normal(size=74)
    x = (x != 0).astype(np.uint8) if spikes else x.astype(np.float32)
    w, b = rng.normal(size=(1, 1, 74 // groups, 6)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    case = x, w, b, rng.normal(size=(9, 11, 7, 6)).astype(np.float32), Geometry(groups=groups)
    y = np.full_like(case[3], np.nan)
    cpu.conv2d_forward(x, w, b, case[4], y, None, Way("dense"))
    terms, scale = magnitudes(*case)[0]
    agree(y, run(reference, *case)[0], terms, scale)
    assert len(always) == groups


def test_runs():
    """The taps of a row of the filter are a run if they are neighbours."""
    for kernel, dilation, runs in (((3, 3), (1, 1), 3), ((1, 1), (1, 1), 1), ((2, 4), (3, 1), 2), ((2, 3), (1, 2), 6)):
        assert few.runs_of(conv._taps(kernel, (0, 0), dilation)) == runs
