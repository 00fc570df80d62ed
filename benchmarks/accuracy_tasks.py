"""What `accuracy.py` trains: networks, pictures, the recipe, and the numbers that all sides share."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from numsnn import data
from numsnn.bench import network
from numsnn.bench.workloads import Workload, small

VARIANTS = {
    "numsnn": ("numsnn", "fixed"),
    "spikingjelly": ("spikingjelly", "fixed"),
    "snntorch": ("snntorch", "fixed"),
    "numsnn PSG+PDA": ("numsnn", "psg+pda"),
}
"""Name -> side, and its neurons' method; "fixed" is the surrogate that all of them have."""

RECIPE = {"optimizer": "AdamW", "lr": 2e-3, "weight_decay": 0.02, "schedule": "cosine", "smoothing": 0.1}


@dataclass(frozen=True)
class Task:
    """A network and the pictures it learns.

    Attributes:
        workload: the network; its samples are the batch.
        epochs: of a run.
        train, test: how many pictures of each part, the first ones.
    """

    workload: Workload
    epochs: int
    train: int
    test: int

    @property
    def batch(self):
        """Pictures a step."""
        return self.workload.shape[1]

    def recipe(self, seed, method):
        """What a side trains by."""
        return RECIPE | {"epochs": self.epochs, "batch": self.batch, "seed": seed, "method": method}

    def quick(self):
        """So few pictures that nothing is learned."""
        return replace(self, epochs=2, train=2 * self.batch + 8, test=32)


TASKS = {
    "mnist8k": Task(small("32c3-P2-64c3-P2-10", 4, 64), 5, 7000, 1000),
    "cifar10-5k": Task(
        small("32c3-P2-64c3-P2-128c3-P2-10", 4, 50, size=32, colours=3, widths=(32, 64, 128)), 6, 5000, 2000
    ),
}


def pictures(task, train, test):
    """x, y, test_x, test_y of a task from the two parts of a dataset."""
    found = {}
    for prefix, part, count in ("", train, task.train), ("test_", test, task.test):
        if len(part) < count:
            name = "test" if prefix else "training"
            raise ValueError(f"{count} {name} pictures are needed; there are {len(part)}")
        found[f"{prefix}x"], found[f"{prefix}y"] = part.batch(np.arange(count))
    return found


def digest(arrays):
    """Tells these pictures and labels from others."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(arrays[name].tobytes())
    return found.hexdigest()[:12]


class Numbers:
    """Samples that are their own numbers: the batches of a Loader are the order in which it takes them."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def batch(self, indices):
        return indices, indices


def numbers(task, seed):
    """Initial parameters and the order ``[epochs, N]`` of a seed, as `numsnn.Trainer` has them."""
    loader = data.Loader(Numbers(task.train), task.batch, shuffle=True, seed=seed)
    order = [np.concatenate([rows for rows, _ in loader.epoch(epoch)]) for epoch in range(task.epochs)]
    return network.initial(task.workload, seed) | {"order": np.array(order)}


def few(task, arrays):
    """The arrays of an epoch of two batches, one of them as small as the last of an epoch: behind it a library has
    compiled, and has the memory, that training takes."""
    count = min(task.train, task.batch + (task.train % task.batch or task.batch))
    short = {name: arrays[name][:count] for name in ("x", "y", "test_x", "test_y")}
    return arrays | short | {"order": np.arange(count)[None]}
