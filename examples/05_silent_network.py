"""Why does my network not learn? The diagnosis and the repair of a silent network.

    python examples/05_silent_network.py [--out FOLDER]

A plain network of eight layers of spiking neurons without normalisation does not learn, with any optimiser, and its
loss does not say why. `snn.diagnose` does, before any training: every layer fires less than the one before it, the
layers from the fifth to the last are silent, and no gradient reaches any layer. The hints say what helps: a
normalisation before every layer of neurons, and `pda=True` against the shift of the potentials. With both the same
network learns.

Takes about 10 s. Writes potentials.png (both networks, layer by layer) to FOLDER (default runs/05_silent_network). For
each network it prints every layer and the hints before training, and then the result of the training:

    without normalisation
    layer     rate   silent  potential      gradient
    lif8     0.0 %  100.0 %   0.00 +- 0.00  0.0e+00
    hint: lif8 is nearly silent (rate 0.0 %, 100.0 % of its units never fired): lower v_threshold, normalise before it
    test accuracy 0.10, best of 8 epochs
    with normalisation and PDA
    lif8    14.6 %    0.0 %  -0.12 +- 1.08  1.7e-02
    test accuracy 0.94, best of 8 epochs
    picture: runs/05_silent_network/potentials.png
"""

import argparse
from pathlib import Path

import numsnn as snn
from numsnn.diagnostics import plots

LAYERS = 8
UNITS = 128


def network(repaired):
    """Return hidden layers of LIF neurons on pictures of 64 pixels, without or with the repair."""
    layers = []
    for k in range(LAYERS):
        layers.append(snn.Linear(UNITS if k else 64, UNITS))
        if repaired:
            layers.append(snn.BatchNorm(UNITS))
        layers.append(snn.LIF(tau=2.0, pda=repaired))
    return snn.Sequential(snn.Repeat(4, snn.Flatten()), *layers, snn.Linear(UNITS, 10))


def show(diagnosis):
    """Print the columns of a diagnosis that matter here; print(diagnosis) shows all of it."""
    print("layer     rate   silent  potential      gradient")
    for row in diagnosis.layers:
        rate, silent = f"{100 * row.rate:.1f} %", f"{100 * row.silent:.1f} %"
        print(f"{row.name:<6} {rate:>7}  {silent:>7}  {row.mean:5.2f} +- {row.std:.2f}  {row.gradient:.1e}")
    for hint in diagnosis.hints:
        print(f"hint: {hint}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/05_silent_network"), help="folder for the picture")
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    train, test = snn.data.load("digits")
    train, valid = train.split(0.9)
    x, y = train.batch(range(256))
    diagnoses = []
    for repaired in False, True:
        print("with normalisation and PDA" if repaired else "without normalisation")
        net = network(repaired)
        diagnoses.append(snn.diagnose(net, x, y, training=True))
        show(diagnoses[-1])
        trainer = snn.Trainer(net, optimizer=snn.optim.AdamW(3e-3))
        trainer.fit(train, valid, epochs=options.epochs, progress=False, test=test)
        print(f"test accuracy {trainer.test.accuracy:.2f}, best of {options.epochs} epochs\n")

    path = plots.potentials(*diagnoses, options.out / "potentials.png")
    print(f"picture: {path}  (start: without normalisation, end: with it)")


if __name__ == "__main__":
    main()
