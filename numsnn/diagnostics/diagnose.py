"""What goes on inside a network, layer by layer: firing, potentials, surrogates, gradients, and what is wrong there.

The share of *undesired* potentials, those so far from the threshold that the surrogate cannot see them and no gradient
passes, tells most about a spiking network that does not train (docs/method.md, D7). Silent and saturated neurons, the
potential shift, vanishing gradients and numbers that are not finite are the other usual suspects.
"""

from dataclasses import asdict, dataclass, fields

import numpy as np

from ..kernels.reference.surrogate import DENSITY
from ..layers import Layer, Mode, Neuron
from ..layers.route import Routed
from ..losses import Loss, RateCrossEntropy
from ..psg import FAMILIES
from ..validate import whole
from .hints import hints_of
from .text import report_text

BINS = 60
"""Bins of a layer's histogram of potentials."""

TAIL = 1e-3
"""Share of the potentials left out of the histogram at either end, so that outliers do not squeeze the rest."""


@dataclass(frozen=True)
class LayerRow:
    """What one neuron layer did. Potentials are in units of the potential; None stands for a number that is not finite.

    Attributes:
        name: the layer's full name.
        steps, samples, units: T, N, and neurons a sample (channels times positions).
        rate: firing rate, spikes a neuron and step.
        silent, saturated: share of the units that fired in no (in every) sample and step.
        mean, std: of all potentials.
        shift: ``[T]``, Delta[t]: mean over channels of m[t,c] - m*[c], the potentials' mean less what it should be.
        shift_uncorrected: the same with every PDA correction of the network taken out; None where the layer has none.
        undesired: ``[T]``, share of potentials that the surrogate cannot see, |u - theta| > reach * width.
        width, threshold, leak: surrogate width, threshold and beta: one number, or ``[C]`` where channels differ.
        family, reach: of the surrogate; the reach is in widths.
        width_bounds: of a learned width; None where it is fixed. A lower one of None is the default, where a width may
            well stay.
        pda: whether the layer has a PDA that corrects.
        gradient: norm of dL/di, i the input current; None without labels.
        gradient_steps: ``[T]``, the same step by step; None without labels.
        nonfinite: share of potentials that are not finite; they are left out of the histogram.
        counts, edges: ``[60]`` and ``[61]``, histogram of the potentials without their outermost 0.1 %.
    """

    name: str
    steps: int
    samples: int
    units: int
    rate: float
    silent: float
    saturated: float
    mean: float | None
    std: float | None
    shift: tuple[float | None, ...]
    shift_uncorrected: tuple[float | None, ...] | None
    undesired: tuple[float, ...]
    width: tuple[float, ...]
    threshold: tuple[float, ...]
    leak: tuple[float, ...]
    family: str
    reach: float
    width_bounds: tuple[float | None, float] | None
    pda: bool
    gradient: float | None
    gradient_steps: tuple[float | None, ...] | None
    nonfinite: float
    counts: tuple[int, ...]
    edges: tuple[float, ...]

    @property
    def undesired_share(self) -> float:
        """Share of undesired potentials over all steps."""
        return sum(self.undesired) / self.steps


@dataclass(frozen=True)
class ParameterRow:
    """One trained array. None stands for a number that is not finite.

    Attributes:
        name, shape: full name and extents.
        norm: Euclidean norm of the value.
        gradient: norm of the gradient; None without labels.
        nonfinite: share of the values that are not finite.
        gradient_nonfinite: the same of the gradient; None without labels.
    """

    name: str
    shape: tuple[int, ...]
    norm: float | None
    gradient: float | None
    nonfinite: float
    gradient_nonfinite: float | None


@dataclass(frozen=True)
class ProductRow:
    """How one convolution or fully connected layer was computed: see `numsnn.set_route`.

    Attributes:
        name: the layer's full name.
        density: share of its inputs that were active; None where the target does not count them.
        forward, weight, input: the way taken by the forward pass and by the gradients; None where there was none.
    """

    name: str
    density: float | None
    forward: str | None
    weight: str | None
    input: str | None


@dataclass(frozen=True)
class Diagnosis:
    """The result of `diagnose`: prints as tables and hints, and is plain data.

    Attributes:
        layers: a `LayerRow` a neuron layer, in the order the data passes them.
        parameters: a `ParameterRow` a trained array.
        loss: mean over samples, the divergence objective included; None without labels or where it is not finite.
        hints: one line for everything that looks wrong; empty for a healthy network.
        products: a `ProductRow` a convolution or fully connected layer.
    """

    layers: tuple[LayerRow, ...]
    parameters: tuple[ParameterRow, ...]
    loss: float | None
    hints: tuple[str, ...]
    products: tuple[ProductRow, ...] = ()

    def to_dict(self) -> dict:
        """The same as dicts, lists, numbers and None, for JSON."""
        return _plain(asdict(self))

    @classmethod
    def from_dict(cls, data: dict) -> "Diagnosis":
        """What `to_dict` gave, also after a round through JSON.

        Raises:
            ValueError: a key is missing or unknown.
        """
        values = _fields_of(cls, {"products": []} | data)  # which runs of earlier versions did not note down
        for key, row in (("layers", LayerRow), ("parameters", ParameterRow), ("products", ProductRow)):
            values[key] = tuple(row(**_fields_of(row, entry)) for entry in values[key])
        return cls(**values)

    def __str__(self):
        return report_text(self)


