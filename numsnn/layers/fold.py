"""Folding batch normalisations into the weights in front of them, for inference."""

from typing import Any

from ..describe import Described
from ..kernels.types import Moments
from .names import title


def fold(net):
    """Return a new network for inference in which batch normalisations are folded into weights.

    Every `BatchNorm` that directly follows a `Conv2d`, `Conv1d` or `Linear` in the same `Sequential`, `Repeat` or
    branch is folded, with its running statistics, into the weight and bias of that layer; a layer without a bias gets
    one. The original network is not changed. The new network prepares its weights once and keeps the result from pass
    to pass, so do not change its weights: fold the original network again instead.

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
    sources: list[tuple[Any, Any]] = []
    folded = _copy(net, sources).to(net.device, net.dtype).build(net.input_shape)
    for layer, (source, norm) in zip(folded.walk(), sources, strict=True):
        _take_over(layer, source, norm)
        if hasattr(layer, "freeze"):
            layer.freeze()
    return folded


def _copy(layer, sources):
    """Return a layer like this one, without the normalisations that are folded. For every layer in the copy that is not
    a container, in the order of `Layer.walk`, append to sources the pair (original layer, the normalisation that is
    folded into it, or None)."""
    rebuild = vars(type(layer)).get("rebuild")  # not inherited: a derived class may have another constructor
    if rebuild is None:
        sources.extend((leaf, None) for leaf in layer.walk())
        return Described.from_description(layer.description())
    return rebuild(layer, lambda chain: _chain(chain, sources), lambda part: _copy(part, sources))


def _chain(layers, sources):
    """Return copies of layers that follow one another, without the normalisations that are folded."""
    copies, layers = [], list(layers)
    while layers:
        layer = layers.pop(0)
        if layers and _folds(layer, layers[0]):
            sources.append((layer, layers.pop(0)))
            copies.append(Described.from_description(layer.description() | {"bias": True}))
        else:
            copies.append(_copy(layer, sources))
    return copies


def _folds(layer, behind):
    """Return whether the class of the layer declares (``absorbs``) that it can do the arithmetic that the class of the
    layer behind it hands over (``hands_over``). Inherited declarations do not count."""
    handed = vars(type(behind)).get("hands_over")
    return handed is not None and handed == vars(type(layer)).get("absorbs")


def _take_over(layer, source, norm):
    """Give a layer the parameters and statistics of its source, and fold a normalisation into them if there is one."""
    kernels = layer.kernels
    if norm is None:
        for own, other in zip(layer.own_parameters(), source.own_parameters(), strict=True):
            own.place(kernels.from_host(kernels.to_host(other.value), layer.dtype), own.grad)
        for name, value in source.own_statistics().items():
            layer.set_statistic(name, kernels.to_host(value))
        return
    bias = None if source.offset is None else source.offset.value
    kernels.batchnorm_fold(
        source.weight.value,
        bias,
        norm.own_affine(),
        Moments(norm.running["mean"], norm.running["var"]),
        layer.weight.value,
        layer.offset.value,
    )
