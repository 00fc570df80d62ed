"""Convolutions: over pictures, along sequences (pictures of height 1), and transposed."""

from math import prod

from ..kernels.types import Geometry, Window
from ..validate import flag, pair, whole
from .dense import initial_weight
from .parameter import Parameter
from .route import Routed
from .shapes import need_channels, pictures, rows, window_extent


class _Convolution(Routed):
    """What convolutions share: sizes, weights and bias. A subclass sets ``window``, a `kernels.types.Window`."""

    window: Window

    def __init__(self, in_channels, out_channels, groups, bias, name):
        super().__init__(name)
        kind = type(self).__name__
        self.in_channels = whole(f"{kind}: in_channels", in_channels)
        self.out_channels = whole(f"{kind}: out_channels", out_channels)
        self.groups = whole(f"{kind}: groups", groups)
        self.bias = flag(f"{kind}: bias", bias)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{kind}: groups must divide the channels; got {groups} for {in_channels} in, {out_channels} out"
            )

    def create_weight(self, shape, fan_in, rng):
        """Make the weight of this shape, and a bias of zeros where there is one."""
        weight = self.kernels.from_host(initial_weight(rng, shape, fan_in), self.dtype)
        self.weight = self.add_parameter(Parameter("weight", weight, "weight"))
        self.offset = None
        if self.bias:
            zeros = self.kernels.zeros((self.out_channels,), self.dtype)
            self.offset = self.add_parameter(Parameter("bias", zeros, "bias"))

    @property
    def geometry(self):
        """Stride, padding and groups, as kernels take them."""
        return Geometry(self.window.stride, self.window.padding, self.groups)

    def taps(self, weight):
        """A weight, or its gradient, as kernels take it: ``[kh, kw, channels, channels]``."""
        return weight.reshape(*self.window.kernel, *weight.shape[-2:])


class _Direct(_Convolution):
    """Conv1d and Conv2d: they differ in the rank of what they take."""

    def create(self, shape, rng):
        positions = self.window.kernel[5 - len(shape) :]
        weight_shape = (*positions, self.in_channels // self.groups, self.out_channels)
        self.create_weight(weight_shape, prod(weight_shape[:-1]), rng)

    def compute(self, x, mode):
        y = self.buffer("y", self.output_shape)
        bias = None if self.offset is None else self.offset.value
        self.routes["forward"] = self.kernels.conv2d_forward(
            pictures(x),
            self.taps(self.weight.value),
            bias,
            self.geometry,
            pictures(y),
            self.sense(pictures(x)),
            self.way,
            self.kept_weights(mode, self.weight.value),
        )
        self.keep(x, mode)
        return y

    def propagate(self, dy, need_dx):
        kernels = self.kernels
        self.routes["weight"] = kernels.conv2d_backward_weight(
            pictures(self.kept.x), pictures(dy), self.geometry, self.taps(self.weight.grad), self._active, self.way
        )
        if self.offset is not None:
            kernels.bias_backward(rows(dy), self.offset.grad)
        if not need_dx:
            return None
        dx = self.gradient(self.input_shape)
        self.routes["input"] = kernels.conv2d_backward_input(
            pictures(dy),
            self.taps(self.weight.value),
            self.geometry,
            pictures(dx),
            self.way,
            None if self.needed is None else pictures(self.needed),
        )
        return dx


class Conv1d(_Direct):
    """Convolution along sequences, at every step. ``[T, N, L, in_channels]`` -> ``[T, N, Lo, out_channels]`` with
    Lo = (L + 2 padding - kernel_size) // stride + 1. L is a position within a step (a frequency band, a sensor, a place
    on a string), not time.

    Args:
        in_channels, out_channels: sizes.
        kernel_size, stride, padding: whole numbers. Defaults: stride 1, padding 0.
        groups: input and output channels are cut into so many groups that do not mix. Default 1.
        bias: add an offset a channel. Default False, as a normalisation usually follows.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters: weight ``[k, in/groups, out]`` uniform with variance 2 / (k in/groups), bias ``[out]`` zero.

    Raises:
        ValueError: channels that the groups do not divide, and values that are not whole numbers.
        ShapeError: on building, a kernel larger than the padded sequence.
    """

    absorbs = "normalisation"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = False,
        name: str | None = None,
    ):
        super().__init__(in_channels, out_channels, groups, bias, name)
        self.kernel_size = whole("Conv1d: kernel_size", kernel_size)
        self.stride = whole("Conv1d: stride", stride)
        self.padding = whole("Conv1d: padding", padding, 0)
        self.window = Window((1, self.kernel_size), (1, self.stride), (0, self.padding))

    def infer(self, shape):
        need_channels(self, shape, self.in_channels, (4,))
        return (*shape[:2], *window_extent(self, shape), self.out_channels)


