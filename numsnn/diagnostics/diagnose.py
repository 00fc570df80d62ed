"""What happens in each layer of a network: firing, potentials, surrogates and gradients, and what looks wrong there.

A potential is *undesired* if it lies outside the surrogate window, so that no gradient passes. The share of undesired
potentials says most about a spiking network that does not learn (docs/method.md, D7). Other frequent causes are silent
and saturated neurons, the shift of the potentials, vanishing gradients, and numbers that are not finite.
"""

from dataclasses import MISSING, asdict, dataclass, fields

import numpy as np

from ..layers import Layer, Mode, Neuron
from ..layers.route import Routed
from ..losses import Loss
from ..shown import shown
from ..validate import flag
from .copies import built_copy, loss_of
from .hints import hints_of
from .text import percent, report_html, report_text
from .window import window_shares

BINS = 60
"""Number of bins in a layer's histogram of potentials."""

TAIL = 1e-3
"""Share of the potentials that the histogram leaves out at each end, so that outliers do not narrow the rest."""


@dataclass(frozen=True, repr=False)
class LayerRow:
    """What one neuron layer did. None stands for a number that is not finite.

    Attributes:
        name: full name of the layer.
        steps, samples, units: T, N, and the number of neurons per sample (channels times positions).
        rate: firing rate: spikes per neuron and step.
        silent, saturated: share of the units that fired in no (in every) sample and step.
        mean, std: mean and standard deviation of all potentials.
        shift: ``[T]``, Delta[t]: mean over channels of m[t,c] - m*[c], the mean of the potentials minus the mean that
            is expected of them.
        shift_uncorrected: the same without any PDA correction in the network; None if this layer has no PDA.
        undesired: ``[T]``, share of the potentials outside the surrogate window, |u - theta| > reach * width.
        width, threshold, leak: surrogate width, threshold and beta; one number, or ``[C]`` if channels differ. leak is
            empty for a `CustomNeuron` without a value named beta.
        family, reach: family of the surrogate, and its reach in widths.
        width_bounds: bounds of a learned width; None for a fixed width. The lower bound None stands for the default
            bound, at which a width may stay.
        pda, recurrent: whether the layer has a PDA that corrects, and lateral weights.
        gradient: norm of dL/di, where i is the input current; None without labels.
        gradient_steps: ``[T]``, the same for each step; None without labels.
        nonfinite: share of the potentials that are not finite; the histogram leaves them out.
        counts, edges: ``[60]`` and ``[61]``, histogram of the potentials without the outermost 0.1 % at each end.
        window_normal: ``[T]``, what `window` would be if the potentials of every channel were normally distributed with
            their mean and standard deviation (docs/method.md, D10); None in steps with potentials that are not finite,
            and None in place of all steps in a diagnosis of an earlier version, which did not store it.
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
    window_normal: tuple[float | None, ...] | None = None
    recurrent: bool = False

    @property
    def undesired_share(self) -> float:
        """Share of undesired potentials over all steps."""
        return sum(self.undesired) / self.steps

    @property
    def window(self) -> tuple[float, ...]:
        """``[T]``, share of the potentials inside the surrogate window: 1 - undesired."""
        return tuple(1 - share for share in self.undesired)

    @property
    def window_share(self) -> float:
        """Share of the potentials inside the surrogate window over all steps."""
        return 1 - self.undesired_share

    @property
    def window_normal_share(self) -> float | None:
        """The share over all steps that window_normal gives; None if a step has none."""
        known = [share for share in self.window_normal or () if share is not None]
        return sum(known) / self.steps if len(known) == self.steps else None

    def __repr__(self):
        shares = {"rate": self.rate, "silent": self.silent, "undesired": self.undesired_share}
        return f"LayerRow({self.name}: {', '.join(f'{what} {percent(share)}' for what, share in shares.items())})"


@dataclass(frozen=True)
class ParameterRow:
    """One trained array. None stands for a number that is not finite.

    Attributes:
        name, shape: full name and shape.
        norm: Euclidean norm of the value.
        gradient: norm of the gradient; None without labels, and for frozen layers.
        nonfinite: share of the values that are not finite.
        gradient_nonfinite: share of the gradients that are not finite; None where gradient is None.
    """

    name: str
    shape: tuple[int, ...]
    norm: float | None
    gradient: float | None
    nonfinite: float
    gradient_nonfinite: float | None


@dataclass(frozen=True)
class ProductRow:
    """How one convolution or linear layer was computed; see `numsnn.set_route`.

    Attributes:
        name: full name of the layer.
        density: share of its inputs that were active; None for a device or a layer that does not count them.
        forward, weight, input: route of the forward pass, the weight gradient and the input gradient; None for a pass
            that was not made.
    """

    name: str
    density: float | None
    forward: str | None
    weight: str | None
    input: str | None


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """The result of `diagnose`. It is plain data, and prints as tables and hints.

    Attributes:
        layers: one `LayerRow` per neuron layer, in the order in which the data pass them.
        parameters: one `ParameterRow` per trained array.
        loss: mean over the samples, including the divergence objective; None without labels or if it is not finite.
        hints: one line for each thing that looks wrong; empty for a healthy network.
        products: one `ProductRow` per convolution or linear layer.
    """

    layers: tuple[LayerRow, ...]
    parameters: tuple[ParameterRow, ...]
    loss: float | None
    hints: tuple[str, ...]
    products: tuple[ProductRow, ...] = ()

    def to_dict(self) -> dict:
        """Return the same data as dicts, lists, numbers and None, for JSON."""
        return _plain(asdict(self))

    @classmethod
    def from_dict(cls, data: dict) -> "Diagnosis":
        """Return the diagnosis from the result of `to_dict`, also after it was written to JSON and read back.

        Fields that earlier versions did not store, products and a layer's window_normal, may be missing.

        Raises:
            ValueError: another key is missing, or a key is unknown.
        """
        if not isinstance(data, dict):
            raise ValueError(f"Diagnosis: data must be the dict that to_dict returned; got {shown(data)}")
        values = _fields_of(cls, data)
        for key, row in (("layers", LayerRow), ("parameters", ParameterRow), ("products", ProductRow)):
            if not isinstance(values[key], tuple):
                raise ValueError(f"Diagnosis: {key} must be a list; got {shown(values[key])}")
            values[key] = tuple(row(**_fields_of(row, entry)) for entry in values[key])
        return cls(**values)

    def __repr__(self):
        loss = "" if self.loss is None else f", loss {self.loss:.4g}"
        return f"Diagnosis({len(self.layers)} neuron layers{loss}, {len(self.hints)} hints)"

    def __str__(self):
        return report_text(self)

    def _repr_html_(self):
        return report_html(self)


def diagnose(net: Layer, x, y=None, loss: Loss | None = None, training: bool = False) -> Diagnosis:
    """Look into a network while it processes a batch.

    A copy of the network makes one forward pass and, with labels, the backward pass of the loss. If a PDA corrects
    potentials, the copy makes another forward pass without the corrections. The network itself does not change, except
    that it is built for x if it was not built yet.

    Args:
        net: any network.
        x: input as for the network's own call, uint8 or its float dtype.
        y: labels ``[N]``. Default None: no gradients are computed.
        loss: default `RateCrossEntropy`; a loss needs labels.
        training: use batch statistics and dropout, as in training, instead of running statistics. This says more about
            a network whose running statistics have not seen data yet. Default False.

    Returns:
        the diagnosis, which prints as tables with one hint for each thing that looks wrong.

    Raises:
        ShapeError: input or labels do not fit the network.
        ValueError: x holds NaN or inf, or a loss is given without labels.
        TypeError: net is not a network, or loss is not a loss.
    """
    if loss is not None and y is None:
        raise ValueError("diagnose: a loss needs labels; got y=None")
    loss = loss_of("diagnose", loss)
    flag("diagnose: training", training)
    copy, x = built_copy("diagnose", net, x)
    neurons = [(name, layer) for name, layer in copy.named() if isinstance(layer, Neuron)]
    mean_loss = None
    with np.errstate(all="ignore"):  # finding numbers that are not finite is the purpose here
        mode = Mode(training=training, store=True, inspect=True)
        readout = copy.forward(x, mode)
        if y is not None:
            losses, gradient = loss(readout, y, copy.kernels, dtype=copy.dtype)
            mean_loss = _number(copy.kernels.to_host(losses).mean(dtype=np.float64) + copy.total_penalty())
            copy.backward(gradient, need_dx=not _begins_with_a_product(copy))
        measured = [_measure(name, layer) for name, layer in neurons]
        learned = dict(copy.trainable() if y is not None else ())
        parameters = tuple(_parameter_row(name, p, copy.kernels, name in learned) for name, p in copy.parameters())
        corrected = {name: layer for name, layer in neurons if _corrects(layer) and layer.tracker.batches[0]}
        for layer in corrected.values():
            layer.tracker.correction = layer.tracker.correction[:0]
        if corrected:
            copy.forward(x, mode)
        uncorrected = {name: _numbers(_shift(layer)) for name, layer in corrected.items()}
    rows = tuple(LayerRow(shift_uncorrected=uncorrected.get(row["name"]), **row) for row in measured)
    hints = hints_of(rows, parameters, mean_loss, y is not None)
    return Diagnosis(rows, parameters, mean_loss, hints, tuple(_products(copy)))


# --- measuring -------------------------------------------------------------------------------------------------


def _begins_with_a_product(net):
    """Whether a chain begins with a convolution or linear layer. The gradient of its input is not computed, as in
    training; the rows need those of neurons."""
    while net.joins == "chain" and net.parts():
        net = net.parts()[0]
    return isinstance(net, Routed)


def _measure(name, layer):
    """Return all fields of a layer's `LayerRow` except shift_uncorrected, after a pass that stored its state."""
    kernels = layer.kernels
    u, s = layer.potentials(), layer.spikes()
    steps, samples = layer.input_shape[:2]
    by_unit = s.reshape(steps * samples, -1)
    width, theta = kernels.to_host(layer.width.natural), kernels.to_host(layer.threshold.natural)
    beta = layer.own_values.get("beta")
    finite = np.isfinite(u)
    counts, edges = _histogram(u[finite].astype(np.float64))
    gradient = gradient_steps = None
    if layer.input_gradient is not None:
        squares = (kernels.to_host(layer.input_gradient).reshape(steps, -1).astype(np.float64) ** 2).sum(1)
        gradient, gradient_steps = _number(np.sqrt(squares.sum())), _numbers(np.sqrt(squares))
    undesired, window_normal = window_shares(u, layer.thresholds(), width, layer.surrogate)
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
        "leak": () if beta is None else _distinct(kernels.to_host(beta.natural)),
        "family": layer.surrogate.family,
        "reach": layer.surrogate.reach,
        "width_bounds": _width_bounds(layer),
        "pda": _corrects(layer),
        "gradient": gradient,
        "gradient_steps": gradient_steps,
        "nonfinite": float((~finite).mean()),
        "counts": counts,
        "edges": edges,
        "window_normal": _numbers(window_normal),
        "recurrent": layer.recurrent,
    }


