"""Gradients of visible inputs only: compiled kernels compared with the reference."""

import numpy as np
import pytest
from bounds import REALS, agree
from convolutions import CASES, draw, magnitudes
from targets import cpu, reference
from test_linear import SHAPES
from test_linear import draw as draw_linear

from numsnn.kernels.types import AUTO, Geometry, Way

DENSITIES = (0.0, 0.2, 1.0)


def mask(shape, density):
    """Visible elements, among them whole pixels with none, and the very first and last."""
    rng = np.random.default_rng(9)
    visible = (rng.random(shape) < density).astype(np.uint8)
    if density:
        visible[rng.random(shape[:-1]) < 0.2] = 0
        visible.reshape(-1)[[0, -1]] = 1
    return visible


def gradient(k, dy, w, geometry, shape, *options):
    """dx in memory that held NaN, and the route taken."""
    dx = np.full(shape, np.nan, w.dtype)
    return dx, k.conv2d_backward_input(dy, w, geometry, dx, *options)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("name", CASES)
def test_cpu_is_the_reference(small_tiles, name, density, real):
    """Every kernel, stride and padding; groups are computed everywhere."""
    x, w, b, dy, geometry = draw(name, real)
    visible = mask(x.shape, density)
    got, taken = gradient(cpu, dy, w, geometry, x.shape, Way("events"), visible)
    assert (taken == "events") == (geometry[2] == 1)
    want, _ = gradient(reference, dy, w, geometry, x.shape, AUTO, visible)
    terms, scale = magnitudes(x, w, b, dy, geometry)[2]
    agree(np.where(visible, got, 0), want, terms, scale)
    assert np.isfinite(got).all()
    if taken == "events":
        assert not got[visible == 0].any()


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("shape", SHAPES)
def test_linear(small_tiles, shape, real):
    x, w, _, dy = draw_linear(shape, real)
    visible = mask(x.shape, 0.5)
    got, want = np.full_like(x, np.nan), np.full_like(x, np.nan)
    assert cpu.linear_backward_input(dy, w, got, Way("events"), visible) == "events"
    reference.linear_backward_input(dy, w, want, AUTO, visible)
    scale = np.abs(dy).astype(np.float64) @ np.abs(w).astype(np.float64).T
    agree(got, want, w.shape[1], scale)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("inputs", "outputs"), [(70, 33), (200, 130), (1, 64)])
def test_channels_beyond_a_register_and_a_block(inputs, outputs, real):
    """Tiles as they are: masks and rows of several registers, weights of more than one block."""
    rng = np.random.default_rng(3)
    shape, geometry = (3, 11, 9, inputs), Geometry((1, 1), (1, 1))
    w = rng.normal(size=(3, 3, inputs, outputs)).astype(real)
    dy = rng.normal(size=(*shape[:3], outputs)).astype(real)
    visible = mask(shape, 0.3)
    got, taken = gradient(cpu, dy, w, geometry, shape, Way("events"), visible)
    want, _ = gradient(reference, dy, w, geometry, shape, AUTO, visible)
    assert taken == "events"
    absolute = (np.abs(a).astype(np.float64) for a in (dy, w))
    agree(got, want, 9 * outputs, gradient(reference, *absolute, geometry, shape)[0])


def test_few_are_computed_by_themselves_and_many_with_all_others():
    """ "auto" goes by the share of visible elements."""
    rng = np.random.default_rng(5)
    w, dy = (rng.normal(size=size).astype(np.float32) for size in ((3, 3, 64, 64), (8, 6, 6, 64)))
    shape, geometry = (8, 12, 12, 64), Geometry((2, 2), (1, 1))
    everywhere, _ = gradient(cpu, dy, w, geometry, shape)
    for density, route in ((0.05, "events"), (0.9, "dense")):
        visible = (np.random.default_rng(1).random(shape) < density).astype(np.uint8)
        dx, taken = gradient(cpu, dy, w, geometry, shape, AUTO, visible)
        assert taken == route
        np.testing.assert_allclose(dx[visible == 1], everywhere[visible == 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("asked", ["dense", "winograd"])
def test_other_ways_compute_all(asked):
    """The dense and the Winograd way give the same bits as without a mask."""
    _, w, _, dy, geometry = draw("3x3", np.float32)
    shape = (2, 5, 7, 3)
    everywhere, taken = gradient(cpu, dy, w, geometry, shape, Way(asked))
    masked = gradient(cpu, dy, w, geometry, shape, Way(asked), np.zeros(shape, np.uint8))
    assert masked[1] == taken == asked and np.array_equal(masked[0], everywhere)


def test_spikes_are_given_everywhere():
    """Spikes are the input of a transposed convolution, not gradients, so the mask is ignored for them."""
    _, w, _, dy, geometry = draw("3x3", np.float32)
    spikes, shape = (dy > 0).astype(np.uint8), (2, 5, 7, 3)
    want, taken = gradient(cpu, spikes, w, geometry, shape, Way("events"))
    got, same = gradient(cpu, spikes, w, geometry, shape, Way("events"), np.zeros(shape, np.uint8))
    assert taken == same != "events" and np.array_equal(got, want)
