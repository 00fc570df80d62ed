"""The contract of every layer: `snn.testing.check_layer`, and what holds for the layers of the package beyond it: equal
bits where nothing is rounded, reused memory, descriptions as text."""

import numpy as np
import pytest
from own_neurons import KLIF, QIF

import numsnn as snn
from numsnn.layers import INFERENCE, TRAINING

STORED = snn.Mode(store=True)
"""Inference that can be gone back through: samples do not depend on each other."""


def test_the_whole_contract(case):
    own = type(case.make()) in (QIF, KLIF)  # classes of an example that was run, which a pickle cannot find
    snn.testing.check_layer(case.make, case.shape, output_shape=case.out, skip=["copies"] if own else [])


@pytest.mark.parametrize(("samples", "steps"), [(1, 1), (5, 2)])
def test_other_samples_and_steps_after_building(case, device, step, samples, steps):
    shape, out = case.with_samples(samples, steps)
    found = step(case.layer(device), case.x(shape=shape), case.dy(shape=out))
    assert found["y"].shape == out and found["dx"].shape == shape
    assert all(np.isfinite(value).all() for value in found.values())


def test_targets_agree_for_one_sample_and_step(case, step, assert_close):
    shape, out = case.with_samples(1, 1)
    x, dy = case.rough(shape=shape), case.dy("float64", out)
    found = [step(case.layer(device, "float64"), x, dy) for device in ("reference", "cpu")]
    assert_close(*found)


def test_targets_are_equal_in_float32_where_nothing_is_rounded(exact_case, step, assert_same):
    """float64 finds the same: that nothing is rounded is true."""
    case = exact_case
    want = step(case.layer("reference", "float64"), case.x("float64"), case.dy("float64"))
    for device in ("reference", "cpu"):
        layer = case.layer(device)
        assert_same(step(layer, case.x(), case.dy()), want)
        assert layer.output.dtype in (np.float32, np.uint8) and layer.input_gradient.dtype == np.float32


def test_neurons_of_the_cases_fire(case):
    layer = case.layer()
    if isinstance(layer, snn.LIF):
        layer.forward(case.x())
        assert 0.05 < layer.output.mean() < 0.60


def test_spikes_are_taken_as_numbers(case, device, step, assert_same, assert_close):
    spikes = (np.random.default_rng(4).random(case.shape) < 0.4).astype(np.uint8)
    dtype = "float32" if case.exact else "float64"
    found = [step(case.layer(device, dtype), x, case.dy(dtype)) for x in (spikes, spikes.astype(dtype))]
    (assert_same if case.exact else assert_close)(*found)


def test_memory_is_reused(case, device):
    """A step like the one before writes into the same memory (or returns the same view of what it is given). The first
    two are not counted: in them the arrays that gradients take turns in grow to the sizes that are needed."""
    layer, x, dy = case.layer(device), case.x(), case.dy()
    for _ in range(2):
        layer.forward(x, TRAINING)
        layer.backward(dy)
    places = []
    for _ in range(2):
        arrays = layer.forward(x, TRAINING), layer.backward(dy), *(p.grad for _, p in layer.parameters())
        places.append([array.ctypes.data for array in arrays])
    assert places[0] == places[1]


def test_a_smaller_batch_and_back(case, device, step, assert_same):
    """Every pass gives what a new layer gives, and the large one finds its memory again."""
    shape, out = case.with_samples(2)
    large = case.x(), case.dy()
    small = case.x(shape=shape, seed=5), case.dy(shape=out)
    layer = case.layer(device)
    for x, dy in (large, small, large, small):
        assert_same(step(layer, x, dy, STORED), step(case.layer(device), x, dy, STORED))
        assert layer.input_shape == x.shape and layer.output_shape == dy.shape
    place = layer.forward(large[0], TRAINING).ctypes.data
    layer.forward(small[0], TRAINING)
    assert layer.forward(large[0], TRAINING).ctypes.data == place


def test_backward_needs_a_stored_forward_pass(case):
    layer = case.make().to("reference").build(case.shape)
    message = rf"^{layer.path}.backward: needs a forward pass with Mode\(store=True\) before it$"
    with pytest.raises(RuntimeError, match=message):
        layer.backward(case.dy())
    layer.forward(case.x(), TRAINING)
    layer.backward(case.dy())
    layer.forward(case.x(), INFERENCE)
    with pytest.raises(RuntimeError, match=message):
        layer.backward(case.dy())


def test_call_returns_an_array_of_its_own(case, device):
    layer, x = case.layer(device), case.x()
    first = layer(x)
    kept = first.copy()
    assert np.array_equal(first, layer.forward(x))
    second = layer(-x)
    assert not np.shares_memory(first, second) and not np.shares_memory(first, x)
    assert np.array_equal(first, kept) and not np.array_equal(first, second)
    assert np.array_equal(x, case.x())


def test_call_takes_any_memory_layout(case, device):
    layer, x = case.layer(device), case.x()
    want = layer(x)
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), np.float32)
    wide[..., ::2] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    for same in (wide[..., ::2], np.asfortranarray(x), frozen):
        assert np.array_equal(layer(same), want)


def test_built_by_the_first_call(case):
    lazy, built = case.make().to("reference"), case.make().to("reference").build(case.shape)
    assert np.array_equal(lazy(case.x()), built(case.x()))
    assert lazy.built and lazy.input_shape == case.shape
    found, want = lazy.state(), built.state()
    assert found.keys() == want.keys()
    assert all(np.array_equal(found[name], value) for name, value in want.items())


def test_moving_to_another_target(exact_case, step, assert_same):
    case = exact_case
    want = step(case.layer(), case.x(), case.dy())
    layer = case.layer("cpu")
    assert layer.to("reference") is layer
    assert layer.device == "reference" and all(part.kernels.name == "reference" for part in layer.tree())
    assert_same(step(layer, case.x(), case.dy()), want)


def test_moving_to_another_dtype(case, step, assert_close):
    """float32 numbers are float64 numbers: nothing changes on the way there and back."""
    layer = case.layer()
    step(layer, case.x(), case.dy())
    state = layer.state()
    layer.to(dtype="float64")
    assert layer.device == "reference" and all(part.dtype == np.float64 for part in layer.tree())
    assert all(value.dtype in (np.float64, np.int64) for value in layer.state().values())
    assert all(p.value.dtype == p.grad.dtype == np.float64 for _, p in layer.parameters())

    fresh = case.make().to("reference", "float64").build(case.shape)
    fresh.load_state(state)
    x, dy = case.rough(), case.dy("float64")
    if case.exact:  # elsewhere a constant such as 1/3 is a float32 in one of the two and a float64 in the other
        assert_close(step(layer, x, dy, STORED), step(fresh, x, dy, STORED))

    found = layer.to(dtype=np.float32).state()
    assert all(np.array_equal(found[name], value) and found[name].dtype == value.dtype for name, value in state.items())


def test_the_printed_text_makes_the_same_layer(case):
    layer = case.make()
    names = {name: getattr(snn, name) for name in dir(snn)} | {"QIF": QIF, "KLIF": KLIF}
    assert eval(repr(layer), names).description() == layer.description()
