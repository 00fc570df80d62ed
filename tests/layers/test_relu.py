"""The rectified linear unit in networks."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING


def test_negative_numbers_become_zero_and_pass_no_gradient(device):
    x = np.array([[[-1.5, -0.0, 0.0, 2.5]]], np.float32)
    layer = snn.ReLU().to(device)
    np.testing.assert_array_equal(layer.forward(x, TRAINING), [[[0, 0, 0, 2.5]]])
    np.testing.assert_array_equal(layer.backward(np.full((1, 1, 4), 3, np.float32)), [[[0, 0, 0, 3]]])
    assert layer.backward(np.ones((1, 1, 4), np.float32), need_dx=False) is None


def test_spikes_become_numbers(device):
    y = snn.ReLU().to(device)(np.array([[[1, 0, 2]]], np.uint8))
    assert y.dtype == np.float32 and y.tolist() == [[[1, 0, 2]]]


def test_pictures_take_one_step(device):
    """`Repeat` with one step; the same network takes them with a time axis of length 1."""
    layers = snn.Conv2d(2, 3, 3), snn.ReLU(), snn.Flatten(), snn.Linear(12, 2)
    net = snn.Sequential(snn.Repeat(1), *layers).to(device).build((5, 4, 4, 2))
    x = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype(np.float32)
    y = net(x)
    assert y.shape == (1, 5, 2)
    np.testing.assert_array_equal(snn.Sequential(*layers)(x[None]), y)
    np.testing.assert_array_equal(net.stream().step(x), y[0])


def test_a_difference_across_the_kink_is_not_compared():
    """At 0 there is no derivative. The other numbers are compared, and agree."""
    net = snn.Sequential(snn.ReLU(), snn.Linear(6, 3)).to("reference")
    x = np.random.default_rng(1).normal(size=(1, 2, 6))
    x[0, 1, 3] = 0
    report = snn.check_gradients(net, x.astype(np.float32), np.array([0, 2]), entries=12, seed=3)
    row = report.rows[-1]
    assert report.ok and (row.name, row.checked, row.redrawn) == ("input", 11, 1)


def test_what_counts_and_summaries_say_of_networks_without_spikes():
    net = snn.Sequential(snn.Linear(4, 6), snn.ReLU(), snn.Linear(6, 3))
    x = np.random.default_rng(2).normal(size=(1, 5, 4)).astype(np.float32)
    count = snn.count_operations(net, x)
    assert (count.accumulates, count.multiply_accumulates) == (0, 4 * 6 + 6 * 3)
    assert "relu1" in snn.models.summary(net, x) and "ReLU" in snn.models.summary(net, x)
    diagnosis = snn.diagnose(net, x, np.zeros(5, int))
    assert diagnosis.layers == () and "linear2" in str(diagnosis)


def test_a_vector_is_refused(refuses):
    with refuses(snn.ShapeError, "relu (ReLU): input must be [T, N, ...]; got (4,)"):
        snn.ReLU().build((4,))


@pytest.mark.parametrize("flat", [False, True])
def test_it_learns(flat):
    """A function that no linear layer computes."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    net = snn.Sequential(snn.Repeat(1, snn.Linear(2, 8)), *([] if flat else [snn.ReLU()]), snn.Linear(8, 2))
    trainer = snn.Trainer(net, optimizer=snn.optim.Adam(0.05), seed=1)
    history = trainer.fit((x, np.array([0, 1, 1, 0])), epochs=60, progress=False)
    assert (history[-1]["train_accuracy"] == 1) != flat
