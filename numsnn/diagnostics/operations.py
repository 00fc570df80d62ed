"""What a network computes: spikes, synaptic operations, multiply-accumulates, and the energy estimate of the field."""

from dataclasses import dataclass
from math import prod

import numpy as np

from ..layers import ConvTranspose2d, Layer, Mode, Neuron
from ..layers.route import Routed

PICOJOULE_MAC = 4.6
"""Energy of a 32-bit floating-point multiply and add in 45 nm CMOS: 3.7 + 0.9 pJ (Horowitz, ISSCC 2014,
doi:10.1109/ISSCC.2014.6757323). An estimate of the arithmetic alone: memory, which costs more, is not in it."""

PICOJOULE_AC = 0.9
"""Energy of a 32-bit floating-point add alone, which is all that a spike costs at a synapse; same source."""


@dataclass(frozen=True)
class OperationRow:
    """One layer with weights, or a neuron layer. All counts are means per sample, over all steps.

    Attributes:
        name: the layer's full name.
        kind: the class's name.
        spikes: spikes that arrive at a layer with weights, or leave a neuron layer; None where real numbers arrive.
        accumulates: synaptic operations: additions that spikes cause (arriving spikes times their synapses, of which
            there are fewer at a picture's border).
        multiply_accumulates: what real-valued inputs cause, dense: weights times positions, padding included as usual.
        rate: spikes a neuron and step, of what arrives (layers with weights) or leaves (neurons); None as for spikes.
    """

    name: str
    kind: str
    spikes: float | None
    accumulates: float
    multiply_accumulates: float
    rate: float | None


@dataclass(frozen=True)
class OperationCount:
    """The result of `count_operations`: totals, and a table when printed."""

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
        """The estimate usual in the field: 0.9 pJ an accumulate, 4.6 pJ a multiply-accumulate, per sample."""
        return PICOJOULE_AC * self.accumulates + PICOJOULE_MAC * self.multiply_accumulates

    def __str__(self):
        table = [["layer", "kind", "rate", "spikes", "accumulates", "multiply-accumulates"]]
        for row in self.rows:
            rate = "" if row.rate is None else f"{100 * row.rate:.2f} %"
            spikes = "" if row.spikes is None else f"{row.spikes:,.0f}"
            counts = f"{row.accumulates:,.0f}", f"{row.multiply_accumulates:,.0f}"
            table.append([row.name, row.kind, rate, spikes, *counts])
        table.append(["total", "", "", "", f"{self.accumulates:,.0f}", f"{self.multiply_accumulates:,.0f}"])
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = []
        for line in table:
            cells = zip(line, widths, strict=True)
            lines.append("  ".join(c.rjust(w) if k > 1 else c.ljust(w) for k, (c, w) in enumerate(cells)).rstrip())
        return "\n".join([*lines, f"energy estimate {self.picojoules / 1e6:.3f} uJ a sample (45 nm, arithmetic alone)"])


def count_operations(net: Layer, x) -> OperationCount:
    """Count spikes and operations of one inference pass. The network is not changed.

    Spikes are what arrives as uint8. Averages of spikes and sums of residuals are real numbers, and count as
    multiply-accumulates; so does the first layer behind a picture, once, where a `Repeat` computes it once.

    Args:
        net: a network.
        x: input as the network takes it; counts are means over its samples.

    Returns:
        rows in the order the data passes them, and totals.

    Raises:
        ShapeError, ValueError: input that does not fit.
    """
    x = net.admit(x)
    net.forward(x, Mode(store=True))
    samples = net.output_shape[1]
    rows = []
    for name, layer in net.named():
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
        p.value[...] = p.group == "weight"  # all synapses one, all offsets zero: the output counts additions
    accumulates = float(probe(spikes).sum())
    count = float(spikes.sum(dtype=np.int64))
    return OperationRow(name, kind, count / samples, accumulates / samples, 0.0, count / spikes.size)


def _neuron(name, layer, samples):
    spikes = layer.spikes()
    count = float(spikes.sum(dtype=np.int64))
    lateral = 0.0
    if layer.recurrent:  # what fires at the last step arrives nowhere any more
        lateral = float(spikes[:-1].sum(dtype=np.int64)) * spikes.shape[-1]
    return OperationRow(name, type(layer).__name__, count / samples, lateral / samples, 0.0, count / spikes.size)
