"""Checks and counts run on a copy that computes as the network does, and they leave the network as it was."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.diagnostics.copies import built_copy
from numsnn.kernels import for_device
from numsnn.layers import INFERENCE, Routed


def folded_network():
    net = snn.Sequential(snn.Linear(7, 5), snn.BatchNorm(5), snn.LIF(), snn.Linear(5, 3)).build((4, 2, 7))
    return net.fold()


def test_the_copy_shares_no_array_and_has_the_shapes_of_x():
    net = folded_network()
    x = np.random.default_rng(0).normal(0, 1, (6, 3, 7)).astype(np.float32)
    copy, _ = built_copy("test", net, x)
    assert copy.output_shape == (6, 3, 3) and net.output_shape == (4, 2, 3)
    assert np.array_equal(copy(x), net(x))
    for (name, mine), (other, theirs) in zip(net.parameters(), copy.parameters(), strict=True):
        assert name == other and not np.shares_memory(mine.value, theirs.value)


@pytest.mark.parametrize("look", [snn.count_operations, snn.diagnose], ids=["count_operations", "diagnose"])
def test_a_folded_network_keeps_its_prepared_weights(look):
    net = folded_network()
    x = np.random.default_rng(0).normal(0, 1, (4, 2, 7)).astype(np.float32)
    look(net, x)
    weighted = [layer for layer in net.walk() if isinstance(layer, Routed)]
    assert all(layer.kept_weights(INFERENCE, layer.weight.value) is not None for layer in weighted)


def test_check_gradients_takes_the_requested_route(monkeypatch):
    taken, kernels = set(), for_device("reference")
    forward = kernels.linear_forward

    def spy(x, w, b, y, active, way, kept):
        taken.add(way.route)
        return forward(x, w, b, y, active, way, kept)

    monkeypatch.setattr(kernels, "linear_forward", spy)
    net = snn.set_route(snn.Sequential(snn.Linear(4, 3)).to("reference"), "dense")
    x = np.random.default_rng(0).normal(0, 1, (2, 3, 4)).astype(np.float32)
    assert snn.check_gradients(net, x, np.arange(3)).ok
    assert taken == {"dense"}
