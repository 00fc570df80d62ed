"""Layers with weights: fully connected and convolutional."""

from math import prod

import numpy as np

from ..validate import flag, pair, whole
from .base import Layer
from .parameter import Parameter


def _initial_weight(rng, shape, fan_in):
    """Uniform with variance 2 / fan_in (He et al. 2015, arXiv:1502.01852)."""
    bound = np.sqrt(6 / fan_in)
    return rng.uniform(-bound, bound, shape)


class Linear(Layer):
    """Fully connected: y = x w + b at every step. ``[T, N, in_features]`` -> ``[T, N, out_features]``.

    Args:
        in_features, out_features: sizes.
        bias: add b. Default True.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters: weight ``[in, out]`` uniform with variance 2 / in, bias ``[out]`` zero.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, name: str | None = None):
        super().__init__(name)
        self.in_features = whole("Linear: in_features", in_features)
        self.out_features = whole("Linear: out_features", out_features)
        self.bias = flag("Linear: bias", bias)

    def infer(self, shape):
        self.need_channels(shape, self.in_features, (3,))
        return (*shape[:-1], self.out_features)

    def create(self, shape, rng):
        weight = _initial_weight(rng, (self.in_features, self.out_features), self.in_features)
        self.weight = self.add_parameter(Parameter("weight", self.kernels.from_host(weight, self.dtype), "weight"))
        self.offset = None
        if self.bias:
            zeros = self.kernels.zeros((self.out_features,), self.dtype)
            self.offset = self.add_parameter(Parameter("bias", zeros, "bias"))

    def compute(self, x, mode):
        y = self.buffer("y", self.output_shape)
        bias = None if self.offset is None else self.offset.value
        self.kernels.linear_forward(_rows(x), self.weight.value, bias, _rows(y))
        if mode.store:
            self.kept = x
        return y

    def propagate(self, dy, need_dx):
        kernels = self.kernels
        kernels.linear_backward_weight(_rows(self.kept), _rows(dy), self.weight.grad)
        if self.offset is not None:
            kernels.bias_backward(_rows(dy), self.offset.grad)
        if not need_dx:
            return None
        dx = self.buffer("dx", self.input_shape)
        kernels.linear_backward_input(_rows(dy), self.weight.value, _rows(dx))
        return dx


class Conv2d(Layer):
    """Convolution at every step. ``[T, N, H, W, in_channels]`` -> ``[T, N, Ho, Wo, out_channels]`` with
    Ho = (H + 2 padding - kernel_size) // stride + 1.

    Args:
        in_channels, out_channels: sizes.
        kernel_size, stride, padding: whole numbers, or pairs (vertical, horizontal). Defaults: stride 1, padding 0.
        groups: input and output channels are cut into so many groups that do not mix. Default 1.
        bias: add an offset a channel. Default False, as a normalisation usually follows.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters: weight ``[kh, kw, in/groups, out]`` uniform with variance 2 / (kh kw in/groups), bias ``[out]`` zero.

    Raises:
        ValueError: channels that the groups do not divide, and values that are not whole numbers.
        ShapeError: on building, a kernel larger than the padded picture.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size, stride=1, padding=0, groups: int = 1,
        bias: bool = False, name: str | None = None,
    ):  # fmt: skip
        super().__init__(name)
        self.in_channels = whole("Conv2d: in_channels", in_channels)
        self.out_channels = whole("Conv2d: out_channels", out_channels)
        self.kernel_size = pair("Conv2d: kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d: stride", stride, 1)
        self.padding = pair("Conv2d: padding", padding, 0)
        self.groups = whole("Conv2d: groups", groups)
        self.bias = flag("Conv2d: bias", bias)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: groups must divide the channels; got {groups} for {in_channels} in, {out_channels} out"
            )

    def infer(self, shape):
        self.need_channels(shape, self.in_channels, (5,))
        return (*shape[:2], *window_extent(self, shape), self.out_channels)

    def create(self, shape, rng):
        weight_shape = (*self.kernel_size, self.in_channels // self.groups, self.out_channels)
        weight = _initial_weight(rng, weight_shape, prod(weight_shape[:3]))
        self.weight = self.add_parameter(Parameter("weight", self.kernels.from_host(weight, self.dtype), "weight"))
        self.offset = None
        if self.bias:
            zeros = self.kernels.zeros((self.out_channels,), self.dtype)
            self.offset = self.add_parameter(Parameter("bias", zeros, "bias"))

    def compute(self, x, mode):
        y = self.buffer("y", self.output_shape)
        bias = None if self.offset is None else self.offset.value
        self.kernels.conv2d_forward(
            pictures(x), self.weight.value, bias, self.stride, self.padding, self.groups, pictures(y)
        )
        if mode.store:
            self.kept = x
        return y

    def propagate(self, dy, need_dx):
        kernels = self.kernels
        geometry = self.stride, self.padding, self.groups
        kernels.conv2d_backward_weight(pictures(self.kept), pictures(dy), *geometry, self.weight.grad)
        if self.offset is not None:
            kernels.bias_backward(_rows(dy), self.offset.grad)
        if not need_dx:
            return None
        dx = self.buffer("dx", self.input_shape)
        kernels.conv2d_backward_input(pictures(dy), self.weight.value, *geometry, pictures(dx))
        return dx


def _rows(x):
    """``[..., C]`` -> ``[M, C]``."""
    return x.reshape(-1, x.shape[-1])


def pictures(x):
    """``[T, N, H, W, C]`` -> ``[T N, H, W, C]``."""
    return x.reshape(-1, *x.shape[2:])


def window_extent(layer, shape):
    """(Ho, Wo) of a layer with kernel_size, stride and padding; refuses a window larger than the padded picture."""
    sizes = []
    for extent, kernel, stride, padding in zip(
        shape[2:4], layer.kernel_size, layer.stride, layer.padding, strict=True
    ):
        if kernel > extent + 2 * padding:
            layer.refuse(
                shape,
                f"at least {layer.kernel_size[0]} x {layer.kernel_size[1]} pixels with padding "
                f"{layer.padding}: the kernel is larger than the picture",
            )
        sizes.append((extent + 2 * padding - kernel) // stride + 1)
    return tuple(sizes)
