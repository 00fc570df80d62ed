"""Networks that the tests of `diagnose` and of its hints share."""

import numpy as np
import pytest

from numsnn.layers import LIF, TRAINING, Linear, Sequential
from numsnn.losses import RateCrossEntropy
from numsnn.psg import Surrogate

TARGETS = [("reference", "float32"), ("reference", "float64"), ("cpu", "float32"), ("cpu", "float64")]
targets = pytest.mark.parametrize(("device", "dtype"), TARGETS)


def by_hand(device="reference", dtype="float32", **options):
    """Three neurons without memory. Their currents are 0, 8 and 1 times one number per sample and step."""
    net = Sequential(Linear(1, 3, bias=False), LIF(beta=0.0, surrogate=Surrogate("rectangle"), **options))
    x = np.array([[[1.0], [0.5]], [[0.25], [1.0]]], dtype)
    net.to(device, dtype).build(x.shape)
    net.layers[0].weight.value[...] = [[0, 8, 1]]
    return net, x


def current_net(shape=(4, 8, 6), gain=1.0, **lif):
    """One layer of neurons whose input current is the network's input: normal numbers around 0.3, times gain."""
    x = np.random.default_rng(1).normal(0.3, 0.8, shape) * gain
    return Sequential(LIF(**lif)), x.astype(np.float32)


def trained(net, x, y, batches=3):
    net.build(x.shape)
    for _ in range(batches):
        z = net.forward(net.admit(x), TRAINING)
        net.backward(RateCrossEntropy()(z, y)[1], False)
    return net
