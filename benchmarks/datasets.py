"""The data that networks are trained on here, and the options that say where they are."""

import runpy
from functools import cache

import numpy as np

import numsnn as snn

from .common import REPOSITORY

OPTIONS = {"mnist": "mnist", "cifar10": "cifar", "cifar10-dvs-sim": "events"}
"""Data that the package does not contain -> the option that says where they are."""


class Missing(RuntimeError):
    """The data that a task needs are not there."""


def add_options(parser) -> None:
    """Add the options that say where data are."""
    parser.add_argument("--mnist", metavar="FOLDER", help="folder with the four IDX files of MNIST")
    parser.add_argument("--cifar", metavar="FILE", help="CIFAR-10 as a store (made by data_prep/cifar10.py)")


def add_events(parser) -> None:
    """Add the option that says where the recordings of CIFAR-10 are."""
    parser.add_argument("--events", metavar="FILE", help="its recordings (made by benchmarks.data.cifar_events)")


def words() -> list:
    """Training and test data: the spoken words that example 11 makes up in place of the Spiking Heidelberg Digits, as
    numbers of spikes per step."""
    example = runpy.run_path(str(REPOSITORY / "examples" / "11_shd.py"))
    steps, channels, per_second = example["STEPS"], example["CHANNELS"], 1_000_000 // example["DURATION"]
    parts = []
    for labels, spoken in example["made_up"]().values():
        x = np.zeros((len(labels), steps, channels), np.float32)
        for counts, (times, units) in zip(x, spoken, strict=True):
            np.add.at(counts, (np.minimum((times * per_second).astype(int), steps - 1), units), 1)
        parts.append(snn.data.Dataset(x, labels, timed=True))
    return parts


@cache
def load(name: str, steps: int | None = None, mnist=None, cifar=None, events=None):
    """Training and test data. They are kept, because many runs of one process use the same.

    Args:
        name: "mnist", "digits", "digits-dvs", "cifar10", "cifar10-dvs-sim" or "words".
        steps: T of "digits-dvs" and "cifar10-dvs-sim".
        mnist, cifar, events: what the options say.

    Raises:
        Missing: the option that the data need is not given.
    """
    if name == "mnist":
        if mnist is None:
            raise Missing("MNIST is needed: --mnist FOLDER, with the four IDX files")
        return snn.data.load("mnist", dir=mnist)
    if name == "cifar10":
        if cifar is None:
            raise Missing("CIFAR-10 is needed: --cifar FILE, the store that data_prep/cifar10.py makes")
        store = snn.data.open(cifar)
        return store.train, store.test
    if name == "cifar10-dvs-sim":
        if events is None:
            raise Missing("recordings are needed: --events FILE, the store that benchmarks.data.cifar_events makes")
        store = snn.data.open(events)
        return tuple(part.frames(steps=steps) for part in (store.train, store.test))
    if name == "words":
        return words()
    return snn.data.load(name, **({"steps": steps} if name == "digits-dvs" else {}))
