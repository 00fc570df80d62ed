"""Events: digits seen by a simulated event camera, and N-MNIST.

    python examples/07_events.py [--data FOLDER] [--epochs N] [--device cuda]

An event camera reports changes of light per pixel, with times in microseconds. numsnn counts the events of a recording
into frames, one per time step, with one channel for brighter and one for darker. The example first uses the digits that
are part of the package, which move in three saccades before the simulated camera of `numsnn.data.dvs`, so that no
download is needed. With --data it then uses the real recordings of N-MNIST. FOLDER holds Train/0/*.bin ...
Test/9/*.bin as published, and data_prep/nmnist.py makes a store of them once (nmnist.h5 in --out).

A network can answer before a recording ends. The example shows the accuracy after one frame, after two frames, and so
on. Two frames are one saccade, in which mostly the edges of one direction are visible.

Takes about 20 s on two cores, and for N-MNIST about a minute and a half per epoch. Prints one progress bar per epoch,
and

    digits-dvs: 1437 + 360 recordings, 6 frames of 20x20 pixels, 2 polarities
    recording 0 is a 0: 2616 events in 297.6 ms, 51 % of them brighter
    digits-dvs: accuracy after 1 to 6 frames: 0.89 0.89 0.94 0.96 0.97 0.97
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

import numsnn as snn

PREPARE = Path(__file__).resolve().parents[1] / "data_prep" / "nmnist.py"
STEPS = 6


def describe(recordings):
    """Print what one recording holds before it is counted into frames."""
    events = recordings.events(0)
    milliseconds, brighter = events.duration / 1000, 100 * events.p.mean()
    print(
        f"recording 0 is a {recordings.classes[recordings.y[0]]}: {len(events)} events in {milliseconds:.1f} ms, "
        f"{brighter:.0f} % of them brighter"
    )


def accuracies(net, test):
    """Return the accuracy of the mean readout after 1 to T frames."""
    correct = np.zeros(STEPS)
    for x, y in snn.data.Loader(test, 64).epoch():  # x is [T, N, H, W, 2]
        correct += (net(x).cumsum(0).argmax(2) == y).sum(1)
    return correct / len(test)


def learn(name, train, test, options):
    height, width = train.sample_shape[1:3]
    print(f"{name}: {len(train)} + {len(test)} recordings, {STEPS} frames of {width}x{height} pixels, 2 polarities")
    describe(train.recordings)

    net = snn.models.from_string("16c3-p2-32c3-p2-d0.3", train.sample_shape[1:], classes=10, steps=None)
    trainer = snn.Trainer(
        net,
        loss=snn.losses.RateCrossEntropy(label_smoothing=0.1),
        optimizer=snn.optim.AdamW(1e-2, weight_decay=0.02),
        device=options.device,
        seed=0,
    )
    changed = snn.data.Augmented(train, [snn.data.augment.RandomCrop(padding=1)], seed=0)
    trainer.fit(changed, epochs=options.epochs)
    found = " ".join(f"{accuracy:.2f}" for accuracy in accuracies(net, test))
    print(f"{name}: accuracy after 1 to {STEPS} frames: {found}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with N-MNIST's Train and Test (default: only digits-dvs)")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "reference"))
    parser.add_argument("--out", type=Path, default=Path("runs/07_events"), help="folder for N-MNIST's store")
    options = parser.parse_args()

    learn("digits-dvs", *snn.data.load("digits-dvs", steps=STEPS), options)
    if options.data:
        store = options.out / "nmnist.h5"
        if not store.exists():
            options.out.mkdir(parents=True, exist_ok=True)
            subprocess.run([sys.executable, PREPARE, options.data, store], check=True)
        nmnist = snn.data.open(store)
        learn("N-MNIST", nmnist.train.frames(STEPS), nmnist.test.frames(STEPS), options)


if __name__ == "__main__":
    main()
