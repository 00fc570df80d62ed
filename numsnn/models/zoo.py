"""Networks of the literature. Each takes what varies between its uses: input channels, classes, steps, neuron."""

from itertools import pairwise

from ..describe import Described
from ..layers import (
    LI,
    LIF,
    PLIF,
    AvgPool2d,
    BatchNorm,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    Neuron,
    RecurrentLIF,
    Repeat,
    Residual,
    Sequential,
)
from ..validate import whole


def _copies(neuron: Neuron | None, default: Neuron):
    """A function that makes one more neuron layer like the given one at every call."""
    description = (neuron or default).description() | {"name": None}
    return lambda: Described.from_description(description)


def _encoded(steps, *layers):
    """The first layers computed once for a static picture, or step by step for inputs that have a time axis."""
    return [Repeat(steps, *layers)] if steps is not None else list(layers)


def mlp(features: int, hidden=(256,), classes: int = 10, steps: int | None = 4, neuron: Neuron | None = None):
    """A plain multilayer perceptron: Linear and neurons for every hidden size, a Linear readout.

    Args:
        features: inputs a step.
        hidden: sizes of the hidden layers.
        classes: outputs.
        steps: T of the direct encoding of feature vectors ``[N, F]``; None for inputs ``[T, N, F]``.
        neuron: what to copy for every hidden layer. Default `LIF`.
    """
    make = _copies(neuron, LIF())
    sizes = [features, *hidden]
    layers = []
    for k, (before, size) in enumerate(pairwise(sizes)):
        layers += [*(_encoded(steps, Linear(before, size)) if k == 0 else [Linear(before, size)]), make()]
    return Sequential(*layers, Linear(sizes[-1], classes))


