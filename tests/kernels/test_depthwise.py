"""Depthwise convolutions compared with the reference: borders, strides, blocks of channels, threads."""

import numpy as np
import pytest
from bounds import REALS, agree
from convolutions import CASES, draw, magnitudes, run
from targets import cpu, reference

from numsnn.kernels.cpu.run.launch import get_num_threads, set_num_threads
from numsnn.kernels.cpu.ways import depthwise

# (B, H, W, C), kernel size, stride, padding, dilation, and outputs per channel if they are not 1
LAYERS = {
    "3x3": ((2, 7, 9, 5), (3, 3), (1, 1), (1, 1), (1, 1)),
    "several blocks of channels": ((1, 5, 6, 150), (3, 3), (1, 1), (1, 1), (1, 1)),
    "other strides down and across": ((2, 8, 9, 17), (5, 4), (2, 3), (2, 1), (1, 1)),
    "a stride larger than the kernel": ((2, 9, 11, 4), (1, 2), (3, 4), (0, 0), (1, 1)),
    "padded beyond the kernel": ((1, 3, 2, 3), (2, 2), (1, 2), (2, 3), (1, 1)),
    "dilated": ((1, 9, 9, 20), (3, 3), (1, 1), (2, 2), (2, 2)),
    "dilated and strided": ((1, 10, 9, 3), (3, 3), (3, 2), (2, 3), (3, 2)),
    "one pixel": ((3, 1, 1, 9), (1, 1), (1, 1), (0, 0), (1, 1)),
    "several outputs each": ((2, 6, 7, 5), (3, 3), (1, 1), (1, 1), (1, 1), 3),
    "several outputs each, strided": ((1, 9, 8, 30), (5, 4), (2, 3), (2, 1), (1, 1), 7),
    "several outputs each, without borders": ((2, 6, 9, 3), (3, 2), (1, 1), (0, 0), (2, 1), 8),
    "images in pieces": ((1, 40, 4, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
}


def arrays(name, spikes, real, monkeypatch):
    shape, kernel, stride, padding, dilation, *outputs = LAYERS[name]
    outputs = shape[3] * outputs[0] if outputs else shape[3]
    monkeypatch.setitem(CASES, name, (shape, (*kernel, outputs), stride, padding, shape[3], dilation))
    x, w, b, dy, geometry = draw(name, real)
    return (x > 0).astype(np.uint8) if spikes else x, w, b, dy, geometry


def compute(x, w, b, dy, geometry):
    """y, dw and dx, in memory that held NaN."""
    stride, padding, _, dilation = geometry
    y, dw, dx = (np.full_like(like, np.nan) for like in (dy, w, np.zeros(x.shape, w.dtype)))
    depthwise.forward(x, w, b, stride, padding, dilation, y)
    depthwise.backward_weight(x, dy, stride, padding, dilation, dw)
    depthwise.backward_input(dy, w, stride, padding, dilation, dx)
    return y, dw, dx


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_depthwise_is_the_reference(small_tiles, monkeypatch, name, spikes, real):
    case = arrays(name, spikes, real, monkeypatch)
    for got, want, (terms, scale) in zip(compute(*case), run(reference, *case), magnitudes(*case), strict=True):
        agree(got, want, terms, scale)


@pytest.mark.parametrize("name", ["other strides down and across", "images in pieces"])
def test_depthwise_does_not_depend_on_threads(small_tiles, monkeypatch, name):
    case = arrays(name, False, np.float32, monkeypatch)
    found, before = [], get_num_threads()
    try:
        for threads in (1, 3):
            set_num_threads(threads)
            found.append(compute(*case))
    finally:
        set_num_threads(before)
    for one, three in zip(*found, strict=True):
        assert np.array_equal(one, three)


@pytest.mark.parametrize("name", ["3x3", "several outputs each"])
def test_channels_do_not_meet(monkeypatch, name):
    """An input that is not finite changes outputs of its own channel only, though vectors hold neighbours."""
    x, w, b, dy, geometry = arrays(name, False, np.float32, monkeypatch)
    x[..., 4] = np.inf
    w[...] = 1
    y = np.empty_like(dy)
    cpu.conv2d_forward(x, w, b, geometry, y)
    y = y.reshape(-1, x.shape[3], y.shape[3] // x.shape[3])
    assert np.isposinf(y[:, 4]).all() and np.isfinite(y[:, :4]).all()
