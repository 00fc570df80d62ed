"""Helpers for the tests of layers: cases of every kind of layer, inputs for them, and a forward and backward pass.

Numbers on a *grid* are small multiples of 1/2 or 1/4. All sums and products that a layer makes of them fit into the 24
bits of a float32. Nothing is rounded, so two correct computations agree to the last bit for every order of the sums.
"""

import re
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from own_neurons import KLIF, QIF

import numsnn as snn
from numsnn.layers import TRAINING


def _grid(shape, seed=0, unit=0.5, dtype=np.float32):
    """Return random multiples of unit between -2 and 2."""
    steps = round(2 / unit)
    return (unit * np.random.default_rng(seed).integers(-steps, steps + 1, shape)).astype(dtype)


def _step(layer, x, dy, mode=TRAINING, need_dx=True):
    """Run a forward and a backward pass; return copies of output, gradients and statistics by name."""
    y = np.array(layer.forward(x, mode))
    dx = layer.backward(dy, need_dx)
    found = {"y": y, "dx": None if dx is None else np.array(dx)}
    return found | {f"d {name}": p.grad.copy() for name, p in layer.parameters()} | layer.statistics()


@dataclass(frozen=True)
class Case:
    """One kind of layer.

    Attributes:
        make: function that constructs the layer.
        shape, out: shapes of an input and of its output.
        exact: whether the layer rounds nothing for inputs on a grid.
        any_steps: whether the layer takes any number of steps.
    """

    make: object
    shape: tuple
    out: tuple
    exact: bool = True
    any_steps: bool = True

    @property
    def samples_axis(self):
        return 0 if isinstance(self.make(), snn.Repeat) else 1

    def with_samples(self, n, steps=None):
        """Return the shapes of input and output for n samples and, if the layer takes any number of them, for steps."""
        shape, out = list(self.shape), list(self.out)
        shape[self.samples_axis] = out[1] = n
        if steps and self.samples_axis == 1 and self.any_steps:
            shape[0] = out[0] = steps
        return tuple(shape), tuple(out)

    def layer(self, device="reference", dtype="float32"):
        """Return a built layer with weights on a grid, or with other random weights if the layer is not exact."""
        layer = self.make().to(device, dtype).build(self.shape)
        rng = np.random.default_rng(7)
        for _, p in layer.parameters():
            if p.group in ("weight", "bias", "norm"):
                drawn = _grid(p.value.shape, 7, 0.25) / 2
                p.value[...] = drawn if self.exact else drawn + rng.normal(0, 0.1, p.value.shape)
        for norm in layer.walk():
            if isinstance(norm, snn.BatchNorm | snn.BNTT):
                size = norm.running["mean"].shape
                norm.set_statistic("mean", rng.normal(0, 0.5, size))
                norm.set_statistic("var", rng.uniform(0.5, 2, size))
        return layer

    def x(self, dtype="float32", shape=None, seed=1):
        return _grid(shape or self.shape, seed, dtype=dtype)

    def rough(self, dtype="float64", shape=None, seed=1):
        """Return an input whose numbers use all bits."""
        return np.random.default_rng(seed).normal(0.2, 1, shape or self.shape).astype(dtype)

    def dy(self, dtype="float32", shape=None):
        return _grid(shape or self.out, 2, dtype=dtype) / 2


