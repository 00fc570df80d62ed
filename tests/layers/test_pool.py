"""Pooling against plain loops over windows."""

import numpy as np
import pytest

import numsnn as snn

WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": (1, 2)},
    {"kernel_size": 2, "stride": 1},
    {"kernel_size": 2, "stride": (3, 1), "padding": 1},
    {"kernel_size": (4, 2), "stride": (1, 2), "padding": (2, 1)},
]


def windows(layer, x):
    """(output index, input positions) of every window; positions in the padding are left out."""
    (kh, kw), (sh, sw), (ph, pw) = layer.kernel_size, layer.stride, layer.padding
    height, width = x.shape[2:4]
    for oy in range((height + 2 * ph - kh) // sh + 1):
        for ox in range((width + 2 * pw - kw) // sw + 1):
            rows = range(oy * sh - ph, oy * sh - ph + kh)
            columns = range(ox * sw - pw, ox * sw - pw + kw)
            yield (oy, ox), [(y, z) for y in rows for z in columns if 0 <= y < height and 0 <= z < width]


@pytest.mark.parametrize("kind", [snn.AvgPool2d, snn.SumPool2d])
@pytest.mark.parametrize("options", WINDOWS, ids=str)
def test_average_and_sum(grid, device, options, kind, step):
    """Padded zeros count: for the average, a window's sum is divided by the kernel's size, a power of two here."""
    x = grid((2, 3, 5, 6, 2))
    layer = kind(**options).to(device).build(x.shape)
    dy = grid(layer.output_shape, 1)
    size = np.prod(layer.kernel_size) if kind is snn.AvgPool2d else 1
    y, dx = np.full(layer.output_shape, np.nan), np.zeros(x.shape)
    for (oy, ox), inside in windows(layer, x):
        y[:, :, oy, ox] = sum(x[:, :, a, b] for a, b in inside) / size
        for a, b in inside:
            dx[:, :, a, b] += dy[:, :, oy, ox] / size
    found = step(layer, x, dy)
    np.testing.assert_array_equal(found["y"], y)
    np.testing.assert_array_equal(found["dx"], dx)


@pytest.mark.parametrize("options", WINDOWS, ids=str)
def test_maximum(device, options, step, grid):
    """All inputs are negative: a padded zero would win. There are ties: the first of a window gets the gradient."""
    x = grid((2, 3, 5, 6, 2)) - 3
    layer = snn.MaxPool2d(**options).to(device).build(x.shape)
    dy = grid(layer.output_shape, 1)
    y, dx = np.full(layer.output_shape, np.nan), np.zeros(x.shape)
    ties = 0
    for (oy, ox), inside in windows(layer, x):
        for t, n, c in np.ndindex(2, 3, 2):
            values = [x[t, n, a, b, c] for a, b in inside]
            winner = inside[values.index(max(values))]
            ties += values.count(max(values)) > 1
            y[t, n, oy, ox, c] = max(values)
            dx[t, n, *winner, c] += dy[t, n, oy, ox, c]
    assert ties > 10
    found = step(layer, x, dy)
    np.testing.assert_array_equal(found["y"], y)
    np.testing.assert_array_equal(found["dx"], dx)


def test_maximum_of_spikes_is_spikes(device):
    spikes = (np.random.default_rng(0).random((2, 3, 5, 6, 2)) < 0.3).astype(np.uint8)
    y = snn.MaxPool2d(2).to(device)(spikes)
    assert y.dtype == np.uint8
    want = spikes[:, :, :4].reshape(2, 3, 2, 2, 3, 2, 2).max((3, 5))
    np.testing.assert_array_equal(y, want)
    assert 0 < want.mean() < 1


@pytest.mark.parametrize("mode", [snn.Mode(), snn.Mode(training=True, store=True)], ids=["inference", "training"])
@pytest.mark.parametrize(
    ("pool", "shape"), [(snn.MaxPool2d, (3, 2, 6, 4, 5)), (snn.MaxPool1d, (3, 2, 6, 5))], ids=["2d", "1d"]
)
def test_maximum_behind_neurons_is_spikes(device, pool, shape, mode):
    """The layer after the maximum is given spikes; in relaxed mode neurons and maximum give real numbers."""
    net = snn.Sequential(snn.LIF(v_threshold=0.8), pool(2), snn.LIF(v_threshold=0.5)).to(device).build(shape)
    x = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    net.forward(x, mode)
    before, pooled, _ = (layer.output for layer in net.layers)
    assert before.dtype == pooled.dtype == np.uint8
    assert before.mean() < pooled.mean() < 1 and set(np.unique(pooled)) == {0, 1}
    net.forward(x, snn.Mode(training=True, store=True, relaxed=True))
    assert net.layers[1].output.dtype == np.float32


@pytest.mark.parametrize("options", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}], ids=str)
@pytest.mark.parametrize(
    ("flat", "wide"), [(snn.AvgPool1d, snn.AvgPool2d), (snn.SumPool1d, snn.SumPool2d), (snn.MaxPool1d, snn.MaxPool2d)]
)
def test_sequences_are_pictures_of_height_one(grid, device, flat, wide, options, step, assert_same):
    x = grid((2, 3, 7, 2))
    as_picture = {name: (0 if name == "padding" else 1, value) for name, value in options.items()}
    layers = flat(**options).to(device).build(x.shape), wide(**as_picture).to(device).build((2, 3, 1, 7, 2))
    dy = grid(layers[0].output_shape, 1)
    found, want = step(layers[0], x, dy), step(layers[1], x[:, :, None], dy[:, :, None])
    assert_same(found, {name: want[name][:, :, 0] for name in ("y", "dx")})


def test_global_average(grid, device, step):
    x, dy = grid((2, 3, 4, 8, 5)), grid((2, 3, 5), 1)
    found = step(snn.GlobalAvgPool2d().to(device), x, dy)
    np.testing.assert_array_equal(found["y"], x.sum((2, 3)) / 32)
    np.testing.assert_array_equal(found["dx"], np.broadcast_to(dy[:, :, None, None] / 32, x.shape))


def test_stride_is_the_kernel_by_default():
    assert snn.AvgPool1d(3).stride == 3
    assert snn.AvgPool2d(3).stride == (3, 3)
    assert snn.MaxPool2d((2, 3)).stride == (2, 3)
