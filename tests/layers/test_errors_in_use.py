"""Errors of layers that are built, called or moved: one line that names the layer, what came and what was expected."""

import re

import numpy as np
import pytest

import numsnn as snn

WHOLE = "must be a whole number of at least"
TIME_AXIS = ". Add a time axis (x[None]) or a Repeat"
PICTURES = "must be [T, N, H, W, C]; got"
TOO_LARGE = "pixels with padding {}: the kernel is larger than the picture; got"

SHAPES = [
    (snn.Linear(5, 3), (4, 2, 6), "linear (Linear): input must be [T, N, 5]; got (4, 2, 6)"),
    (snn.Linear(5, 3), (2, 5), f"linear (Linear): input must be [T, N, 5]{TIME_AXIS}; got (2, 5)"),
    (snn.Linear(5, 3), (4, 2, 3, 3, 5), "linear (Linear): input must be [T, N, 5]; got (4, 2, 3, 3, 5)"),
    (snn.Linear(5, 3), (5,), "linear (Linear): input must be [T, N, 5]; got (5,)"),
    (snn.Conv2d(2, 3, 3), (4, 2, 5, 5, 3), "conv2d (Conv2d): input must be [T, N, H, W, 2]; got (4, 2, 5, 5, 3)"),
    (snn.Conv2d(2, 3, 3), (4, 2, 2), "conv2d (Conv2d): input must be [T, N, H, W, 2]; got (4, 2, 2)"),
    (
        snn.Conv2d(2, 3, 3),
        (2, 5, 5, 2),
        f"conv2d (Conv2d): input must be [T, N, H, W, 2]{TIME_AXIS}; got (2, 5, 5, 2)",
    ),
    (
        snn.Conv2d(2, 3, (5, 3), padding=(1, 0)),
        (4, 2, 2, 5, 2),
        f"conv2d (Conv2d): input must be at least 5 x 3 {TOO_LARGE.format((1, 0))} (4, 2, 2, 5, 2)",
    ),
    (
        snn.Conv2d(2, 3, 3, dilation=(1, 3)),
        (4, 2, 5, 5, 2),
        f"conv2d (Conv2d): input must be at least 3 x 7 {TOO_LARGE.format((0, 0))} (4, 2, 5, 5, 2)",
    ),
    (
        snn.BatchNorm(4),
        (4, 2, 5),
        "batchnorm (BatchNorm): input must be [T, N, 4] or [T, N, L, 4] or [T, N, H, W, 4]; got (4, 2, 5)",
    ),
    (
        snn.BatchNorm(4),
        (2, 4),
        f"batchnorm (BatchNorm): input must be [T, N, 4] or [T, N, L, 4] or [T, N, H, W, 4]{TIME_AXIS}; got (2, 4)",
    ),
    (snn.Conv1d(2, 3, 3), (4, 2, 5, 5, 2), "conv1d (Conv1d): input must be [T, N, L, 2]; got (4, 2, 5, 5, 2)"),
    (snn.Conv1d(2, 3, 3), (4, 5, 2), f"conv1d (Conv1d): input must be [T, N, L, 2]{TIME_AXIS}; got (4, 5, 2)"),
    (
        snn.Conv1d(2, 3, 5, padding=1),
        (4, 2, 2, 2),
        "conv1d (Conv1d): input must be at least 5 positions with padding 1: the kernel is larger than the sequence; "
        "got (4, 2, 2, 2)",
    ),
    (
        snn.ConvTranspose2d(2, 3, 1, padding=1),
        (4, 2, 2, 5, 2),
        "convtranspose2d (ConvTranspose2d): input must be large enough for padding (1, 1), which leaves 0 x 3 pixels; "
        "got (4, 2, 2, 5, 2)",
    ),
    (snn.AvgPool1d(2), (4, 2, 8, 8, 3), "avgpool1d (AvgPool1d): input must be [T, N, L, C]; got (4, 2, 8, 8, 3)"),
    (
        snn.BNTT(4, 3),
        (5, 2, 4),
        "bntt (BNTT): input must be [3, N, ...]: there are parameters for 3 steps; got (5, 2, 4)",
    ),
    (
        snn.TEBN(4, 3),
        (2, 2, 7, 4),
        "tebn (TEBN): input must be [3, N, ...]: there are parameters for 3 steps; got (2, 2, 7, 4)",
    ),
    (
        snn.Delay((1, 2)),
        (4, 2, 3),
        "delay (Delay): input must be [..., 2]: the delays are for 2 channels; got (4, 2, 3)",
    ),
    (snn.Delay(1), (4, 2), "delay (Delay): input must be [T, N, C], [T, N, L, C] or [T, N, H, W, C]; got (4, 2)"),
    (
        snn.Concat(snn.AvgPool2d(2), None),
        (4, 2, 4, 4, 1),
        "concat (Concat): the outputs of the branches may differ only in channels; for the input (4, 2, 4, 4, 1), they "
        "are (4, 2, 2, 2, 1), (4, 2, 4, 4, 1)",
    ),
    (snn.AvgPool2d(2), (4, 2, 8), f"avgpool2d (AvgPool2d): input {PICTURES} (4, 2, 8)"),
    (
        snn.AvgPool2d(3),
        (4, 2, 2, 5, 1),
        f"avgpool2d (AvgPool2d): input must be at least 3 x 3 {TOO_LARGE.format((0, 0))} (4, 2, 2, 5, 1)",
    ),
    (snn.MaxPool2d(2), (4, 2, 8, 8), f"maxpool2d (MaxPool2d): input {PICTURES} (4, 2, 8, 8)"),
    (snn.GlobalAvgPool2d(), (4, 2, 8), f"globalavgpool2d (GlobalAvgPool2d): input {PICTURES} (4, 2, 8)"),
    (snn.Flatten(), (4, 2), "flatten (Flatten): input must be [T, N, H, W, C] or [T, N, C]; got (4, 2)"),
    (snn.Dropout(), (4,), "dropout (Dropout): input must be [T, N, ...]; got (4,)"),
    (snn.LIF(), (4, 2), "lif (LIF): input must be [T, N, C], [T, N, L, C] or [T, N, H, W, C]; got (4, 2)"),
    (
        snn.LIF(),
        (4, 2, 3, 3, 3, 8),
        "lif (LIF): input must be [T, N, C], [T, N, L, C] or [T, N, H, W, C]; got (4, 2, 3, 3, 3, 8)",
    ),
    (
        snn.LIF(tau=(2.0, 3.0)),
        (4, 2, 3),
        "lif (LIF): input must be [..., 2]: there is one leak per channel; got (4, 2, 3)",
    ),
    (
        snn.LIF(v_threshold=[1.0, 2.0]),
        (4, 2, 5, 5, 1),
        "lif (LIF): input must be [..., 2]: there is one threshold per channel; got (4, 2, 5, 5, 1)",
    ),
    (
        snn.Repeat(3),
        (4, 2, 5),
        "repeat (Repeat): input must be a picture [N, H, W, C] or features [N, F], without a time axis; got (4, 2, 5)",
    ),
    (
        snn.Repeat(3, snn.Linear(5, 2)),
        (4, 2, 2, 5),
        "linear1 (Linear): input must be [T, N, 5]; got (1, 4, 2, 2, 5)",
    ),
    (
        snn.Residual(snn.Linear(5, 4)),
        (4, 2, 5),
        "residual (Residual): branch and shortcut must give one shape; for the input (4, 2, 5), the branch gives "
        "(4, 2, 4) and the shortcut (4, 2, 5)",
    ),
    (
        snn.Sequential(snn.Linear(5, 4), snn.LIF(), snn.Sequential(snn.Linear(3, 2, name="readout"))),
        (4, 2, 5),
        "sequential1.readout (Linear): input must be [T, N, 3]; got (4, 2, 4)",
    ),
]


