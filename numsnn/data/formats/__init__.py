"""File formats: each has a function ``parse_*`` from bytes to arrays, and a function ``read_*`` for a file.

==================  ===============================================================
``idx``             MNIST, Fashion-MNIST
``cifar``           CIFAR-10 and CIFAR-100, the binary version
``atis``            N-MNIST, N-Caltech101
``aedat2``          CIFAR10-DVS
``aedat3``          DVS128 Gesture, with its label files
``dat``             N-CARS
``spikes``          SHD, SSC
``npz``             columns of events in .npz and .npy, and other arrays in .npz
``text``            columns of events in text, such as .csv
``generic``         events in any of these files and in HDF5
``borrowed``        AEDAT 4 and Prophesee's RAW, which other packages read
==================  ===============================================================

For HDF5 there is only ``read_*``. Everything that is wrong with a file's content raises a `FormatError`.
"""

from .aedat2 import parse_aedat2, read_aedat2
from .aedat3 import Gesture, parse_aedat3, parse_gestures, read_aedat3, read_gestures
from .atis import parse_atis, read_atis
from .borrowed import read_aedat4, read_raw
from .cifar import parse_cifar, read_cifar
from .dat import parse_dat, read_dat
from .errors import FormatError
from .generic import read_events
from .idx import parse_idx, read_idx
from .npz import parse_arrays, parse_npy, parse_npz
from .spikes import read_spike_labels, read_spike_names, read_spikes
from .text import parse_text

__all__ = [
    "FormatError",
    "Gesture",
    "parse_aedat2",
    "parse_aedat3",
    "parse_arrays",
    "parse_atis",
    "parse_cifar",
    "parse_dat",
    "parse_gestures",
    "parse_idx",
    "parse_npy",
    "parse_npz",
    "parse_text",
    "read_aedat2",
    "read_aedat3",
    "read_aedat4",
    "read_atis",
    "read_cifar",
    "read_dat",
    "read_events",
    "read_gestures",
    "read_idx",
    "read_raw",
    "read_spike_labels",
    "read_spike_names",
    "read_spikes",
]