def diagnose(net: Layer, x, y=None, loss: Loss | None = None, training: bool = False) -> Diagnosis:
    """Look into a network while it sees a batch.

    A copy of the network makes one pass and, with labels, the backward pass of the loss; where PDA corrects something,
    another pass without the corrections. The network itself is not touched, except that one which is not built yet is
    built first, as by its first call.

    Args:
        net: any network.
        x: input as the network takes it, uint8 or its float dtype.
        y: labels ``[N]``; without them there are no gradients.
        loss: default `RateCrossEntropy`; needs labels.
        training: batch statistics and dropout, as in training, instead of running statistics; the better view of a
            network whose running statistics have not seen data yet.

    Returns:
        a report that prints as tables with a hint for everything that looks wrong.

    Raises:
        ShapeError: input or labels that do not fit.
        ValueError: NaN or inf in x; a loss without labels.
    """
    if loss is not None and y is None:
        raise ValueError("diagnose: a loss needs labels; got y=None")
    copy, x = _copy(net, x)
    neurons = [(name, layer) for name, layer in copy.named() if isinstance(layer, Neuron)]
    mean_loss = None
    with np.errstate(all="ignore"):  # numbers that are not finite are what is looked for
        mode = Mode(training=training, store=True, inspect=True)
        readout = copy.forward(x, mode)
        if y is not None:
            losses, gradient = (loss or RateCrossEntropy())(copy.kernels, readout, y, copy.dtype)
            penalty = sum(getattr(layer, "penalty", 0.0) for layer in copy.walk())
            mean_loss = _number(copy.kernels.to_host(losses).mean(dtype=np.float64) + penalty)
            copy.backward(gradient)
        measured = [_measure(name, layer) for name, layer in neurons]
        parameters = tuple(_parameter_row(name, p, copy.kernels, y is not None) for name, p in copy.parameters())
        corrected = {name: layer for name, layer in neurons if _corrects(layer) and layer.tracker.batches[0]}
        for layer in corrected.values():
            layer.tracker.correction = layer.tracker.correction[:0]
        if corrected:
            copy.forward(x, mode)
        uncorrected = {name: _numbers(_shift(layer)) for name, layer in corrected.items()}
    rows = tuple(LayerRow(shift_uncorrected=uncorrected.get(row["name"]), **row) for row in measured)
    hints = hints_of(rows, parameters, mean_loss, y is not None)
    return Diagnosis(rows, parameters, mean_loss, hints, tuple(_products(copy)))


def record_spikes(net: Layer, x, sample: int = 0) -> dict[str, np.ndarray]:
    """The spikes of one sample in every neuron layer, for `plots.raster`. The network is not touched.

    Args:
        net, x: as for `diagnose`.
        sample: which sample of x.

    Returns:
        layer name -> uint8 ``[T, units]``, in the order the data passes them.

    Raises:
        ShapeError, ValueError: as for `diagnose`.
        IndexError: x holds no such sample.
    """
    whole("record_spikes: sample", sample, 0)
    copy, x = _copy(net, x)
    with np.errstate(all="ignore"):
        copy.forward(x, Mode(store=True))
    recorded = {}
    for name, layer in copy.named():
        if isinstance(layer, Neuron):
            steps, samples = layer.input_shape[:2]
            if sample >= samples:
                raise IndexError(f"record_spikes: sample {sample} of {samples}")
            spikes = layer.spikes().reshape(steps, samples, -1)
            recorded[name] = np.ascontiguousarray(spikes[:, sample])
    return recorded


def _copy(net, x):
    """A network of the same values that shares no array with net, built for x, and x in its memory."""
    x = net.admit(x)
    if not net.built:
        net.build(x.shape)
    copy = Layer.from_description(net.description()).to(net.device, net.dtype)
    for mine, theirs in zip(copy.tree(), net.tree(), strict=True):
        if isinstance(theirs, Routed):
            mine.way = theirs.way
    copy.build(x.shape)
    copy.load_state(net.state())
    return copy, x


# --- measuring -------------------------------------------------------------------------------------------------


