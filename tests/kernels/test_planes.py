"""Dense convolutions between few channels, with vectors of positions."""

import numpy as np
import pytest
from bounds import REALS, agree
from convolutions import CASES, draw, magnitudes, run
from targets import cpu, reference

from numsnn.kernels.cpu import conv
from numsnn.kernels.cpu.route import groups_together
from numsnn.kernels.cpu.run.launch import get_num_threads, set_num_threads
from numsnn.kernels.cpu.ways import few, planes
from numsnn.kernels.cpu.ways.narrow import narrow_way
from numsnn.kernels.types import Geometry, Way

DENSE = [name for name, case in CASES.items() if case[4] == 1 or case[4] < case[0][3]]
"""Cases that the route dense takes; groups of one input have a route of their own."""


@pytest.fixture
def always(monkeypatch):
    """Every layer of any size is computed in this way, and how often is counted."""
    calls = []
    for name in ("correlate", "weight_gradient"):
        function = getattr(planes, name)
        monkeypatch.setattr(planes, name, lambda *a, function=function: calls.append(1) or function(*a))
    monkeypatch.setattr(conv, "narrow_way", lambda *a: planes)
    monkeypatch.setattr(conv, "groups_together", lambda passing, w, stride, groups, extent: groups > 1)
    return calls


def compute(x, w, b, dy, geometry):
    """y, dw and dx, in memory that held NaN."""
    y, dw, dx = (np.full_like(like, np.nan) for like in (dy, w, np.zeros(x.shape, w.dtype)))
    cpu.conv2d_forward(x, w, b, geometry, y, None, Way("dense"))
    cpu.conv2d_backward_weight(x, dy, geometry, dw, None, Way("dense"))
    cpu.conv2d_backward_input(dy, w, geometry, dx, Way("dense"))
    return y, dw, dx


@pytest.mark.parametrize("one_row", [True, False])
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", DENSE)
def test_sums_of_positions_are_the_reference(monkeypatch, always, name, real, one_row):
    """With tiles of one row and as few groups together as possible, and with several images and all groups per tile."""
    if one_row:
        monkeypatch.setattr(planes, "LEAST_POSITIONS", 1)
        monkeypatch.setattr(planes, "MOST_CHANNELS", 1)
    planes._plan.cache_clear()
    case = draw(name, real)
    want = run(reference, *case)
    for array, oracle, (terms, scale) in zip(compute(*case), want, magnitudes(*case), strict=True):
        agree(array, oracle, terms, scale)
    planes._plan.cache_clear()
    assert len(always) >= 3


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_spikes_and_rows_longer_than_a_register(always, channels, outputs):
    rng = np.random.default_rng(0)
    x = (rng.random((3, 20, 41, channels)) < 0.3).astype(np.uint8)
    w, b = rng.normal(size=(5, 3, channels, outputs)).astype(np.float32), rng.normal(size=outputs).astype(np.float32)
    dy = rng.normal(size=(3, 10, 41, outputs)).astype(np.float32)
    case = x, w, b, dy, Geometry((2, 1), (2, 1))
    for array, oracle, (terms, scale) in zip(compute(*case), run(reference, *case), magnitudes(*case), strict=True):
        agree(array, oracle, terms, scale)


def test_sums_of_positions_do_not_depend_on_threads(always):
    case = draw("strided", np.float32)
    found, before = [], get_num_threads()
    try:
        for threads in (1, 3):
            set_num_threads(threads)
            found.append(compute(*case))
    finally:
        set_num_threads(before)
    for one, three in zip(*found, strict=True):
        assert np.array_equal(one, three)


def test_when_it_is_chosen():
    """For few channels on both sides; with many inputs, dot products of their runs are faster, and with more outputs or
    in small pictures a matrix product."""
    taps = conv._taps((3, 3), (1, 1), (1, 1))
    chosen = [narrow_way(taps, *numbers, (1, 1), (64, 64)) for numbers in ((2, 2), (512, 2), (16, 9), (16, 17))]
    assert chosen == [planes, few, planes, None]
    assert narrow_way(taps, 16, 9, (1, 1), (6, 6)) is None
    assert narrow_way(taps, 3, 2, (1, 1), (64, 64), True) is planes and narrow_way(taps, 3, 16, (1, 1), (9, 9)) is None
    assert narrow_way(((0,), (0,)), 64, 8, (1, 1), (1, 1)) is None


def test_groups_of_few_channels_are_computed_together():
    """Of wide groups, each is computed alone."""
    for channels, expected in ((4, True), (8, True), (64, False)):
        w = np.broadcast_to(0.0, (3, 3, channels, 8 * channels))
        assert all(groups_together(p, w, (1, 1), 8, (8, 32, 32)) == expected for p in ("forward", "weight", "input"))
    assert not groups_together("forward", np.broadcast_to(0.0, (3, 3, 4, 4)), (1, 1), 1, (8, 32, 32))
