"""What all sides share when they train: the variants, the pictures, the initial weights and the order of samples."""

import hashlib

import numpy as np

from numsnn import data
from numsnn.measure import network

VARIANTS = {
    "numsnn": ("numsnn", "fixed"),
    "spikingjelly": ("spikingjelly", "fixed"),
    "snntorch": ("snntorch", "fixed"),
    "numsnn PSG+PDA": ("numsnn", "psg+pda"),
}
"""Name -> side, and the method of its neurons; "fixed" is the surrogate that all sides have."""


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
    """A hash of these pictures and labels."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(arrays[name].tobytes())
    return found.hexdigest()[:12]


class Numbers:
    """A data set whose samples are their own numbers, so that the batches of a Loader show the order in which it takes
    samples."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def batch(self, indices):
        return indices, indices


def numbers(task, seed):
    """Initial parameters and the order ``[epochs, N]`` of a seed, as a `numsnn.Trainer` of that seed has them."""
    loader = data.Loader(Numbers(task.train), task.batch, shuffle=True, seed=seed)
    order = [np.concatenate([rows for rows, _ in loader.epoch(epoch)]) for epoch in range(task.epochs)]
    return network.initial(task.workload, seed) | {"order": np.array(order)}


def few(task, arrays):
    """The arrays of an epoch of two batches, the second as small as the last batch of a whole epoch. After it, a
    library has compiled everything that training needs, and has taken the memory."""
    count = min(task.train, task.batch + (task.train % task.batch or task.batch))
    short = {name: arrays[name][:count] for name in ("x", "y", "test_x", "test_y")}
    return arrays | short | {"order": np.arange(count)[None]}
