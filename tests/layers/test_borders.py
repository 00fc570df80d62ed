"""Results of user-defined layers are converted, or refused with an error of one line that names the layer."""

import re

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING, borders
from numsnn.layers.base import Layer

SHAPE = (3, 4, 6)


class Hands(snn.Layer):
    """Passes on what a function makes of its input, and of its gradient."""

    carries = False

    def __init__(self, on, back, name=None):
        super().__init__(name)
        self.on, self.back = on, back

    def compute(self, x, mode):
        self.kept = () if mode.store else None
        return self.on(x)

    def propagate(self, dy, need_dx):
        return self.back(dy)


def same(x):
    return x


def network(device, dtype, on=same, back=same):
    net = snn.Sequential(snn.Linear(6, 5), snn.LIF(), Hands(on, back, name="mine"), snn.Linear(5, 4), snn.LI())
    return net.to(device, dtype).build(SHAPE, seed=1)


def step(net, dtype):
    x = np.random.default_rng(0).normal(1, 1, SHAPE).astype(dtype)
    z = net.forward(x, TRAINING)
    dx = net.backward(np.random.default_rng(1).normal(size=z.shape).astype(dtype))
    return [z.copy(), dx.copy(), *(p.grad.copy() for _, p in net.parameters())]


def strided(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


FORMS = {
    "bool": lambda x: x.astype(bool),
    "int64": lambda x: x.astype(np.int64),
    "int8": lambda x: x.astype(np.int8),
    "float64": lambda x: x.astype(np.float64),
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "a strided view": strided,
    "Fortran order": np.asfortranarray,
    "lists": lambda x: x.tolist(),
    "another byte order": lambda x: x.astype(">f4"),
    "a frozen array": lambda x: np.broadcast_to(x, x.shape),
}


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
def test_spikes_in_any_form(device, dtype, form):
    """Zeros and ones are the same numbers in all of them."""
    want, got = step(network(device, dtype), dtype), step(network(device, dtype, on=FORMS[form]), dtype)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


GRADIENTS = [form for form in FORMS if form not in ("bool", "int64", "int8")]


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", GRADIENTS)
def test_gradients_in_any_form(device, dtype, form):
    want, got = step(network(device, dtype), dtype), step(network(device, dtype, back=FORMS[form]), dtype)
    rough = 5e-3 if form == "float16" else 1e-5
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=rough, atol=rough)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_gradients_of_whole_numbers_are_numbers(device):
    net = network(device, "float32", back=lambda dy: np.sign(dy).astype(np.uint8))
    want = network(device, "float32", back=lambda dy: np.sign(dy).astype(np.uint8).astype(np.float32))
    for a, b in zip(step(net, "float32"), step(want, "float32"), strict=True):
        assert np.array_equal(a, b)


def words(what, got, wanted="float32 or uint8"):
    return f"mine (Hands): {what} must be an array of {wanted} on 'cpu'; got {got}"


REFUSED = {
    "text": (lambda x: "spikes", words("what compute returns", "str")),
    "nothing": (lambda x: None, words("what compute returns", "NoneType")),
    "complex": (
        lambda x: x * 1j,
        words("what compute returns", "ndarray of shape (3, 4, 5) and dtype complex128"),
    ),
    "objects": (
        lambda x: x.astype(object),
        words("what compute returns", "ndarray of shape (3, 4, 5) and dtype object"),
    ),
    "ragged lists": (lambda x: [[1, 2], [3]], words("what compute returns", "list")),
    "another shape": (
        lambda x: x[..., :3],
        "mine (Hands): what compute returns must have shape (3, 4, 5); got (3, 4, 3)",
    ),
    "fewer steps": (lambda x: x[:2], "mine (Hands): what compute returns must have shape (3, 4, 5); got (2, 4, 5)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_handed_on(case):
    on, message = REFUSED[case]
    with pytest.raises(snn.ShapeError, match=f"^{re.escape(message)}$"):
        step(network("cpu", "float32", on=on), "float32")


REFUSED_BACK = {
    "nothing": (lambda dy: None, words("what propagate returns", "NoneType", "float32")),
    "complex": (
        lambda dy: dy * 1j,
        words("what propagate returns", "ndarray of shape (3, 4, 5) and dtype complex64", "float32"),
    ),
    "another shape": (
        lambda dy: dy.sum(0),
        "mine (Hands): what propagate returns must have shape (3, 4, 5); got (4, 5)",
    ),
}


@pytest.mark.parametrize("case", REFUSED_BACK)
def test_what_is_not_handed_back(case):
    back, message = REFUSED_BACK[case]
    with pytest.raises(snn.ShapeError, match=f"^{re.escape(message)}$"):
        step(network("cpu", "float32", back=back), "float32")


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("form", ["float64", "float16", "a strided view", "Fortran order", "lists"])
def test_what_a_loop_of_one_s_own_gives(device, form):
    """`forward` and `backward` take arrays of other forms and convert them; a gradient of another shape is refused."""
    net, other = network(device, "float32"), network(device, "float32")
    x = np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.float32)
    dz = np.random.default_rng(1).integers(-2, 3, (3, 4, 4)).astype(np.float32)
    assert np.array_equal(net.forward(FORMS[form](x), TRAINING), other.forward(x, TRAINING))
    assert np.array_equal(net.backward(FORMS[form](dz)), other.backward(dz))
    with pytest.raises(snn.ShapeError, match=r"^sequential \(Sequential\): dL/dy must have shape \(3, 4, 4\); got"):
        net.backward(dz[:2])


def test_a_gradient_that_nobody_needs_may_be_anything():
    net = snn.Sequential(Hands(same, lambda dy: None), snn.Linear(6, 4)).build(SHAPE)
    z = net.forward(np.ones(SHAPE, np.float32), TRAINING)
    assert net.backward(np.ones_like(z), need_dx=False) is None


def test_the_package_s_own_layers_pay_nothing(monkeypatch):
    """They are not asked: of a step of the smallest networks a check of every layer would be some hundredths. A class
    that is derived from one of them is."""
    asked = []
    for name in ("handed_on", "handed_back"):
        check = getattr(borders, name)
        monkeypatch.setattr(
            borders, name, lambda layer, x, *rest, check=check: asked.append(type(layer)) or check(layer, x, *rest)
        )
    net = network("cpu", "float32")
    step(net, "float32")
    assert asked == [Hands, snn.Sequential, Hands], "of the package's own, the outermost network's gradient alone"
    assert {type(layer) for layer in net.walk() if not layer.foreign} == {snn.Linear, snn.LIF, snn.LI}
    assert type("DerivedNeuron", (snn.LIF,), {"__module__": "mine"}).foreign and not Layer.foreign


def test_a_backward_pass_that_needs_nothing():
    """A layer that keeps nothing for it can be trained, and still needs a stored forward pass."""

    class Halves(snn.Layer):
        carries = False

        def compute(self, x, mode):
            return x / 2

        def propagate(self, dy, need_dx):
            return dy / 2

    net = snn.Sequential(snn.Linear(6, 5), Halves(), snn.Linear(5, 4))
    net.build(SHAPE)
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    assert snn.check_gradients(net, x, np.array([0, 1, 2, 3])).ok
    z = net.forward(x, TRAINING)
    net.forward(x)
    with pytest.raises(RuntimeError, match=r"backward: needs a forward pass with Mode\(store=True\) before it$"):
        net.backward(np.ones_like(z))
