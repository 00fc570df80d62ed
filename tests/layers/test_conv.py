"""Convolutions over pictures, along sequences and transposed, compared with plain loops; sequences in a network."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING


def convolution(x, w, b, stride, padding, groups, dilation=(1, 1), size=None):
    """One output number after the other, from the definition."""
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    steps, samples, height, width, _ = x.shape
    kh, kw, inputs, outputs = w.shape
    if size is None:
        size = (height + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (width + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((steps, samples, *size, outputs))
    for t, n, oy, ox, o in np.ndindex(y.shape):
        group = o // (outputs // groups)
        total = 0.0 if b is None else b[o]
        for ky, kx, i in np.ndindex(kh, kw, inputs):
            iy, ix = oy * sh + ky * dh - ph, ox * sw + kx * dw - pw
            if 0 <= iy < height and 0 <= ix < width:
                total += x[t, n, iy, ix, group * inputs + i] * w[ky, kx, i, o]
        y[t, n, oy, ox, o] = total
    return y


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"kernel_size": 3}, (2, 1, 5, 4, 2)),
        ({"kernel_size": 3, "padding": 1, "bias": True}, (1, 2, 3, 5, 2)),
        ({"kernel_size": (1, 3), "stride": (2, 1), "padding": (0, 2)}, (1, 1, 5, 3, 2)),
        ({"kernel_size": 2, "stride": 2, "groups": 2, "bias": True}, (2, 1, 5, 7, 2)),
        ({"kernel_size": (3, 2), "stride": 3, "padding": (2, 1), "groups": 2}, (1, 1, 4, 4, 2)),
        ({"kernel_size": 3, "padding": (2, 3), "dilation": (2, 3)}, (1, 2, 5, 4, 2)),
        ({"kernel_size": 2, "stride": (1, 2), "dilation": (1, 3), "groups": 2}, (1, 1, 4, 8, 2)),
    ],
    ids=str,
)
def test_convolution_is_its_definition(grid, device, options, shape):
    layer = snn.Conv2d(2, 4, **options).to(device).build(shape)
    layer.weight.value[...] = grid(layer.weight.value.shape, 1) / 2
    b = None
    if layer.offset is not None:
        b = layer.offset.value[...] = grid((4,), 2)
    x = grid(shape)
    want = convolution(x, layer.weight.value, b, layer.stride, layer.padding, layer.groups, layer.dilation)
    y = layer(x)
    assert y.shape == layer.output_shape == want.shape
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize(
    ("kernel", "dilation", "before"),
    [(3, 1, (1, 1)), ((2, 4), 1, (0, 1)), ((1, 2), (1, 3), (0, 1)), (3, (2, 1), (2, 1))],
    ids=str,
)
def test_same_padding_keeps_the_size_and_puts_an_odd_zero_at_the_end(grid, device, kernel, dilation, before):
    layer = snn.Conv2d(2, 3, kernel, padding="same", dilation=dilation).to(device).build((1, 2, 4, 5, 2))
    layer.weight.value[...] = grid(layer.weight.value.shape, 1) / 2
    x = grid((1, 2, 4, 5, 2))
    want = convolution(x, layer.weight.value, None, (1, 1), before, 1, layer.dilation, (4, 5))
    np.testing.assert_array_equal(layer(x), want)
    copied = snn.Layer.from_description(layer.description())
    assert copied.padding == "same" and copied.description() == layer.description()
    assert copied.build((1, 1, 9, 1, 2)).output_shape == (1, 1, 9, 1, 3)
    assert snn.Conv2d(2, 3, kernel, padding="valid").padding == (0, 0)


def test_same_padding_along_sequences(grid, device):
    layer = snn.Conv1d(2, 3, 4, padding="same", dilation=3).to(device).build((1, 2, 6, 2))
    layer.weight.value[...] = grid(layer.weight.value.shape, 1) / 2
    x = grid((1, 2, 6, 2))
    want = convolution(x[:, :, None], layer.weight.value[None], None, (1, 1), (0, 4), 1, (1, 3), (1, 6))
    np.testing.assert_array_equal(layer(x), want[:, :, 0])
    assert "padding='same'" in repr(layer) and snn.Conv1d(2, 3, 4, padding="valid").padding == 0


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_convolution_is_its_definition(grid, device, multiplier):
    """Enough groups that the compiled target convolves them without patches."""
    layer = snn.Conv2d(6, 6 * multiplier, 3, stride=(1, 2), padding=1, groups=6, bias=True)
    layer.to(device).build((2, 1, 4, 5, 6))
    w = layer.weight.value[...] = grid(layer.weight.value.shape, 1) / 2
    b = layer.offset.value[...] = grid((6 * multiplier,), 2)
    x = grid((2, 1, 4, 5, 6))
    np.testing.assert_array_equal(layer(x), convolution(x, w, b, layer.stride, layer.padding, 6))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"kernel_size": 4, "stride": 2, "padding": 3, "bias": True},
        {"kernel_size": 1, "groups": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2},
    ],
    ids=str,
)
def test_convolution_along_sequences_is_its_definition(grid, device, options):
    layer = snn.Conv1d(2, 4, **options).to(device).build((2, 3, 7, 2))
    w = layer.weight.value[...] = grid(layer.weight.value.shape, 1) / 2
    b = None
    if layer.offset is not None:
        b = layer.offset.value[...] = grid((4,), 2)
    x = grid((2, 3, 7, 2))
    moved = (1, layer.stride), (0, layer.padding), layer.groups, (1, layer.dilation)
    want = convolution(x[:, :, None], w[None], b, *moved)[:, :, 0]
    assert layer.weight.value.shape == (layer.kernel_size, 2 // layer.groups, 4)
    assert layer.output_shape == want.shape
    np.testing.assert_array_equal(layer(x), want)


def transposed(x, w, b, stride, padding, output_padding, groups):
    """Every input number spreads the kernel, times itself, over the output: from PyTorch's definition."""
    (sh, sw), (ph, pw) = stride, padding
    steps, samples, height, width, inputs = x.shape
    kh, kw, per_group, _ = w.shape
    size = [
        (extent - 1) * s - 2 * p + k + extra
        for extent, k, s, p, extra in zip((height, width), (kh, kw), stride, padding, output_padding, strict=True)
    ]
    y = np.zeros((steps, samples, *size, per_group * groups))
    if b is not None:
        y += b
    for t, n, iy, ix, i in np.ndindex(x.shape):
        group = i // (inputs // groups)
        for ky, kx, o in np.ndindex(kh, kw, per_group):
            oy, ox = iy * sh + ky - ph, ix * sw + kx - pw
            if 0 <= oy < size[0] and 0 <= ox < size[1]:
                y[t, n, oy, ox, group * per_group + o] += x[t, n, iy, ix, i] * w[ky, kx, o, i]
    return y


