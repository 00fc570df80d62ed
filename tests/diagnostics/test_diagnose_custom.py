"""`diagnose` of networks with neurons that users define."""

import json

import numpy as np
import pytest
from own_neurons import KLIF, QIF

from numsnn.diagnostics import Diagnosis, diagnose
from numsnn.layers import Linear, Sequential


@pytest.mark.parametrize(("neuron", "leak"), [(QIF, ()), (KLIF, (0.25,))], ids=["no beta", "beta"])
def test_the_neurons_are_measured_and_the_leak_is_their_beta(neuron, leak):
    starts = {"beta": 0.25} if leak else {}
    net = Sequential(Linear(6, 5), neuron(pda=True, **starts), Linear(5, 3)).to("reference")
    x = np.random.default_rng(0).normal(0.5, 1, (4, 6, 6)).astype(np.float32)
    result = diagnose(net, x, np.arange(6) % 3, training=True)
    (row,) = result.layers
    assert row.leak == leak
    assert row.rate > 0 and row.gradient > 0 and row.undesired_share < 1
    assert Diagnosis.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    header, line = (text.split("  ") for text in str(result).splitlines()[:2])
    assert "leak" in " ".join(header)
    assert ("-" in [cell.strip() for cell in line]) == (not leak)
