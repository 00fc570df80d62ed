"""Proof of the backward passes: hand-written gradients against finite differences (docs/method.md, R1, R2, R3, R4).

In relaxed mode a spike is Phi_alpha(u - theta) instead of a step function. The network is then a smooth function of its
weights, thresholds, leaks and widths, and the formulas of backpropagation through time are its exact gradient. In
float64 they must agree with central differences. A neuron with ``detach_reset`` treats the spikes in its reset as
constants, and so do the differences: the resets of all passes use the spikes of the pass that has the gradient.
"""

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from ..layers import Layer, Mode, Neuron
from ..layers.inputs import each
from ..losses import Loss
from ..names import choice
from ..tables import Table, html_tables, text_tables
from ..validate import positive, whole
from .copies import built_copy, loss_of, need_network

STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
"""Offsets (in increments) and weights of the central difference of fourth order."""

SMALLEST_STEP = 1e-6
"""The smallest increment. A smaller one loses more by rounding than it gains."""

DIRECTION_SHARES = (1.0, 1 / 4, 1 / 16, 1 / 64)
"""Shares of an array's entries that a random direction changes. A smaller share is less likely to meet a kink."""

FLOOR = 1e-3
"""A difference is divided by at least this share of the largest gradient of its array."""


REASON = (
    "there, every increment crosses a kink of the surrogate or changes which input is the maximum. Try other data, "
    "fewer samples, or a surrogate without kinks, such as 'logistic'"
)
"""Why an array could not be checked."""


@dataclass(frozen=True)
class GradientRow:
    """One checked array.

    Attributes:
        name: full name of the parameter, "input", or "input NAME" for one of several inputs.
        shape: shape of the array.
        checked: number of entries that were compared one by one.
        worst: largest relative difference among these; NaN if no entry could be compared.
        direction: relative difference along a random direction, which changes all entries or, if that meets a kink,
            some of them; NaN if no direction could be compared.
        redrawn: number of entries that could not be compared because the increment crosses a kink of the surrogate, or
            a point where another input becomes the maximum.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    worst: float
    direction: float
    redrawn: int

    @property
    def known(self) -> float:
        """The larger of both differences, without one that could not be computed; NaN if neither could."""
        return float(np.fmax(self.worst, self.direction))


@dataclass(frozen=True, repr=False)
class GradientReport:
    """The result of `check_gradients`, which prints as a table.

    Attributes:
        rows: one `GradientRow` per array.
        tolerance: largest relative difference that is accepted.
        loss: the loss at which the gradients were compared.
    """

    rows: tuple[GradientRow, ...]
    tolerance: float
    loss: float

    @property
    def worst(self) -> float:
        """Largest relative difference of all arrays; NaN if an array could not be checked."""
        return float(np.max([(row.worst, row.direction) for row in self.rows]))

    @property
    def ok(self) -> bool:
        """Whether every array was checked and no relative difference exceeds the tolerance."""
        return self.worst <= self.tolerance

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Names of the arrays of which no entry or no direction could be compared; see `GradientRow`."""
        return tuple(row.name for row in self.rows if np.isnan([row.worst, row.direction]).any())

    def __repr__(self):
        return f"GradientReport({len(self.rows)} arrays, {self._verdict().partition(';')[0]})"

    def __str__(self):
        return text_tables([self._table()], [self._verdict()])

    def _repr_html_(self):
        return html_tables([self._table()], [self._verdict()])

    def _table(self):
        table = Table(["parameter", "shape", "entries", "redrawn", "worst", "direction", ""], [], left=2)
        for row in self.rows:
            found = ("not checked" if np.isnan(value) else f"{value:.1e}" for value in (row.worst, row.direction))
            mark = "<-- disagrees" if row.known > self.tolerance else ""
            table.rows.append([row.name, str(row.shape), str(row.checked), str(row.redrawn), *found, mark])
        return table

    def _verdict(self):
        known = float(np.fmax.reduce([row.known for row in self.rows]))
        worst = f"worst relative difference {known:.1e}, tolerance {self.tolerance:.0e}"
        verdict = "DISAGREE" if known > self.tolerance else "agree"
        if not self.unchecked:
            return f"gradients {verdict}: {worst}"
        where = "" if np.isnan(known) else f"gradients {verdict} where they were checked: {worst}; "
        return f"{where}NOT CHECKED in full: {', '.join(self.unchecked)}; {REASON}"


