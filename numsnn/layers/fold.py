"""Batch normalisation folded into the weights before it, for inference."""

from typing import Any

from ..describe import Described
from ..kernels.types import Moments
from .names import title


def fold(net):
    """A new network for inference, without the batch normalisations that can be part of weights.

    Every `BatchNorm` that directly follows a `Conv2d`, `Conv1d` or `Linear` in the same `Sequential`, `Repeat` or
    branch is folded into that layer's weight and bias (a bias is added where there is none), with its running
    statistics. The network itself is not touched. What the passes make of the weights is kept from one to the next, so
    the weights of the new network are not to be changed: fold again instead.

    Args:
        net: a built network.

    Returns:
        a built network of the same target and dtype that gives the same potentials but for rounding, hence the same
        spikes but where a potential meets its threshold to within rounding.

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
    """A layer like this one, without what is folded. For every layer in it that is no container, in the order of
    `Layer.walk`, sources gets the layer it stands for and the normalisation behind it, or None."""
    rebuild = vars(type(layer)).get("rebuild")  # a class derived from a container may be constructed in another way
    if rebuild is None:
        sources.extend((leaf, None) for leaf in layer.walk())
        return Described.from_description(layer.description())
    return rebuild(layer, lambda chain: _chain(chain, sources), lambda part: _copy(part, sources))


def _chain(layers, sources):
    """Copies of layers that follow one another."""
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
    """Whether the layer's own class says that it can do the arithmetic that the class of the one behind hands over."""
    handed = vars(type(behind)).get("hands_over")
    return handed is not None and handed == vars(type(layer)).get("absorbs")


def _take_over(layer, source, norm):
    """Give a layer its source's parameters and statistics, folded with those of a normalisation."""
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
