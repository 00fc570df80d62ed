"""The networks of the literature: sizes as stated, shapes, and that they run and learn through every layer."""

import numpy as np
import pytest

import numsnn as snn
from numsnn import models

CASES = {
    "mlp": (lambda: models.mlp(784, (256,)), (2, 784), 203_530, (4, 2, 10)),
    "vgg_snn": (models.vgg_snn, (1, 1, 48, 48, 2), 9_271_498, (1, 1, 10)),
    "resnet19": (models.resnet19, (1, 32, 32, 3), 12_697_994, (4, 1, 10)),
    "sew_resnet18": (models.sew_resnet18, (1, 64, 64, 3), 11_689_512, (4, 1, 1000)),
    "densenet_bc": (models.densenet_bc, (1, 32, 32, 3), 769_162, (4, 1, 10)),
    "dvs_gesture_net": (models.dvs_gesture_net, (1, 1, 128, 128, 2), 1_648_145, (1, 1, 11)),
    "shd_net": (models.shd_net, (5, 2, 700), 250_132, (5, 2, 20)),
}


@pytest.mark.parametrize("name", CASES)
def test_parameters_and_shapes(name):
    make, shape, parameters, output = CASES[name]
    net = make().build(shape)
    assert models.count_parameters(net, widths=False) == parameters
    assert net.output_shape == output
    assert repr(snn.Layer.from_description(net.description())) == repr(net)


SMALL = {
    "mlp": (lambda: models.mlp(12, (9, 7), 3), (4, 12)),
    "mlp, timed": (lambda: models.mlp(12, (9,), 3, steps=None), (5, 4, 12)),
    "vgg_snn, static": (lambda: models.vgg_snn(3, 3, 16, steps=2), (2, 16, 16, 3)),
    "resnet19": (lambda: models.resnet19(3, 3, 2, widths=(4, 6, 8)), (2, 8, 8, 3)),
    "sew_resnet18": (lambda: models.sew_resnet18(3, 3, 2), (2, 32, 32, 3)),
    "densenet_bc": (lambda: models.densenet_bc(3, 3, 2, depth=16, growth=4, dropout=0.1), (2, 8, 8, 3)),
    "dvs_gesture_net": (lambda: models.dvs_gesture_net(3, 4, 32, snn.PLIF(v_threshold=0.3)), (2, 2, 32, 32, 2)),
    "shd_net": (lambda: models.shd_net(20, 10, 3, layers=2), (6, 3, 20)),
}


@pytest.mark.parametrize("name", SMALL)
def test_one_step_of_training_reaches_every_parameter(name):
    make, shape = SMALL[name]
    net = make().build(shape)
    x = (np.random.default_rng(0).random(shape) * 2).astype(np.float32)
    z = net.forward(net.admit(x), snn.layers.TRAINING)
    labels = np.arange(z.shape[1]) % 3
    _, dz = snn.losses.RateCrossEntropy()(z, labels, net.kernels)
    net.backward(dz, need_dx=False)
    weights = [(path, p) for path, p in net.parameters() if p.group == "weight"]
    assert weights and all(np.abs(p.grad).max() > 0 for _, p in weights)


def test_sew_blocks_that_gate_pass_spikes_on():
    """Spikes stay spikes from the stem to the global average if blocks are joined by "and" or "iand"."""
    for join in ("and", "iand"):
        net = models.sew_resnet18(3, 3, 2, snn.LIF(v_threshold=0.3), join).build((1, 32, 32, 3))
        net(np.random.default_rng(0).random((1, 32, 32, 3)).astype(np.float32))
        assert all(layer.output.dtype == np.uint8 for layer in net.layers if isinstance(layer, snn.Residual))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.vgg_snn(size=40), "size must be a multiple of 16; got 40"),
        (lambda: models.dvs_gesture_net(size=100), "size must be a multiple of 32; got 100"),
        (lambda: models.densenet_bc(depth=20), r"depth must be 6 n \+ 4; got 20"),
        (lambda: models.mlp(4, 2), "mlp: hidden must be a list of the sizes of the hidden layers; got 2"),
        (lambda: models.shd_net(layers=0), "layers must be a whole number of at least 1; got 0"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_summary():
    net = models.mlp(6, (5,), 3, steps=2)
    with pytest.raises(RuntimeError, match="not built yet"):
        models.summary(net)
    net.build((2, 6))
    lines = models.summary(net).splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters"]
    assert lines[1].split() == ["repeat1.linear1", "Linear", *["1", "x", "2", "x", "5"], "35"]
    assert lines[-1] == "54 parameters"  # 6 5 + 5, one width, 5 3 + 3
    x = np.random.default_rng(0).random((2, 6)).astype(np.float32)
    assert "multiply-accumulates per sample" in models.summary(net, x)