def vgg_snn(
    channels: int = 2, classes: int = 10, size: int = 48, steps: int | None = None, neuron: Neuron | None = None
):
    """VGG-SNN: 64-128-P-256-256-P-512-512-P-512-512-P and a linear readout, as used on CIFAR10-DVS (Deng et al. 2022,
    arXiv:2202.11946). 9,271,498 parameters for 2 input channels, 10 classes and 48x48 pixels, widths not counted.

    Args:
        channels, classes: sizes of input and output.
        size: height and width of the input, a multiple of 16.
        steps: T of the direct encoding of static pictures; None (default) for events ``[T, N, H, W, C]``.
        neuron: what to copy. Default ``LIF()``.

    Raises:
        ValueError: a size that is not a multiple of 16.
    """
    if whole("vgg_snn: size", size) % 16:
        raise ValueError(f"vgg_snn: size must be a multiple of 16; got {size}")
    make = _copies(neuron, LIF())
    layers: list[Layer] = []
    before = channels
    plan: tuple[int | str, ...] = (64, 128, "P", 256, 256, "P", 512, 512, "P", 512, 512, "P")
    for k, width in enumerate(plan):
        if isinstance(width, str):
            layers.append(AvgPool2d(2))
            continue
        block = Conv2d(before, width, 3, padding=1, bias=True), BatchNorm(width)
        layers += [*(_encoded(steps, *block) if k == 0 else block), make()]
        before = width
    return Sequential(*layers, Flatten(), Linear(512 * (size // 16) ** 2, classes))


def _basic_block(before, width, stride, make, v_threshold, join):
    """conv-norm-neuron-conv-norm beside a shortcut, with a strided 1x1 convolution where the shape changes."""
    branch = [
        Conv2d(before, width, 3, stride, 1),
        BatchNorm(width, v_threshold),
        make(),
        Conv2d(width, width, 3, padding=1),
        BatchNorm(width, v_threshold),
    ]
    side = None
    if stride != 1 or before != width:
        side = [Conv2d(before, width, 1, stride), BatchNorm(width, v_threshold)]
    if join is None:  # the sum goes into a neuron
        return [Residual(*branch, shortcut=Sequential(*side) if side else None), make()]
    shortcut = Sequential(*side, make()) if side else None
    return [Residual(*branch, make(), shortcut=shortcut, join=join)]


def resnet19(
    channels: int = 3,
    classes: int = 10,
    steps: int | None = 4,
    neuron: Neuron | None = None,
    widths: tuple[int, int, int] = (128, 256, 512),
):
    """ResNet-19 with threshold-dependent batch normalisation (Zheng et al. 2021, arXiv:2011.05280): a convolution,
    3 + 3 + 2 basic blocks of 128, 256 and 512 channels, 256 hidden units; every normalisation is tdBN.
    12,697,994 parameters for CIFAR-10, widths not counted.

    Args:
        channels, classes: sizes of input and output.
        steps: T of the direct encoding; None for inputs with a time axis.
        neuron: what to copy; its threshold scales the normalisations. Default ``LIF()``.
        widths: channels of the three stages.
    """
    make = _copies(neuron, LIF())
    theta = float(make().v_threshold)
    layers = [*_encoded(steps, Conv2d(channels, widths[0], 3, padding=1), BatchNorm(widths[0], theta)), make()]
    before = widths[0]
    for stage, (width, blocks) in enumerate(zip(widths, (3, 3, 2), strict=True)):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers += _basic_block(before, width, stride, make, theta, None)
            before = width
    return Sequential(*layers, GlobalAvgPool2d(), Linear(before, 256), make(), Linear(256, classes))


def sew_resnet18(
    channels: int = 3, classes: int = 1000, steps: int | None = 4, neuron: Neuron | None = None, join: str = "add"
):
    """SEW-ResNet-18 (Fang et al. 2021, arXiv:2102.04159): the ImageNet stem, 2 + 2 + 2 + 2 blocks that join spikes.
    11,689,512 parameters for ImageNet, as many as ResNet-18 has (He et al. 2016); widths not counted.

    Args:
        channels, classes: sizes of input and output.
        steps: T of the direct encoding; None for inputs with a time axis.
        neuron: what to copy. Default ``LIF()``.
        join: "add" (default), "and" or "iand".
    """
    make = _copies(neuron, LIF())
    layers = [*_encoded(steps, Conv2d(channels, 64, 7, 2, 3), BatchNorm(64)), make(), MaxPool2d(3, 2, 1)]
    before = 64
    for width in (64, 128, 256, 512):
        for block in range(2):
            layers += _basic_block(before, width, 2 if block == 0 and width > 64 else 1, make, 1.0, join)
            before = width
    return Sequential(*layers, GlobalAvgPool2d(), Linear(before, classes))


def densenet_bc(
    channels: int = 3,
    classes: int = 10,
    steps: int | None = 4,
    neuron: Neuron | None = None,
    depth: int = 100,
    growth: int = 12,
    compression: float = 0.5,
    dropout: float = 0.0,
):
    """DenseNet-BC of spiking neurons: three stages of bottleneck layers norm-neuron-conv1x1-norm-neuron-conv3x3 whose
    outputs are concatenated, transitions in between (Huang et al. 2017, arXiv:1608.06993; a network of this kind and
    about 100 layers was used by Wang et al., LTMD, NeurIPS 2022). 769,162 parameters for depth 100 and growth 12,
    widths not counted: the 0.8 million of Huang et al., table 2.

    Args:
        channels, classes: sizes of input and output.
        steps: T of the direct encoding; None for inputs with a time axis.
        neuron: what to copy. Default ``LIF()``.
        depth: layers, 6 n + 4.
        growth: channels that every bottleneck layer adds.
        compression: share of the channels that a transition keeps.
        dropout: in every bottleneck layer.

    Raises:
        ValueError: a depth that is not 6 n + 4.
    """
    if (whole("densenet_bc: depth", depth, 10) - 4) % 6:
        raise ValueError(f"densenet_bc: depth must be 6 n + 4; got {depth}")
    make = _copies(neuron, LIF())
    before = 2 * growth
    layers = [*_encoded(steps, Conv2d(channels, before, 3, padding=1))]
    for stage in range(3):
        for _ in range((depth - 4) // 6):
            branch = [
                BatchNorm(before),
                make(),
                Conv2d(before, 4 * growth, 1),
                BatchNorm(4 * growth),
                make(),
                Conv2d(4 * growth, growth, 3, padding=1),
            ]
            layers.append(Concat(None, Sequential(*branch, *([Dropout(dropout)] if dropout else []))))
            before += growth
        if stage < 2:
            kept = int(before * compression)
            layers += [BatchNorm(before), make(), Conv2d(before, kept, 1), AvgPool2d(2)]
            before = kept
    return Sequential(*layers, BatchNorm(before), make(), GlobalAvgPool2d(), Linear(before, classes))


def dvs_gesture_net(
    classes: int = 11, channels: int = 128, size: int = 128, neuron: Neuron | None = None, dropout: float = 0.5
):
    """The network for DVS128 Gesture of Fang et al. 2021 (arXiv:2007.05785): five times conv-norm-PLIF-maxpool with 128
    channels, two fully connected spiking layers; the paper votes ten outputs a class, here the readout is linear.

    Args:
        classes: outputs.
        channels: of every convolution. Default 128.
        size: height and width of the frames, a multiple of 32.
        neuron: what to copy. Default ``PLIF()``.
        dropout: before the fully connected layers.

    Raises:
        ValueError: a size that is not a multiple of 32.
    """
    if whole("dvs_gesture_net: size", size) % 32:
        raise ValueError(f"dvs_gesture_net: size must be a multiple of 32; got {size}")
    make = _copies(neuron, PLIF())
    layers = []
    for k in range(5):
        layers += [Conv2d(2 if k == 0 else channels, channels, 3, padding=1), BatchNorm(channels), make(), MaxPool2d(2)]
    features = channels * (size // 32) ** 2
    head = [Flatten(), Dropout(dropout), Linear(features, 512), make(), Dropout(dropout), Linear(512, classes)]
    return Sequential(*layers, *head)


def shd_net(features: int = 700, hidden: int = 256, classes: int = 20, layers: int = 1, neuron: Neuron | None = None):
    """A recurrent network for the Spiking Heidelberg Digits (Cramer et al. 2022, doi:10.1109/TNNLS.2020.3044364):
    spikes of 700 channels, recurrent hidden layers, a leaky integrator as readout.

    Args:
        features, hidden, classes: sizes.
        layers: recurrent layers.
        neuron: what to copy. Default ``RecurrentLIF(tau=10)``.
    """
    make = _copies(neuron, RecurrentLIF(tau=10.0))
    parts, before = [], features
    for _ in range(whole("shd_net: layers", layers)):
        parts += [Linear(before, hidden), make()]
        before = hidden
    return Sequential(*parts, Linear(before, classes), LI(tau=10.0))
