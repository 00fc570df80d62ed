"""A neuron and a surrogate of your own, in fifty lines of NumPy.

    python examples/12_own_neuron.py [--epochs N]

numsnn's own neurons are compiled; one of yours needs nothing of that. A layer is a class with `compute` (forward) and
`propagate` (backward), and here both stand in NumPy. The neuron is a quadratic one: below the critical potential c it
leaks, above it drives itself towards the threshold,

    charge   u[t] = v[t-1] + k v[t-1] (v[t-1] - c) + i[t]        k is learned
    fire     s[t] = H(u[t] - 1)
    reset    v[t] = u[t] (1 - s[t])

and its surrogate a raised cosine, phi(z) = (1 + cos pi z) / 2 for |z| < 1, whose width alpha is learned, too. The
gradients are written by hand as in README.md, "The method": `check_gradients` proves them, for which the layer has to
fire with the distribution function Phi in relaxed mode. Constructor arguments keep their names, so that the network can
be printed, saved and loaded. The neuron has a memory, so it declares ``carries = True`` and begins every pass with
`carried_state`: otherwise `net.stream()` and truncated BPTT would refuse it. Runs on the CPU: for "cuda" a layer has to
call kernels.

Takes about 6 s. Prints the table of the check, a bar an epoch, and

    gradients agree: worst relative difference 2.4e-09, tolerance 1e-06
    test accuracy 0.9667, learned k -0.11, learned width 0.57
    saved, loaded and the same: QIF(k=0.1)
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

import numsnn as snn


def density(z):
    return np.where(np.abs(z) < 1, 1 + np.cos(np.pi * z), 0) / 2


def distribution(z):
    z = np.clip(z, -1, 1)
    return (1 + z + np.sin(np.pi * z) / np.pi) / 2


class Trace(NamedTuple):
    """What a pass leaves for the backward pass: v[t-1], u[t] and s[t]."""

    before: np.ndarray
    u: np.ndarray
    s: np.ndarray


class QIF(snn.Layer):
    """Quadratic integrate-and-fire neurons with threshold 1.

    Args:
        k: strength of leak and self-drive where learning starts. Default 0.25.
        c: critical potential. Default 0.5.
        alpha: width of the surrogate where learning starts. Default 1.
        name: shown in reports and errors.
    """

    carries = True

    def __init__(self, k: float = 0.25, c: float = 0.5, alpha: float = 1.0, name: str | None = None):
        super().__init__(name)
        self.k, self.c, self.alpha = k, c, alpha

    def create(self, shape, rng):
        k, width = np.array([self.k], self.dtype), np.log([self.alpha]).astype(self.dtype)
        self.drive = self.add_parameter(snn.Parameter("k", k, "leak"))
        self.log_width = self.add_parameter(snn.Parameter("log_width", width, "width", lr=0.02))

    def compute(self, x, mode):
        k, alpha = self.drive.value, np.exp(self.log_width.value)
        before, u, s = np.empty_like(x), np.empty_like(x), np.empty_like(x)
        state, _ = self.carried_state(mode, x.shape[1:], len(x))  # None where a pass starts from rest
        v = np.zeros_like(x[0]) if state is None else state.copy()
        for t in range(len(x)):
            before[t] = v
            u[t] = v + k * v * (v - self.c) + x[t]
            s[t] = distribution((u[t] - 1) / alpha) if mode.relaxed else u[t] >= 1
            v = u[t] * (1 - s[t])
        if state is not None:
            state[...] = v
        self.kept = Trace(before, u, s) if mode.store else None
        return s if mode.relaxed else s.astype(np.uint8)

    def propagate(self, dy, need_dx):
        before, u, s = self.kept
        k, alpha = self.drive.value, np.exp(self.log_width.value)
        z = (u - 1) / alpha
        phi = density(z) / alpha
        q, delta = np.empty_like(u), np.empty_like(u)
        e = np.zeros_like(u[0])  # dL/dv
        for t in reversed(range(len(u))):
            q[t] = dy[t] - e * u[t]  # dL/ds, the reset included
            delta[t] = q[t] * phi[t] + e * (1 - s[t])  # dL/du, which is dL/di
            e = delta[t] * (1 + k * (2 * before[t] - self.c))
        self.drive.grad[:] = (delta * before * (before - self.c)).sum()
        self.log_width.grad[:] = -(q * phi * z).sum() * alpha  # dL/d log alpha = alpha dL/d alpha
        return delta


def network():
    return snn.Sequential(
        snn.Repeat(4, snn.Conv2d(1, 16, 3, padding=1), snn.BatchNorm(16)),
        QIF(k=0.1),
        snn.AvgPool2d(2),
        snn.Conv2d(16, 32, 3, padding=1),
        snn.BatchNorm(32),
        QIF(k=0.1),
        snn.Flatten(),
        snn.Linear(32 * 4 * 4, 10),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()

    train, test = snn.data.load("digits")
    print(snn.check_gradients(network(), *train.batch(range(4))))

    net = network()
    trainer = snn.Trainer(net, optimizer=snn.optim.AdamW(5e-3), seed=0)
    trainer.fit(train, test, epochs=options.epochs)
    last = [layer for layer in net.walk() if isinstance(layer, QIF)][-1]
    learned = f"learned k {last.drive.value[0]:.2f}, learned width {np.exp(last.log_width.value[0]):.2f}"
    print(f"test accuracy {trainer.evaluate(test).accuracy:.4f}, {learned}")

    x, _ = test.batch(range(20))
    with tempfile.TemporaryDirectory() as folder:
        trainer.save(Path(folder) / "own.h5")
        assert (snn.load(Path(folder) / "own.h5")(x) == net(x)).all()
    print(f"saved, loaded and the same: {last}")


if __name__ == "__main__":
    main()
