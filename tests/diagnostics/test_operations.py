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
    fired = snn.record(net, x)["lif1"].s.sum() / 5
    assert linear.multiply_accumulates == 0 and linear.accumulates == fired * 3  # a mean of spikes is still spikes
    assert conv.spikes is None and linear.spikes == fired > 0
    assert count.picojoules == pytest.approx(PICOJOULE_MAC * 16 * 9 * 2 + PICOJOULE_AC * fired * 3)
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


def test_frames_of_zeros_and_ones_are_spikes():
    net, x = snn.Sequential(snn.Linear(7, 5)), spikes(6, 4, 7)
    assert snn.count_operations(net, x.astype(np.float32)).rows == snn.count_operations(net, x).rows
    (row,) = snn.count_operations(net, 2 * x.astype(np.float32)).rows
    assert row.spikes is None and row.multiply_accumulates == 6 * 7 * 5


def test_spikes_are_counted_through_averages_and_sums():
    """Overlapping windows, a global mean, a residual sum and layers that only move numbers."""
    net = snn.Sequential(
        snn.LIF(v_threshold=0.3),
        snn.AvgPool2d(3, 2, 1),
        snn.Dropout(0.5),
        snn.Conv2d(2, 3, 3, name="mean"),
        snn.LIF(v_threshold=0.2),
        snn.Residual(snn.Conv2d(3, 3, 1, name="inner"), snn.LIF(v_threshold=0.1)),
        snn.Delay(1),
        snn.Conv2d(3, 2, 1, name="sum"),
        snn.LIF(v_threshold=0.1),
        snn.GlobalAvgPool2d(),
        snn.Linear(2, 5, name="whole"),
    )
    x = np.random.default_rng(0).random((6, 2, 9, 9, 2)).astype(np.float32)
    rows = {row.name: row for row in snn.count_operations(net, x).rows}
    rec = snn.record(net, x)
    first, second, inner, third = (layer.s.astype(float) for layer in rec.values())
    padded = np.pad(first, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    inside = sum(padded[:, :, i : i + 9 : 2, j : j + 9 : 2] for i in range(3) for j in range(3))  # [6, 2, 5, 5, 2]
    synapses = sum(inside[:, :, i : i + 3, j : j + 3] for i in range(3) for j in range(3)).sum() * 3
    assert rows["mean"].accumulates == pytest.approx(synapses / 2) and rows["mean"].spikes == inside.sum() / 2
    assert rows["mean"].rate == pytest.approx(inside.mean() / 9)
    assert rows["residual1.branch.inner"].accumulates == pytest.approx(second.sum() * 3 / 2)
    assert rows["sum"].accumulates == pytest.approx((second + inner)[:-1].sum() * 2 / 2)
    assert rows["whole"].accumulates == pytest.approx(third.sum() * 5 / 2) and third.sum() > 0
    assert all(row.multiply_accumulates == 0 for row in rows.values())


def test_numbers_that_only_look_like_averages_multiply():
    """A normalisation between neurons and weights, and pooling of real numbers, give real numbers."""
    x = np.random.default_rng(0).random((3, 2, 4, 4, 2)).astype(np.float32)
    for first in (snn.LIF(v_threshold=0.3), snn.LayerNorm(2)), (snn.AvgPool2d(2),):
        net = snn.Sequential(*first, snn.Conv2d(2, 3, 1))
        row = snn.count_operations(net, x).rows[-1]
        assert row.spikes is None and row.accumulates == 0 and row.multiply_accumulates > 0


def test_another_object_is_refused():
    with pytest.raises(TypeError, match=r"count_operations: net must be a network, such as .*; got list"):
        snn.count_operations([1], spikes(6, 4, 7))


def test_the_summary_counts_behind_average_pooling():
    net = snn.Sequential(snn.LIF(v_threshold=0.2), snn.AvgPool2d(2), snn.Flatten(), snn.Linear(4, 3))
    x = spikes(3, 2, 2, 4, 2)
    text, count = snn.models.summary(net, x), snn.count_operations(net, x)
    assert text.splitlines()[-2].split()[-2:] == [f"{count.accumulates:,.0f}", "0"] and count.accumulates > 0


def test_graphs_keep_spikes_countable():
    """Sums and averages within a graph of what spikes; a join of spikes with real numbers is real numbers."""
    pool = snn.Sequential(snn.Conv2d(2, 2, 1), snn.IF(v_threshold=0.2), snn.AvgPool2d(2))
    nodes = {
        "a": (pool, "left"),
        "b": ("a", "right"),
        "both": ("add", "a", "b"),
        "counted": (snn.Conv2d(2, 3, 1), "both"),
        "mixed": ("concat", "both", "real"),
        "weighed": (snn.Conv2d(4, 3, 1), "mixed"),
        "out": ("add", "counted", "weighed"),
    }
    x = {"left": spikes(3, 2, 4, 4, 2), "right": spikes(3, 2, 4, 4, 2)[::-1].copy()}
    x["real"] = np.random.default_rng(0).random((3, 2, 2, 2, 2)).astype(np.float32)
    net = snn.Graph(tuple(x), nodes)
    rows = {row.name: row for row in snn.count_operations(net, x).rows}
    fired = sum(snn.record(net, x, name)[name].s.sum() for name in ("a.if1", "b.if1")) / 2
    assert rows["a.conv2d1"].spikes == x["left"].sum() / 2 > 0
    assert rows["counted"].spikes == fired > 0 and rows["counted"].accumulates == fired * 3
    assert rows["weighed"].spikes is None and rows["weighed"].multiply_accumulates == 3 * 4 * 4 * 3
