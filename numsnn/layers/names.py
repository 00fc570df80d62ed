"""Names of layers. A layer may be part of several networks and has a name in each of them."""

from ..names import nearest
from ..shown import shown
from ..validate import text


def checked_name(kind: str, name: str | None) -> str | None:
    """Return the name of a layer of a class, which is None or a text.

    Raises:
        ValueError: the name is something else, has several lines, or holds a sign that full names and files use.
    """
    if name is None:
        return None
    name = text(f"{kind}: name", name)
    if "." in name or "/" in name:
        raise ValueError(f"{kind}: name must be a text without '.' and '/', which separate names; got {shown(name)}")
    return name


def children_names(what, layers) -> list[tuple]:
    """Return pairs (name, layer). A layer without a name is called after its class, with a number per class.

    Args:
        what: class and argument of the container, with which messages begin.
        layers: the layers.

    Raises:
        ValueError: a name is used twice, or a layer appears in the network twice.
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
            raise ValueError(f"{what}: two layers of one network are named {name!r}")
    check_disjoint(layers, what)
    return named


def check_disjoint(layers, what: str) -> None:
    """Refuse networks that have a layer in common; several uses of a layer count as one layer; what begins the message.

    Raises:
        ValueError: a layer is part of two of the networks.
    """
    parts = [{part.origin or part for part in layer.tree()} for layer in layers]
    twice = sum(map(len, parts)) > len(set().union(*parts))
    if twice or any(_repeats(layer) for layer in layers):
        raise ValueError(
            f"{what}: a layer stands in the network twice; make a second one, or share it between two nodes of an "
            "snn.Graph"
        )


def _repeats(layer):
    """Return whether the same object stands twice in a network."""
    inside = [id(part) for part in layer.tree()]
    return len(set(inside)) < len(inside)


def title(net) -> str:
    """Return the name of a network that is used as a whole."""
    return net.name or type(net).__name__.lower()


def find(net, name: str):
    """Return the layer of a network with this full name.

    Raises:
        KeyError: there is no layer of this name.
        TypeError: name is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"{title(net)}: a layer is found by its full name; got {shown(name)}")
    known = dict(net.named()[1:])
    if name not in known:
        inside = [child for child, _ in net.children()]
        listed = ", ".join([*inside[:8], "..."] if len(inside) > 8 else inside)
        rest = nearest(name, known) or (f"; it has {listed}" if inside else "; it contains no layers")
        raise KeyError(f"{title(net)} has no layer {shown(name)}{rest}")
    return known[name]


def names_of(net) -> list[tuple]:
    """Pairs (full name, layer) of a network and all layers inside it, in the order the data passes them. The names of
    layers inside do not begin with that of the network."""
    return [(title(net), net), *_inside(net, "")]


def _inside(layer, prefix):
    for name, child in layer.children():
        yield prefix + name, child
        yield from _inside(child, f"{prefix}{name}.")
