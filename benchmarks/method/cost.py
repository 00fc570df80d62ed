"""What PSG and PDA cost: times of a training step with and without them, in turns in one process.

    python -m benchmarks.method.cost [--rounds 40] [--threads 2] [--out FILE]

The networks take batches of 64 random pictures or events. A step is everything that a training step does, including the
optimiser's update. Every round runs each variant once, in an order that changes. The ratio to the plain network is
taken within a round, and the median of all rounds is reported.
"""

import argparse
from pathlib import Path
from statistics import median, quantiles

import numpy as np

import numsnn as snn
from numsnn.layers import TRAINING
from numsnn.measure.host import load, processor, seconds
from numsnn.measure.table import table, time_text
from numsnn.models import from_string
from numsnn.version import __version__

from ..common import RESULTS, need_positive, write_json

OUT = RESULTS / "cost.json"
BATCH = 64

SETTLED = 60
"""Steps before the first that is timed: by then PDA measures the shift now and then only."""

NETWORKS = {
    "mnist, T = 4": ("32c3-p2-64c3-p2", (28, 28, 1), 4, False),
    "cifar10, T = 4": ("32c3-p2-64c3-p2-128c3-p2", (32, 32, 3), 4, False),
    "events 20x20, T = 6": ("32c3-48c3-p2-64c3-p2", (20, 20, 2), 6, True),
}
"""Name -> architecture, sample, T, whether the input has a time axis."""

VARIANTS = {
    "fixed width": (snn.Surrogate("triangle"), None),
    "PSG": (snn.PSG("triangle"), None),
    "PSG per channel": (snn.PSG("triangle", per="channel"), None),
    "window rule": (snn.PSG("triangle", rule="window"), None),
    "shift": (snn.Surrogate("triangle"), snn.PDA()),
    "divergence": (snn.Surrogate("triangle"), snn.PDA(correct=False, divergence=0.1)),
    "PSG, shift": (snn.PSG("triangle"), snn.PDA()),
}


def step_of(name, variant):
    """A function that makes one training step."""
    architecture, sample, steps, events = NETWORKS[name]
    surrogate, pda = VARIANTS[variant]
    net = from_string(architecture, sample, 10, None if events else steps, snn.LIF(surrogate=surrogate, pda=pda))
    rng = np.random.default_rng(0)
    shape = (steps, BATCH, *sample) if events else (BATCH, *sample)
    x = (rng.random(shape) < 0.05).astype(np.float32) if events else rng.random(shape, np.float32)
    y = rng.integers(0, 10, BATCH)
    net.build(shape)
    loss, optimizer = snn.losses.RateCrossEntropy(), snn.optim.AdamW(1e-4)

    def step():
        _, gradient = loss(net.forward(x, TRAINING), y, net.kernels, dtype=net.dtype)
        net.backward(gradient, need_dx=False)
        optimizer.step(net.kernels, net.parameters())

    return step


def measure(name, rounds):
    """Times of every variant in turns."""
    steps = {variant: step_of(name, variant) for variant in VARIANTS}
    for step in steps.values():
        seconds(step, SETTLED)
    times = {variant: [] for variant in VARIANTS}
    rng = np.random.default_rng(1)
    for _ in range(rounds):
        for variant in rng.permutation(list(VARIANTS)):
            times[str(variant)] += seconds(steps[str(variant)], 1)
    return times


def summary(times):
    """For every variant: the median time, and median and quartiles of the ratio to the plain network."""
    plain = times["fixed width"]
    found = {}
    for variant, mine in times.items():
        ratios = [own / other for own, other in zip(mine, plain, strict=True)]
        low, _, high = quantiles(ratios, n=4)
        found[variant] = {"median": median(mine), "ratio": median(ratios), "quartiles": [low, high]}
    return found


def report(results) -> str:
    """The results as a table."""
    rows = []
    for name, found in results["networks"].items():
        cells = [
            time_text(one["median"])
            if variant == "fixed width"
            else f"{100 * (one['ratio'] - 1):+.1f} % ({100 * (one['quartiles'][0] - 1):+.1f} to "
            f"{100 * (one['quartiles'][1] - 1):+.1f})"
            for variant, one in found.items()
        ]
        rows.append([name, *cells])
    return table(["training step", *next(iter(results["networks"].values()))], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    need_positive(parser, chosen, "rounds", "threads")
    snn.set_num_threads(chosen.threads)
    results = {
        "version": __version__,
        "processor": processor(),
        "threads": chosen.threads,
        "load_before": load(),
        "networks": {name: summary(measure(name, chosen.rounds)) for name in NETWORKS},
    }
    write_json(chosen.out, results)
    print(report(results))


if __name__ == "__main__":
    main()