CASES = {
    "linear": Case(lambda: snn.Linear(5, 3), (3, 2, 5), (3, 2, 3)),
    "linear without bias": Case(lambda: snn.Linear(5, 3, bias=False), (3, 2, 5), (3, 2, 3)),
    "convolution": Case(
        lambda: snn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=2, bias=True),
        (2, 3, 7, 5, 4),
        (2, 3, 4, 4, 6),
    ),
    "pointwise convolution": Case(lambda: snn.Conv2d(3, 2, 1), (3, 2, 1, 1, 3), (3, 2, 1, 1, 2)),
    "depthwise convolution": Case(
        lambda: snn.Conv2d(5, 10, 3, padding=1, groups=5, bias=True), (2, 3, 4, 5, 5), (2, 3, 4, 5, 10)
    ),
    "convolution along sequences": Case(
        lambda: snn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2, bias=True), (2, 3, 7, 4), (2, 3, 4, 6)
    ),
    "transposed convolution": Case(
        lambda: snn.ConvTranspose2d(
            4, 6, (3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0), groups=2, bias=True
        ),
        (2, 3, 3, 4, 4),
        (2, 3, 6, 5, 6),
    ),
    "dilated convolution": Case(
        lambda: snn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=2, groups=2, dilation=(2, 3)),
        (2, 3, 7, 5, 4),
        (2, 3, 4, 6, 6),
    ),
    "convolution that keeps the size": Case(
        lambda: snn.Conv2d(3, 2, (2, 4), padding="same", dilation=(3, 1), bias=True), (2, 3, 5, 4, 3), (2, 3, 5, 4, 2)
    ),
    "dilated convolution along sequences": Case(
        lambda: snn.Conv1d(3, 2, 3, padding="same", dilation=2), (2, 3, 7, 3), (2, 3, 7, 2)
    ),
    "dilated transposed convolution": Case(
        lambda: snn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=(1, 0), dilation=(2, 3)),
        (2, 1, 3, 2, 4),
        (2, 1, 8, 7, 6),
    ),
    "normalisation": Case(lambda: snn.BatchNorm(5), (3, 4, 5), (3, 4, 5), exact=False),
    "scaled normalisation": Case(
        lambda: snn.BatchNorm(3, v_threshold=0.5, affine=False), (2, 3, 5, 3, 3), (2, 3, 5, 3, 3), exact=False
    ),
    "normalisation of sequences": Case(lambda: snn.BatchNorm(5), (3, 4, 2, 5), (3, 4, 2, 5), exact=False),
    "normalisation per step": Case(
        lambda: snn.BNTT(5, 3, bias=True), (3, 4, 2, 2, 5), (3, 4, 2, 2, 5), exact=False, any_steps=False
    ),
    "normalisation per step without bias": Case(
        lambda: snn.BNTT(5, 3), (3, 4, 5), (3, 4, 5), exact=False, any_steps=False
    ),
    "normalisation and a scale per step": Case(
        lambda: snn.TEBN(5, 3), (3, 4, 2, 2, 5), (3, 4, 2, 2, 5), exact=False, any_steps=False
    ),
    "group normalisation": Case(lambda: snn.GroupNorm(2, 6), (2, 3, 4, 3, 6), (2, 3, 4, 3, 6), exact=False),
    "group normalisation without affine": Case(
        lambda: snn.GroupNorm(2, 6, affine=False), (2, 3, 4, 6), (2, 3, 4, 6), exact=False
    ),
    "layer normalisation": Case(lambda: snn.LayerNorm(6), (2, 3, 6), (2, 3, 6), exact=False),
    "average pooling": Case(lambda: snn.AvgPool2d(2), (2, 3, 7, 5, 4), (2, 3, 3, 2, 4)),
    "overlapping average pooling": Case(
        lambda: snn.AvgPool2d((2, 4), stride=1, padding=(1, 0)), (2, 3, 5, 6, 3), (2, 3, 6, 3, 3)
    ),
    "max pooling": Case(lambda: snn.MaxPool2d(3, stride=2, padding=1), (2, 3, 7, 5, 4), (2, 3, 4, 3, 4)),
    "average pooling of sequences": Case(lambda: snn.AvgPool1d(2), (2, 3, 7, 4), (2, 3, 3, 4)),
    "max pooling of sequences": Case(lambda: snn.MaxPool1d(3, stride=2, padding=1), (2, 3, 7, 4), (2, 3, 4, 4)),
    "global average pooling": Case(snn.GlobalAvgPool2d, (2, 3, 4, 2, 5), (2, 3, 5)),
    "sum pooling": Case(lambda: snn.SumPool2d(3, stride=2, padding=1), (2, 3, 7, 5, 4), (2, 3, 4, 3, 4)),
    "sum pooling of sequences": Case(lambda: snn.SumPool1d(2), (2, 3, 7, 4), (2, 3, 3, 4)),
    "rectified linear units": Case(snn.ReLU, (2, 3, 5, 4), (2, 3, 5, 4)),
    "flatten": Case(snn.Flatten, (2, 3, 3, 5, 2), (2, 3, 30)),
    "delay": Case(lambda: snn.Delay(2), (3, 2, 5), (3, 2, 5)),
    "delay per channel": Case(lambda: snn.Delay((0, 1, 4)), (4, 2, 3, 3), (4, 2, 3, 3)),
    "dropout": Case(lambda: snn.Dropout(0.5), (3, 4, 7), (3, 4, 7)),
    "neurons": Case(lambda: snn.LIF(), (3, 4, 6), (3, 4, 6)),
    "neurons per channel": Case(
        lambda: snn.LIF(
            beta=(0.5, 0.25, 1.0, 0.0),
            v_threshold=(1.0, 0.5, 1.0, 2.0),
            v_reset=None,
            surrogate=snn.PSG(per="channel"),
        ),
        (3, 2, 3, 5, 4),
        (3, 2, 3, 5, 4),
    ),
    "detached neurons": Case(
        lambda: snn.LIF(detach_reset=True, decay_input=True, v_threshold=0.5), (3, 4, 6), (3, 4, 6)
    ),
    "adjusted neurons": Case(
        lambda: snn.LIF(
            learn_tau=True,
            learn_threshold="channel",
            decay_input=True,
            tau=1.5,
            surrogate=snn.PSG("gaussian"),
            pda=snn.PDA(divergence=0.5),
        ),
        (3, 4, 6),
        (3, 4, 6),
        exact=False,
    ),
    "own neurons, quadratic": Case(lambda: QIF(v_threshold=0.5), (3, 4, 6), (3, 4, 6), exact=False),
    "own neurons, adjusted": Case(
        lambda: KLIF(
            k=(0.9, 1.2, 1.0, 1.1),
            learn={"k": "channel", "beta": "channel"},
            beta=(0.5, 0.25, 0.9, 0.4),
            v_reset=None,
            detach_reset=True,
            surrogate=snn.PSG("gaussian"),
            pda=snn.PDA(divergence=0.5),
        ),
        (3, 2, 3, 5, 4),
        (3, 2, 3, 5, 4),
        exact=False,
    ),
    "repeat": Case(lambda: snn.Repeat(3), (4, 5), (3, 4, 5)),
    "repeat around a layer": Case(lambda: snn.Repeat(4, snn.Conv2d(2, 3, 3, padding=1)), (3, 5, 3, 2), (4, 3, 5, 3, 3)),
    "residual": Case(lambda: snn.Residual(snn.Linear(5, 5)), (3, 2, 5), (3, 2, 5)),
    "residual with shortcut": Case(
        lambda: snn.Residual(
            snn.Conv2d(2, 4, 3, stride=2, padding=1), shortcut=snn.Sequential(snn.Conv2d(2, 4, 1, stride=2))
        ),
        (2, 3, 5, 7, 2),
        (2, 3, 3, 4, 4),
    ),
    "residual of both": Case(
        lambda: snn.Residual(snn.Linear(5, 3), shortcut=snn.Linear(5, 3), join="and"), (3, 2, 5), (3, 2, 3)
    ),
    "residual of one and not the other": Case(
        lambda: snn.Residual(snn.Linear(5, 5), join="iand"), (3, 2, 5), (3, 2, 5)
    ),
    "concatenation": Case(
        lambda: snn.Concat(
            snn.Conv2d(2, 3, 3, padding=1), None, snn.Sequential(snn.Conv2d(2, 1, 1), snn.MaxPool2d(3, 1, 1))
        ),
        (2, 3, 4, 5, 2),
        (2, 3, 4, 5, 6),
    ),
    "network": Case(
        lambda: snn.Sequential(snn.Conv2d(2, 3, 3), snn.MaxPool2d(2), snn.Flatten(), snn.Linear(12, 4)),
        (2, 3, 7, 6, 2),
        (2, 3, 4),
    ),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    """A case of every kind of layer."""
    return request.param