def _width_bounds(layer):
    if not layer.surrogate.learned:
        return None
    low, high = layer.width_bounds()
    return None if layer.surrogate.bounds is None else low, high


def _shift(layer):
    """Return Delta ``[T]`` of a layer after a pass that stored its state (docs/method.md, D9)."""
    m = layer.potentials().mean(1, dtype=np.float64)
    target = layer.currents().mean((0, 1), dtype=np.float64)
    if layer.pda is not None and layer.pda.target is not None:
        target = layer.pda.target
    return (m - target).mean(1)


def _corrects(layer):
    return layer.pda is not None and layer.pda.corrects(layer.recurrent)


def _histogram(potentials):
    """Return counts ``[BINS]`` and edges ``[BINS + 1]`` of the finite potentials, without the tails."""
    low, high = np.quantile(potentials, [TAIL, 1 - TAIL]) if potentials.size else (0.0, 0.0)
    largest = max(abs(low), abs(high))
    if high - low <= 1e-6 * largest:  # all potentials are equal up to rounding
        low, high = low - (largest / 2 or 0.5), high + (largest / 2 or 0.5)
    counts, edges = np.histogram(potentials, BINS, (low, high))
    return tuple(counts.tolist()), tuple(edges.tolist())


def _products(net):
    """Return one `ProductRow` per convolution or linear layer, after a pass."""
    for name, layer in net.named():
        if isinstance(layer, Routed):
            yield ProductRow(name, layer.density, *map(layer.routes.get, ("forward", "weight", "input")))


def _parameter_row(name, parameter, kernels, learned):
    value, grad = kernels.to_host(parameter.value), kernels.to_host(parameter.grad)
    return ParameterRow(
        name,
        value.shape,
        _norm(value),
        _norm(grad) if learned else None,
        _nonfinite(value),
        _nonfinite(grad) if learned else None,
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
    """Return one number if all channels share it, otherwise one number per channel."""
    return _numbers(values[:1] if len(np.unique(values)) == 1 else values)  # np.unique counts NaN as one value


# --- plain data ------------------------------------------------------------------------------------------------


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple | list) else value


def _fields_of(cls, data):
    """Return the constructor's arguments from data, with lists as tuples. Earlier versions did not store the fields
    that have a default."""
    names = {field.name for field in fields(cls)}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ValueError(f"{cls.__name__}: must be a dict; got {shown(data)}")
    data = {field.name: field.default for field in fields(cls) if field.default is not MISSING} | data
    if odd := sorted(names.symmetric_difference(data)):
        problem = "is missing" if odd[0] in names else "is unknown"
        raise ValueError(f"{cls.__name__}: {odd[0]!r} {problem}")
    return {key: _frozen(value) for key, value in data.items()}


def _frozen(value):
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
