"""The nodes of a graph as they are declared: checks, and the order in which data pass through them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..names import nearest
from ..shown import shown
from .base import Layer

JOINS = ("concat", "add")
"""What a node may do with several inputs: concatenate them along the channels, or add them."""


class Node(NamedTuple):
    """One node of a graph.

    Attributes:
        name: name of the node.
        what: a layer, the name of the node whose layer is used again, or one of `JOINS`.
        sources: names of the inputs and nodes that it reads.
    """

    name: str
    what: Any
    sources: tuple[str, ...]

    @property
    def joins(self) -> bool:
        """Whether the node joins several inputs and has no layer."""
        return isinstance(self.what, str) and self.what in JOINS


def input_names(inputs) -> tuple[str, ...]:
    """Return the names of the inputs after a check."""
    if isinstance(inputs, str) or not isinstance(inputs, tuple | list) or not inputs:
        raise TypeError(f"Graph: inputs must be a sequence of names, such as ('eye', 'ear'); got {shown(inputs)}")
    for name in inputs:
        _check_name("an input", name)
        if inputs.count(name) > 1:
            raise ValueError(f"Graph: two inputs are named {name!r}")
    return tuple(inputs)


def read(inputs, nodes) -> list[Node]:
    """Return the nodes in the order in which data pass through them. The last one is the output.

    A layer that several nodes hold stands in the first of them; the others hold the name of this node. A node that
    depends on no other keeps its place in the declaration.

    Raises:
        TypeError, ValueError: as for `Graph`.
    """
    if not isinstance(nodes, Mapping) or not nodes:
        raise TypeError(f"Graph: nodes must be a dict from names to (layer, input); got {shown(nodes)}")
    declared = {name: _node(name, entry) for name, entry in nodes.items()}
    for name in declared:
        if name in inputs:
            raise ValueError(f"Graph: {name!r} is the name of an input and of a node; choose another one")
    owners: dict[int, str] = {}
    for name, node in declared.items():
        if isinstance(node.what, Layer):
            first = owners.setdefault(id(node.what), name)
            if first != name:
                declared[name] = node._replace(what=first)
    for node in declared.values():
        _check_node(node, inputs, declared)
    order = _sorted(inputs, declared)
    _check_used(inputs, order)
    return order


def _check_name(what, name):
    """Refuse a name that could not be part of the full name of a layer."""
    if not isinstance(name, str) or not name or not name.isprintable() or not set(name).isdisjoint("./"):
        raise ValueError(f"Graph: the name of {what} must be text without '.' and '/'; got {shown(name)}")
    if name in (*JOINS, "type"):
        raise ValueError(f"Graph: {name!r} has a meaning of its own and cannot be the name of {what}")


def _node(name, entry):
    """Return the `Node` for one entry of the declaration."""
    _check_name("a node", name)
    if not isinstance(entry, tuple | list) or len(entry) < 2 or not isinstance(entry[0], Layer | str):
        raise TypeError(
            f"Graph: node {name!r} must be a tuple (layer, input), ('concat', input, input) or ('add', input, input); "
            f"got {shown(entry)}"
        )
    return Node(name, entry[0], tuple(entry[1:]))


def _check_node(node, inputs, declared):
    """Refuse unknown names, and a number of inputs that does not fit."""
    who = f"Graph: node {node.name!r}"
    known = [*inputs, *declared]
    for source in node.sources:
        if source not in known:
            raise ValueError(f"{who} reads {source!r}, which is neither an input nor a node{_near(source, known)}")
        if node.sources.count(source) > 1:
            raise ValueError(f"{who} reads {source!r} twice")
    if node.joins:
        if len(node.sources) < 2:
            raise ValueError(f"{who}: {node.what!r} joins two or more inputs; got {shown(node.sources[0])} alone")
        return
    if len(node.sources) > 1:
        listed = ", ".join(map(repr, node.sources))
        raise ValueError(
            f"{who}: a layer reads one input; got {listed}. Join them in a node of their own: ('concat', {listed}) or "
            f"('add', {listed})"
        )
    if isinstance(node.what, str) and not isinstance(declared.get(node.what, node).what, Layer):
        holders = [name for name, other in declared.items() if isinstance(other.what, Layer)]
        raise ValueError(f"{who}: {node.what!r} is neither a node with a layer nor a join{_near(node.what, holders)}")


def _near(name, known):
    return nearest(name, known) or (f"; there are {', '.join(map(repr, known))}" if known else "")


def _check_used(inputs, order):
    """Refuse an input that no node reads, and more than one node that no other reads."""
    read = {source for node in order for source in node.sources}
    for name in inputs:
        if name not in read:
            raise ValueError(f"Graph: no node reads the input {name!r}")
    ends = [node.name for node in order if node.name not in read]
    if len(ends) > 1:
        raise ValueError(
            f"Graph: has one output, the node that no other node reads; got {len(ends)}: {', '.join(map(repr, ends))}"
        )


def _sorted(inputs, declared):
    """Return the nodes in an order in which each follows all that it reads; refuse a circle."""
    done, order, rest = set(inputs), [], dict(declared)
    while rest:
        ready = next((node for node in rest.values() if done.issuperset(node.sources)), None)
        if ready is None:
            circle = ", ".join(map(repr, _circle(rest)))
            raise ValueError(
                f"Graph: nodes must not read each other in a circle: {circle}. Recurrent neurons connect back in time"
            )
        done.add(ready.name)
        order.append(rest.pop(ready.name))
    return order


def _circle(rest):
    """Return the names of nodes that read each other in a circle, in the order in which data would flow."""
    path = [next(iter(rest))]
    while True:
        before = next(source for source in rest[path[-1]].sources if source in rest)
        if before in path:
            return path[path.index(before) :][::-1]
        path.append(before)
