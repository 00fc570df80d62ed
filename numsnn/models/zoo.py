"""Networks from the literature. Their arguments are what varies between uses: channels, classes, steps, neuron."""

from itertools import pairwise

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
from ..names import choice
from ..shown import shown
from ..validate import listed, whole, within
from .architecture import copies_of, threshold_of

MOST_LAYERS = 10_000
"""Layers of the largest network that is made from a number of layers; more would take hours."""


MOST_PIXELS = 2**16
"""The largest height and width of pictures."""


def _need_sizes(owner, steps=None, **sizes):
    """Refuse sizes, by name, that are not whole numbers of at least 1; steps may also be None."""
    for name, size in (sizes if steps is None else {**sizes, "steps": steps}).items():
        whole(f"{owner}: {name}", size)


def _encoded(steps, *layers):
    """Compute the first layers once for a static picture, or at each step for inputs that have a time axis."""
    return [Repeat(steps, *layers)] if steps is not None else list(layers)


def mlp(
    features: int, hidden=(256,), classes: int = 10, steps: int | None = 4, neuron: Neuron | None = None
) -> Sequential:
    """A multilayer perceptron: a Linear and neurons per hidden size, and a Linear readout.

    ``[N, features]``, or ``[T, N, features]`` with ``steps=None`` -> ``[T, N, classes]``.

    Args:
        features: number of inputs per step.
        hidden: sizes of the hidden layers. Default (256,).
        classes: number of outputs. Default 10.
        steps: T of the direct encoding of feature vectors ``[N, F]``; None for inputs ``[T, N, F]``. Default 4.
        neuron: neuron layer that is copied for every hidden layer. Default `LIF`.
    """
    hidden = listed("mlp: hidden", hidden, "the sizes of the hidden layers")
    for size in hidden:
        whole("mlp: hidden", size)
    _need_sizes("mlp", steps, features=features, classes=classes)
    make = copies_of("mlp: neuron", neuron, LIF)
    sizes = [features, *hidden]
    layers = []
    for k, (before, size) in enumerate(pairwise(sizes)):
        layers += [*(_encoded(steps, Linear(before, size)) if k == 0 else [Linear(before, size)]), make()]
    return Sequential(*layers, Linear(sizes[-1], classes))


def vgg_snn(
    channels: int = 2, classes: int = 10, size: int = 48, steps: int | None = None, neuron: Neuron | None = None
) -> Sequential:
    """VGG-SNN: 64-128-P-256-256-P-512-512-P-512-512-P and a linear readout, as used for CIFAR10-DVS.

    It has 9,271,498 parameters for 2 input channels, 10 classes and 48x48 pixels, without widths. Source: Deng et al.
    2022, arXiv:2202.11946.

    ``[T, N, size, size, channels]``, or ``[N, size, size, channels]`` with ``steps`` -> ``[T, N, classes]``.

    Args:
        channels: number of input channels. Default 2.
        classes: number of outputs. Default 10.
        size: height and width of the input in pixels, a multiple of 16. Default 48.
        steps: T of the direct encoding of static pictures; None (default) for events ``[T, N, H, W, C]``.
        neuron: neuron layer that is copied. Default ``LIF()``.

    Raises:
        ValueError: the size is not a multiple of 16.
    """
    if whole("vgg_snn: size", size, high=MOST_PIXELS) % 16:
        raise ValueError(f"vgg_snn: size must be a multiple of 16; got {size}")
    _need_sizes("vgg_snn", steps, channels=channels, classes=classes)
    make = copies_of("vgg_snn: neuron", neuron, LIF)
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
    """Return conv-norm-neuron-conv-norm beside a shortcut, with a strided 1x1 convolution if the shape changes."""
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
    if join is None:  # the sum is the input current of a neuron layer
        return [Residual(*branch, shortcut=Sequential(*side) if side else None), make()]
    shortcut = Sequential(*side, make()) if side else None
    return [Residual(*branch, make(), shortcut=shortcut, join=join)]


