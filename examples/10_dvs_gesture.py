"""DVS128 Gesture: hands and arms before an event camera, with the network of Fang et al. and PLIF neurons.

    python examples/10_dvs_gesture.py                                                        # small stand-in data
    python examples/10_dvs_gesture.py --data FOLDER --channels 128 --pool 1 --device cuda    # the real data

FOLDER is DvsGesture as published: AEDAT 3.1 recordings of persons, label files with the times of eleven gestures, and
the lists of recordings for training and testing. Without --data the example makes stand-in files in the same format: a
bright disc, instead of a hand, moves before a simulated DVS128 along eleven paths. The classes differ only in the path:
a network that looks at single frames cannot tell clockwise from counterclockwise. The next steps are the same:
data_prep/dvs_gesture.py makes a store of the gestures once, and the network trains on 16 frames per gesture. A result
on stand-in data shows only that everything works.

The run is stored in --out. If it is stopped, the same command continues it. On two cores the stand-in data take about
40 s. Prints one progress bar per epoch, and

    no --data: 16 simulated persons stand in for DVS128 Gesture
    dvs-gesture train: 132 gestures of 16x32x32x2, dvs-gesture test: 44
    test accuracy 0.5682 after 15 epochs
    time constants of the PLIF neurons: 2.09 2.13 2.12 1.92 1.91 1.90
"""

import argparse
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn.data.dvs import Sensor

PREPARE = Path(__file__).resolve().parents[1] / "data_prep" / "dvs_gesture.py"
STEPS = 16
PERSONS = {"train": 12, "test": 4}
DURATION, STEP = 800_000, 5_000
"""Microseconds of a simulated gesture, and between two points of its path."""

# Position of the disc: x and y relative to a centre (x to the right, y down) for an angle that increases with time,
# and the x of this centre in pixels.
PATHS = [
    (lambda a: (np.cos(2 * a), 0 * a), 0),  # hand clapping
    (lambda a: (np.cos(a), 0 * a), 24),  # right hand wave
    (lambda a: (np.cos(a), 0 * a), -24),  # left hand wave
    (lambda a: (np.cos(a), np.sin(a)), 24),  # right arm clockwise
    (lambda a: (np.cos(a), -np.sin(a)), 24),  # right arm counterclockwise
    (lambda a: (np.cos(a), np.sin(a)), -24),  # left arm clockwise
    (lambda a: (np.cos(a), -np.sin(a)), -24),  # left arm counterclockwise
    (lambda a: (np.cos(2 * a) / 2, np.sin(2 * a) / 2), 0),  # arm roll
    (lambda a: (0 * a, np.sin(2 * a)), 0),  # air drums
    (lambda a: (0 * a + 0.5, np.sin(a)), 24),  # air guitar
    (lambda a: (np.sin(a), np.sin(2 * a)), 0),  # other gestures
]


def aedat3(x, y, t, p):
    """Return an AEDAT 3.1 file with one packet of events, as bytes."""
    word = x.astype(np.int64) << 17 | y.astype(np.int64) << 2 | p.astype(np.int64) << 1 | 1
    header = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n" + struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, len(t), len(t), len(t))
    return header + np.column_stack([word, t]).astype("<i4").tobytes()


def person(rng, sensor, path):
    """Write one person's recording, all gestures one after another, and its label file."""
    yy, xx = np.mgrid[-10:11, -10:11]
    hand = (xx**2 + yy**2 < rng.uniform(6, 9) ** 2) * 0.9
    columns, lines = [], ["class,startTime_usec,endTime_usec"]
    for label in rng.permutation(len(PATHS)):
        curve, side = PATHS[label]
        time = np.arange(DURATION // STEP + 1) * STEP / DURATION
        x, y = curve(rng.uniform(0, 2 * np.pi) + rng.uniform(2, 3) * 2 * np.pi * time)
        motion = rng.uniform(16, 24) * np.column_stack([x, y]) + (side, 0) + rng.normal(0, 3, 2)
        events = sensor.record(hand, motion, STEP, index=int(rng.integers(1 << 30)))
        start = len(columns) * (DURATION + 100_000)
        columns.append((events.x, events.y, events.t + start, events.p))
        lines.append(f"{label + 1},{start},{start + DURATION}")
    path.with_suffix(".aedat").write_bytes(aedat3(*map(np.concatenate, zip(*columns, strict=True))))
    path.with_name(f"{path.name}_labels.csv").write_text("\n".join(lines) + "\n")


def stand_in(folder):
    """Write recordings in the layout of DVS128 Gesture."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, sensor, number = np.random.default_rng(0), Sensor((128, 128), noise=0.1), 0
    for part, count in PERSONS.items():
        names = [f"user{number + k + 1:02d}_lab" for k in range(count)]
        for name in names:
            person(rng, sensor, folder / name)
        (folder / f"trials_to_{part}.txt").write_text("".join(f"{name}.aedat\n" for name in names))
        number += count
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder DvsGesture (default: stand-in data)")
    parser.add_argument("--channels", type=int, default=16, help="channels per convolution; 128 in the paper")
    parser.add_argument("--pool", type=int, default=4, help="side of pooled squares: 4 gives 32x32 pixels")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/10_dvs_gesture"), help="folder for the store and the run"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "reference"))
    options = parser.parse_args()

    if options.data is None:
        print(f"no --data: {sum(PERSONS.values())} simulated persons stand in for DVS128 Gesture")
    folder = options.out / ("dvs-gesture" if options.data else "stand-in")
    store = folder / "events.h5"
    if not store.exists():
        raw = options.data or stand_in(folder / "raw")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, PREPARE, raw, store], check=True)
    recordings = snn.data.open(store)
    train, test = (part.frames(STEPS, pool=options.pool) for part in (recordings.train, recordings.test))
    shape = "x".join(map(str, train.sample_shape))
    print(f"{train.name}: {len(train)} gestures of {shape}, {test.name}: {len(test)}")

    net = snn.models.dvs_gesture_net(classes=11, channels=options.channels, size=train.sample_shape[1], dropout=0.2)
    trainer = snn.Trainer(
        net,
        loss=snn.losses.RateCrossEntropy(),
        optimizer=snn.optim.AdamW(2e-3),
        batch_size=16,
        device=options.device,
        out=folder / "run",
    )
    trainer.fit(train, epochs=options.epochs, resume=True, test=test)
    print(f"test accuracy {trainer.test.accuracy:.4f} after {options.epochs} epochs")
    leaks = [net.kernels.to_host(layer.leak.refresh())[0] for layer in net.walk() if isinstance(layer, snn.PLIF)]
    print("time constants of the PLIF neurons:", *(f"{1 / (1 - leak):.2f}" for leak in leaks))


if __name__ == "__main__":
    main()