@pytest.mark.parametrize(
    ("options", "out"),
    [
        ({"kernel_size": 3}, (5, 6)),
        ({"kernel_size": 2, "stride": 2, "bias": True}, (6, 8)),
        ({"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, (6, 8)),
        ({"kernel_size": (4, 1), "stride": (3, 2), "padding": (2, 0), "output_padding": (2, 0), "bias": True}, (8, 7)),
        ({"kernel_size": 1, "stride": 3, "output_padding": 2}, (9, 12)),
    ],
    ids=str,
)
def test_transposed_convolution_is_its_definition(grid, device, options, out):
    layer = snn.ConvTranspose2d(2, 4, **options).to(device).build((2, 1, 3, 4, 2))
    w = layer.weight.value[...] = grid(layer.weight.value.shape, 1) / 2
    b = None
    if layer.offset is not None:
        b = layer.offset.value[...] = grid((4,), 2)
    x = grid((2, 1, 3, 4, 2))
    want = transposed(x, w, b, layer.stride, layer.padding, layer.output_padding, layer.groups)
    assert layer.output_shape == want.shape == (2, 1, *out, 4)
    np.testing.assert_array_equal(layer(x), want)


def test_transposed_convolution_is_the_adjoint_of_the_convolution(grid, device):
    """The two layers have the same weight: <dy, A x> = <A' dy, x>, to the bit for numbers on a grid."""
    conv = snn.Conv2d(3, 5, 3, stride=2, padding=1).to(device).build((2, 2, 6, 5, 3))
    back = snn.ConvTranspose2d(5, 3, 3, stride=2, padding=1, output_padding=(1, 0)).to(device).build(conv.output_shape)
    back.weight.value[...] = conv.weight.value[...] = grid((3, 3, 3, 5)) / 2
    x, dy = grid(conv.input_shape, 1), grid(conv.output_shape, 2)
    assert back.output_shape == conv.input_shape
    assert (dy.astype(float) * conv(x)).sum() == (back(dy).astype(float) * x).sum()


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in"),
    [
        (snn.Conv1d(32, 64, 5, groups=2), (1, 1, 9, 32), 80),
        (snn.ConvTranspose2d(32, 64, 4, stride=2), (1, 1, 3, 3, 32), 128),
        (snn.ConvTranspose2d(128, 64, 1, stride=2), (1, 1, 3, 3, 128), 128),
    ],
)
def test_initial_weights(layer, shape, fan_in):
    """Weights are uniform with variance 2 / fan_in, like those of `Conv2d`."""
    w = layer.to("reference").build(shape).weight.value
    assert 0.99 * np.sqrt(6 / fan_in) < np.abs(w).max() <= np.sqrt(6 / fan_in)
    assert abs(w.var() * fan_in / 2 - 1) < 5 * np.sqrt(0.8 / w.size)


def test_a_network_on_sequences(device):
    """Everything that sequences meet takes them; spikes stay spikes where they should."""
    net = snn.Sequential(
        snn.Conv1d(2, 8, 3, padding=1),
        snn.BatchNorm(8),
        snn.LIF(v_threshold=0.5),
        snn.MaxPool1d(2),
        snn.Conv1d(8, 8, 3, padding=1, groups=8),
        snn.GroupNorm(2, 8),
        snn.LIF(v_threshold=0.5),
        snn.Dropout(0.2),
        snn.AvgPool1d(2),
        snn.Flatten(),
        snn.Linear(24, 3),
    ).to(device)
    x = np.random.default_rng(0).normal(0.5, 1, (4, 2, 12, 2)).astype(np.float32)
    y = net.build(x.shape).forward(x, TRAINING)
    assert y.shape == (4, 2, 3) and net.backward(y).shape == x.shape
    pooled = net.layers[3].output
    assert pooled.dtype == np.uint8 and pooled.shape == (4, 2, 6, 8) and 0 < pooled.mean() < 1


def test_a_transposed_convolution_counts_its_active_inputs():
    """The share is that of its input, also after the backward pass, which counts dL/dy for itself."""
    layer = snn.ConvTranspose2d(2, 3, 2).to("cpu")
    x = np.zeros((1, 2, 3, 3, 2), np.float32)
    x[0, 1, 2] = 1
    y = layer.forward(x, TRAINING)
    layer.backward(np.ones_like(y))
    assert layer.density == 6 / 36


def test_a_transposed_convolution_of_few_spikes_goes_by_events():
    """Its forward pass and its weight gradient list its spikes, and are those of the route dense."""
    x = (np.random.default_rng(0).random((1, 16, 12, 12, 16)) < 0.02).astype(np.uint8)
    found = []
    for route in ("auto", "dense"):
        layer = snn.set_route(snn.ConvTranspose2d(16, 24, 4, stride=2, padding=1).to("cpu").build(x.shape), route)
        layer.weight.value[...] = np.random.default_rng(1).normal(size=layer.weight.value.shape)
        y = layer.forward(x, TRAINING)
        dx = layer.backward(np.random.default_rng(2).normal(size=y.shape).astype(np.float32))
        found.append((y.copy(), layer.weight.grad.copy(), dx.copy(), dict(layer.routes)))
    *events, routes = found[0]
    assert routes["forward"] == routes["weight"] == "events" and found[1][3]["forward"] == "dense"
    for got, want in zip(events, found[1], strict=False):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())
