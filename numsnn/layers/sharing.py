"""Shared layers: several uses of one layer, with the same parameters and statistics.

Every use is a layer object of its own, with its own name, buffers, carried state and results of a pass. All other
attributes are those of one layer, the original: each use takes them over before a pass and hands them back after it, so
that it does not matter which of them builds, moves or tracks.
"""

from copy import deepcopy

PER_USE = ("path", "name", "input_shape", "output_shape", "routes", "visible_share", "record", "origin")
"""Attributes that every use has for itself, besides those that a copy does not contain (`Portable.transient`)."""


def another_use(layer):
    """Return another use of a layer, or of a network with all layers in it."""
    use = deepcopy(layer)
    for original, other in zip(layer.tree(), use.tree(), strict=True):
        other.origin = original.origin or original
    connect(use)
    return use


def connect(net) -> None:
    """Make every original know its further uses in this network."""
    for layer in net.tree():
        if layer.origin is not None and all(layer is not use for use in layer.origin.further_uses):
            layer.origin.further_uses.append(layer)


def uses(layer) -> list:
    """Return all uses of a layer, this one included; the original is the first one."""
    original = layer.origin or layer
    found = [original, *original.further_uses]
    return found if any(layer is use for use in found) else [*found, layer]


OF_CONTAINERS = ("device", "dtype", "_frozen", "_parameters")
"""Attributes that all uses of a container share; each use contains its own uses of the layers inside."""


def take_over(layer, source) -> None:
    """Make the parameters, statistics and all other shared attributes of a layer those of another use."""
    if layer.children():
        shared = {name: getattr(source, name) for name in OF_CONTAINERS}
    else:
        own = {*type(layer).transient, *PER_USE}
        shared = {name: value for name, value in vars(source).items() if name not in own}
    vars(layer).update(shared)


def hand_out(layer) -> None:
    """Make the shared attributes of all uses of a layer those of this one."""
    for use in uses(layer):
        if use is not layer:
            take_over(use, layer)


def owners(named) -> list[tuple]:
    """Return those of the pairs (name, layer) whose parameters and statistics do not belong to another of them: one
    use of every layer, and the original if it is among them."""
    first: dict = {}
    for _, layer in named:
        original = layer.origin or layer
        if layer is original or original not in first:
            first[original] = layer
    return [(name, layer) for name, layer in named if first[layer.origin or layer] is layer]
