"""What a network computes: spikes, synaptic operations, multiply-accumulates, and an energy estimate as in the
literature.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from ..layers import ConvTranspose2d, Layer, Mode, Neuron
from ..layers.route import Routed
from ..tables import Table, html_tables, text_tables
from .copies import built_copy

PICOJOULE_MAC = 4.6
"""Picojoules of a 32-bit floating-point multiplication and addition in 45 nm CMOS: 3.7 + 0.9 (Horowitz, ISSCC 2014,
doi:10.1109/ISSCC.2014.6757323). This is the arithmetic alone, without memory accesses, which cost more."""

PICOJOULE_AC = 0.9
"""Picojoules of a 32-bit floating-point addition, the only operation of a spike at a synapse; same source."""


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
        rate: spikes per neuron and step of the input (layers with weights) or output (neurons); None if real numbers
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

    Inputs of dtype uint8 count as spikes. Averages of spikes and sums of residual blocks are real numbers and count as
    multiply-accumulates. So does the first layer after a picture, once if a `Repeat` computes it once.

    Args:
        net: any network.
        x: input as for the network's own call; counts are means over its samples.

    Returns:
        rows in the order in which the data pass the layers, and totals.

    Raises:
        ShapeError, ValueError: the input does not fit the network.
    """
    copy, x = built_copy("count_operations", net, x)
    copy.forward(x, Mode(store=True))
    samples = copy.output_shape[1]
    rows = []
    for name, layer in copy.named():
        if isinstance(layer, Routed):
            rows.append(_weighted(name, layer, samples))
        elif isinstance(layer, Neuron):
            rows.append(_neuron(name, layer, samples))
    return OperationCount(tuple(rows))


def _weighted(name, layer, samples):
    arriving, kind = layer.arrived(), type(layer).__name__
    if arriving.dtype != np.uint8:
        positions = arriving if isinstance(layer, ConvTranspose2d) else layer.output
        macs = layer.weight.value.size * prod(positions.shape[:-1]) / samples
        return OperationRow(name, kind, None, 0.0, float(macs), None)
    spikes = layer.kernels.to_host(arriving)
    probe = Layer.from_description(layer.description()).to(layer.device, "float64").build(arriving.shape)
    for p in probe.own_parameters():
        p.value[...] = p.group == "weight"  # with all weights 1 and all biases 0, the output counts additions
    accumulates = float(probe(spikes).sum())
    count = float(spikes.sum(dtype=np.int64))
    return OperationRow(name, kind, count / samples, accumulates / samples, 0.0, count / spikes.size)


def _neuron(name, layer, samples):
    spikes = layer.spikes()
    count = float(spikes.sum(dtype=np.int64))
    lateral = 0.0
    if layer.recurrent:  # spikes of the last step reach no lateral synapse, because no step follows
        lateral = float(spikes[:-1].sum(dtype=np.int64)) * spikes.shape[-1]
    return OperationRow(name, type(layer).__name__, count / samples, lateral / samples, 0.0, count / spikes.size)
