"""A network as a table of layers, shapes, parameters and operations."""

from math import prod

from ..diagnostics.copies import built_copy, need_network
from ..diagnostics.operations import count_operations
from ..layers import Layer
from ..tables import Table, TableText
from ..validate import flag


def summary(net: Layer, x=None) -> TableText:
    """Return a table of the layers with their output shapes and parameters and, with an input, their operations.

    Args:
        net: a built network; with x it is built for x if it is not built yet.
        x: input as for the network's own call, or None (default).

    Returns:
        the table as text; a notebook shows it as a table.

    Raises:
        RuntimeError: the network is not built and no input is given.
        TypeError: net is not a network.
    """
    need_network("summary", net)
    counts = {}
    total = ""
    if x is not None:
        net, x = built_copy("summary", net, x)  # has the shapes for x, whatever the network was built for
        operations = count_operations(net, x)
        counts = {row.name: row for row in operations.rows}
        total = f", {operations.accumulates:,.0f} accumulates and {operations.multiply_accumulates:,.0f} multiply-"
        total += f"accumulates per sample, {operations.picojoules / 1e6:.3f} uJ (45 nm, arithmetic alone)"
    if not net.built:
        raise RuntimeError("summary: the network is not built yet; call net.build(shape), or give an input x")
    header = ["layer", "kind", "output", "parameters", *(["accumulates", "multiply-accumulates"] if counts else [])]
    table = Table(header, [], left=3)
    owned = dict(net.parameters())  # without those that a layer shares with another use of it
    for name, layer in net.named():
        if layer.container:
            continue
        size = sum(prod(p.value.shape) for p in layer.own_parameters() if f"{name}.{p.name}" in owned)
        line = [name, type(layer).__name__, " x ".join(map(str, layer.output_shape)), f"{size:,}"]
        if counts:
            row = counts.get(name)
            line += ["", ""] if row is None else [f"{row.accumulates:,.0f}", f"{row.multiply_accumulates:,.0f}"]
        table.rows.append(line)
    return TableText([table], [f"{count_parameters(net):,} parameters{total}"])


def count_parameters(net: Layer, widths: bool = True) -> int:
    """Return the number of trained numbers of a built network.

    Args:
        net: the network.
        widths: count learned surrogate widths, which inference does not need. Default True.

    Raises:
        TypeError: net is not a network.
        ValueError: widths is not True or False.
    """
    need_network("count_parameters", net)
    flag("count_parameters: widths", widths)
    return sum(prod(p.value.shape) for _, p in net.parameters() if widths or p.group != "width")