@pytest.fixture(params=[name for name in CASES if CASES[name].exact])
def exact_case(request):
    """A case of every kind of layer that rounds nothing on a grid."""
    return CASES[request.param]


@pytest.fixture(params=["reference", "cpu"])
def device(request):
    return request.param


@pytest.fixture
def grid():
    return _grid


@pytest.fixture
def step():
    return _step


@pytest.fixture
def refuses():
    """refuses(error, message) expects the error with exactly this message."""
    return _refuses


@pytest.fixture
def assert_same():
    """assert_same(got, want) checks that all arrays of two results of `step` are equal to the last bit."""
    return partial(_assert_close, promise=0.0)


@pytest.fixture
def assert_close():
    """assert_close(got, want) checks that all float64 arrays of two results of `step` agree to 1e-10 of their largest
    entry, as every device promises."""
    return partial(_assert_close, promise=1e-10)


def _refuses(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


def _assert_close(got, want, promise):
    assert got.keys() == want.keys()
    for name, expected in want.items():
        assert got[name].shape == expected.shape, name
        assert np.isfinite(expected).all(), name
        bound = promise * max(1.0, np.abs(expected).max(initial=0)) if promise else 0
        np.testing.assert_allclose(got[name], expected, rtol=0, atol=bound, err_msg=name)
