"""Values assigned to a parameter are converted or refused with one line; the memory that it shares stays intact."""

import re
from fractions import Fraction

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING
from numsnn.layers.flat import FlatParameters

SHAPE = (3, 4, 5)
NUMBERS = np.arange(15).reshape(5, 3) - 7


def layer(device="cpu", dtype="float32"):
    return snn.Linear(5, 3).to(device, dtype).build(SHAPE)


FORMS = {
    "float64": NUMBERS / 4,
    "float32": (NUMBERS / 4).astype(np.float32),
    "float16": (NUMBERS / 4).astype(np.float16),
    "int64": NUMBERS,
    "int8": NUMBERS.astype(np.int8),
    "uint8": (NUMBERS + 7).astype(np.uint8),
    "bool": NUMBERS > 0,
    "Fortran order": np.asfortranarray(NUMBERS / 4),
    "every other": np.repeat(NUMBERS / 4, 2, axis=0)[::2],
    "backwards": (NUMBERS / 4)[::-1],
    "transposed": (NUMBERS / 4).T.copy().T,
    "another byte order": (NUMBERS / 4).astype(">f8"),
    "lists": (NUMBERS / 4).tolist(),
}


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", ["value", "grad"])
def test_what_is_converted(device, dtype, form, what):
    given, linear = FORMS[form], layer(device, dtype)
    setattr(linear.weight, what, given)
    got = getattr(linear.weight, what)
    assert got.dtype == dtype and got.flags.c_contiguous and got.shape == (5, 3)
    assert np.array_equal(got, np.asarray(given).astype(dtype))
    assert not np.shares_memory(got, np.asarray(given))
    if what == "value":
        x = np.random.default_rng(0).random(SHAPE).astype(dtype)
        np.testing.assert_allclose(linear(x), x @ np.asarray(given).astype(dtype) + linear.offset.value, rtol=1e-5)


REFUSED = {
    "PyTorch's order": (NUMBERS.T, snn.ShapeError, "linear.weight.value must have shape (5, 3); got (3, 5)"),
    "too small": (np.zeros((5, 2)), snn.ShapeError, "linear.weight.value must have shape (5, 3); got (5, 2)"),
    "a row": (np.zeros(3), snn.ShapeError, "linear.weight.value must have shape (5, 3); got (3,)"),
    "a number": (1.0, snn.ShapeError, "linear.weight.value must have shape (5, 3); got ()"),
    "nan": (
        np.where(NUMBERS == 0, np.nan, 1),
        ValueError,
        "linear.weight.value must be finite as float32; got nan at (2, 1)",
    ),
    "too large": (
        np.where(NUMBERS == 0, 1e300, 1),
        ValueError,
        "linear.weight.value must be finite as float32; got 1e+300 at (2, 1)",
    ),
    "complex": (
        NUMBERS * 1j,
        snn.ShapeError,
        "linear.weight.value must be an array of real numbers of shape (5, 3); got ndarray of dtype complex128",
    ),
    "text": (
        "weights",
        snn.ShapeError,
        "linear.weight.value must be an array of real numbers of shape (5, 3); got str of dtype <U7",
    ),
    "objects": (
        np.full((5, 3), Fraction(1, 2)),
        snn.ShapeError,
        "linear.weight.value must be an array of real numbers of shape (5, 3); got ndarray of dtype object",
    ),
    "ragged lists": (
        [[1, 2, 3], [1]],
        snn.ShapeError,
        "linear.weight.value must be an array of real numbers of shape (5, 3); got list of dtype object",
    ),
    "nothing": (
        None,
        snn.ShapeError,
        "linear.weight.value must be an array of real numbers of shape (5, 3); got NoneType of dtype object",
    ),
}


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(device, case):
    given, error, message = REFUSED[case]
    linear = layer(device)
    before = linear.weight.value.copy()
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        linear.weight.value = given
    assert np.array_equal(linear.weight.value, before)


def test_names_are_full():
    net = snn.Sequential(snn.Linear(5, 3, name="readout")).build(SHAPE)
    with pytest.raises(snn.ShapeError, match=r"^readout\.bias\.value must have shape \(3,\); got \(4,\)$"):
        net.layers[0].offset.value = np.zeros(4)
    with pytest.raises(snn.ShapeError, match=r"^k\.grad must have shape \(2,\); got \(3,\)$"):
        snn.Parameter("k", np.zeros(2), "leak").grad = np.zeros(3)


def test_a_gradient_may_be_anything():
    """A gradient that is not finite is a trainer's to find, with the step and the layer."""
    linear = layer()
    linear.weight.grad = np.full((5, 3), np.nan)
    assert np.isnan(linear.weight.grad).all()


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_training_goes_on_from_what_was_assigned(device):
    """The optimiser keeps the moments of an assigned parameter, though all values lie in one piece of memory."""

    def train(assign):
        net, optimizer = layer(device), snn.optim.Adam(0.1)
        for k in range(4):
            z = net.forward(np.ones(SHAPE, np.float32), TRAINING)
            net.backward(np.ones_like(z))
            optimizer.step(net.kernels, net.parameters())
            if k == 1:
                assign(net.weight)
        return net.state()

    def element_by_element(weight):
        weight.value[...] = NUMBERS

    def as_a_whole(weight):
        weight.value = NUMBERS

    want, got = train(element_by_element), train(as_a_whole)
    assert all(np.array_equal(got[name], want[name]) for name in want)


def test_a_gradient_stays_where_the_optimiser_looks():
    linear = layer()
    flat = FlatParameters.of(linear.kernels, linear.parameters())
    linear.weight.grad = NUMBERS
    assert FlatParameters.of(linear.kernels, linear.parameters()) is flat
    assert flat.grad.sum() == NUMBERS.sum()


def test_frozen_weights_that_are_assigned_are_used():
    net = snn.Sequential(snn.Conv2d(2, 4, 3, padding=1), snn.BatchNorm(4), snn.LIF())
    x = np.random.default_rng(0).random((2, 3, 8, 8, 2)).astype(np.float32)
    folded = net.build(x.shape).fold()
    before = folded(x)
    folded.layers[0].weight.value = 5 * folded.layers[0].weight.value
    assert not np.array_equal(folded(x), before)


class Scale(snn.Layer):
    """A layer of one's own, whose author takes no care of dtypes."""

    carries = False

    def create(self, shape, rng):
        self.factor = self.add_parameter(snn.Parameter("factor", np.arange(shape[-1])[::-1], "weight"))

    def compute(self, x, mode):
        self.kept = (x,) if mode.store else None
        return x * self.factor.value

    def propagate(self, dy, need_dx):
        self.factor.grad = (self.kept[0].astype(np.float64) * dy).sum((0, 1))
        return dy * self.factor.value


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_of_one_s_own(dtype):
    net = snn.Sequential(snn.Linear(5, 4), Scale(), snn.Linear(4, 2)).to(dtype=dtype).build(SHAPE)
    factor = net.layers[1].factor
    assert factor.value.dtype == factor.grad.dtype == dtype and factor.value.flags.c_contiguous
    z = net.forward(np.ones(SHAPE, dtype), TRAINING)
    net.backward(np.ones_like(z))
    snn.optim.SGD(0.1).step(net.kernels, net.parameters())
    assert not np.array_equal(factor.value, np.arange(4)[::-1])
