"""Pooling over positions, step by step."""

import numpy as np

from ..validate import pair
from .base import Layer
from .dense import pictures, window_extent


class _Window(Layer):
    """A window that slides over pictures: kernel_size, stride (the kernel's size by default) and padding."""

    def __init__(self, kernel_size, stride=None, padding=0, name: str | None = None):
        super().__init__(name)
        kind = type(self).__name__
        self.kernel_size = pair(f"{kind}: kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(f"{kind}: stride", stride, 1)
        self.padding = pair(f"{kind}: padding", padding, 0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(
                f"{kind}: padding must be at most half the kernel {self.kernel_size}; got {self.padding}"
            )

    def infer(self, shape):
        if len(shape) != 5:
            self.refuse(shape, "[T, N, H, W, C]")
        return (*shape[:2], *window_extent(self, shape), shape[4])


class AvgPool2d(_Window):
    """Mean over windows. ``[T, N, H, W, C]`` -> ``[T, N, Ho, Wo, C]``, Ho = (H + 2 padding - kernel) // stride + 1.

    Args:
        kernel_size: whole number or pair (vertical, horizontal).
        stride: by default the kernel's size.
        padding: zeros around the picture, counted in the mean; at most half the kernel. Default 0.
        name: shown in reports and errors; by default the class's name and a number.
    """

    def compute(self, x, mode):
        y = self.buffer("y", self.output_shape)
        self.kernels.avg_pool2d_forward(pictures(x), self.kernel_size, self.stride, self.padding, pictures(y))
        self.kept = x.shape if mode.store else None
        return y

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        dx = self.buffer("dx", self.kept)
        self.kernels.avg_pool2d_backward(
            pictures(dy), self.kernel_size, self.stride, self.padding, pictures(dx)
        )
        return dx


class MaxPool2d(_Window):
    """Maximum over windows; spikes stay spikes. ``[T, N, H, W, C]`` -> ``[T, N, Ho, Wo, C]``, the input's dtype.

    Args:
        kernel_size: whole number or pair (vertical, horizontal).
        stride: by default the kernel's size.
        padding: positions around the picture that never win; at most half the kernel. Default 0.
        name: shown in reports and errors; by default the class's name and a number.
    """

    def compute(self, x, mode):
        y = self.buffer("y", self.output_shape, x.dtype)
        index = self.buffer("index", self.output_shape, np.int16)
        self.kernels.max_pool2d_forward(
            pictures(x), self.kernel_size, self.stride, self.padding, pictures(y), pictures(index)
        )
        self.kept = (x.shape, index) if mode.store else None
        return y

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        shape, index = self.kept
        dx = self.buffer("dx", shape)
        self.kernels.max_pool2d_backward(
            pictures(dy), pictures(index), self.kernel_size, self.stride, self.padding, pictures(dx)
        )
        return dx

    def pieces(self):
        return self.kernels.to_host(self.kept[1])


class GlobalAvgPool2d(Layer):
    """Mean over all positions. ``[T, N, H, W, C]`` -> ``[T, N, C]``."""

    def infer(self, shape):
        if len(shape) != 5:
            self.refuse(shape, "[T, N, H, W, C]")
        return (*shape[:2], shape[4])

    def compute(self, x, mode):
        y = self.buffer("y", self.output_shape)
        whole = x.shape[2:4]
        self.kernels.avg_pool2d_forward(pictures(x), whole, whole, (0, 0), y.reshape(-1, 1, 1, y.shape[-1]))
        self.kept = x.shape if mode.store else None
        return y

    def propagate(self, dy, need_dx):
        if not need_dx:
            return None
        dx = self.buffer("dx", self.kept)
        whole = self.kept[2:4]
        self.kernels.avg_pool2d_backward(
            dy.reshape(-1, 1, 1, dy.shape[-1]), whole, whole, (0, 0), pictures(dx)
        )
        return dx
