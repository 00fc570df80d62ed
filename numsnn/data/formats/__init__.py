"""File formats: each has a function ``parse_*`` from bytes to arrays, and a function ``read_*`` for a file.

==================  ===============================================================
``idx``             MNIST, Fashion-MNIST
``cifar``           CIFAR-10 and CIFAR-100, the binary version
``atis``            N-MNIST, N-Caltech101
``aedat2``          CIFAR10-DVS
``aedat3``          DVS128 Gesture, with its label files
``dat``             N-CARS
``spikes``          SHD, SSC
``generic``         x, y, t, p in .npz or HDF5
==================  ===============================================================

For HDF5 there is only ``read_*``. Everything that is wrong with a file's content raises a `FormatError`.
"""

from .aedat2 import parse_aedat2, read_aedat2
from .aedat3 import Gesture, parse_aedat3, parse_gestures, read_aedat3, read_gestures
from .atis import parse_atis, read_atis
from .cifar import parse_cifar, read_cifar
from .dat import parse_dat, read_dat
from .errors import FormatError
from .generic import parse_npz, read_events
from .idx import parse_idx, read_idx
from .spikes import read_spike_labels, read_spike_names, read_spikes

__all__ = [
    "FormatError",
    "Gesture",
    "parse_aedat2",
    "parse_aedat3",
    "parse_atis",
    "parse_cifar",
    "parse_dat",
    "parse_gestures",
    "parse_idx",
    "parse_npz",
    "read_aedat2",
    "read_aedat3",
    "read_atis",
    "read_cifar",
    "read_dat",
    "read_events",
    "read_gestures",
    "read_idx",
    "read_spike_labels",
    "read_spike_names",
    "read_spikes",
]