@pytest.mark.parametrize(("layer", "shape", "message"), SHAPES, ids=[message for *_, message in SHAPES])
def test_shapes(refuses, layer, shape, message):
    with refuses(snn.ShapeError, message):
        layer.build(shape)
    assert not layer.built
    with refuses(snn.ShapeError, message):
        layer.to("reference")(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("make", "shape", "other", "message"),
    [
        (lambda: snn.Linear(5, 3), (4, 2, 5), (4, 2, 6), "linear (Linear): input must be [T, N, 5]; got (4, 2, 6)"),
        (
            lambda: snn.Sequential(snn.Conv2d(2, 3, 1), snn.Flatten(), snn.Linear(12, 3)),
            (4, 2, 2, 2, 2),
            (4, 2, 3, 2, 2),
            "linear1 (Linear): input must be [T, N, 12]; got (4, 2, 18)",
        ),
        (
            lambda: snn.Residual(snn.AvgPool2d(2), shortcut=snn.MaxPool2d(2)),
            (4, 2, 4, 4, 1),
            (4, 2, 4, 1, 1),
            "at least 2 x 2 pixels with padding (0, 0)",
        ),
    ],
)
def test_other_shapes_after_building(make, shape, other, message):
    layer = make().to("reference").build(shape)
    want = layer(np.ones(shape, np.float32))
    with pytest.raises(snn.ShapeError, match=re.escape(message)):
        layer(np.ones(other, np.float32))
    assert layer.input_shape == shape
    assert np.array_equal(layer(np.ones(shape, np.float32)), want)


