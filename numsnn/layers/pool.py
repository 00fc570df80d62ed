"""Pooling over positions, step by step."""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from ..kernels.types import Window
from ..validate import pair, whole
from .base import Layer
from .shapes import pictures, window_extent


class _Summed(NamedTuple):
    """What a pass keeps: the shape of its input, and its input, from which the output may be computed again."""

    shape: tuple
    x: object


class _Winners(NamedTuple):
    """The same, and the index of the largest element of every window."""

    shape: tuple
    x: object
    winners: object


class _Pooling(Layer):
    """Base of the poolings: their backward pass does not read their input. A subclass keeps ``shape`` and ``x``, and
    writes ``pool(x)``, which returns the output for x."""

    carries = False
    recomputes = receives = True
    reads_input = False
    pool: Callable[..., Any]

    def again(self):
        return self.pool(self.kept.x)

    def receive(self, x):
        self.kept = self.kept._replace(x=x)


class _Window(_Pooling):
    """A filter window that slides over pictures (sequences are pictures of height 1). A subclass sets ``window``, a
    `kernels.types.Window`."""

    passes = "window"
    kernel_size: Any
    stride: Any
    padding: Any
    window: Window

    def _check_padding(self):
        if any(2 * p > k for p, k in zip(self.window.padding, self.window.kernel, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: padding must be at most half the kernel {self.kernel_size}; got {self.padding}"
            )

    def infer(self, shape):
        rank, form = (5, "[T, N, H, W, C]") if isinstance(self.kernel_size, tuple) else (4, "[T, N, L, C]")
        if len(shape) != rank:
            self.refuse(shape, form)
        return (*shape[:2], *window_extent(self, shape), shape[-1])


class _AlongSequences(_Window):
    """The arguments of a one-dimensional window."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0, name: str | None = None):
        super().__init__(name)
        kind = type(self).__name__
        self.kernel_size = whole(f"{kind}: kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else whole(f"{kind}: stride", stride)
        self.padding = whole(f"{kind}: padding", padding, 0)
        self.window = Window((1, self.kernel_size), (1, self.stride), (0, self.padding))
        self._check_padding()


class _OverPictures(_Window):
    """The arguments of a two-dimensional window."""

    def __init__(self, kernel_size, stride=None, padding=0, name: str | None = None):
        super().__init__(name)
        kind = type(self).__name__
        self.kernel_size = pair(f"{kind}: kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(f"{kind}: stride", stride, 1)
        self.padding = pair(f"{kind}: padding", padding, 0)
        self.window = Window(self.kernel_size, self.stride, self.padding)
        self._check_padding()


class _Sum(_Window):
    """The passes of sum pooling. The sum of a window is divided by ``divisor``."""

    @property
    def divisor(self) -> int:
        return 1

    def compute(self, x, mode):
        self.kept = _Summed(x.shape, x) if mode.store else None
        return self.pool(x)

    def pool(self, x):
        y = self.result("y", self.output_shape)
        self.kernels.sum_pool2d_forward(pictures(x), self.window, self.divisor, pictures(y))
        return y

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        dx = self.gradient(self.kept.shape)
        self.kernels.sum_pool2d_backward(pictures(dy), self.window, self.divisor, pictures(dx))
        return dx


class _Average(_Sum):
    """The passes of average pooling: the sum of a window is divided by the number of its positions."""

    @property
    def divisor(self) -> int:
        return prod(self.window.kernel)


class _Maximum(_Window):
    """The passes of max pooling."""

    def compute(self, x, mode):
        self.kept = _Winners(x.shape, x, self._index()) if mode.store else None
        return self.pool(x)

    def pool(self, x):
        y = self.result("y", self.output_shape, x.dtype)
        self.kernels.max_pool2d_forward(pictures(x), self.window, pictures(y), pictures(self._index()))
        return y

    def _index(self):
        return self.buffer("index", self.output_shape, self.window.index_dtype())

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        shape, _, index = self.kept
        dx = self.gradient(shape)
        self.kernels.max_pool2d_backward(pictures(dy), pictures(index), self.window, pictures(dx))
        return dx

    def pieces(self):
        return self.kernels.to_host(self.kept.winners)


class AvgPool1d(_AlongSequences, _Average):
    """Mean over windows along sequences, at every step.

    ``[T, N, L, C]`` -> ``[T, N, Lo, C]`` with Lo = (L + 2 padding - kernel_size) // stride + 1.

    Args:
        kernel_size: number of positions in a window.
        stride: distance between windows, in positions. Default None: kernel_size.
        padding: number of zeros at both ends, which count in the mean; at most half of kernel_size. Default 0.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: a value is not a whole number, or the padding is too large.
        ShapeError: on building, the input has another rank or is smaller than a window.
    """


class AvgPool2d(_OverPictures, _Average):
    """Mean over windows in pictures, at every step.

    ``[T, N, H, W, C]`` -> ``[T, N, Ho, Wo, C]`` with Ho = (H + 2 padding - kernel_size) // stride + 1, and Wo in the
    same way. All sizes are whole numbers, or pairs (vertical, horizontal), in pixels.

    Args:
        kernel_size: size of a window.
        stride: distance between windows. Default None: kernel_size.
        padding: width of the border of zeros, which count in the mean; at most half of kernel_size. Default 0.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: a value is not a whole number or a pair of them, or the padding is too large.
        ShapeError: on building, the input has another rank or is smaller than a window.
    """


class SumPool1d(_AlongSequences, _Sum):
    """Sum over windows along sequences, at every step. Sums of spikes are counts, of the network's float dtype.

    ``[T, N, L, C]`` -> ``[T, N, Lo, C]`` with Lo = (L + 2 padding - kernel_size) // stride + 1.

    Args:
        kernel_size: number of positions in a window.
        stride: distance between windows, in positions. Default None: kernel_size.
        padding: number of zeros at both ends; at most half of kernel_size. Default 0.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: a value is not a whole number, or the padding is too large.
        ShapeError: on building, the input has another rank or is smaller than a window.
    """


class SumPool2d(_OverPictures, _Sum):
    """Sum over windows in pictures, at every step. Sums of spikes are counts, of the network's float dtype.

    ``[T, N, H, W, C]`` -> ``[T, N, Ho, Wo, C]`` with Ho = (H + 2 padding - kernel_size) // stride + 1, and Wo in the
    same way. All sizes are whole numbers, or pairs (vertical, horizontal), in pixels.

    Args:
        kernel_size: size of a window.
        stride: distance between windows. Default None: kernel_size.
        padding: width of the border of zeros; at most half of kernel_size. Default 0.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: a value is not a whole number or a pair of them, or the padding is too large.
        ShapeError: on building, the input has another rank or is smaller than a window.
    """


class MaxPool1d(_AlongSequences, _Maximum):
    """Maximum over windows along sequences, at every step. The dtype stays, so spikes stay spikes.

    ``[T, N, L, C]`` -> ``[T, N, Lo, C]`` with Lo = (L + 2 padding - kernel_size) // stride + 1.

    Args:
        kernel_size: number of positions in a window.
        stride: distance between windows, in positions. Default None: kernel_size.
        padding: number of positions at both ends that are never the maximum; at most half of kernel_size. Default 0.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: a value is not a whole number, or the padding is too large.
        ShapeError: on building, the input has another rank or is smaller than a window.
    """


class MaxPool2d(_OverPictures, _Maximum):
    """Maximum over windows in pictures, at every step. The dtype stays, so spikes stay spikes.

    ``[T, N, H, W, C]`` -> ``[T, N, Ho, Wo, C]`` with Ho = (H + 2 padding - kernel_size) // stride + 1, and Wo in the
    same way. All sizes are whole numbers, or pairs (vertical, horizontal), in pixels.

    Args:
        kernel_size: size of a window.
        stride: distance between windows. Default None: kernel_size.
        padding: width of the border, whose pixels are never the maximum; at most half of kernel_size. Default 0.
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ValueError: a value is not a whole number or a pair of them, or the padding is too large.
        ShapeError: on building, the input has another rank or is smaller than a window.
    """


def _whole(shape):
    """Return a window of the size of a whole picture ``[T, N, H, W, C]``."""
    return Window(shape[2:4], shape[2:4])


class GlobalAvgPool2d(_Pooling):
    """Mean over all positions of a picture, at every step. ``[T, N, H, W, C]`` -> ``[T, N, C]``.

    Args:
        name: shown in reports and errors. Default: the class's name and a number.

    Raises:
        ShapeError: on building, the input has another rank.
    """

    def infer(self, shape):
        if len(shape) != 5:
            self.refuse(shape, "[T, N, H, W, C]")
        return (*shape[:2], shape[4])

    def compute(self, x, mode):
        self.kept = _Summed(x.shape, x) if mode.store else None
        return self.pool(x)

    def pool(self, x):
        y = self.result("y", self.output_shape)
        means = y.reshape(-1, 1, 1, y.shape[-1])
        self.kernels.sum_pool2d_forward(pictures(x), _whole(x.shape), prod(x.shape[2:4]), means)
        return y

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        shape = self.kept.shape
        dx = self.gradient(shape)
        slopes = dy.reshape(-1, 1, 1, dy.shape[-1])
        self.kernels.sum_pool2d_backward(slopes, _whole(shape), prod(shape[2:4]), pictures(dx))
        return dx