def _measure(name, layer):
    """The fields of a layer's `LayerRow`, all but shift_uncorrected, after a stored pass."""
    kernels = layer.kernels
    u, s = layer.potentials(), layer.spikes()
    steps, samples = layer.input_shape[:2]
    by_unit = s.reshape(steps * samples, -1)
    width, theta, beta = (kernels.to_host(v.natural) for v in (layer.width, layer.threshold, layer.leak))
    reach = layer.surrogate.reach
    finite = np.isfinite(u)
    counts, edges = _histogram(u[finite].astype(np.float64))
    gradient = gradient_steps = None
    if layer.input_gradient is not None:
        squares = (kernels.to_host(layer.input_gradient).reshape(steps, -1).astype(np.float64) ** 2).sum(1)
        gradient, gradient_steps = _number(np.sqrt(squares.sum())), _numbers(np.sqrt(squares))
    z = (u - layer.thresholds()) / width
    seen = DENSITY[layer.surrogate.family](z) > 0 if FAMILIES[layer.surrogate.family].compact else np.abs(z) <= reach
    undesired = (~seen).mean((1, 2))  # so that nan counts
    return {
        "name": name,
        "steps": steps,
        "samples": samples,
        "units": by_unit.shape[1],
        "rate": float(s.mean(dtype=np.float64)),
        "silent": float((~by_unit.any(0)).mean()),
        "saturated": float(by_unit.all(0).mean()),
        "mean": _number(u.mean(dtype=np.float64)),
        "std": _number(u.std(dtype=np.float64)),
        "shift": _numbers(_shift(layer)),
        "undesired": _numbers(undesired),
        "width": _distinct(width),
        "threshold": _distinct(theta),
        "leak": _distinct(beta),
        "family": layer.surrogate.family,
        "reach": reach,
        "width_bounds": _width_bounds(layer),
        "pda": _corrects(layer),
        "gradient": gradient,
        "gradient_steps": gradient_steps,
        "nonfinite": float((~finite).mean()),
        "counts": counts,
        "edges": edges,
    }


def _width_bounds(layer):
    if not layer.surrogate.learned:
        return None
    low, high = layer.width_bounds()
    return None if layer.surrogate.bounds is None else low, high


def _shift(layer):
    """Delta ``[T]`` of a layer after a stored pass (docs/method.md, D9)."""
    m = layer.potentials().mean(1, dtype=np.float64)
    target = layer.currents().mean((0, 1), dtype=np.float64)
    if layer.pda is not None and layer.pda.target is not None:
        target = layer.pda.target
    return (m - target).mean(1)


def _corrects(layer):
    return layer.pda is not None and layer.pda.correct


def _histogram(potentials):
    """Counts ``[BINS]`` and edges ``[BINS + 1]`` of finite potentials, the tails left out."""
    low, high = np.quantile(potentials, [TAIL, 1 - TAIL]) if potentials.size else (0.0, 0.0)
    largest = max(abs(low), abs(high))
    if high - low <= 1e-6 * largest:  # all equal but for rounding
        low, high = low - (largest / 2 or 0.5), high + (largest / 2 or 0.5)
    counts, edges = np.histogram(potentials, BINS, (low, high))
    return tuple(counts.tolist()), tuple(edges.tolist())


def _products(net):
    """A `ProductRow` for every layer that multiplies with weights, after a pass."""
    for name, layer in net.named():
        if isinstance(layer, Routed):
            yield ProductRow(name, layer.density, *map(layer.routes.get, ("forward", "weight", "input")))


def _parameter_row(name, parameter, kernels, labelled):
    value, grad = kernels.to_host(parameter.value), kernels.to_host(parameter.grad)
    return ParameterRow(
        name,
        value.shape,
        _norm(value),
        _norm(grad) if labelled else None,
        _nonfinite(value),
        _nonfinite(grad) if labelled else None,
    )


def _norm(array):
    return _number(np.linalg.norm(array.astype(np.float64).ravel()))


def _nonfinite(array):
    return float((~np.isfinite(array)).mean())


def _number(value):
    return float(value) if np.isfinite(value) else None


def _numbers(values):
    return tuple(map(_number, values))


def _distinct(values):
    """One number where all channels share it."""
    return _numbers(values[:1] if len(np.unique(values)) == 1 else values)  # nan equals nan here


# --- plain data ------------------------------------------------------------------------------------------------


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple | list) else value


def _fields_of(cls, data):
    """The constructor's arguments in data, lists as tuples."""
    names = {field.name for field in fields(cls)}
    if odd := sorted(names.symmetric_difference(data)):
        problem = "is missing" if odd[0] in names else "is unknown"
        raise ValueError(f"{cls.__name__}: {odd[0]!r} {problem}")
    return {key: _frozen(value) for key, value in data.items()}


def _frozen(value):
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
