"""`count_operations` compared with loops over every spike and synapse."""

import itertools

import numpy as np
import pytest

import numsnn as snn
from numsnn.diagnostics.operations import PICOJOULE_AC, PICOJOULE_MAC


def spikes(*shape):
    return (np.random.default_rng(0).random(shape) < 0.3).astype(np.uint8)


def test_linear_and_lateral():
    net = snn.Sequential(snn.Linear(7, 5), snn.RecurrentLIF(v_threshold=0.2), snn.Linear(5, 3))
    x = spikes(6, 4, 7)
    count = snn.count_operations(net, x)
    first, neurons, second = count.rows
    assert first.accumulates == x.sum() * 5 / 4 and first.spikes == x.sum() / 4 and first.rate == x.mean()
    net.forward(x, snn.Mode(store=True))
    hidden = net.layers[1].spikes()
    assert 0 < hidden.mean() < 1
    assert neurons.spikes == hidden.sum() / 4 and neurons.accumulates == hidden[:-1].sum() * 5 / 4
    assert second.accumulates == hidden.sum() * 3 / 4
    assert count.multiply_accumulates == 0
    assert count.picojoules == pytest.approx(PICOJOULE_AC * count.accumulates)


@pytest.mark.parametrize(("stride", "padding", "groups"), [(1, 1, 1), (2, 1, 2), (2, 0, 1)])
def test_convolution_counts_synapses_at_the_border_exactly(stride, padding, groups):
    layer = snn.Conv2d(4, 6, 3, stride, padding, groups)
    x = spikes(2, 3, 7, 6, 4)
    count = snn.count_operations(snn.Sequential(layer), x)  # builds the layer
    expected = 0
    height, width = layer.output_shape[2:4]
    for oy, ox, ky, kx in itertools.product(range(height), range(width), range(3), range(3)):
        y, column = oy * stride - padding + ky, ox * stride - padding + kx
        if 0 <= y < 7 and 0 <= column < 6:
            expected += x[:, :, y, column].sum() * (6 // groups)
    assert count.rows[0].accumulates == expected / 3


def test_real_inputs_multiply():
    net = snn.Sequential(
        snn.Repeat(4, snn.Conv2d(1, 2, 3, padding=1)), snn.LIF(), snn.AvgPool2d(2), snn.Flatten(), snn.Linear(8, 3)
    )
    x = np.random.default_rng(1).random((5, 4, 4, 1)).astype(np.float32)
    count = snn.count_operations(net, x)
    conv, _, linear = count.rows
    assert conv.multiply_accumulates == 16 * 9 * 2  # the picture is convolved once, not four times
    assert linear.multiply_accumulates == 4 * 8 * 3  # averages of spikes are real numbers
    assert conv.spikes is None and count.accumulates == 0
    assert count.picojoules == pytest.approx(PICOJOULE_MAC * (16 * 9 * 2 + 4 * 8 * 3))
    assert "total" in str(count) and "energy estimate" in str(count)


def test_the_network_is_not_changed():
    net = snn.Sequential(snn.Linear(7, 5), snn.LIF(pda=True))
    net.build((6, 4, 7))
    before = net.state()
    snn.count_operations(net, spikes(6, 4, 7))
    assert all(np.array_equal(value, net.state()[name]) for name, value in before.items())


def test_an_interactive_session_shows_one_line_and_a_notebook_a_table():
    count = snn.count_operations(snn.Sequential(snn.Linear(7, 5), snn.LIF()), spikes(6, 4, 7))
    assert repr(count) == f"OperationCount(2 layers, {count.picojoules / 1e6:.3f} uJ per sample)"
    page = count._repr_html_()
    assert page.count("<tr>") == 4 and f"<p>{str(count).splitlines()[-1]}</p>" in page
