"""Proof of the backward passes: hand-written gradients against finite differences (docs/method.md, R1, R2, R3).

In relaxed mode a spike is Phi_alpha(u - theta) instead of a step, the reset stays attached, and the network is a smooth
function of its weights, thresholds, leaks and widths: the BPTT formulas are its exact gradient. In float64 they have to
agree with central differences.
"""

from dataclasses import dataclass

import numpy as np

from ..layers import Layer, Mode
from ..losses import Loss, RateCrossEntropy
from ..validate import positive, whole

STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
"""Offsets in steps and weights of the central difference of fourth order."""

SMALLEST_STEP = 1e-6
"""Below it rounding outweighs what a smaller step gains."""

DIRECTION_SHARES = (1.0, 1 / 4, 1 / 16, 1 / 64)
"""Shares of an array's entries that a random direction goes through: the fewer, the less likely it meets a kink."""

FLOOR = 1e-3
"""An entry is compared at no finer scale than this share of its array's largest gradient."""


@dataclass(frozen=True)
class GradientRow:
    """One checked array.

    Attributes:
        name: full name, or "input".
        shape: of the array.
        checked: entries compared one by one.
        worst: largest relative difference among them; nan if none could be compared.
        direction: relative difference along a random direction, through every entry or, where that met a kink, through
            some of them; nan as above.
        redrawn: entries given up because a kink of the surrogate or a maximum's choice lay within the step.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    worst: float
    direction: float
    redrawn: int


@dataclass(frozen=True)
class GradientReport:
    """The result of `check_gradients`: ``ok``, ``worst``, and a table when printed."""

    rows: tuple[GradientRow, ...]
    tolerance: float
    loss: float

    @property
    def worst(self) -> float:
        """Largest relative difference of all; nan if an array could not be checked."""
        return float(np.max([(row.worst, row.direction) for row in self.rows]))

    @property
    def ok(self) -> bool:
        """Whether every array was checked and agrees to the tolerance."""
        return self.worst <= self.tolerance

    def __str__(self):
        width = max(len(row.name) for row in self.rows)
        lines = [f"{'parameter':<{width}}  {'shape':<18}  entries  redrawn  worst     direction"]
        for row in self.rows:
            mark = "" if max(row.worst, row.direction) <= self.tolerance else "  <-- disagrees"
            lines.append(
                f"{row.name:<{width}}  {row.shape!s:<18}  {row.checked:7d}  {row.redrawn:7d}  {row.worst:.1e}   "
                f"{row.direction:.1e}{mark}"
            )
        verdict = "agree" if self.ok else "DISAGREE"
        worst = f"worst relative difference {self.worst:.1e}, tolerance {self.tolerance:.0e}"
        lines.append(f"gradients {verdict}: {worst}")
        return "\n".join(lines)


def check_gradients(
    net: Layer,
    x,
    y,
    loss: Loss | None = None,
    *,
    device: str | None = None,
    entries: int = 5,
    step: float = 1e-4,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> GradientReport:
    """Compare every hand-written gradient of a network with central differences.

    A float64 copy of the network runs in relaxed mode with batch statistics, a fixed dropout mask and PDA corrections
    as they are; the network itself is not touched. Layers with ``detach_reset`` are checked with the reset attached,
    as without it no function has the gradient that is computed.

    Args:
        net: any network.
        x: input as the network takes it; uint8 is taken as numbers.
        y: labels ``[N]``.
        loss: default `RateCrossEntropy`.
        device: target to check, "cpu" or "reference"; by default the network's own, of one on "cuda" the CPU's, whose
            twins its kernels are.
        entries: entries of every array that are compared one by one, beside one random direction through all.
        step: of the differences; made smaller where a kink lies within it.
        tolerance: relative difference up to which ``report.ok`` holds. Default 1e-6.
        seed: of the choice of entries and directions.

    Returns:
        a report that prints as a table.

    Raises:
        ShapeError, ValueError: input or labels that do not fit.
    """
    whole("check_gradients: entries", entries)
    positive("check_gradients: step", step)
    return _Checker(net, x, y, loss or RateCrossEntropy(), device, step, tolerance, seed).report(entries)


class _Checker:
    """A float64 copy of a network and the means to move along its parameters."""

    def __init__(self, net, x, y, loss, device, step, tolerance, seed):
        self.rng = np.random.default_rng(seed)
        self.step, self.tolerance, self.loss, self.y = step, tolerance, loss, np.asarray(y)
        self.mode = Mode(training=True, store=True, relaxed=True, seed=seed)
        x = net.kernels.to_host(net.admit(x))
        if not net.built:
            net.build(x.shape)
        if device is None:
            device = "cpu" if net.device == "cuda" else net.device
        if device == "cuda":
            raise ValueError("check_gradients: device must be 'cpu' or 'reference', where float64 is at home")
        self.net = Layer.from_description(net.description()).to(device, "float64")
        self.net.build(net.input_shape)
        self.net.load_state(net.state())
        self.x = self.net.kernels.from_host(x, "float64")

    def evaluate(self):
        """Loss, gradient of the readout, and the smooth pieces everything lies on."""
        z = self.net.forward(self.x, self.mode)
        losses, dz = self.loss(self.net.kernels, z, self.y)
        penalty = sum(getattr(layer, "penalty", 0.0) for layer in self.net.walk())
        found = [*(layer.pieces() for layer in self.net.walk()), self.loss.pieces(self.net.kernels, z)]
        pieces = [p for p in found if p is not None]
        return float(losses.mean(dtype=np.float64)) + penalty, dz, pieces

    def report(self, entries):
        value, dz, self.base_pieces = self.evaluate()
        self.rounding = 8 * np.finfo(np.float64).eps * max(1.0, abs(value))
        dx = self.net.backward(dz)
        parameters = self.net.parameters()
        targets = [(name, p.value, p.grad.copy()) for name, p in parameters] + [("input", self.x, dx.copy())]
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
        """Relative difference along a random direction: through all entries or, where that meets a kink, fewer."""
        for share in DIRECTION_SHARES:
            direction = self.rng.normal(size=array.shape) * (self.rng.random(array.shape) < share)
            length = np.linalg.norm(direction)
            measured = self.slope(array, direction / length) if length else None
            if measured is not None:
                analytic = float((grad * direction).sum()) / length
                return self.difference(analytic, measured, FLOOR * float(np.linalg.norm(grad)))
        return np.nan

    def difference(self, analytic, measured, floor):
        """From a measured slope, relative to the larger of both, to the floor, and to what rounding leaves visible at
        its step."""
        numeric, step = measured
        scale = max(abs(analytic), abs(numeric), floor, self.rounding / step / self.tolerance)
        return abs(analytic - numeric) / scale

    def slope(self, array, direction):
        """Central difference along the direction and its step, or None where even the smallest step meets a kink."""
        base = array.copy()
        step = self.step
        try:
            while step >= SMALLEST_STEP:
                total = 0.0
                for offset, weight in STENCIL:
                    array[...] = base + offset * step * direction
                    value, _, pieces = self.evaluate()
                    if any((a != b).any() for a, b in zip(pieces, self.base_pieces, strict=True)):
                        break
                    total += weight * value
                else:
                    return total / step, step
                step /= 10
        finally:
            array[...] = base
        return None
