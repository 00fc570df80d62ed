"""A short training run that is killed, or whose disk fails, and what must hold afterwards."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from tqdm import tqdm

import numsnn as snn
from numsnn import cli
from numsnn.hdf5 import writing
from numsnn.training import EarlyStopping, WeightAverage, checkpoint, trainer
from numsnn.training.run_state import BEST, LAST, METRICS

tqdm.set_lock(threading.RLock())  # its own is shared with forked processes, and one that is killed may hold it
EPOCHS = 2
_RNG = np.random.default_rng(0)
DATA = snn.data.Dataset(_RNG.normal(size=(8, 3, 4)).astype(np.float32), np.arange(8) % 2, timed=True)


def without_clock():
    """The history holds seconds, which differ from run to run: let no time pass."""
    trainer.time = SimpleNamespace(perf_counter=lambda: 0.0, monotonic=lambda: 0.0)


def plant(writer: str) -> None:
    """Write checkpoints in a way that is not safe, so that the trials can show that they see it."""

    @contextmanager
    def in_place(path, folder=None):
        yield Path(path)

    @contextmanager
    def removed_first(path, folder=None):
        Path(path).unlink(missing_ok=True)
        with whole(path, folder) as temporary:
            yield temporary

    whole = writing.replacing
    writing.replacing = {"in-place": in_place, "removed-first": removed_first}[writer]


def train(folder) -> int:
    """Begin the run in a folder or continue it: with validation data, callbacks, and last.h5 after every batch. Return
    the exit status."""
    net = snn.Sequential(snn.Linear(4, 3), snn.LIF(), snn.Linear(3, 2))
    callbacks = [EarlyStopping(5), WeightAverage(0.5)]
    optimizer = snn.optim.SGD(0.1, momentum=0.9)
    run = snn.Trainer(
        net, None, optimizer, device="reference", batch_size=4, out=folder, save_every=0, callbacks=callbacks
    )
    run.fit(DATA, DATA, EPOCHS, resume=True, progress=False)
    return 0


CONFIG = """[data]
file = "{store}"
[model]
architecture = "4"
steps = 2
norm = "none"
[training]
epochs = 2
batch_size = 16
device = "reference"
"""


def command(folder):
    """Return a function that does what `numsnn train --out OUT --resume` does, and returns its exit status; data and
    configuration lie in a folder. The report has no pictures, which would take most of the time."""
    sys.modules["matplotlib.figure"] = None
    x = _RNG.integers(0, 9, (40, 2, 2, 1)).astype(np.uint8)
    snn.data.save(folder / "x.h5", train=snn.data.Dataset(x, np.arange(40) % 2))
    config = folder / "config.toml"
    config.write_text(CONFIG.replace("{store}", str(folder / "x.h5")))

    return lambda out: cli.main(["train", str(config), "--out", str(out), "--resume", "--quiet"])


class Trials:
    """Trials in a folder of their own.

    Args:
        folder: an empty folder.
        whole: whether the command `numsnn train` is run, which also writes a report. Default False: a `Trainer`.

    Attributes:
        run: the folder of the run.
        expected: bytes of all files that an undisturbed run leaves, by name.
        failures: what went wrong, one text per trial.
    """

    def __init__(self, folder, whole=False):
        self.folder, self.run, self.output = Path(folder), Path(folder) / "run", Path(folder) / "output"
        self.failures: list[str] = []
        self.fresh()
        self.train = command(self.folder) if whole else train
        self.train(self.run)
        self.expected = self.files()

    def fresh(self):
        """Remove the run of the trial before."""
        shutil.rmtree(self.run, ignore_errors=True)
        self.run.mkdir()
        self.place = (-1, 0)

    def files(self):
        """Return the bytes of all files of the run."""
        return {path.name: path.read_bytes() for path in self.run.iterdir()}

    def work(self):
        """Train in this process, a child, as the command line does: return 0, or 2 after an error in one line."""
        output = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        try:
            return self.train(self.run)
        except (OSError, ValueError) as error:
            print(f"numsnn: error: {error}")
            return 2
        except BaseException:
            traceback.print_exc()
            return 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def between(self, status: int) -> None:
        """Check the folder after a kill or an error: every file is whole, and the run has not gone back."""
        if status not in (0, 2, -9):
            raise AssertionError(f"ended with {status}: {self.output.read_text()}")
        if status == 2:
            lines = [line for line in self.output.read_text().splitlines() if "RuntimeWarning" not in line]
            said = [line for line in lines if line.startswith("numsnn: error: ")]
            if len(said) != 1 or str(self.run) not in said[0]:
                raise AssertionError(f"one line should name a file; got {lines}")
        if (self.run / LAST).exists():
            found = checkpoint.read(self.run / LAST)[2]
            place = found["epoch"], found["batch"]
        else:
            place = (-1, 0)
            if there := [name for name in (BEST, METRICS) if (self.run / name).exists()]:
                raise AssertionError(f"{LAST} is gone, but {' and '.join(there)} is there")
        if place < self.place:
            raise AssertionError(f"the run went back from {self.place} to {place}")
        self.place = place
        if (self.run / BEST).exists():
            found = checkpoint.read(self.run / BEST)[2]
            rows = [row["epoch"] for row in found["history"]]
            if rows != list(range(1, found["epoch"] + 1)) or found["best"]["epoch"] != found["epoch"]:
                raise AssertionError(f"{BEST} of epoch {found['epoch']} has the epochs {rows} in its history")

    def end(self, status: int) -> None:
        """Check the folder after the run has come to its end."""
        if status:
            raise AssertionError(f"the continued run ended with {status}: {self.output.read_text()}")
        found = self.files()
        if found.keys() != self.expected.keys():
            raise AssertionError(f"left {sorted(found)}; expected {sorted(self.expected)}")
        if different := [name for name, content in found.items() if content != self.expected[name]]:
            raise AssertionError(f"other bytes in {different}")
