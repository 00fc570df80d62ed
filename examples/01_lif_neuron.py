"""One LIF neuron, by hand and by numsnn.

    python examples/01_lif_neuron.py [--out FOLDER]

A time step of a leaky integrate-and-fire neuron has three parts: charge, fire, reset. This example writes them in plain
Python and applies them to four input currents: none, a weak one for which the potential never reaches the threshold, a
stronger one, and twice that one. Then `snn.LIF` computes the same for all steps in one call. Without spikes the
potential approaches i / (1 - beta). The neuron therefore fires if i is at least (1 - beta) v_threshold, its rheobase.
The right panel shows the firing rate against the current.

Takes about 3 s. Writes lif_neuron.png to FOLDER (default runs/01_lif_neuron) and prints

    current 0.00: 0 spikes in 100 steps, largest potential 0.00
    rheobase (1 - beta) v_threshold = 0.10
    by hand and by snn.LIF: the same spikes, potentials 2e-07 apart at most
    picture: runs/01_lif_neuron/lif_neuron.png
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np

import numsnn as snn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BETA, V_THRESHOLD = 0.9, 1.0
CURRENTS = (0.0, 0.08, 0.15, 0.3)
STEPS = 100


def by_hand(i):
    """Return potentials after charging and spikes of one neuron, from its input current at every step."""
    u, s = np.zeros(len(i)), np.zeros(len(i), np.uint8)
    v = 0.0
    for t in range(len(i)):
        u[t] = BETA * v + i[t]  # charge
        s[t] = u[t] >= V_THRESHOLD  # fire
        v = 0.0 if s[t] else u[t]  # reset
    return u, s


def by_numsnn(i):
    """Return the same from a layer of neurons, which takes [steps, samples, neurons]."""
    lif = snn.LIF(beta=BETA, v_threshold=V_THRESHOLD, record=("u", "s"))
    lif(i.astype(np.float32)[:, None, None])
    return lif.recorded["u"][:, 0, 0], lif.recorded["s"][:, 0, 0]


def rates(currents):
    """Return the spikes per step for constant currents, with one neuron per current, all in one call."""
    i = np.broadcast_to(currents.astype(np.float32), (1000, 1, len(currents)))
    return snn.LIF(beta=BETA, v_threshold=V_THRESHOLD)(np.ascontiguousarray(i)).mean((0, 1))


def picture(i, u, s, path):
    layout = [["current", "rate"], ["potential", "rate"]]
    figure, axes = plt.subplot_mosaic(layout, width_ratios=(2, 1), figsize=(10, 5))
    axes["current"].step(range(len(i)), i, where="post", color="C7")
    axes["current"].set(ylabel="current i", title="One neuron, four currents")
    axes["potential"].plot(u, color="C0", label="potential u after charging")
    axes["potential"].axhline(V_THRESHOLD, color="black", linestyle="--", linewidth=1, label="threshold")
    axes["potential"].eventplot(np.flatnonzero(s), lineoffsets=1.5, linelengths=0.2, colors="C3", label="spikes")
    axes["potential"].set(xlabel="step", ylabel="potential", ylim=(0, 1.9))
    axes["potential"].legend(loc="upper left", frameon=False)
    currents = np.linspace(0, 1.2, 241)
    axes["rate"].plot(currents, rates(currents), color="C3")
    axes["rate"].axvline((1 - BETA) * V_THRESHOLD, color="black", linestyle="--", linewidth=1, label="rheobase")
    axes["rate"].set(xlabel="current i", ylabel="spikes per step", title="Rate against current")
    axes["rate"].legend(loc="lower right", frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/01_lif_neuron"), help="folder for the picture")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    i = np.repeat(CURRENTS, STEPS)
    u, s = by_hand(i)
    for k, current in enumerate(CURRENTS):
        part = slice(k * STEPS, (k + 1) * STEPS)
        spikes, largest = s[part].sum(), u[part].max()
        print(f"current {current:.2f}: {spikes} spikes in {STEPS} steps, largest potential {largest:.2f}")
    print(f"rheobase (1 - beta) v_threshold = {(1 - BETA) * V_THRESHOLD:.2f}")

    u_layer, s_layer = by_numsnn(i)
    assert (s == s_layer).all()
    print(f"by hand and by snn.LIF: the same spikes, potentials {np.abs(u - u_layer).max():.0e} apart at most")

    path = options.out / "lif_neuron.png"
    picture(i, u, s, path)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