def resnet19(
    channels: int = 3,
    classes: int = 10,
    steps: int | None = 4,
    neuron: Neuron | None = None,
    widths: tuple[int, int, int] = (128, 256, 512),
) -> Sequential:
    """ResNet-19 with threshold-dependent batch normalisation (tdBN).

    It consists of a convolution, 3 + 3 + 2 basic blocks of 128, 256 and 512 channels, and 256 hidden units; every
    normalisation is tdBN. It has 12,697,994 parameters for CIFAR-10, without widths. Source: Zheng et al. 2021,
    arXiv:2011.05280.

    ``[N, H, W, channels]``, or ``[T, N, H, W, channels]`` with ``steps=None`` -> ``[T, N, classes]``.

    Args:
        channels: number of input channels. Default 3.
        classes: number of outputs. Default 10.
        steps: T of the direct encoding; None for inputs with a time axis. Default 4.
        neuron: neuron layer that is copied; its threshold scales the normalisations. Default ``LIF()``.
        widths: channels of the three stages. Default (128, 256, 512).
    """
    _need_sizes("resnet19", steps, channels=channels, classes=classes)
    sizes = [whole("resnet19: widths", width) for width in listed("resnet19: widths", widths, "three sizes")]
    if len(sizes) != 3:
        raise ValueError(f"resnet19: widths must be three sizes, one per stage; got {shown(widths)}")
    make = copies_of("resnet19: neuron", neuron, LIF)
    theta = threshold_of("resnet19: neuron", make())
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
) -> Sequential:
    """SEW-ResNet-18: the first layers of ResNet-18 for ImageNet, and 2 + 2 + 2 + 2 blocks that join spikes.

    It has 11,689,512 parameters for ImageNet, without widths, the same number as ResNet-18 (He et al. 2016). Source:
    Fang et al. 2021, arXiv:2102.04159.

    ``[N, H, W, channels]``, or ``[T, N, H, W, channels]`` with ``steps=None`` -> ``[T, N, classes]``.

    Args:
        channels: number of input channels. Default 3.
        classes: number of outputs. Default 1000.
        steps: T of the direct encoding; None for inputs with a time axis. Default 4.
        neuron: neuron layer that is copied. Default ``LIF()``.
        join: "add" (default), "and" or "iand".
    """
    _need_sizes("sew_resnet18", steps, channels=channels, classes=classes)
    choice("sew_resnet18: join", join, ("add", "and", "iand"))
    make = copies_of("sew_resnet18: neuron", neuron, LIF)
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
) -> Sequential:
    """DenseNet-BC of spiking neurons.

    Three stages of bottleneck layers norm-neuron-conv1x1-norm-neuron-conv3x3, whose outputs are concatenated, with
    transitions between the stages. It has 769,162 parameters for depth 100 and growth 12, without widths (0.8 million
    in table 2 of the source). Source: Huang et al. 2017, arXiv:1608.06993; Wang et al. (LTMD, NeurIPS 2022) used a
    spiking network of this kind with about 100 layers.

    ``[N, H, W, channels]``, or ``[T, N, H, W, channels]`` with ``steps=None`` -> ``[T, N, classes]``.

    Args:
        channels: number of input channels. Default 3.
        classes: number of outputs. Default 10.
        steps: T of the direct encoding; None for inputs with a time axis. Default 4.
        neuron: neuron layer that is copied. Default ``LIF()``.
        depth: number of layers, 6 n + 4 for a whole number n. Default 100.
        growth: number of channels that each bottleneck layer adds. Default 12.
        compression: share of the channels that a transition keeps. Default 0.5.
        dropout: probability of dropout in every bottleneck layer. Default 0.

    Raises:
        ValueError: the depth is not 6 n + 4.
    """
    if (whole("densenet_bc: depth", depth, 10, MOST_LAYERS) - 4) % 6:
        raise ValueError(f"densenet_bc: depth must be 6 n + 4; got {depth}")
    _need_sizes("densenet_bc", steps, channels=channels, classes=classes, growth=growth)
    within("densenet_bc: compression", compression, 0, 1, open_low=True)
    within("densenet_bc: dropout", dropout, 0, 1, open_high=True)
    make = copies_of("densenet_bc: neuron", neuron, LIF)
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
            kept = max(1, int(before * compression))
            layers += [BatchNorm(before), make(), Conv2d(before, kept, 1), AvgPool2d(2)]
            before = kept
    return Sequential(*layers, BatchNorm(before), make(), GlobalAvgPool2d(), Linear(before, classes))


def dvs_gesture_net(
    classes: int = 11, channels: int = 128, size: int = 128, neuron: Neuron | None = None, dropout: float = 0.5
) -> Sequential:
    """The network for DVS128 Gesture: five times conv-norm-PLIF-maxpool, and two spiking linear layers.

    The paper takes a vote of ten outputs per class; here the readout is linear. Source: Fang et al. 2021,
    arXiv:2007.05785.

    ``[T, N, size, size, 2]`` -> ``[T, N, classes]``.

    Args:
        classes: number of outputs. Default 11.
        channels: number of channels of every convolution. Default 128.
        size: height and width of the frames in pixels, a multiple of 32. Default 128.
        neuron: neuron layer that is copied. Default ``PLIF()``.
        dropout: probability of dropout before the linear layers. Default 0.5.

    Raises:
        ValueError: the size is not a multiple of 32.
    """
    if whole("dvs_gesture_net: size", size, high=MOST_PIXELS) % 32:
        raise ValueError(f"dvs_gesture_net: size must be a multiple of 32; got {size}")
    _need_sizes("dvs_gesture_net", channels=channels, classes=classes)
    within("dvs_gesture_net: dropout", dropout, 0, 1, open_high=True)
    make = copies_of("dvs_gesture_net: neuron", neuron, PLIF)
    layers = []
    for k in range(5):
        layers += [Conv2d(2 if k == 0 else channels, channels, 3, padding=1), BatchNorm(channels), make(), MaxPool2d(2)]
    features = channels * (size // 32) ** 2
    head = [Flatten(), Dropout(dropout), Linear(features, 512), make(), Dropout(dropout), Linear(512, classes)]
    return Sequential(*layers, *head)


def shd_net(
    features: int = 700, hidden: int = 256, classes: int = 20, layers: int = 1, neuron: Neuron | None = None
) -> Sequential:
    """A recurrent network for the Spiking Heidelberg Digits.

    Recurrent hidden layers read spikes of 700 channels, and a leaky integrator is the readout. Source: Cramer et al.
    2022, doi:10.1109/TNNLS.2020.3044364.

    ``[T, N, features]`` -> ``[T, N, classes]``.

    Args:
        features: number of inputs per step. Default 700.
        hidden: number of neurons per recurrent layer. Default 256.
        classes: number of outputs. Default 20.
        layers: number of recurrent layers. Default 1.
        neuron: neuron layer that is copied. Default ``RecurrentLIF(tau=10)``.
    """
    _need_sizes("shd_net", features=features, hidden=hidden, classes=classes)
    make = copies_of("shd_net: neuron", neuron, lambda: RecurrentLIF(tau=10.0))
    parts, before = [], features
    for _ in range(whole("shd_net: layers", layers, high=MOST_LAYERS)):
        parts += [Linear(before, hidden), make()]
        before = hidden
    return Sequential(*parts, Linear(before, classes), LI(tau=10.0))
