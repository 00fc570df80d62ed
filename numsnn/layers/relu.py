"""The rectified linear unit, which makes networks without spikes."""

from typing import NamedTuple

from .base import Layer


class _Rectified(NamedTuple):
    """What a pass keeps: its output."""

    y: object


class ReLU(Layer):
    """Rectified linear unit: y = max(x, 0), element by element. ``[T, N, ...]`` of any rank; the output has the same
    shape and the network's float dtype.

    Networks of this layer do not spike and need one step only: `Repeat` with one step takes pictures. `snn.convert`
    turns a trained one into a spiking network. The derivative at 0 is taken to be 0. Source: docs/method.md, W15; Nair
    and Hinton 2010 (ICML).

    Args:
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ShapeError: on building, the input has fewer than two axes.
    """

    carries = False

    def infer(self, shape):
        if len(shape) < 2:
            self.refuse(shape, "[T, N, ...]")
        return shape

    def compute(self, x, mode):
        y = self.buffer("y", x.shape)
        self.kernels.relu_forward(self.as_real(x), y)
        self.kept = _Rectified(y) if mode.store else None
        return y

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        dx = self.overwrite(dy)
        self.kernels.relu_backward(dy, self.kept.y, dx)
        return dx

    def pieces(self):
        return (self.kernels.to_host(self.kept.y) > 0).astype(int)
