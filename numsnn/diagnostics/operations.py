"""What a network computes: spikes, synaptic operations, multiply-accumulates, and an energy estimate as in the
literature.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from ..layers import (
    AvgPool1d,
    AvgPool2d,
    ConvTranspose2d,
    Delay,
    GlobalAvgPool2d,
    Layer,
    MaxPool1d,
    MaxPool2d,
    Mode,
    Neuron,
    Poisson,
)
from ..layers.inputs import each
from ..layers.route import Routed
from ..tables import Table, html_tables, text_tables
from .copies import built_copy

PICOJOULE_MAC = 4.6
"""Picojoules of a 32-bit floating-point multiplication and addition in 45 nm CMOS: 3.7 + 0.9 (Horowitz, ISSCC 2014,
doi:10.1109/ISSCC.2014.6757323). This is the arithmetic alone, without memory accesses, which cost more."""

PICOJOULE_AC = 0.9
"""Picojoules of a 32-bit floating-point addition, the only operation of a spike at a synapse; same source."""


ROUNDING = 1e-2
"""Distance from a whole number up to which a number of spikes, computed from averages in float32, counts as whole."""


@dataclass(frozen=True)
class OperationRow:
    """One layer with weights, or one neuron layer. All counts are means per sample, over all steps.

    Attributes:
        name: full name of the layer.
        kind: name of its class.
        spikes: number of spikes that enter a layer with weights, or leave a neuron layer; None if real numbers enter.
        accumulates: synaptic operations, the additions that spikes cause: spikes times their synapses, which are fewer
            at the border of a picture.
        multiply_accumulates: operations that real inputs cause, computed densely: weights times positions, with padding
            included as usual.
        rate: spikes per neuron and step of the input (layers with weights) or output (neurons); behind average pooling
            that of the neurons in front of it, and behind a sum that of all its terms together; None if real numbers
            enter.
    """

    name: str
    kind: str
    spikes: float | None
    accumulates: float
    multiply_accumulates: float
    rate: float | None


@dataclass(frozen=True, repr=False)
class OperationCount:
    """The result of `count_operations`: one row per layer, and totals. It prints as a table."""

    rows: tuple[OperationRow, ...]

    @property
    def accumulates(self) -> float:
        """Synaptic operations of all layers, per sample."""
        return sum(row.accumulates for row in self.rows)

    @property
    def multiply_accumulates(self) -> float:
        """Multiply-accumulates of all layers, per sample."""
        return sum(row.multiply_accumulates for row in self.rows)

    @property
    def picojoules(self) -> float:
        """Energy estimate per sample: 0.9 pJ per accumulate and 4.6 pJ per multiply-accumulate."""
        return PICOJOULE_AC * self.accumulates + PICOJOULE_MAC * self.multiply_accumulates

    def __repr__(self):
        return f"OperationCount({len(self.rows)} layers, {self._energy()})"

    def __str__(self):
        return text_tables([self._table()], [self._energy_line()])

    def _repr_html_(self):
        return html_tables([self._table()], [self._energy_line()])

    def _table(self):
        table = Table(["layer", "kind", "rate", "spikes", "accumulates", "multiply-accumulates"], [], left=2)
        for row in self.rows:
            rate = "" if row.rate is None else f"{100 * row.rate:.2f} %"
            spikes = "" if row.spikes is None else f"{row.spikes:,.0f}"
            counts = f"{row.accumulates:,.0f}", f"{row.multiply_accumulates:,.0f}"
            table.rows.append([row.name, row.kind, rate, spikes, *counts])
        table.rows.append(["total", "", "", "", f"{self.accumulates:,.0f}", f"{self.multiply_accumulates:,.0f}"])
        return table

    def _energy(self):
        return f"{self.picojoules / 1e6:.3f} uJ per sample"

    def _energy_line(self):
        return f"energy estimate {self._energy()} (45 nm, arithmetic alone)"


def count_operations(net: Layer, x) -> OperationCount:
    """Count spikes and operations of one inference pass.

    A copy of the network makes the pass. The network itself does not change, except that it is built for x if it was
    not built yet.

    An input counts as spikes if its dtype is uint8 or if it holds only 0 and 1. Average pooling and the sums of
    residual blocks keep spikes countable: every spike costs one addition at every synapse that it reaches through them,
    because the factor of an average can be part of the weights. Everything else, such as a picture or what a
    normalisation returns, is real numbers and counts as multiply-accumulates, once if a `Repeat` computes it once.

    Args:
        net: any network.
        x: input as for the network's own call; counts are means over its samples.

    Returns:
        rows in the order in which the data pass the layers, and totals.

    Raises:
        ShapeError, ValueError: the input does not fit the network.
        TypeError: net is not a network.
    """
    copy, x = built_copy("count_operations", net, x)
    copy.forward(x, Mode(store=True))
    samples = copy.output_shape[1]
    rows: list[OperationRow] = []
    parts: dict[Layer, int | None] = {}
    _trace(copy, each(x, lambda part: None if _spikes(copy.kernels.to_host(part), None) is None else 1), parts)
    for name, layer in copy.named():
        if isinstance(layer, Routed):
            rows.append(_weighted(name, layer, samples, parts.get(layer)))
        elif isinstance(layer, Neuron):
            rows.append(_neuron(name, layer, samples))
    return OperationCount(tuple(rows))


def _trace(layer, parts, found):
    """Return of how many parts of a spike the numbers that leave a layer are whole multiples: 1 for spikes and their
    sums, 4 for means over windows of four; None if the layer computes real numbers.

    Args:
        layer: the layer or container.
        parts: the same for the numbers that enter, if these are spikes; a dict by name for several inputs.
        found: dictionary to which what enters every layer is added.
    """
    found[layer] = parts
    if layer.joins == "chain":
        for part in layer.parts():
            parts = _trace(part, parts, found)
        return parts
    if layer.joins == "graph":
        known = dict(parts) if layer.input_names else {layer.inputs[0]: parts}
        for node in layer.order:
            given = [known[source] for source in node.sources]
            known[node.name] = _joined(given) if node.joins else _trace(layer.uses[node.name], given[0], found)
        return known[layer.order[-1].name]
    if layer.joins is not None:
        return _joined([parts if part is None else _trace(part, parts, found) for part in layer.parts()])
    if layer.container or layer.foreign:
        return 1 if layer.fires else None
    if layer.fires or isinstance(layer, Poisson):
        return 1
    if isinstance(layer, AvgPool1d | AvgPool2d):
        return None if parts is None else parts * prod(layer.window.kernel)
    if isinstance(layer, GlobalAvgPool2d):
        return None if parts is None else parts * prod(layer.input_shape[2:4])
    same = layer.passes in ("same", "reshape") or isinstance(layer, Delay | MaxPool1d | MaxPool2d)
    return parts if same else None


def _joined(parts):
    """Return what the parts have in common, or None."""
    return parts[0] if len(set(parts)) == 1 else None


def _spikes(x, parts):
    """Return the number of spikes in every number that enters a layer; None if these are real numbers."""
    if x.dtype == np.uint8 or (parts in (None, 1) and ((x == 0) | (x == 1)).all()):
        return x
    if parts is None:
        return None
    counts = x.astype(np.float64) * parts
    whole = np.rint(counts)
    return whole if counts.min() >= 0 and np.abs(counts - whole).max() < ROUNDING else None


def _weighted(name, layer, samples, parts):
    kind = type(layer).__name__
    numbers = layer.kernels.to_host(layer.arrived())
    spikes = _spikes(numbers, parts)
    if spikes is None:
        positions = numbers if isinstance(layer, ConvTranspose2d) else layer.output
        macs = layer.weight.value.size * prod(positions.shape[:-1]) / samples
        return OperationRow(name, kind, None, 0.0, float(macs), None)
    device = "cpu" if layer.device == "cuda" else layer.device
    probe = Layer.from_description(layer.description()).to(device, "float64").build(spikes.shape)
    for p in probe.own_parameters():
        p.value[...] = p.group == "weight"  # with all weights 1 and all biases 0, the output counts additions
    accumulates = float(probe(spikes if spikes.dtype == np.uint8 else spikes.astype(np.float64)).sum())
    count, rate = float(spikes.sum(dtype=np.float64)), float(numbers.mean(dtype=np.float64))
    return OperationRow(name, kind, count / samples, accumulates / samples, 0.0, rate)


def _neuron(name, layer, samples):
    spikes = layer.spikes()
    count = float(spikes.sum(dtype=np.int64))
    lateral = 0.0
    if layer.recurrent:  # spikes of the last step reach no lateral synapse, because no step follows
        lateral = float(spikes[:-1].sum(dtype=np.int64)) * spikes.shape[-1]
    return OperationRow(name, type(layer).__name__, count / samples, lateral / samples, 0.0, count / spikes.size)
