"""At the limits that the kernels state: sums of gradients, taps of a filter window, and pixels of a launch."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from bounds import within
from targets import ALL, COMPILED, reference

import numsnn as snn
from numsnn.errors import DeviceError
from numsnn.kernels.rules import MOST_STATES, MOST_VALUES, Rule
from numsnn.kernels.types import Firing, Geometry, Norm, Reset, Wanted, Window
from numsnn.layers import needed

# --- a rule with as many states and values as a rule may have -------------------------------------------------------


def widest_step(i, v, states, values):
    """Every state is a synaptic current of its own. Every value is read."""
    a, b, c, d = states
    a, b, c, d = values[0] * a + i, values[1] * b + i, values[2] * c + i, values[3] * d + i
    return values[4] * v + values[5] * (a + b) + values[6] * (c + d) + values[7], (a, b, c, d)


def widest_step_back(du, dstates, i, v, states, values):
    a, b, c, d = states
    ja, jb, jc, jd = values[0] * a + i, values[1] * b + i, values[2] * c + i, values[3] * d + i
    da, db = dstates[0] + values[5] * du, dstates[1] + values[5] * du
    dc, dd = dstates[2] + values[6] * du, dstates[3] + values[6] * du
    before = values[0] * da, values[1] * db, values[2] * dc, values[3] * dd
    changes = da * a, db * b, dc * c, dd * d, du * v, du * (ja + jb), du * (jc + jd), du
    return da + db + dc + dd, values[4] * du, before, changes


WIDEST = Rule("widest", ("a", "b", "c", "d"), tuple(f"w{n}" for n in range(MOST_VALUES)), widest_step, widest_step_back)


@COMPILED
def test_every_gradient_that_a_neuron_can_have(k):
    """Eight values, threshold and width are learned, and the normalisation before the neuron needs two sums."""
    assert len(WIDEST.states) == MOST_STATES
    shape, rng = (4, 3, 5), np.random.default_rng(0)
    channels, gradients = shape[2], {}
    i, ds, s = rng.normal(size=shape), rng.normal(size=shape), (rng.random(shape) < 0.3).astype(np.uint8)
    values, theta, alpha = rng.uniform(0.2, 0.6, (MOST_VALUES, channels)), np.ones(channels), np.full(channels, 0.8)
    norm, d = Norm(*rng.uniform(0.5, 1, (3, channels))), np.zeros((shape[0], channels))
    for target in (reference, k):
        di, sums = np.full(shape, np.nan), np.full((MOST_VALUES + 4, channels), np.nan)
        wanted = Wanted(tuple(sums[:MOST_VALUES]), *sums[MOST_VALUES:-2])
        target.neuron_backward(
            *(WIDEST, ds, i, s, values, Firing(theta, alpha, "arctan"), Reset(0.0), d, None, di, wanted),
            norm=norm,
            dnorm=sums[-2:],
        )
        gradients[target.name] = di, sums
    for got, want in zip(gradients[k.name], gradients["reference"], strict=True):
        assert np.abs(want).max(-1).min() > 1e-3
        within(got, want, 1e-12 * np.abs(want).max())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_neuron_with_the_most_values_learns_all_of_them(device):
    """A layer that a user defines, with PSG and a learned threshold."""
    if device == "cuda":
        pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    members = {
        "values": {name: snn.Value(0.4, learn="channel") for name in WIDEST.values},
        "states": WIDEST.states,
        "step": widest_step,
        "step_back": widest_step_back,
    }
    neuron = type("Widest", (snn.CustomNeuron,), members)(learn_threshold=True, surrogate=snn.PSG("arctan"))
    neuron.to(device).build((2, 2, 3))
    x = neuron.kernels.from_host(np.full((2, 2, 3), 0.1, np.float32), np.float32)
    neuron.forward(x, snn.layers.TRAINING)
    neuron.backward(x)
    for name, p in neuron.parameters():
        gradient = neuron.kernels.to_host(p.grad)
        assert np.isfinite(gradient).all() and gradient.any(), name


# --- filter windows with more taps than int16 can count ---------------------------------------------------------------

SIDE = 182
"""182^2 = 33,124 taps."""


def test_indices_are_as_short_as_they_may_be():
    assert Window((1, 2**15), (1, 1)).index_dtype() is np.int16
    assert Window((1, 2**15 + 1), (1, 1)).index_dtype() is np.int32


@ALL
def test_the_maximum_may_be_at_any_tap(k):
    """The maximum is in the last pixel. On CUDA one thread goes through all taps, which takes a moment in the
    simulator."""
    window = Window((SIDE, SIDE), (SIDE, SIDE))
    x, dx = np.zeros((1, SIDE, SIDE, 1), np.uint8), np.full((1, SIDE, SIDE, 1), np.nan, np.float32)
    x[0, -1, -1] = 1
    y, index = np.zeros((1, 1, 1, 1), np.uint8), np.zeros((1, 1, 1, 1), window.index_dtype())
    k.max_pool2d_forward(x, window, y, index)
    assert y[0, 0, 0, 0] == 1 and index[0, 0, 0, 0] == SIDE**2 - 1
    if k.name != "cuda":  # in the simulator the backward pass would take a thread per pixel, that is half a minute
        k.max_pool2d_backward(np.ones((1, 1, 1, 1), np.float32), index, window, dx)
        np.testing.assert_array_equal(dx, x)


def test_gradients_of_a_pooling_with_a_large_window():
    x = np.zeros((1, 1, SIDE, SIDE, 1), np.float32)
    x[..., -1, -1, :] = 1
    layer = snn.MaxPool2d(SIDE).build(x.shape)
    assert layer.forward(x, snn.layers.TRAINING).item() == 1
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1, 1, 1, 1), np.float32)), x)


def test_visible_neurons_are_seen_through_a_large_window():
    """The only visible neuron is in the last pixel but one. With a wrong index, the last pixel would replace it."""
    layer = snn.AvgPool2d(SIDE).build((1, 1, SIDE, SIDE, 1))
    mask = np.zeros((1, 1, SIDE, SIDE, 1), np.uint8)
    mask[..., -1, -2, :] = 1
    assert needed._Through(layer, SimpleNamespace(mask=lambda known: mask)).evaluate({}).item() == 1


# --- pixels per launch ------------------------------------------------------------------------------------------------


def test_more_pixels_than_a_launch_takes_are_refused():
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    pixels, cuda = import_module("numsnn.kernels.cuda.inline.pixels"), "numsnn.kernels.cuda.ways"
    count, one = pixels.MOST_PIXELS + 1, np.zeros(1, np.float32)
    message = f"at most {pixels.MOST_PIXELS} pixels, .*; got {count}; use fewer"
    pixels.check_pixels(pixels.MOST_PIXELS)
    with pytest.raises(DeviceError, match=message):
        pixels.launch_pixels(None, count, 1)
    x, w = np.broadcast_to(one, (count, 1, 1, 1)), np.zeros((1, 1, 1, 1), np.float32)
    geometry = Geometry()
    for way in ("product", "grouped"):
        module = import_module(f"{cuda}.{way}")
        for call in (
            lambda m: m.forward(x, w, None, *geometry, x),
            lambda m: m.backward_input(x, w, *geometry, x),
            lambda m: m.backward_weight(x, x, *geometry, w),
        ):
            with pytest.raises(DeviceError, match=message):
                call(module)
