"""Losses at the end of networks: whole backward passes, and losses from configurations."""

import numpy as np
import pytest
from readouts import LABELS, K, N, T

import numsnn as snn
from numsnn import config, experiment
from numsnn.losses import (
    TET,
    MaxMembraneCrossEntropy,
    MembraneMSE,
    RateCrossEntropy,
    SpikeCountMSE,
    TimeToFirstSpike,
)

LOSSES = [
    MaxMembraneCrossEntropy(),
    MaxMembraneCrossEntropy(0.3),
    MembraneMSE(),
    MembraneMSE(1.5, -0.5),
    TimeToFirstSpike(),
    TimeToFirstSpike(0.4, 0.3),
    RateCrossEntropy(0.1) + 0.3 * MembraneMSE() + MaxMembraneCrossEntropy(),
]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_gradients_of_a_network(loss, device):
    """The whole backward pass in relaxed mode, where also the readout's spikes are smooth."""
    x = np.random.default_rng(0).normal(0.2, 1, (T, N, 6)).astype(np.float32)
    neurons = snn.LIF(v_threshold=0.5, surrogate=snn.PSG("logistic"))
    last = [snn.LIF(v_threshold=0.4, surrogate=snn.PSG("logistic"))] if isinstance(loss, TimeToFirstSpike) else []
    net = snn.Sequential(snn.Linear(6, 8), neurons, snn.Linear(8, K), *last)
    report = snn.check_gradients(net, x, LABELS, loss, device=device)
    assert report.ok, f"\n{report}"
    assert all(row.checked for row in report.rows)


def test_gradients_of_a_regression():
    rng = np.random.default_rng(0)
    x, target = rng.normal(0.2, 1, (T, N, 6)).astype(np.float32), rng.normal(size=(T, N, K))
    net = snn.Sequential(snn.Linear(6, 8), snn.LIF(surrogate=snn.PSG("logistic")), snn.Linear(8, K))
    assert snn.check_gradients(net, x, target, MembraneMSE(), device="reference").ok


def test_the_check_sees_where_another_step_wins():
    """Two steps that are equal but for 1e-7: a difference across the change would be wrong, and is not made."""
    x = np.ones((2, 1, 3), np.float32)
    x[1] += np.float32(2**-23)
    net = snn.Sequential(snn.Linear(3, 2)).build(x.shape)
    report = snn.check_gradients(net, x, [0], MaxMembraneCrossEntropy(), device="reference")
    assert report.rows[-1].name == "input" and report.rows[-1].redrawn > 0
    assert not any(row.worst > 1e-6 for row in report.rows)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rate", RateCrossEntropy),
        ("tet", TET),
        ("max_membrane", MaxMembraneCrossEntropy),
        ("membrane_mse", MembraneMSE),
        ("spike_count", SpikeCountMSE),
        ("first_spike", TimeToFirstSpike),
    ],
)
def test_losses_of_configurations(name, kind):
    """Spikes at the end where the loss counts or times them; a step of training."""
    text = f'[model]\narchitecture = "8"\n[training]\nloss = "{name}"\nlabel_smoothing = 0.1\nbatch_size = 500\n'
    trainer = experiment.prepare(config.parse(text)).trainer
    assert type(trainer.loss) is kind
    assert getattr(trainer.loss, "label_smoothing", 0.1) == 0.1
    assert isinstance(trainer.net.layers[-1], snn.LIF) == (name in experiment.SPIKING_LOSSES)
    x, y = snn.data.load("digits")[0].batch(range(20))
    history = trainer.fit((x, y), epochs=1, progress=False)
    assert np.isfinite(history[0]["train_loss"])


def test_an_unknown_loss_of_a_configuration():
    with pytest.raises(ValueError, match=r"training\.loss must be one of 'rate', .*'first_spike', .*; got 'ttfs'"):
        experiment.prepare(config.parse('[training]\nloss = "ttfs"\n'))
