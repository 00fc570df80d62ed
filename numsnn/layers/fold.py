"""Folding batch normalisations into the weights in front of them, for inference."""

from copy import deepcopy
from typing import Any

from ..describe import Described
from ..kernels.types import Moments
from .names import title


def fold(net):
    """Return a new network for inference in which batch normalisations are folded into weights.

    Every `BatchNorm` that directly follows a `Conv2d`, `Conv1d` or `Linear` in the same `Sequential`, `Repeat` or
    branch is folded, with its running statistics, into the weight and bias of that layer; a layer without a bias gets
    one. All other layers are copied, and every layer keeps its requested route and precision. The original network is
    not changed. The new network prepares its weights once and keeps the result from pass to pass, so do not change its
    weights: fold the original network again instead.

    Args:
        net: a built network.

    Returns:
        A built network on the same device and of the same dtype. Its potentials equal those of the original up to
        rounding. Its spikes are the same, except where a potential equals its threshold to within rounding.

    Raises:
        RuntimeError: the network has not been built.
    """
    if not net.built:
        raise RuntimeError(f"{title(net)}.fold: build the network first")
    pairs: list[tuple[Any, Any, Any]] = []
    folded = _copy(net, pairs).build(net.input_shape)
    for layer, source, norm in pairs:
        _take_over(layer, source, norm)
    for layer in folded.walk():
        if hasattr(layer, "prepare_once"):
            layer.prepare_once()
    return folded


def _copy(layer, pairs):
    """Return a copy of this layer, without the normalisations that are folded. For every layer in the copy into which a
    normalisation is folded, append to pairs the layer, its original and the normalisation."""
    rebuild = vars(type(layer)).get("rebuild")  # not inherited: a derived class may have another constructor
    if rebuild is None:
        return deepcopy(layer)
    copy = rebuild(layer, lambda chain: _chain(chain, pairs), lambda part: _copy(part, pairs))
    return copy.to(layer.device, layer.dtype)  # a container without layers takes neither from those inside it


def _chain(layers, pairs):
    """Return copies of layers that follow one another, without the normalisations that are folded."""
    copies, layers = [], list(layers)
    while layers:
        layer = layers.pop(0)
        if layers and _folds(layer, layers[0]):
            copy = Described.from_description(layer.description() | {"bias": True}).to(layer.device, layer.dtype)
            copy.way = layer.way
            pairs.append((copy, layer, layers.pop(0)))
        else:
            copy = _copy(layer, pairs)
        copies.append(copy)
    return copies


def _folds(layer, behind):
    """Return whether the class of the layer declares (``absorbs``) that it can do the arithmetic that the class of the
    layer behind it hands over (``hands_over``). Inherited declarations do not count."""
    handed = vars(type(behind)).get("hands_over")
    return handed is not None and handed == vars(type(layer)).get("absorbs")


def _take_over(layer, source, norm):
    """Set weight and bias of a layer to those of its source, with a normalisation folded into them."""
    bias = None if source.offset is None else source.offset.value
    layer.kernels.batchnorm_fold(
        source.weight.value,
        bias,
        norm.own_affine(),
        Moments(norm.running["mean"], norm.running["var"]),
        layer.weight.value,
        layer.offset.value,
    )
