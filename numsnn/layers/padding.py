"""Sequences of different length in one batch: which steps are real, and copies of the real steps alone.

`Mode.lengths` says how many steps of each sample are real. The steps from there on are padding, which must not have any
influence. Layers that compute each sample and step by itself, or that only look back in time, need nothing for that,
because dL/dy is zero beyond the lengths. Layers that compute statistics take the real rows only.
"""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from ..shown import shown
from ..validate import real_array
from .names import title


class Padding:
    """Which steps of a batch ``[T, N, ...]`` are real. A row is one step of one sample; R rows are real.

    Attributes:
        shape: (T, N).
        lengths: number of real steps of every sample, ``[N]``, on the host.
        longest: largest length. There are real rows at the steps before it, and none from it on.
        rows: R.
        spans: for every step before longest, the pair (first, end) of its real rows among the R rows, which are in the
            order of steps and, within a step, of samples.
        index: number t N + n of each real row, ``[R]``, on the device.
        place: number of each row among the real rows, and -1 for padding, ``[T N]``, on the device.

    Args:
        lengths, steps: lengths as above, and T.
        kernels: kernels of the device.
    """

    def __init__(self, lengths: np.ndarray, steps: int, kernels):
        self.shape, self.lengths, self._kernels = (steps, len(lengths)), lengths, kernels
        real = np.arange(steps)[:, None] < lengths
        ends = np.cumsum(real.sum(1))
        self.longest, self.rows = int(lengths.max()), int(ends[-1])
        self.spans = list(zip([0, *ends[: self.longest - 1].tolist()], ends[: self.longest].tolist(), strict=True))
        real = real.reshape(-1)
        self.index = kernels.from_host(np.flatnonzero(real), np.int64)
        self.place = kernels.from_host(np.where(real, np.cumsum(real) - 1, -1), np.int64)
        self._ends: dict[int, object] = {}

    def gather(self, layer, x, name: str = "real rows"):
        """Return the real rows of x ``[T, N, ...]`` as a compact array ``[R, ...]`` (docs/method.md, V1).

        Args:
            layer: layer to whose buffers the compact array belongs.
            x: array on the layer's device.
            name: name of the buffer.

        Raises:
            ShapeError: x does not have the steps and samples that the lengths are for.
        """
        if x.shape[:2] != self.shape:
            raise ShapeError(
                f"{layer.path} ({type(layer).__name__}): the lengths are for {self.shape[0]} steps of {self.shape[1]} "
                f"samples; the layer's input has shape {x.shape}"
            )
        y = layer.buffer(name, (self.rows, *x.shape[2:]), x.dtype)
        self._kernels.gather_rows(self._flat(x), self.index, y.reshape(self.rows, -1))
        return y

    def scatter(self, x, y) -> None:
        """Copy a compact array ``[R, ...]`` to the real rows of y ``[T, N, ...]``, and set the others to zero (V2)."""
        self._kernels.scatter_rows(x.reshape(self.rows, -1), self.place, self._flat(y))

    def clear(self, x) -> None:
        """Set the padding of x ``[T, N, ...]`` to zero, in place (V3)."""
        self._kernels.clear_rows(self._flat(x), self.place)

    def ends(self, positions: int):
        """Return the length of every row of an array ``[T, N positions, C]``: ``[N positions]``, on the device."""
        if positions not in self._ends:
            self._ends[positions] = self._kernels.from_host(np.repeat(self.lengths, positions), np.int64)
        return self._ends[positions]

    def _flat(self, x):
        return x.reshape(self.shape[0] * self.shape[1], -1)


def padding_of(net, x, mode) -> Padding | None:
    """Check the given `Mode.lengths` for an input that enters a network, and return which steps are real; None if all
    are.

    The same lengths hold for all of several inputs that have a time axis; an input without one is not padded.

    Raises:
        ShapeError: there is not one length per sample, no input of the network has a time axis, or several inputs
            differ in their steps.
        ValueError: a length is out of range.
    """
    name, lengths = title(net), real_array(mode.lengths)
    if net.takes_pictures:
        raise ShapeError(
            f"{name}: lengths are for sequences; the network takes pictures without a time axis. Leave out lengths"
        )
    steps, samples = _extents(net, x)
    if lengths is None:
        raise ShapeError(f"{name}: lengths must be {samples} whole numbers; got {shown(mode.lengths)}")
    if lengths.dtype.kind not in "iu" or lengths.shape != (samples,):
        raise ShapeError(
            f"{name}: lengths must be {samples} whole numbers, one per sample; got {lengths.dtype} of shape "
            f"{lengths.shape}"
        )
    least = 1 if mode.carried is None else 0  # in a part of the sequences, some may be over
    if (outside := (lengths < least) | (lengths > steps)).any():
        at = int(np.argmax(outside))
        raise ValueError(
            f"{name}: lengths must lie in {least}..{steps}, the steps of the input; got {lengths[at]} for sample {at}"
        )
    if not lengths.any():
        raise ValueError(f"{name}: all lengths are 0: no sequence has a step in this pass. Leave out the pass")
    return None if (lengths == steps).all() else Padding(lengths.astype(np.int64), steps, net.kernels)


def _extents(net, x):
    """Return the numbers of steps and samples of an input with a time axis."""
    if not net.input_names:
        return x.shape[:2]
    found = {key: part.shape[:2] for key, part in x.items() if key not in net.picture_inputs}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{key} {x[key].shape}" for key in found)
        raise ShapeError(f"{title(net)}: lengths need inputs with the same steps and samples; got {listed}")
    return next(iter(found.values()))
