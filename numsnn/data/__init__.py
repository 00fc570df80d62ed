"""Datasets of samples with targets and of event recordings, and batches of them in an order that can be repeated.

    train, test = load("digits")                    # real pictures that ship with the package
    for x, y in Loader(train, batch_size=64, shuffle=True, seed=0).epoch(0):
        ...                                         # x [n, 8, 8, 1] float32, y [n] int64

The package also reads the file formats of published datasets, writes and reads stores (HDF5), augments samples, and
simulates an event camera. It needs NumPy, and Numba, h5py and tqdm in the functions that use them. Of numsnn it imports
only `hdf5`, `names`, `validate`, `files`, `cores`, `tables` and `machine_code`.
"""

from .augment import Augmented
from .batch import Batch
from .builtin import available, load, load_recordings
from .dataset import Dataset, as_dataset
from .events import Events
from .frames import Frames, to_frames
from .loader import Loader
from .recordings import Recordings
from .samples import concat
from .saving import save
from .store import open_store as open

__all__ = [
    "Augmented",
    "Batch",
    "Dataset",
    "Events",
    "Frames",
    "Loader",
    "Recordings",
    "as_dataset",
    "available",
    "concat",
    "load",
    "load_recordings",
    "open",
    "save",
    "to_frames",
]
