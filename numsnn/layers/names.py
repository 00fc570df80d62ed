"""Names of layers. They belong to the network that is asked: a layer may stand in several networks."""


def children_names(layers) -> list[tuple]:
    """Pairs (name, layer): a layer's own name, or the class's name and a number counted by class.

    Raises:
        ValueError: a name is used twice, or a layer stands in the network twice.
    """
    counts: dict[str, int] = {}
    named: list[tuple] = []
    for layer in layers:
        kind = type(layer).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        named.append((layer.name or f"{kind}{counts[kind]}", layer))
    names = [name for name, _ in named]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two layers of one network are named {name!r}")
    inside = [id(part) for layer in layers for part in layer.tree()]
    if len(set(inside)) < len(inside):
        raise ValueError("a layer stands in the network twice; make a second one instead")
    return named


def title(net) -> str:
    """The name of a network that is asked, or used, as a whole."""
    return net.name or type(net).__name__.lower()


def names_of(net) -> list[tuple]:
    """Pairs (full name, layer) of a network and all layers inside it, in the order the data passes them. The names of
    layers inside do not begin with that of the network."""
    return [(title(net), net), *_inside(net, "")]


def _inside(layer, prefix):
    for name, child in layer.children():
        yield prefix + name, child
        yield from _inside(child, f"{prefix}{name}.")
