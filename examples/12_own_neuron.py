"""Two neurons and a surrogate of your own, at full speed, in a few lines each.

    python examples/12_own_neuron.py [--epochs N]

A neuron is a declaration and two functions of numbers: how a step charges the potential, and the way back through it.
The layer does the rest: firing, resets, PSG, PDA, recording, streaming, saving, gradient checks and diagnosis, compiled
for the CPU's cores and vectors and for CUDA. Here is a quadratic neuron, which below the critical potential c leaks and
above it drives itself towards the threshold (k is learned),

    charge   u[t] = v[t-1] + k v[t-1] (v[t-1] - c) + i[t]

and KLIF (Jiang and Zhang 2023, arXiv:2302.09238), which scales its potential by a learned k and cuts it at zero,

    charge   u[t] = max(k (beta v[t-1] + i[t]), 0);

a surrogate that numsnn does not have, a raised cosine: phi(z) = (1 + cos pi z) / 2 for |z| < 1. A planted mistake
shows how `check_gradients` names the parameter whose gradient is wrong. Equations: docs/method.md, N16 and N17.

Takes about 4 s, and 30 s more the first time, to compile. Prints the table of the check, a bar per epoch, and

    gradients agree: worst relative difference 2.5e-09, tolerance 1e-06
    with a sign turned around, the check finds wrongklif1.log_k
    time forward and backward, LIF with a learned leak being 1: QIF 1.0, KLIF 1.0
    test accuracy 0.9778, learned k -0.16 (QIF), 1.20 (KLIF)
    saved, loaded and the same: QIF(k=0.1, surrogate=PSG(family='raised_cosine'))
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np

import numsnn as snn


class QIF(snn.CustomNeuron):
    """Quadratic integrate-and-fire neurons: k is the strength of leak and self-drive, c the critical potential."""

    values = {"k": snn.Value(0.25, learn=True), "c": snn.Value(0.5)}

    def step(i, v, states, values):
        k, c = values
        return v + k * v * (v - c) + i, ()

    def step_back(du, dstates, i, v, states, values):
        k, c = values
        return du, du * (1.0 + k * (2.0 * v - c)), (), (du * v * (v - c), -du * k * v)


class KLIF(snn.CustomNeuron):
    """Leaky neurons whose potential is scaled by a learned k and cut at zero."""

    values = {"beta": snn.Value(0.5, "unit"), "k": snn.Value(1.0, "positive", learn=True)}
    kinks = (0.0,)

    def step(i, v, states, values):
        beta, k = values
        return max(k * (beta * v + i), 0.0), ()

    def step_back(du, dstates, i, v, states, values):
        beta, k = values
        charged = beta * v + i
        du = du if charged > 0.0 else 0.0
        return k * du, k * beta * du, (), (k * v * du, charged * du)


right = KLIF.step_back


class WrongKLIF(KLIF):
    """`KLIF` with a sign turned around in the gradient of k."""

    def step_back(du, dstates, i, v, states, values):
        di, dv, before, (dbeta, dk) = right(du, dstates, i, v, states, values)
        return di, dv, before, (dbeta, -dk)


def density(z):
    return 0.5 * (1.0 + math.cos(math.pi * z)) if abs(z) < 1.0 else 0.0


def cdf(z):
    z = min(max(z, -1.0), 1.0)
    return 0.5 * (1.0 + z + math.sin(math.pi * z) / math.pi)


snn.register_surrogate("raised_cosine", density, cdf, reach=1.0, compact=True)


def network(klif=KLIF):
    return snn.Sequential(
        snn.Repeat(4, snn.Conv2d(1, 16, 3, padding=1), snn.BatchNorm(16)),
        QIF(k=0.1, surrogate=snn.PSG("raised_cosine")),
        snn.AvgPool2d(2),
        snn.Conv2d(16, 32, 3, padding=1),
        snn.BatchNorm(32),
        klif(surrogate=snn.PSG("raised_cosine")),
        snn.Flatten(),
        snn.Linear(32 * 4 * 4, 10),
    )


def seconds(layers, x, rounds=9):
    """Median time of a forward and a backward pass of each layer, measured in turns."""
    times = np.zeros((rounds + 1, len(layers)))
    for row in times:
        for n, layer in enumerate(layers):
            start = time.perf_counter()
            layer.forward(x, snn.Mode(training=True, store=True))
            layer.backward(x)
            row[n] = time.perf_counter() - start
    return np.median(times[1:], 0)  # the first round compiles


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()

    train, test = snn.data.load("digits")
    train, valid = train.split(0.9)
    few = train.batch(range(4))
    print(snn.check_gradients(network(), *few))
    report = snn.check_gradients(network(WrongKLIF), *few)
    wrong = [row.name for row in report.rows if max(row.worst, row.direction) > report.tolerance]
    print(f"with a sign turned around, the check finds {', '.join(wrong)}")

    x = np.random.default_rng(0).normal(0.4, 1, (8, 16, 16, 16, 64)).astype(np.float32)
    lif, qif, klif = seconds([snn.LIF(learn_tau=True), QIF(), KLIF()], x)
    print(f"time forward and backward, LIF with a learned leak being 1: QIF {qif / lif:.1f}, KLIF {klif / lif:.1f}")

    net = network()
    trainer = snn.Trainer(net, optimizer=snn.optim.AdamW(5e-3), seed=0)
    trainer.fit(train, valid, epochs=options.epochs, test=test)
    trainer.restore_best()
    parameters = {name: net.kernels.to_host(p.value) for name, p in net.parameters()}
    learned = f"learned k {parameters['qif1.k'][0]:.2f} (QIF), {np.exp(parameters['klif1.log_k'][0]):.2f} (KLIF)"
    print(f"test accuracy {trainer.test.accuracy:.4f}, {learned}")

    with tempfile.TemporaryDirectory() as folder:
        trainer.save(Path(folder) / "own.h5")
        assert (snn.load(Path(folder) / "own.h5")(few.x) == net(few.x)).all()
    print(f"saved, loaded and the same: {net.layers[1]}")


if __name__ == "__main__":
    main()
