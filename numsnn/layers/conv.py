"""Convolutions over pictures and along sequences (pictures of height 1), and transposed convolutions."""

from math import prod
from typing import Any

from ..kernels.types import Geometry, Window
from ..names import choice
from ..portable import nothing
from ..validate import flag, pair, whole
from .route import Routed
from .shapes import need_channels, pictures, rows, window_extent

SAME, VALID = "same", "valid"
"""Words for a padding that keeps the extent of the input, and for no padding."""


class _Convolution(Routed):
    """Base of the convolutions: their sizes. A subclass calls `slide`.

    Attributes:
        kernel: numbers of taps (vertical, horizontal).
        geometry: how the filter moves, in the form that the kernels take.
        window: the part of the input that one output reads, with the pixels between dilated taps.
    """

    kernel: tuple[int, int]
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

    def slide(self, kernel, stride, padding, dilation):
        """Set how the filter moves. All arguments are pairs (vertical, horizontal), and padding may be "same"."""
        reach = tuple(by * (taps - 1) + 1 for taps, by in zip(kernel, dilation, strict=True))
        if padding == SAME:
            padding = tuple((extent - 1) // 2 for extent in reach)
        self.kernel, self.window = kernel, Window(reach, stride, padding)
        self.geometry = Geometry(stride, padding, self.groups, dilation)

    def taps(self, weight):
        """Return a weight or its gradient in the form that the kernels take: ``[kh, kw, channels, channels]``."""
        return weight.reshape(*self.kernel, *weight.shape[-2:])


class _Direct(_Convolution):
    """Base of `Conv1d` and `Conv2d`, which differ in the rank of their inputs."""

    stride: Any
    padding: Any

    def read_padding(self, padding, read):
        """Check a padding that may be given as a word: "same" stays, and "valid" becomes 0. Any other word is refused,
        and so is "same" with a stride, for which it would not determine where the zeros are.

        Args:
            padding: what the user gave.
            read: `whole` or `pair`, which checks numbers.
        """
        what = f"{type(self).__name__}: padding"
        if not isinstance(padding, str):
            return read(what, padding, 0)
        if choice(what, padding, (SAME, VALID), "whole numbers") == VALID:
            return read(what, 0, 0)
        if self.stride not in (1, (1, 1)):
            raise ValueError(f"{what} {SAME!r} needs stride 1; got stride {self.stride}. Give the padding as a number")
        return padding

    def extent(self, shape):
        """Return the output's positions for an input's shape."""
        return shape[2:-1] if self.padding == SAME else window_extent(self, shape)

    def create(self, shape, rng):
        positions = self.kernel[5 - len(shape) :]
        weight_shape = (*positions, self.in_channels // self.groups, self.out_channels)
        self.create_weight(weight_shape, prod(weight_shape[:-1]), self.out_channels, rng)

    def compute(self, x, mode):
        if mode.store:
            self.keep(x)
        return self._convolved(x, self.kept_weights(mode, self.weight.value))

    def _convolved(self, x, kept=None):
        """Return the output for x; kept holds what the device keeps of weights that do not change, if anything."""
        y, inputs = self.result("y", self.output_shape), pictures(x)
        bias, active = None if self.offset is None else self.offset.value, self.sense(inputs)
        self.routes["forward"] = self.kernels.conv2d_forward(
            inputs, self.taps(self.weight.value), bias, self.geometry, pictures(y), active, self.way, kept
        )
        return y

    def again(self):
        return self._convolved(self.kept.x)

    def propagate(self, dy, need_dx):
        kernels, slopes = self.kernels, pictures(dy)
        if not self.frozen:
            inputs = pictures(self.kept.x)
            self.routes["weight"] = kernels.conv2d_backward_weight(
                inputs, slopes, self.geometry, self.taps(self.weight.grad), self.sensed(inputs), self.way
            )
        if self.offset is not None and not self.frozen:
            kernels.bias_backward(rows(dy), self.offset.grad)
        if not need_dx:
            return None
        dx = self.gradient(self.input_shape)
        self.routes["input"] = kernels.conv2d_backward_input(
            slopes,
            self.taps(self.weight.value),
            self.geometry,
            pictures(dx),
            self.way,
            None if self.needed is None else pictures(self.needed),
        )
        return dx


class Conv1d(_Direct):
    """Convolution along sequences, at every step.

    ``[T, N, L, in_channels]`` -> ``[T, N, Lo, out_channels]`` with
    Lo = (L + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1. L counts positions within a step (frequency
    bands or sensors, for example), not time.

    Args:
        in_channels, out_channels: numbers of channels.
        kernel_size, stride: whole numbers, in positions. Default of stride: 1.
        padding: number of zeros at both ends; or "valid" for none; or "same", with stride 1 only, for
            dilation (kernel_size - 1) zeros in total, so that Lo = L. If their number is odd, the second end gets one
            more, as in PyTorch. Default 0.
        groups: number of groups into which the channels are divided; each output channel depends on the input channels
            of its group only. Default 1.
        bias: whether to add one offset per channel. Default False, because a normalisation usually follows.
        dilation: distance between the positions that neighbouring taps of the filter read. Default 1.
        name: shown in reports and errors. Default: the class's name and a number.

    Parameters: weight ``[k, in/groups, out]``, uniform with variance 2 / (k in/groups) at the start (He et al. 2015,
    arXiv:1502.01852), and bias ``[out]``, zero at the start.

    Raises:
        ValueError: groups does not divide both numbers of channels, a value is not a whole number, or padding is
            another word, or "same" with a stride.
        ShapeError: on building, the input has another rank or number of channels, or the kernel is larger than the
            padded sequence.
    """

    absorbs = "normalisation"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | str = 0,
        groups: int = 1,
        bias: bool = False,
        dilation: int = 1,
        name: str | None = None,
    ):
        super().__init__(in_channels, out_channels, groups, bias, name)
        self.kernel_size = whole("Conv1d: kernel_size", kernel_size)
        self.stride = whole("Conv1d: stride", stride)
        self.dilation = whole("Conv1d: dilation", dilation)
        self.padding = self.read_padding(padding, whole)
        along = SAME if self.padding == SAME else (0, self.padding)
        self.slide((1, self.kernel_size), (1, self.stride), along, (1, self.dilation))

    def infer(self, shape):
        need_channels(self, shape, self.in_channels, (4,))
        return (*shape[:2], *self.extent(shape), self.out_channels)


class Conv2d(_Direct):
    """Convolution over pictures, at every step.

    ``[T, N, H, W, in_channels]`` -> ``[T, N, Ho, Wo, out_channels]`` with
    Ho = (H + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1, and Wo in the same way.

    Args:
        in_channels, out_channels: numbers of channels.
        kernel_size, stride: whole numbers, or pairs (vertical, horizontal), in pixels. Default of stride: 1.
        padding: width of the border of zeros, a whole number or a pair (vertical, horizontal); or "valid" for none; or
            "same", with stride 1 only, for dilation (kernel_size - 1) zeros in total, so that Ho = H and Wo = W. If
            their number is odd, the lower or right border gets one more, as in PyTorch. Default 0.
        groups: number of groups into which the channels are divided; each output channel depends on the input channels
            of its group only. If it equals in_channels, the convolution is depthwise. Default 1.
        bias: whether to add one offset per channel. Default False, because a normalisation usually follows.
        dilation: distance between the pixels that neighbouring taps of the filter read, a whole number or a pair
            (vertical, horizontal). Default 1.
        name: shown in reports and errors. Default: the class's name and a number.

    Parameters: weight ``[kh, kw, in/groups, out]``, uniform with variance 2 / (kh kw in/groups) at the start (He et
    al. 2015, arXiv:1502.01852), and bias ``[out]``, zero at the start.

    Raises:
        ValueError: groups does not divide both numbers of channels, a value is not a whole number, or padding is
            another word, or "same" with a stride.
        ShapeError: on building, the input has another rank or number of channels, or the kernel is larger than the
            padded picture.
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
        dilation=1,
        name: str | None = None,
    ):
        super().__init__(in_channels, out_channels, groups, bias, name)
        self.kernel_size = pair("Conv2d: kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d: stride", stride, 1)
        self.dilation = pair("Conv2d: dilation", dilation, 1)
        self.padding = self.read_padding(padding, pair)
        self.slide(self.kernel_size, self.stride, self.padding, self.dilation)

    def infer(self, shape):
        need_channels(self, shape, self.in_channels, (5,))
        return (*shape[:2], *self.extent(shape), self.out_channels)


class ConvTranspose2d(_Convolution):
    """Transposed convolution at every step: it computes the input gradient of a `Conv2d` and enlarges pictures.

    ``[T, N, H, W, in_channels]`` -> ``[T, N, Ho, Wo, out_channels]`` with
    Ho = (H - 1) stride - 2 padding + dilation (kernel_size - 1) + 1 + output_padding, as in PyTorch, and Wo in the same
    way.

    Args:
        in_channels, out_channels: numbers of channels.
        kernel_size, stride, padding, dilation: those of the convolution that is transposed; whole numbers, or pairs
            (vertical, horizontal), in pixels. Defaults: stride 1, padding 0, dilation 1.
        output_padding: additional pixels at the lower and right border, less than stride. The convolution maps several
            sizes onto H by W, and this number selects one of them. Default 0.
        groups: number of groups into which the channels are divided; each output channel depends on the input channels
            of its group only. Default 1.
        bias: whether to add one offset per channel. Default False, because a normalisation usually follows.
        name: shown in reports and errors. Default: the class's name and a number.

    Parameters: weight ``[kh, kw, out/groups, in]``, the weight of the convolution from out to in channels that is
    transposed. At the start it is uniform with variance 2 / n, where n = max(1, kh/sh) max(1, kw/sw) in/groups is the
    mean number of inputs that enter one output. Bias ``[out]``, zero at the start.

    Raises:
        ValueError: groups does not divide both numbers of channels, output_padding is not less than stride, or a value
            is not a whole number.
        ShapeError: on building, the input has another rank or number of channels, or the padding leaves no pixels.
    """

    reads_spikes = False
    """The gradient of the input is itself a convolution, which is computed everywhere."""

    transient = _Convolution.transient | {"_active_dy": nothing}
    _active_dy = None
    """The list of active elements of dL/dy, which is the input of the convolution that is transposed."""

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
        dilation=1,
        name: str | None = None,
    ):
        super().__init__(in_channels, out_channels, groups, bias, name)
        self.kernel_size = pair("ConvTranspose2d: kernel_size", kernel_size, 1)
        self.stride = pair("ConvTranspose2d: stride", stride, 1)
        self.padding = pair("ConvTranspose2d: padding", padding, 0)
        self.output_padding = pair("ConvTranspose2d: output_padding", output_padding, 0)
        self.dilation = pair("ConvTranspose2d: dilation", dilation, 1)
        self.slide(self.kernel_size, self.stride, self.padding, self.dilation)
        if any(extra >= step for extra, step in zip(self.output_padding, self.stride, strict=True)):
            raise ValueError(
                f"ConvTranspose2d: output_padding must be less than stride {self.stride}; got {self.output_padding}"
            )

    def infer(self, shape):
        need_channels(self, shape, self.in_channels, (5,))
        sizes = [
            (extent - 1) * stride - 2 * padding + reach + extra
            for extent, reach, stride, padding, extra in zip(shape[2:4], *self.window, self.output_padding, strict=True)
        ]
        if min(sizes) < 1:
            self.refuse(shape, f"large enough for padding {self.padding}, which leaves {sizes[0]} x {sizes[1]} pixels")
        return (*shape[:2], *sizes, self.out_channels)

    def create(self, shape, rng):
        reach = [max(1, kernel / stride) for kernel, stride in zip(self.kernel_size, self.stride, strict=True)]
        weight_shape = (*self.kernel_size, self.out_channels // self.groups, self.in_channels)
        fan_in = prod(reach) * (self.in_channels // self.groups)
        self.create_weight(weight_shape, fan_in, self.out_channels, rng)

    def compute(self, x, mode):
        if mode.store:
            self.receive(x)
        return self._convolved(x)

    def _convolved(self, x):
        y, inputs = self.result("y", self.output_shape), pictures(x)
        self.routes["forward"] = self.kernels.conv2d_backward_input(
            inputs, self.weight.value, self.geometry, pictures(y), self.way, None, self.sense(inputs)
        )
        if self.offset is not None:
            self.kernels.add_row(rows(y), self.offset.value, rows(y))
        return y

    def again(self):
        return self._convolved(self.kept.x)

    def receive(self, x):
        self.keep(None if x is None else self.as_real(x))  # takes the place of a gradient, which is never uint8

    def propagate(self, dy, need_dx):
        kernels, x = self.kernels, pictures(self.kept.x)
        active = self._active_dy = kernels.active_inputs(pictures(dy), self.dtype, self._active_dy)
        if not self.frozen:
            self.routes["weight"] = kernels.conv2d_backward_weight(
                pictures(dy), x, self.geometry, self.weight.grad, active, self.way, self.sensed(x)
            )
        if self.offset is not None and not self.frozen:
            kernels.bias_backward(rows(dy), self.offset.grad)
        if not need_dx:
            return None
        dx = self.gradient(self.input_shape)
        self.routes["input"] = kernels.conv2d_forward(
            pictures(dy), self.weight.value, None, self.geometry, pictures(dx), active, self.way
        )
        return dx

    def move(self, kernels, dtype):
        self._active_dy = None
        super().move(kernels, dtype)
