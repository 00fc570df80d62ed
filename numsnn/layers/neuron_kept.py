"""What a neuron keeps of its last stored pass: what it tells about it, and how it is restored where a pass drops
outputs (see `layers.recompute`). Of the spikes, such a pass keeps one bit each."""

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..psg import FAMILIES, Surrogate
from .base import Layer
from .parameter import ConstrainedValue


class KeptTrace(Layer):
    """Base of the neurons. ``kept`` is a `Trace` of the last stored pass."""

    from_input = False
    run: Any
    threshold: ConstrainedValue
    width: ConstrainedValue
    own_values: dict[str, ConstrainedValue]
    surrogate: Surrogate
    adaptive: bool
    refractory: int

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

    def potentials(self) -> np.ndarray:
        """Return the potentials after charging of the last stored pass, ``[T, M, C]``, on the host. They are computed
        again unless the pass kept them."""
        trace = self.kept
        if trace.u is None:
            self.need_kept(trace.current)
            start = None
            if trace.start is not None:
                start = self.kernels.empty(trace.start.shape, self.dtype)
                self.kernels.copy(trace.start, start)
            trace = replace(trace, u=self.kernels.empty(trace.current.shape, self.dtype), visible=None)
            self.run.forward(trace, start)
        return self.kernels.to_host(trace.u)

    def thresholds(self) -> np.ndarray:
        """Return the threshold in the last stored pass, on the host: ``[C]``, or ``[T, M, C]`` if it adapts."""
        theta = self.kernels.to_host(self.threshold.natural)
        if not self.adaptive:
            return theta
        a = self.kernels.to_host(self.kept.parts["a"])
        start = np.zeros_like(a[:1]) if self.kept.start is None else self.kernels.to_host(self.kept.start)[2][None]
        return theta + self.kernels.to_host(self.own_values["kappa"].natural) * np.concatenate([start, a[:-1]])

    def spikes(self) -> np.ndarray:
        """Return the spikes of the last stored pass, ``[T, M, C]``, on the host."""
        return self.kernels.to_host(self.need_kept(self.kept.s))

    def currents(self) -> np.ndarray:
        """Return the input currents of the last stored pass, ``[T, M, C]``, on the host. If the neuron was fused with
        a normalisation, they are the normalised currents."""
        current, norm = self.kernels.to_host(self.need_kept(self.kept.current)), self.kept.norm
        if norm is None:
            return current
        centre, factor, offset = map(self.kernels.to_host, norm[:3])
        return (current - centre) * factor + offset

    def signals(self):
        if self.kept is None:
            return [self.output]
        kept = self.kept
        potentials = None if kept.u is None and kept.current is None else self.potentials()
        return [self.output, potentials, *vars(kept).values(), *kept.parts.values()]

    def visible(self):
        """Return the visible mask of the last stored pass: uint8 of the output's shape, 1 where the surrogate saw the
        potential and dL/ds matters. The result is None if the pass did not compute the mask."""
        return None if self.kept.visible is None else self.kept.visible.reshape(self.output_shape)

    def pieces(self):
        breaks = FAMILIES[self.surrogate.family].breaks
        x = self.potentials() - self.thresholds()
        pieces: Any = np.searchsorted(breaks, x / self.kernels.to_host(self.width.natural))
        if self.refractory:  # crossing the threshold changes what is held later; a held potential does not depend on x
            pieces = np.where(self.kernels.to_host(self.kept.parts["held"]), -1, 2 * pieces + (x >= 0))
        return pieces

    def _bits(self, neurons):
        return self.buffer("bits", (-(-neurons // 8),), np.uint8)


def _flat(shape):
    """Return the shape ``[T, M, C]`` of an array of the shape of the input."""
    return shape[0], prod(shape[1:-1]), shape[-1]
