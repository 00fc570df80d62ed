"""What a neuron keeps of its spikes in a pass that drops outputs (see `layers.recompute`): one bit per spike."""

from math import prod
from typing import Any

import numpy as np

from .base import Layer


class KeptAsBits(Layer):
    """Base of the neurons: it restores their spikes from bits, and takes their input again. ``kept`` is a `Trace`."""

    from_input = False
    run: Any

    @property
    def reads_input(self):
        return not self.run.stores_potentials

    def drop(self, y, mode):
        if mode.store:
            self.kernels.pack_bits(y.reshape(-1), self._bits(y.size))
            self.kept.s = None
        super().drop(y, mode)

    def again(self):
        s = self.result("s", self.input_shape, np.uint8)
        self.kernels.unpack_bits(self._bits(s.size), s.reshape(-1))
        return s

    def lacks_output(self):
        return self.kept.s is None

    def recall(self, s):
        """Give the last stored pass its spikes s again; None forgets them."""
        self.kept.s = None if s is None else s.reshape(_flat(s.shape))

    def receive(self, x):
        self.kept.current = None if x is None else self.as_real(x).reshape(_flat(x.shape))

    def need_kept(self, array):
        """Return an array of the last stored pass, or refuse to look at one that the pass has dropped."""
        if array is None:
            raise RuntimeError(f"{self.path}: the last pass did not keep this; repeat it without Mode.recompute")
        return array

    def _bits(self, neurons):
        return self.buffer("bits", (-(-neurons // 8),), np.uint8)


def _flat(shape):
    """Return the shape ``[T, M, C]`` of an array of the shape of the input."""
    return shape[0], prod(shape[1:-1]), shape[-1]
