"""Convolution: reference against loops over scalars, compiled kernels against reference."""

import naive
import numpy as np
import pytest
from bounds import REALS, agree
from convolutions import CASES, draw, magnitudes, run
from targets import ALL, COMPILED, SIMULATED, TWIN, cpu, reference

from numsnn.kernels.cpu.ways import depthwise, positions
from numsnn.kernels.types import Geometry


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_reference_is_the_sum_over_taps(name, bias):
    x, w, b, dy, geometry = draw(name, np.float64)
    b = b if bias else None
    got = run(reference, x, w, b, dy, geometry)
    want_dx, want_dw = naive.conv2d_backward(x, w, dy, *geometry)
    want = naive.conv2d_forward(x, w, b, *geometry), want_dw, want_dx
    for array, oracle, (terms, scale) in zip(got, want, magnitudes(x, w, b, dy, geometry), strict=True):
        agree(array, np.array(oracle), terms, scale)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", CASES)
def test_tiles_of_some_rows_are_the_reference(small_tiles, monkeypatch, name, real):
    """The registry tests tiles of a single output row."""
    monkeypatch.setattr(positions, "INPUT_ELEMENTS", 400)
    x, w, b, dy, geometry = draw(name, real)
    got, want = (run(target, x, w, b, dy, geometry) for target in (cpu, reference))
    for array, oracle, (terms, scale) in zip(got, want, magnitudes(x, w, b, dy, geometry), strict=True):
        agree(array, oracle, terms, scale)


@pytest.mark.parametrize("dilation", [(1, 1), (3, 1)])
@pytest.mark.parametrize("groups", [1, 4])
@ALL
def test_more_outputs_read_zeros_behind_the_picture(small_tiles, k, groups, dilation):
    """They are what a picture with these zeros gives; kernel size 2 keeps the size of the picture in this way."""
    x, w, b, dy, geometry = draw("dilated" if groups == 1 else "dilated groups", np.float64)
    x, w, b = (np.ascontiguousarray(array) for array in (x[..., :groups], w[:2, :2, :1, :4], b[:4]))
    dy = np.random.default_rng(3).normal(size=(*x.shape[:3], 4))
    geometry = Geometry((1, 1), (dilation[0] // 2, 0), groups, dilation)
    padded = np.pad(x, ((0, 0), (dilation[0] // 2, dilation[0] - dilation[0] // 2), (0, 1), (0, 0)))
    free = geometry._replace(padding=(0, 0))
    y, dw, dx = run(k, x, w, b, dy, geometry)
    want_dx, want_dw = naive.conv2d_backward(padded, w, dy, *free)
    first = dilation[0] // 2
    np.testing.assert_allclose(y, naive.conv2d_forward(padded, w, b, *free), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dw, want_dw, rtol=1e-12, atol=1e-12)
    want_dx = np.array(want_dx)[:, first : first + x.shape[1], : x.shape[2]]
    np.testing.assert_allclose(dx, want_dx, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", CASES)
def test_both_ways_to_convolve_are_the_reference(small_tiles, monkeypatch, name, real):
    """The ways of depthwise convolutions, and of groups of several channels, are both correct for groups of one."""
    x, w, b, dy, geometry = draw(name, real)
    want, scales = run(reference, x, w, b, dy, geometry), magnitudes(x, w, b, dy, geometry)
    there = depthwise.worth_it
    for answer in (True, False):
        monkeypatch.setattr(depthwise, "worth_it", lambda w, groups, planes, a=answer: a and there(w, groups, False))
        got = run(cpu, x, w, b, dy, geometry)
        for array, oracle, (terms, scale) in zip(got, want, scales, strict=True):
            agree(array, oracle, terms, scale)


@pytest.mark.parametrize("k", [TWIN])
@pytest.mark.parametrize("name", ["grouped", "depthwise, two outputs each"])
def test_groups_in_tiles_are_the_reference(small_tiles, monkeypatch, k, name):
    """A tile stays within a group, however few channels that has."""
    from numsnn.kernels.cuda.ways import grouped

    monkeypatch.setattr(grouped, "worth_it", lambda w, groups: False)
    x, w, b, dy, geometry = draw(name, np.float32)
    got, want = (run(target, x, w, b, dy, geometry) for target in (k, reference))
    for array, oracle, (terms, scale) in zip(got, want, magnitudes(x, w, b, dy, geometry), strict=True):
        agree(array, oracle, terms, scale)


def test_when_convolutions_are_computed_as_depthwise_ones():
    """With groups of one input, up to eight outputs each, but not if there are a few of them that `planes` takes."""
    for channels, outputs, groups, planes, expected in (
        (64, 64, 64, True, True),
        (64, 192, 64, True, True),
        (4, 4, 4, True, False),
        (4, 4, 4, False, True),
        (64, 64, 16, False, False),
        (1, 32, 1, False, False),
        (8, 72, 8, False, False),
    ):
        w = np.empty((3, 3, channels // groups, outputs))
        assert depthwise.worth_it(w, groups, planes) == expected


@pytest.mark.parametrize("name", ["rectangular", "strided", "many small groups"])
@ALL
def test_spikes_through_the_transposed_convolution(small_tiles, k, name):
    """conv2d_backward_input is its forward pass: uint8 gives to the bit what the same numbers in float32 give."""
    x, w, _, dy, geometry = draw(name, np.float32)
    spikes = (dy > 0.5).astype(np.uint8)
    assert 0.05 < spikes.mean() < 0.6
    found = [np.full_like(x, np.nan) for _ in range(2)]
    for dx, given in zip(found, (spikes, spikes.astype(np.float32)), strict=True):
        k.conv2d_backward_input(given, w, geometry, dx)
    assert np.array_equal(*found) and found[0].any()


@pytest.mark.parametrize("name", ["3x3", "depthwise", "1x1 strided", "depthwise, many channels", "many small groups"])
@ALL
def test_spikes(small_tiles, k, name):
    """uint8 inputs give to the bit what the same numbers in float32 give, and nothing for silent ones."""
    x, w, b, dy, geometry = draw(name, np.float32)
    spikes = (x > 0.5).astype(np.uint8)
    assert 0.05 < spikes.mean() < 0.6
    if SIMULATED and k.name == "cuda" and name in ("3x3", "depthwise, many channels", "many small groups"):
        pytest.skip("takes long in the simulator")
    as_spikes, as_numbers = (run(k, x, w, b, dy, geometry) for x in (spikes, spikes.astype(np.float32)))
    assert all(map(np.array_equal, as_spikes, as_numbers))
    y, dw, _ = run(k, np.zeros_like(spikes), w, b, dy, geometry)
    assert (y == b).all() and not dw.any()


@COMPILED
def test_many_channels_without_small_tiles(k):
    """More input channels than one owner of weight gradients takes, and more rows than its tiles have."""
    geometry = Geometry((1, 1), (1, 1))
    rng = np.random.default_rng(2)
    if SIMULATED and k.name == "cuda":
        pytest.skip("takes long in the simulator")
    x = (rng.random((7, 17, 19, 70)) < 0.2).astype(np.uint8)
    w, b = rng.normal(size=(3, 3, 70, 5)).astype(np.float32), None
    dy = rng.normal(size=(7, 17, 19, 5)).astype(np.float32)
    got, want = (run(target, x, w, b, dy, geometry) for target in (k, reference))
    for array, oracle, (terms, scale) in zip(got, want, magnitudes(x, w, b, dy, geometry), strict=True):
        agree(array, oracle, terms, scale)
