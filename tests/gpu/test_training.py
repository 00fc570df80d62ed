"""Training runs on a GPU reach the same accuracy as on the CPU."""

from pathlib import Path

import numpy as np
import pytest

import numsnn as snn
from numsnn.config import read
from numsnn.experiment import prepare
from numsnn.recipes import available

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

pytestmark = pytest.mark.gpu

MNIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "mnist8k"

APART = 0.015
"""Test accuracies of two runs that differ in rounding alone: two standard errors at 99 % of a few hundred samples."""


def accuracies(make, epochs):
    """Test accuracy after the last epoch, by device."""
    found = {}
    for device in ("cpu", "cuda"):
        trainer, train, test = make(device)
        found[device] = trainer.fit(train, test, epochs, progress=False)[-1]["valid_accuracy"]
    return found


def digits(device):
    config = read(available()["digits"])
    config.training.device = device
    experiment = prepare(config)
    return experiment.trainer, experiment.data.train, experiment.data.test


def mnist(device):
    def neurons():
        return snn.LIF(surrogate=snn.PSG("triangle", width=1.0), pda=snn.PDA(momentum=0.1))

    net = snn.Sequential(
        snn.Repeat(4, snn.Conv2d(1, 32, 3, padding=1), snn.BatchNorm(32)),
        neurons(),
        snn.AvgPool2d(2),
        snn.Conv2d(32, 64, 3, padding=1),
        snn.BatchNorm(64),
        neurons(),
        snn.AvgPool2d(2),
        snn.Flatten(),
        snn.Linear(64 * 7 * 7, 10),
    )
    loss = snn.losses.RateCrossEntropy(label_smoothing=0.1)
    trainer = snn.Trainer(net, loss, snn.optim.AdamW(2e-3, weight_decay=0.02), device=device)
    return trainer, *snn.data.load("mnist", dir=MNIST)


def test_digits():
    found = accuracies(digits, 12)
    assert found["cpu"] > 0.96 and found["cuda"] > found["cpu"] - APART


def test_mnist():
    if not MNIST.exists():
        pytest.skip(f"{MNIST} is missing")
    found = accuracies(mnist, 4)
    assert found["cpu"] > 0.97 and found["cuda"] > found["cpu"] - APART


def test_runs_repeat_to_the_bit():
    """Losses and parameters of two epochs."""
    runs = []
    for _ in range(2):
        trainer, train, test = digits("cuda")
        trainer.fit(train, test, 2, progress=False)
        values = [trainer.net.kernels.to_host(p.value) for _, p in trainer.net.parameters()]
        runs.append((values, [epoch["train_loss"] for epoch in trainer.history]))
    assert runs[0][1] == runs[1][1]
    assert all(np.array_equal(a, b) for a, b in zip(runs[0][0], runs[1][0], strict=True))