@pytest.mark.parametrize("pda", [False, True], ids=["", "pda"])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_neurons_keep_their_channels(pda, channels):
    """Leak, threshold, width and correction are arrays of as many channels as the layer was built for."""
    layer = snn.LIF(pda=pda).to("reference").build((4, 2, 3))
    with pytest.raises(snn.ShapeError, match=rf"lif \(LIF\): input must be .*3.*; got \(4, 2, {channels}\)"):
        layer(np.ones((4, 2, channels), np.float32))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 0, 5), f"linear.build: every extent of shape (4, 0, 5) {WHOLE} 1; got 0"),
        ((4, 2.0, 5), f"linear.build: every extent of shape (4, 2.0, 5) {WHOLE} 1; got 2.0"),
        ((-1, 2, 5), f"linear.build: every extent of shape (-1, 2, 5) {WHOLE} 1; got -1"),
    ],
)
def test_build_wants_whole_extents(refuses, shape, message):
    with refuses(ValueError, message):
        snn.Linear(5, 3).build(shape)


def test_build_wants_a_whole_seed(refuses):
    with refuses(ValueError, f"build: seed {WHOLE} 0; got -1"):
        snn.Linear(5, 3).build((4, 2, 5), seed=-1)


# --- at the door ----------------------------------------------------------------------------------------------------

X = np.zeros((4, 2, 5), np.float32)


def holding(value, *at, dtype=np.float32):
    x = X.astype(dtype)
    x[at] = value
    return x


FINITE = "every number must be finite"
DOOR = [
    (X.astype(np.float64), "the input must be float32 or uint8; got float64. Convert it: x.astype('float32')"),
    (X.astype(np.int64), "the input must be float32 or uint8; got int64. Convert it: x.astype('float32')"),
    (X.astype(bool), "the input must be float32 or uint8; got bool. Convert it: x.astype('float32')"),
    (X.astype(np.float16), "the input must be float32 or uint8; got float16. Convert it: x.astype('float32')"),
    (
        X.tolist(),
        "the input must be a NumPy array; got list. Convert it: np.asarray(x, 'float32'), where all lists of one level "
        "have one length",
    ),
    (None, "the input must be a NumPy array; got NoneType"),
    (X[:0], "the input is empty: shape (0, 2, 5)"),
    (X[:, :0], "the input is empty: shape (4, 0, 5)"),
    (holding(np.nan, 2, 1, 3), f"the input holds nan at index (2, 1, 3); {FINITE}"),
    (holding(np.inf, 0, 0, 4), f"the input holds inf at index (0, 0, 4); {FINITE}"),
    (holding(-np.inf, 3), f"the input holds -inf at index (3, 0, 0); {FINITE}"),
]


@pytest.mark.parametrize(("x", "message"), DOOR, ids=[message for _, message in DOOR])
@pytest.mark.parametrize("built", [False, True])
def test_door(refuses, x, message, built):
    net = snn.Sequential(snn.Linear(5, 3), snn.LIF(), name="net").to("reference")
    if built:
        net.build((4, 2, 5))
    with refuses(snn.ShapeError if "holds" not in message else ValueError, f"net: {message}"):
        net(x)
    assert net.built == built
    assert net(X).shape == (4, 2, 3)


def test_door_of_a_float64_network(refuses):
    net = snn.Linear(5, 3).to("reference", "float64")
    message = "linear: the input must be float64 or uint8; got float32. Convert it: x.astype('float64')"
    with refuses(snn.ShapeError, message):
        net(X)
    assert net(X.astype(np.float64)).dtype == np.float64


# --- moving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "device must be one of 'reference', 'cpu', 'cuda'; got 'tpu'. Did you mean 'cpu'?"),
        ({"dtype": "float16"}, "linear.to: dtype must be float32 or float64; got float16"),
        ({"dtype": np.int64}, "linear.to: dtype must be float32 or float64; got int64"),
    ],
)
def test_targets_and_dtypes_that_do_not_exist(refuses, options, message):
    layer = snn.Linear(5, 3).to("reference").build((4, 2, 5))
    with refuses(ValueError, message):
        layer.to(**options)
    assert layer.device == "reference" and layer.dtype == np.float32
    assert layer(X).dtype == np.float32


# --- a layer that is not finished -----------------------------------------------------------------------------------


class Hollow(snn.Layer):
    """Writes none of what a layer has to write."""


def test_what_a_layer_has_to_write(refuses):
    layer = Hollow().to("reference").build((4, 2, 5))
    with refuses(TypeError, "Hollow has no compute(x, mode)"):
        layer(X)
    layer.kept = X
    with refuses(TypeError, "Hollow has no propagate(dy, need_dx)"):
        layer.backward(X)
    with refuses(KeyError, "\"hollow has no statistic 'mean'\""):
        layer.set_statistic("mean", X)
