"""Linear compared with plain loops, and its initial weights."""

import numpy as np
import pytest

import numsnn as snn


@pytest.mark.parametrize("bias", [False, True])
def test_linear_is_its_definition(grid, device, bias, step):
    layer = snn.Linear(5, 3, bias=bias).to(device).build((4, 2, 5))
    w = layer.weight.value[...] = grid((5, 3), 1) / 2
    b = grid((3,), 2) if bias else np.zeros(3)
    if bias:
        layer.offset.value[...] = b
    x, dy = grid((4, 2, 5)), grid((4, 2, 3), 3)
    found = step(layer, x, dy)
    for t, n in np.ndindex(4, 2):
        np.testing.assert_array_equal(found["y"][t, n], [sum(x[t, n] * w[:, o]) + b[o] for o in range(3)])
        np.testing.assert_array_equal(found["dx"][t, n], [sum(dy[t, n] * w[i]) for i in range(5)])
    for i, o in np.ndindex(5, 3):
        assert found["d linear.weight"][i, o] == (x[..., i] * dy[..., o]).sum()
    assert ("d linear.bias" in found) == bias
    if bias:
        np.testing.assert_array_equal(found["d linear.bias"], dy.sum((0, 1)))


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in"),
    [
        (snn.Linear(50, 80), (1, 1, 50), 50),
        (snn.Conv2d(8, 32, (3, 5)), (1, 1, 5, 5, 8), 120),
        (snn.Conv2d(64, 128, 1, groups=2), (1, 1, 5, 5, 64), 32),
    ],
)
def test_initial_weights(layer, shape, fan_in):
    """Uniform with variance 2 / fan_in: a sample of n has that variance to sqrt(0.8 / n), taken five times; its largest
    entry reaches the bound to a few parts in n."""
    w = layer.to("reference").build(shape).weight.value
    bound, n = np.sqrt(6 / fan_in), w.size
    assert 0.99 * bound < np.abs(w).max() <= bound
    assert abs(w.mean()) < 5 * np.sqrt(2 / fan_in / n)
    assert abs(w.var() * fan_in / 2 - 1) < 5 * np.sqrt(0.8 / n)


def test_initial_bias_is_zero_and_a_convolution_has_none_by_default():
    linear = snn.Linear(5, 3).to("reference").build((1, 1, 5))
    assert not linear.offset.value.any()
    conv = snn.Conv2d(2, 3, 3).to("reference").build((1, 1, 5, 5, 2))
    assert conv.offset is None and [name for name, _ in conv.parameters()] == ["conv2d.weight"]


def test_layers_of_one_network_start_with_different_weights():
    net = snn.Sequential(snn.Linear(5, 5), snn.Linear(5, 5)).build((1, 1, 5))
    first, second = net.layers
    assert not np.array_equal(first.weight.value, second.weight.value)
