"""Networks from a line of text."""

from itertools import pairwise

import numpy as np
import pytest

import numsnn as snn
from numsnn.models import from_string


def kinds(net):
    return [type(layer).__name__ for layer in net.layers]


def test_every_part():
    net = from_string("4c3-p2-8r3-mp2-6c1-d0.3-gp-12", (9, 8, 2), 5, steps=3).build((2, 9, 8, 2))
    assert kinds(net) == [
        "Repeat",
        "LIF",
        "AvgPool2d",
        "Residual",
        "LIF",
        "MaxPool2d",
        "Conv2d",
        "BatchNorm",
        "LIF",
        "Dropout",
        "GlobalAvgPool2d",
        "Linear",
        "BatchNorm",
        "LIF",
        "Linear",
    ]
    assert net.output_shape == (3, 2, 5)
    residual = net.layers[3]
    assert residual.shortcut is not None  # 4 channels become 8
    assert from_string("4c3-4r3", (8, 8, 1), 5).layers[2].shortcut is None
    assert [type(layer).__name__ for layer in net.layers[0].layers] == ["Conv2d", "BatchNorm"]


def test_odd_and_even_kernels_and_features():
    assert from_string("4c4-10", (7, 7, 1), 3).build((1, 7, 7, 1)).output_shape == (4, 1, 3)
    assert from_string("20-10", (13,), 3, steps=2).build((5, 13)).output_shape == (2, 5, 3)
    assert from_string("", (4, 4, 1), 3, steps=2).build((5, 4, 4, 1)).output_shape == (2, 5, 3)


def test_dilated_convolutions():
    net = from_string("4c3d2-4c2d3-10", (7, 7, 1), 3).build((1, 7, 7, 1))
    assert [layer.dilation for layer in net.walk() if isinstance(layer, snn.Conv2d)] == [(2, 2), (3, 3)]
    assert net.output_shape == (4, 1, 3)


@pytest.mark.parametrize("norm", ["bn", "tdbn", "none"])
def test_networks_without_spikes(norm):
    """ReLU in the place of neurons; it stays outside of the layers that are computed once."""
    net = from_string("4c3-4r3-p2-8", (8, 8, 1), 3, steps=1, neuron=snn.ReLU(), norm=norm).build((2, 8, 8, 1))
    assert sum(isinstance(layer, snn.ReLU) for layer in net.walk()) == 4
    assert not any(isinstance(layer, snn.Neuron) for layer in net.walk())
    assert isinstance(net.layers[0], snn.Repeat) and isinstance(net.layers[1], snn.ReLU)
    assert net(np.ones((2, 8, 8, 1), np.float32)).shape == (1, 2, 3)


def test_without_direct_encoding_the_input_brings_its_time():
    net = from_string("4c3-p2", (8, 8, 2), 5, steps=None)
    assert kinds(net)[0] == "Conv2d"
    assert net.build((6, 2, 8, 8, 2)).output_shape == (6, 2, 5)


def test_neurons_are_copies_of_the_template():
    neuron = snn.LIF(tau=3.0, v_threshold=0.7, v_reset=None, surrogate="arctan", name="mine")
    net = from_string("4c3-16", (8, 8, 1), 5, neuron=neuron, norm="tdbn")
    copies = [layer for layer in net.walk() if isinstance(layer, snn.LIF)]
    assert len(copies) == 2 and len({id(layer) for layer in copies}) == 2
    assert all(layer.tau == 3.0 and layer.v_reset is None and layer.surrogate.family == "arctan" for layer in copies)
    norms = [layer for layer in net.walk() if isinstance(layer, snn.BatchNorm)]
    assert len(norms) == 2 and all(layer.v_threshold == 0.7 for layer in norms)


@pytest.mark.parametrize("neuron", [snn.LIF(), snn.IF(), snn.CubaLIF()], ids=lambda neuron: type(neuron).__name__)
def test_direct_encoding_ends_before_the_first_neurons(neuron):
    """Layers are computed once only if they see the same input at every step."""
    once, first, *_ = from_string("4c3-16", (8, 8, 1), 3, neuron=neuron).layers
    assert [type(layer) for layer in once.layers] == [snn.Conv2d, snn.BatchNorm]
    assert type(first) is type(neuron)


def test_norm_none_gives_biases_instead():
    net = from_string("4c3-8r3-16", (8, 8, 1), 5, norm="none").build((1, 8, 8, 1))
    assert not any(isinstance(layer, snn.BatchNorm) for layer in net.walk())
    weighted = [layer for layer in net.walk() if isinstance(layer, snn.Conv2d | snn.Linear)]
    assert all(layer.bias for layer in weighted)


def test_spiking_readout_counts():
    net = from_string("4c3", (8, 8, 1), 5, spiking_readout=True)
    out = net(np.random.default_rng(0).random((2, 8, 8, 1)).astype(np.float32))
    assert out.dtype == np.uint8 and out.shape == (4, 2, 5)


@pytest.mark.parametrize(
    ("architecture", "shape", "message"),
    [
        ("32x3", (8, 8, 1), "unknown part '32x3'; parts are"),
        ("4c3-p2-p2-p2-p2", (8, 8, 1), "nothing is left of the picture after pooling by 2"),
        ("4c3", (8,), "a convolution needs pictures"),
        ("16-4c3", (8, 8, 1), "a convolution needs pictures"),
        ("4r2", (8, 8, 1), "needs an odd kernel size; got 4r2"),
        ("4c3", (8, 8, 1, 2, 3), r"sample_shape must be \(H, W, C\) or \(F,\); got \(8, 8, 1, 2, 3\)$"),
        ("4c3", (8, 9), r"got \(8, 9\)\. For sequences, .*: sample_shape=\(9,\), steps=None; for grey .*=\(8, 9, 1\)$"),
        ("4c3", (20, 12, 16, 2), r"For sequences, whose shape begins with T: sample_shape=\(12, 16, 2\), steps=None$"),
    ],
)
def test_errors(architecture, shape, message):
    with pytest.raises(ValueError, match=message):
        from_string(architecture, shape, 10)
    with pytest.raises(ValueError, match="norm must be one of 'bn', 'tdbn', 'none'; got 'layer'"):
        from_string("4c3", (8, 8, 1), 10, norm="layer")


def test_a_layer_follows_every_hidden_neuron_layer():
    """Also inside blocks, but not the neurons of the readout."""
    band = snn.RateBand(0.1, 0.2, name="band")
    net = from_string("4c3-4r3-p2-8", (8, 8, 1), 3, spiking_readout=True, after_neuron=band)
    layers = list(net.walk())
    behind = [after for layer, after in pairwise(layers) if isinstance(layer, snn.LIF)]
    assert [repr(layer) for layer in behind] == ["RateBand(0.1, 0.2)"] * 4
    assert isinstance(layers[-1], snn.LIF) and len(set(map(id, behind))) == 4
