"""Hints of `diagnose`: each provoked fault has its hint, and a healthy network has none."""

import json

import numpy as np
import pytest
from diagnosed import by_hand, current_net, targets, trained

from numsnn.diagnostics import Diagnosis, diagnose
from numsnn.layers import LIF, TRAINING, BatchNorm, Linear, Sequential, set_route
from numsnn.pda import PDA
from numsnn.psg import PSG, Surrogate


def hints(net, x, *labels, **options):
    return "\n".join(diagnose(net, x, *labels, **options).hints)


def test_a_healthy_network_has_no_hints():
    net = Sequential(
        Linear(8, 32), BatchNorm(32), LIF(pda=True), Linear(32, 32), BatchNorm(32), LIF(pda=True), Linear(32, 4)
    )
    x = np.random.default_rng(0).normal(size=(4, 32, 8)).astype(np.float32)
    trained(net, x, np.arange(32) % 4, batches=40)
    assert diagnose(net, x, np.arange(32) % 4).hints == ()


def test_hint_of_a_silent_layer():
    net, x = current_net(gain=1e-3)
    assert "lif1 is nearly silent (rate 0.0 %, 100.0 % of its units never fired): lower v_threshold" in hints(net, x)


def test_a_few_chances_do_not_make_a_unit_silent_or_saturated():
    x = np.zeros((1, 1, 100), np.float32)
    x[..., :5] = 2  # 5 % fire
    net = Sequential(LIF(surrogate=Surrogate("arctan")))
    assert diagnose(net, x).layers[0].silent == 0.95
    assert "silent" not in hints(net, x)
    assert "lif1 is nearly silent (rate 5.0 %, 95.0 %" in hints(net, np.repeat(x, 16, axis=1))


def test_hint_of_a_saturated_layer():
    net, x = by_hand()
    net.layers[0].weight.value[...] = 100
    assert "lif1 is saturated (rate 100.0 %, 100.0 % of its units always fired): raise v_threshold" in hints(net, x)


def test_hint_of_a_narrow_surrogate():
    net, x = current_net(surrogate=Surrogate("triangle", width=0.01))
    assert "lif1's surrogate window is too narrow" in hints(net, x)
    assert "larger width (now 0.01)" in hints(net, x)


def test_hint_of_a_shift():
    x = np.random.default_rng(0).normal(0.2, 2.0, (6, 64, 8)).astype(np.float32)
    text = hints(Sequential(LIF(beta=0.9)), x)
    assert "thresholds below its mean input current or PDA's target (step 6): give it pda=PDA()" in text
    assert "its PDA does not follow fast enough" in hints(Sequential(LIF(beta=0.9, pda=True)), x)
    net = Sequential(LIF(beta=0.9, pda=PDA(momentum=0.5))).build(x.shape)
    for _ in range(50):
        net.forward(x, TRAINING)
    assert "thresholds" not in hints(net, x)


def deep(scale):
    """Three layers. The weights of the last one are scaled, and with them the gradients of the first two."""
    surrogate = Surrogate("arctan")
    net = Sequential(*[layer for _ in range(3) for layer in (Linear(16, 16), LIF(surrogate=surrogate))], Linear(16, 2))
    x = np.random.default_rng(0).normal(size=(2, 32, 16)).astype(np.float32)
    net.build(x.shape)
    net.layers[4].weight.value[...] *= scale
    return net, x, np.arange(32) % 2


def test_hint_of_a_vanishing_gradient():
    assert "gradient" not in hints(*deep(1))
    assert "almost no gradient reaches lif1, lif2: widen the surrogates" in hints(*deep(1e-7))


def test_hint_where_no_gradient_arrives_at_all():
    net, x = by_hand()
    net.layers[0].weight.value[...] = 100  # the potentials lie beyond the rectangle
    assert "almost no gradient reaches lif1:" in hints(net, x, np.array([0, 1]))


def test_hint_of_an_exploding_gradient():
    assert "gradients explode towards lif1, lif2 (over 1000 times lif3's): clip their norm" in hints(*deep(1e5))


def test_a_width_may_stay_at_the_lower_bound_that_nobody_set():
    for width, hinted in ((1.0, False), (20.0, True)):
        net, x = current_net(surrogate=PSG("triangle", width=width))
        assert ("width is at its" in hints(net, x)) == hinted


@pytest.mark.parametrize(("side", "bound"), [("lower", 0.05), ("upper", 20.0)])
def test_hint_of_a_width_at_its_bound(side, bound):
    net, x = current_net(surrogate=PSG("triangle", width=bound, bounds=(0.05, 20)))
    assert f"lif1's width is at its {side} bound {bound:g}: widen PSG's bounds" in hints(net, x)
    net, x = current_net(surrogate=PSG("triangle", per="channel", bounds=(0.05, 20)))
    net.build(x.shape)
    net.layers[0].width.parameter.value[:2] = np.log(bound)
    assert f"at its {side} bound {bound:g} in 2 of 6 channels" in hints(net, x)


@targets
def test_hints_of_numbers_that_are_not_finite(device, dtype):
    net = Sequential(Linear(5, 8), LIF(learn_threshold=True), Linear(8, 6), LIF(), Linear(6, 3)).to(device, dtype)
    x = np.random.default_rng(0).random((3, 4, 5)).astype(dtype)
    net.build(x.shape)
    set_route(net, "dense")  # where an input is silent, the route events does not read its weights
    parameters = dict(net.parameters())
    parameters["linear2.weight"].value[0, 0] = np.nan
    parameters["lif1.log_threshold"].value[:] = np.nan
    parameters["linear3.bias"].value[:] = np.inf
    report = diagnose(net, x, np.arange(4) % 3)
    text = "\n".join(report.hints)
    assert "values are not finite in lif1.log_threshold (100.0 %), linear2.weight (2.1 %), linear3.bias" in text
    assert "potentials are not finite in lif2 (16.7 %): " in text
    assert "the loss is not finite" in text
    assert "gradients are not finite in " in text
    assert "silent" not in text  # silence is a consequence here, not a cause
    assert report.loss is None
    first, second = report.layers
    assert first.threshold == (None,)
    assert first.undesired == (1.0, 1.0, 1.0)
    assert second.mean is second.std is None
    assert second.nonfinite == pytest.approx(1 / 6)
    assert sum(second.counts) == pytest.approx(5 / 6 * 72, abs=1)
    assert Diagnosis.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report
    assert "not finite" in str(report)