class Conv2d(_Direct):
    """Convolution at every step. ``[T, N, H, W, in_channels]`` -> ``[T, N, Ho, Wo, out_channels]`` with
    Ho = (H + 2 padding - kernel_size) // stride + 1.

    Args:
        in_channels, out_channels: sizes.
        kernel_size, stride, padding: whole numbers, or pairs (vertical, horizontal). Defaults: stride 1, padding 0.
        groups: input and output channels are cut into so many groups that do not mix; as many as input channels make
            it a depthwise convolution. Default 1.
        bias: add an offset a channel. Default False, as a normalisation usually follows.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters: weight ``[kh, kw, in/groups, out]`` uniform with variance 2 / (kh kw in/groups), bias ``[out]`` zero.

    Raises:
        ValueError: channels that the groups do not divide, and values that are not whole numbers.
        ShapeError: on building, a kernel larger than the padded picture.
    """

    absorbs = "normalisation"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        groups: int = 1,
        bias: bool = False,
        name: str | None = None,
    ):
        super().__init__(in_channels, out_channels, groups, bias, name)
        self.kernel_size = pair("Conv2d: kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d: stride", stride, 1)
        self.padding = pair("Conv2d: padding", padding, 0)
        self.window = Window(self.kernel_size, self.stride, self.padding)

    def infer(self, shape):
        need_channels(self, shape, self.in_channels, (5,))
        return (*shape[:2], *window_extent(self, shape), self.out_channels)


class ConvTranspose2d(_Convolution):
    """Transposed convolution at every step: the input gradient of a `Conv2d` as a layer, which makes pictures larger.
    ``[T, N, H, W, in_channels]`` -> ``[T, N, Ho, Wo, out_channels]`` with
    Ho = (H - 1) stride - 2 padding + kernel_size + output_padding, as in PyTorch.

    Args:
        in_channels, out_channels: sizes.
        kernel_size, stride, padding: of the convolution that is transposed; whole numbers, or pairs (vertical,
            horizontal). Defaults: stride 1, padding 0.
        output_padding: rows and columns more at the end, less than stride: which of the sizes that the convolution maps
            onto H by W is meant. Default 0.
        groups: input and output channels are cut into so many groups that do not mix. Default 1.
        bias: add an offset a channel. Default False, as a normalisation usually follows.
        name: shown in reports and errors; by default the class's name and a number.

    Parameters: weight ``[kh, kw, out/groups, in]``, that of the convolution from out to in channels which is
    transposed, uniform with variance 2 / n, n = max(1, kh/sh) max(1, kw/sw) in/groups being the inputs that an output
    sums on average; bias ``[out]`` zero.

    Raises:
        ValueError: channels that the groups do not divide, an output_padding not less than stride, and values that are
            not whole numbers.
        ShapeError: on building, more padding than there is picture.
    """

    reads_spikes = False
    """The gradient of the input is a convolution, which is computed everywhere."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups: int = 1,
        bias: bool = False,
        name: str | None = None,
    ):
        super().__init__(in_channels, out_channels, groups, bias, name)
        self.kernel_size = pair("ConvTranspose2d: kernel_size", kernel_size, 1)
        self.stride = pair("ConvTranspose2d: stride", stride, 1)
        self.padding = pair("ConvTranspose2d: padding", padding, 0)
        self.output_padding = pair("ConvTranspose2d: output_padding", output_padding, 0)
        self.window = Window(self.kernel_size, self.stride, self.padding)
        if any(extra >= step for extra, step in zip(self.output_padding, self.stride, strict=True)):
            raise ValueError(
                f"ConvTranspose2d: output_padding must be less than stride {self.stride}; got {self.output_padding}"
            )

    def infer(self, shape):
        need_channels(self, shape, self.in_channels, (5,))
        sizes = [
            (extent - 1) * stride - 2 * padding + kernel + extra
            for extent, kernel, stride, padding, extra in zip(
                shape[2:4], *self.window, self.output_padding, strict=True
            )
        ]
        if min(sizes) < 1:
            self.refuse(shape, f"large enough for padding {self.padding}, which leaves {sizes[0]} x {sizes[1]} pixels")
        return (*shape[:2], *sizes, self.out_channels)

    def create(self, shape, rng):
        reach = [max(1, kernel / stride) for kernel, stride in zip(self.kernel_size, self.stride, strict=True)]
        weight_shape = (*self.kernel_size, self.out_channels // self.groups, self.in_channels)
        self.create_weight(weight_shape, prod(reach) * (self.in_channels // self.groups), rng)

    def compute(self, x, mode):
        y = self.buffer("y", self.output_shape)
        self.routes["forward"] = self.kernels.conv2d_backward_input(
            pictures(x), self.weight.value, self.geometry, pictures(y), self.way
        )
        if self.offset is not None:
            self.kernels.add_row(rows(y), self.offset.value, rows(y))
        if mode.store:
            self.keep(self.as_real(x), mode)  # in the place of a gradient, which is never spikes
        return y

    def propagate(self, dy, need_dx):
        kernels = self.kernels
        active = self.sense(pictures(dy))
        self.routes["weight"] = kernels.conv2d_backward_weight(
            pictures(dy), pictures(self.kept.x), self.geometry, self.weight.grad, active, self.way
        )
        if self.offset is not None:
            kernels.bias_backward(rows(dy), self.offset.grad)
        if not need_dx:
            return None
        dx = self.gradient(self.input_shape)
        self.routes["input"] = kernels.conv2d_forward(
            pictures(dy), self.weight.value, None, self.geometry, pictures(dx), active, self.way
        )
        return dx
