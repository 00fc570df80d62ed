"""Convolutions, normalisations, joins, concatenation and delays against finite differences (docs/method.md, R2)."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING
from numsnn.losses import RateCrossEntropy

T, N, K = 3, 4, 3
FEATURES = (T, N, 6)
SEQUENCES = (T, N, 9, 2)
PICTURES = (T, N, 5, 6, 2)


def lif(**options):
    """Neurons whose surrogate has no kinks, so that no check depends on where potentials happen to lie."""
    return snn.LIF(**{"surrogate": snn.PSG("logistic"), "v_threshold": 0.7, **options})


def readout(features):
    return snn.Flatten(), snn.Linear(features, K)


def sew(join):
    """Two blocks, the second with a shortcut of its own, in which neurons join neurons."""
    return lambda: (
        FEATURES,
        (
            snn.Linear(6, 8),
            lif(),
            snn.Residual(snn.Linear(8, 8, bias=False), snn.BatchNorm(8), lif(v_threshold=0.3), join=join),
            snn.Residual(
                snn.Linear(8, 6),
                lif(v_threshold=0.2),
                shortcut=snn.Sequential(snn.Linear(8, 6), lif(v_threshold=0.2)),
                join=join,
            ),
            snn.Linear(6, K),
        ),
    )


LAYERS = {
    "depthwise convolution": lambda: (
        PICTURES,
        (
            snn.Conv2d(2, 6, 3, padding=1),
            lif(),
            snn.Conv2d(6, 12, 3, stride=2, groups=6, bias=True),
            lif(),
            snn.Conv2d(12, 6, 1, groups=6),
            *readout(24),
        ),
    ),
    "dilated convolutions": lambda: (
        PICTURES,
        (
            snn.Conv2d(2, 6, (3, 2), padding="same", dilation=(1, 2)),
            lif(),
            snn.Conv2d(6, 6, 3, stride=2, padding=2, dilation=(2, 3), groups=6, bias=True),
            lif(),
            snn.Conv2d(6, 4, 2, groups=2, dilation=(2, 1)),
            lif(v_threshold=0.2),
            snn.ConvTranspose2d(4, 2, 2, stride=2, dilation=3),
            *readout(32),
        ),
    ),
    "no spikes, and sums of windows": lambda: (
        PICTURES,
        (
            snn.SumPool2d(2, stride=1, padding=1),
            snn.Conv2d(2, 6, 3, bias=True),
            snn.ReLU(),
            snn.SumPool2d((2, 3), stride=2),
            snn.Flatten(),
            snn.Linear(24, 8),
            snn.ReLU(),
            snn.Linear(8, K),
        ),
    ),
    "convolution along sequences": lambda: (
        SEQUENCES,
        (
            snn.Conv1d(2, 6, 3, padding=1),
            snn.BatchNorm(6),
            lif(),
            snn.AvgPool1d(3, stride=2, padding=1),
            snn.Conv1d(6, 6, 2, stride=2, groups=2, bias=True),
            lif(v_threshold=0.4),
            *readout(12),
        ),
    ),
    "max pooling of sequences": lambda: (
        SEQUENCES,
        (snn.MaxPool1d(3, padding=1), snn.BatchNorm(2), lif(), *readout(6)),
    ),
    "transposed convolution": lambda: (
        PICTURES,
        (
            snn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2, bias=True),
            lif(),
            snn.AvgPool2d(3),
            snn.ConvTranspose2d(4, 3, (2, 1)),
            lif(v_threshold=0.3),
            *readout(48),
        ),
    ),
    "normalisation per step": lambda: (
        PICTURES,
        (
            snn.Conv2d(2, 4, 3),
            snn.BNTT(4, T, bias=True),
            lif(),
            snn.Conv2d(4, 4, 3),
            snn.BNTT(4, T),
            lif(),
            *readout(8),
        ),
    ),
    "normalisation and a scale per step": lambda: (
        PICTURES,
        (snn.Conv2d(2, 4, 3), snn.TEBN(4, T), lif(), *readout(48)),
    ),
    "group normalisation": lambda: (
        PICTURES,
        (snn.Conv2d(2, 6, 3), snn.GroupNorm(2, 6), lif(), snn.Conv2d(6, 4, 2), snn.LayerNorm(4), lif(), *readout(24)),
    ),
    "normalisation of features": lambda: (
        FEATURES,
        (snn.Linear(6, 8), snn.GroupNorm(4, 8), lif(), snn.Linear(8, 8), snn.LayerNorm(8), lif(), *readout(8)),
    ),
    "residual of both": sew("and"),
    "residual of one and not the other": sew("iand"),
    "concatenation": lambda: (
        PICTURES,
        (
            snn.Concat(
                None,
                snn.Sequential(snn.Conv2d(2, 4, 3, padding=1), lif()),
                snn.Conv2d(2, 3, 1),
            ),
            snn.Concat(None, snn.Sequential(snn.BatchNorm(9), lif(), snn.Conv2d(9, 3, 3, padding=1))),
            lif(),
            snn.GlobalAvgPool2d(),
            snn.Linear(12, K),
        ),
    ),
    "delay": lambda: (
        FEATURES,
        (
            snn.Delay(1),
            snn.Linear(6, 8),
            lif(v_threshold=0.4),
            snn.Delay((0, 1, 2, 0, 1, 2, 0, 1)),
            snn.Linear(8, 8),
            snn.Residual(snn.Delay(1), snn.Linear(8, 8)),
            lif(v_threshold=0.4),
            snn.Linear(8, K),
        ),
    ),
}


def draw(shape, seed=0):
    return np.random.default_rng(seed).normal(0.2, 1, shape).astype(np.float32)


def assert_agrees(name, device):
    """check_gradients passes and has looked at every array; neurons fire, but not all, and no gradient is zero."""
    shape, layers = LAYERS[name]()
    net, x = snn.Sequential(*layers).to("reference").build(shape), draw(shape)
    for seed in range(2):
        net.forward(draw(shape, seed + 1), TRAINING)
    net.forward(x, snn.Mode(training=True, store=True))
    for layer in net.walk():
        if isinstance(layer, snn.LIF):
            assert 0.05 < layer.output.mean() < 0.60, f"{layer.path} fires at {layer.output.mean():.2f}"
    z = net.forward(x, snn.Mode(training=True, store=True, relaxed=True))
    labels = np.arange(N) % K
    _, dz = RateCrossEntropy()(z, labels)
    gradients = {"input": net.backward(dz)} | {name: p.grad for name, p in net.parameters()}
    for array, gradient in gradients.items():
        assert np.abs(gradient).max() > 1e-5, f"{array} has no gradient"
    report = snn.check_gradients(net, x, labels, device=device)
    assert report.ok, f"\n{report}"
    assert [row.name for row in report.rows] == [*dict(net.parameters()), "input"]
    assert all(row.checked == min(5, int(np.prod(row.shape))) for row in report.rows), f"\n{report}"


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    assert_agrees(name, "reference")


@pytest.mark.parametrize(
    "name",
    [
        "depthwise convolution",
        "dilated convolutions",
        "no spikes, and sums of windows",
        "transposed convolution",
        "normalisation and a scale per step",
        "group normalisation",
        "residual of one and not the other",
        "concatenation",
        "delay",
    ],
)
def test_layers_on_cpu(name):
    assert_agrees(name, "cpu")
