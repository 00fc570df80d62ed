"""Surrogate gradients: the seven families, their widths, and what a width lets a network see.

    python examples/02_surrogates.py [--out FOLDER]

A spike's derivative is zero or does not exist, so training uses a density phi(x / alpha) / alpha instead, where x is
the distance of the potential from the threshold and alpha is the width. Almost no gradient passes through a potential
outside the window of this density. A window that is too wide treats all potentials alike. The left panel shows the
gradient that neurons with each of the seven families pass on, at width 1. The middle panel shows one family at three
widths, over the potentials of a layer that reads digits. The right panel shows what the width does to a gradient on its
way back through three layers: with narrow windows it explodes, because a few neurons pass on a lot, and with wide
windows it vanishes. The best width lies in between and differs between networks and layers. `snn.PSG` learns it.

Takes about 5 s. Writes surrogates.png to FOLDER (default runs/02_surrogates) and prints

    family        at the threshold  window
    triangle                  1.00  +-1.00
    fast_sigmoid              0.50  +-9.00
    width   seen by the third layer  gradient that arrives at the first
    0.25                     11.3 %                             3.7e-01
    picture: runs/02_surrogates/surrogates.png
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np

import numsnn as snn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FAMILIES = "rectangle", "triangle", "logistic", "arctan", "gaussian", "laplace", "fast_sigmoid"
WIDTHS = 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0
SHOWN = 0.25, 1.0, 4.0


def gradient(surrogate, x):
    """Return the gradient that a neuron passes on for a gradient of 1, for each distance x from its threshold."""
    lif = snn.LIF(v_threshold=1.0, surrogate=surrogate)
    lif.forward(
        (x + 1.0).astype(np.float32)[None, None], snn.Mode(store=True)
    )  # one step, one sample, one neuron per x
    return lif.backward(np.ones((1, 1, len(x)), np.float32))[0, 0]


def three_layers(width):
    """Return three layers of spiking convolutions whose surrogates all have this width."""
    layers, channels = [], 1
    for _ in range(3):
        layers += [snn.Conv2d(channels, 16, 3, padding=1), snn.BatchNorm(16)]
        layers.append(snn.LIF(surrogate=snn.Surrogate("triangle", width)))
        channels = 16
    return snn.Sequential(snn.Repeat(4, *layers[:2]), *layers[2:], snn.Flatten(), snn.Linear(16 * 8 * 8, 10))


def picture(diagnoses, path):
    figure, (families, widths, arriving) = plt.subplots(1, 3, figsize=(13, 4))
    x = np.linspace(-3, 3, 601)
    for family in FAMILIES:
        families.plot(x, gradient(snn.Surrogate(family), x), label=family)
    families.set(title="Seven families at width 1", xlabel="potential - threshold", ylabel="gradient passed on")
    families.legend(frameon=False, fontsize=8)

    row = diagnoses[1.0].layers[0]
    widths.stairs(np.array(row.counts) / max(row.counts), np.array(row.edges) - 1, fill=True, color="0.8")
    for width in SHOWN:
        label = f"width {width:g}: {100 * diagnoses[width].layers[0].window_share:.0f} % seen"
        widths.plot(x, gradient(snn.Surrogate("triangle", width), x) * width, label=label)
    widths.set(title="Potentials of a layer (grey), and triangles", xlabel="potential - threshold", ylim=(0, 1.5))
    widths.set(ylabel="relative to the largest", xlim=(-3, 3))
    widths.legend(frameon=False, fontsize=8)

    for k in range(3):
        norms = [diagnoses[width].layers[k].gradient for width in WIDTHS]
        arriving.loglog(WIDTHS, norms, marker="o", markersize=3, label=f"layer {k + 1}")
    arriving.set(title="Gradient that arrives at each layer", xlabel="width", ylabel="norm")
    arriving.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/02_surrogates"), help="folder for the picture")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    print("family        at the threshold  window")
    for family in FAMILIES:
        surrogate = snn.Surrogate(family)
        print(f"{family:<12}  {gradient(surrogate, np.zeros(1))[0]:16.2f}  +-{surrogate.reach:.2f}")

    x, y = snn.data.load("digits")[0].batch(range(256))
    diagnoses = {width: snn.diagnose(three_layers(width), x, y, training=True) for width in WIDTHS}
    print("\nwidth   seen by the third layer  gradient that arrives at the first")
    for width, diagnosis in diagnoses.items():
        first, _, third = diagnosis.layers
        print(f"{width:<6g}  {100 * third.window_share:21.1f} %  {first.gradient:34.1e}")

    path = options.out / "surrogates.png"
    picture(diagnoses, path)
    print(f"\npicture: {path}")


if __name__ == "__main__":
    main()