def check_gradients(
    net: Layer,
    x,
    y,
    loss: Loss | None = None,
    *,
    lengths=None,
    device: str | None = None,
    entries: int = 5,
    step: float = 1e-4,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> GradientReport:
    """Compare every hand-written gradient of a network with central differences.

    A float64 copy of the network runs in relaxed mode with batch statistics, a fixed dropout mask and constant PDA
    corrections; the network itself does not change. Convolutions and matrix products take the routes that `set_route`
    has requested, if the device supports them. Frozen layers compute as they do in training, and have no gradients to
    check.

    A network with ``detach_reset`` is checked as it is: the spikes of the pass that has the gradient are recorded, and
    the resets take them as constants when the differences are computed. The hand-written gradient then comes from the
    device, and the differences from the reference target, which computes the same equations in NumPy.

    Args:
        net: any network.
        x: input as for the network's own call; uint8 is converted to numbers.
        y: labels ``[N]``.
        loss: default `RateCrossEntropy`.
        lengths: number of real steps of each sample, ``[N]``; what lies beyond has no influence. Default None: all
            steps are real.
        device: "cpu" or "reference". Default: the network's device, or "cpu" for a CUDA network, whose kernels
            implement the same equations.
        entries: number of entries per array that are compared one by one, besides one random direction. Default 5.
        step: increment of the differences; it is made smaller if it crosses a kink. Default 1e-4.
        tolerance: largest relative difference for which ``report.ok`` is True. Default 1e-6.
        seed: determines the entries and directions. Default 0.

    Returns:
        a report, which prints as a table.

    Raises:
        ShapeError, ValueError: input or labels do not fit the network, or an argument is out of range.
        TypeError: net is not a network, or loss is not a loss.
    """
    entries, seed = whole("check_gradients: entries", entries), whole("check_gradients: seed", seed, 0)
    step = positive("check_gradients: step", step)
    tolerance = positive("check_gradients: tolerance", tolerance)
    need_network("check_gradients", net)
    if device is not None:
        choice("check_gradients: device", device, ("cpu", "reference"))
    chosen = loss_of("check_gradients", loss)
    return _Checker(net, x, y, chosen, device, step, tolerance, seed, lengths).report(entries)


class _Checker:
    """A float64 copy of a network whose parameters can be changed a little."""

    def __init__(self, net, x, y, loss, device, step, tolerance, seed, lengths=None):
        self.rng = np.random.default_rng(seed)
        self.step, self.tolerance, self.loss, self.y = step, tolerance, loss, y
        self.mode = Mode(training=True, store=True, relaxed=True, seed=seed, lengths=lengths)
        if device is None:
            device = "cpu" if net.device == "cuda" else net.device
        copy, x = built_copy("check_gradients", net, x)
        self.x = each(x, lambda part: net.kernels.to_host(part).astype(np.float64))
        self.net = self.varied = copy.to(device, "float64")
        if self.net.device != "reference" and self.detached():
            self.varied = deepcopy(self.net).to("reference")

    def detached(self):
        """Return the neurons of the varied network whose resets treat the spikes as constants."""
        return [layer for layer in self.varied.walk() if isinstance(layer, Neuron) and layer.detach_reset]

    def evaluate(self, net):
        """Return the loss, the gradient of the readout, and the smooth pieces that all potentials and maxima lie on."""
        z = net.forward(self.x, self.mode)
        losses, dz = self.loss(z, self.y, net.kernels, self.mode.lengths)
        found = [*(layer.pieces() for layer in net.walk()), self.loss.pieces(net.kernels, z)]
        pieces = [p for p in found if p is not None]
        return float(losses.mean(dtype=np.float64)) + net.total_penalty(), dz, pieces

    def gradients(self):
        """Return the loss, and every array of the varied network with its name and its hand-written gradient."""
        value, dz, self.base_pieces = self.evaluate(self.net)
        self.rounding = 8 * np.finfo(np.float64).eps * max(1.0, abs(value))
        dx = self.net.backward(dz)
        found = {name: p.grad.copy() for name, p in self.net.trainable()}
        targets = [(name, p.value, found[name]) for name, p in self.varied.trainable()]
        if self.net.input_names:
            targets += [(f"input {name}", x, dx[name].copy()) for name, x in self.x.items()]
        else:
            targets.append(("input", self.x, dx.copy()))
        return value, targets

    def keep_resets(self):
        """R4: from now on, the resets of all passes take the spikes that they have without a change."""
        if self.detached():
            *_, self.base_pieces = self.evaluate(self.varied)
            self.mode = replace(self.mode, resets={layer.path: layer.spikes().copy() for layer in self.detached()})

    def report(self, entries):
        value, targets = self.gradients()
        self.keep_resets()
        rows = tuple(self.check(name, array, grad, entries) for name, array, grad in targets)
        return GradientReport(rows, self.tolerance, value)

    def check(self, name, array, grad, entries):
        scale = float(np.abs(grad).max())
        worst, checked, redrawn = np.nan, 0, 0
        order = self.rng.permutation(array.size)
        for k in order[: 4 * entries]:
            if checked == min(entries, array.size):
                break
            unit = np.zeros(array.size)
            unit[k] = 1
            measured = self.slope(array, unit.reshape(array.shape))
            if measured is None:
                redrawn += 1
                continue
            checked += 1
            worst = np.fmax(worst, self.difference(grad.flat[k], measured, FLOOR * scale))
        along = self.check_direction(array, grad)
        return GradientRow(name, array.shape, checked, float(worst), float(along), redrawn)

    def check_direction(self, array, grad):
        """Return the difference along a random direction of all entries, or of fewer if that meets a kink."""
        for share in DIRECTION_SHARES:
            direction = self.rng.normal(size=array.shape) * (self.rng.random(array.shape) < share)
            length = np.linalg.norm(direction)
            measured = self.slope(array, direction / length) if length else None
            if measured is not None:
                analytic = float((grad * direction).sum()) / length
                return self.difference(analytic, measured, FLOOR * float(np.linalg.norm(grad)))
        return np.nan

    def difference(self, analytic, measured, floor):
        """Return the difference relative to the larger value, the floor, or the effect of rounding, whichever is
        largest.
        """
        numeric, step = measured
        scale = max(abs(analytic), abs(numeric), floor, self.rounding / step / self.tolerance)
        return abs(analytic - numeric) / scale

    def slope(self, array, direction):
        """Return the central difference along a direction and its increment, or None if the smallest increment meets a
        kink.
        """
        base = array.copy()
        step = self.step
        try:
            while step >= SMALLEST_STEP:
                total = 0.0
                for offset, weight in STENCIL:
                    array[...] = base + offset * step * direction
                    value, _, pieces = self.evaluate(self.varied)
                    if any((a != b).any() for a, b in zip(pieces, self.base_pieces, strict=True)):
                        break
                    total += weight * value
                else:
                    return total / step, step
                step /= 10
        finally:
            array[...] = base
        return None
