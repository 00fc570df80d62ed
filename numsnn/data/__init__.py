"""Data: labelled samples and recordings of events, in memory or in a store; batches in a repeatable order; file
formats; augmentation; a simulated event camera; the built-in sets.

    train, test = load("digits")                    # real pictures that ship with the package
    for x, y in Loader(train, batch_size=64, shuffle=True, seed=0).epoch(0):
        ...                                         # x [n, 8, 8, 1] float32, y [n] int64

This package stands alone: it needs NumPy, where it is used Numba, h5py and tqdm, and nothing else of numsnn but the
look-up of names, which itself imports nothing of it.
"""

from .augment import Augmented
from .builtin import available, load, load_recordings
from .dataset import Dataset, as_dataset
from .events import Events
from .frames import Frames, to_frames
from .loader import Loader
from .store import open_store as open
from .store import save

__all__ = [
    "Augmented",
    "Dataset",
    "Events",
    "Frames",
    "Loader",
    "as_dataset",
    "available",
    "load",
    "load_recordings",
    "open",
    "save",
    "to_frames",
]
