"""CIFAR10-DVS: pictures that move before an event camera, with VGG-SNN and the TET loss.

    python examples/09_cifar10_dvs.py                                                    # small stand-in data
    python examples/09_cifar10_dvs.py --data FOLDER --net vgg --pool 2 --device cuda     # the real data

FOLDER holds the folders airplane ... truck with 1,000 AEDAT 2.0 recordings each, as published. Without --data the
example makes stand-in files in the same format: ten classes of handwritten digits, instead of airplanes and trucks,
before a simulated DVS128. The next steps are the same: data_prep/cifar10_dvs.py makes a store of the files once, and
the network trains on ten frames with equal numbers of events. A result on stand-in data shows only that everything
works.

The network is "small" (three convolutions) or "vgg" (VGG-SNN, 9.3 million parameters), on pooled pixels. The run is
stored in --out. If it is stopped, the same command continues it. On two cores the stand-in data take about 40 s. Prints
one progress bar per epoch, and

    no --data: 400 + 100 simulated recordings of digits stand in for CIFAR10-DVS
    cifar10-dvs train: 400 recordings of 10x32x32x2, cifar10-dvs test: 100
    test accuracy 0.6200 after 12 epochs
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn.data.dvs import Sensor, saccades

PREPARE = Path(__file__).resolve().parents[1] / "data_prep" / "cifar10_dvs.py"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STEPS = 10
TRAIN, TEST = 40, 10
"""Recordings per class of the stand-in data. Their files are numbered from 0 for training and from 900 for testing."""


def aedat2(events):
    """Return an AEDAT 2.0 file as bytes: columns are counted from the right, rows from below, and brighter is 0."""
    x, y, p = (column.astype(np.int64) for column in (events.x, events.y, events.p))
    address = (127 - y) << 8 | (127 - x) << 1 | (1 - p)
    return b"#!AER-DAT2.0\r\n" + np.column_stack([address, events.t]).astype(">i4").tobytes()


def stand_in(folder):
    """Write recordings in the layout of CIFAR10-DVS: digits of 32x32 pixels in three saccades before a DVS128."""
    digits, _ = snn.data.load("digits")
    sensor, motion = Sensor((128, 128)), saccades([(-6, -6), (0, 6), (6, -6), (-6, -6)], step=2000)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        chosen = np.flatnonzero(digits.y == label)[: TRAIN + TEST]
        for k, index in enumerate(chosen):
            light = np.kron(digits.x[index, :, :, 0] * digits.scale, np.ones((4, 4)))
            events = sensor.record(light, motion, step=2000, index=int(index))
            number = k if k < TRAIN else 900 + k - TRAIN
            (folder / name / f"cifar10_{name}_{number}.aedat").write_bytes(aedat2(events))
    return folder


def network(name, size):
    neuron = snn.LIF(tau=2.0, surrogate=snn.PSG("triangle", width=1.0), pda=True)
    if name == "vgg":
        return snn.models.vgg_snn(channels=2, classes=10, size=size, neuron=neuron)
    return snn.models.from_string("32c3-p2-64c3-p2-128c3-p2", (size, size, 2), classes=10, steps=None, neuron=neuron)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of CIFAR10-DVS (default: stand-in data)")
    parser.add_argument("--net", default="small", choices=("small", "vgg"))
    parser.add_argument("--pool", type=int, default=4, help="side of pooled squares: 4 gives 32x32 pixels, 2 64x64")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/09_cifar10_dvs"), help="folder for the store and the run"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "reference"))
    options = parser.parse_args()

    if options.data is None:
        print(f"no --data: {10 * TRAIN} + {10 * TEST} simulated recordings of digits stand in for CIFAR10-DVS")
    folder = options.out / ("cifar10-dvs" if options.data else "stand-in")
    store = folder / "events.h5"
    if not store.exists():
        raw = options.data or stand_in(folder / "raw")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, PREPARE, raw, store], check=True)
    recordings = snn.data.open(store)
    train, test = (part.frames(STEPS, by="events", pool=options.pool) for part in (recordings.train, recordings.test))
    shape = "x".join(map(str, train.sample_shape))
    print(f"{train.name}: {len(train)} recordings of {shape}, {test.name}: {len(test)}")

    augment = snn.data.augment
    changes = (
        [augment.RandomFlipLR(), augment.Roll(3)] if options.data else [augment.Roll(1)]
    )  # mirrored digits are not digits
    changed = snn.data.Augmented(train, changes)
    trainer = snn.Trainer(
        network(options.net, train.sample_shape[1]),
        loss=snn.losses.TET(),
        optimizer=snn.optim.AdamW(5e-3, weight_decay=0.02),
        batch_size=32,
        device=options.device,
        out=folder / options.net,
    )
    trainer.fit(changed, epochs=options.epochs, resume=True, test=test)
    print(f"test accuracy {trainer.test.accuracy:.4f} after {options.epochs} epochs")


if __name__ == "__main__":
    main()
