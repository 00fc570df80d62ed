"""The base of all losses, and sums of losses."""

from math import prod
from numbers import Real
from typing import ClassVar

import numpy as np

from .. import metrics
from ..describe import Described
from ..errors import ShapeError
from ..kernels import for_device
from ..kernels.contract import Device
from ..portable import on_device
from ..shown import shown
from ..validate import float_dtype, instance, listed, number, real_array
from .shares import counted_steps, shares_of
from .target import NAMES, Wanted


class Loss(Described):
    """Base of all losses.

    A subclass writes

    - ``read(y, shape)``, which checks the targets and returns them as a `Wanted`;
    - ``evaluate(kernels, z, y, shares, loss, dz)``, which calls its kernel. y is what `read` returned, on the device.

    and declares

    - ``targets``: the kinds of targets that it takes, see `numsnn.data.Dataset`: "class", "labels", "values";
    - ``per_step``: whether there is one target per step (True), one for all steps (False), or either (None);
    - ``takes_pictures``: whether the readout may have more than three axes, such as ``[T, N, H, W, C]``.
    """

    __array_ufunc__ = None  # NumPy's scalars leave `np.float64(0.1) * loss` to `__rmul__`

    targets: tuple[str, ...] = ("class",)
    per_step: bool | None = False
    takes_pictures: ClassVar[bool] = False

    def __call__(self, z, y, kernels=None, lengths=None, mask=None, weights=None, dtype=np.float32) -> tuple:
        """Return the loss of every sample and the gradient of their mean.

        Args:
            z: readout ``[T, N, K]``, float or spikes (uint8), on the host or on a device.
            y: targets, on the host; the class says which.
            kernels: kernels of the device that holds z. Default None: those of the CPU, or of CUDA for an array on a
                CUDA device.
            lengths: ``[N]`` whole numbers: steps of each sequence, from 1 to T. Later steps have no influence. Default
                None: every sequence has T steps.
            mask: ``[T, N]`` truth values: whether a step counts. At least one step of every sample must. Default None:
                every step within the lengths counts.
            weights: ``[N]`` numbers of at least 0, by which the losses of the samples are multiplied. Default None:
                one. The mean over the samples is their sum divided by N, whatever the weights are.
            dtype: dtype of the gradient if z holds spikes; otherwise the gradient has z's dtype. Default float32.

        Returns:
            The losses ``[N]`` and dL/dz, of z's shape, both on the device. The call does not wait for the device.

        Raises:
            ShapeError: the readout has another number of axes or is empty, or the targets, lengths, mask or weights do
                not fit it.
            ValueError: a target or weight is NaN or inf.
        """
        what = type(self).__name__
        if not on_device(z):
            z = _host_readout(what, z)
        if z.ndim != 3 and not (self.takes_pictures and z.ndim > 3):
            hint = ". Put a Flatten before the last layer" if z.ndim > 3 else ""
            raise ShapeError(f"{what}: the readout must be [T, N, K]; got {z.shape}{hint}")
        if not all(z.shape):
            raise ShapeError(f"{what}: the readout must hold at least one step, sample and output; got shape {z.shape}")
        if kernels is None:
            kernels = for_device("cuda" if on_device(z) else "cpu")
        instance(f"{what}: kernels", kernels, Device, "those of a device, such as net.kernels")
        steps, samples = z.shape[:2]
        dtype = float_dtype(f"{what}: dtype", dtype) if z.dtype == np.uint8 else z.dtype
        wanted = self.read(y, z.shape)
        counted = counted_steps(what, steps, samples, lengths, mask)
        shares = shares_of(what, kernels, (steps, samples), dtype, counted, wanted, weights)
        dz = kernels.empty(z.shape, dtype)
        loss = kernels.empty((samples,), dtype)
        flat = (steps, samples, prod(z.shape[2:]))
        y = kernels.from_host(wanted.y, np.int64 if wanted.y.dtype.kind == "i" else dtype)
        self.evaluate(kernels, z.reshape(flat), y, shares, loss, dz.reshape(flat))
        return loss, dz

    def read(self, y, shape) -> Wanted:
        """Check the targets for a readout of this shape, and return them in the form that `evaluate` takes."""
        raise TypeError(f"{type(self).__name__} has no read(y, shape)")

    def evaluate(self, kernels, z, y, shares, loss, dz):
        """Fill loss ``[N]`` and its gradient dz ``[T, N, K]``; shares is a `kernels.types.Shares`."""
        raise TypeError(f"{type(self).__name__} has no evaluate(kernels, z, y, shares, loss, dz)")

    def scores(self, z: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
        """Return one number per sample and output, the largest of which decides: by default the mean over time.

        Args:
            z: host readout ``[T, N, ...]``.
            counted: ``[T, N]`` truth values: whether a step counts. Default None: all do.
        """
        if counted is None:
            return z.mean(0, dtype=np.float64)
        share = (counted / np.maximum(counted.sum(0), 1)).reshape(*counted.shape, *(1,) * (z.ndim - 2))
        return (z * share).sum(0, dtype=np.float64)

    def decide(self, z: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
        """Return the classes ``[N]`` of a host readout ``[T, N, K]``; `scores` has the arguments."""
        return self.scores(z, counted).argmax(1)

    def predict(self, z, target: str = "class", per_step: bool = False, counted=None) -> np.ndarray:
        """Return what the network says about each sample, in the form of the targets.

        Args:
            z: host readout ``[T, N, ...]``.
            target: kind of the targets: "class", "labels" or "values". Default "class".
            per_step: whether there is one prediction per step. Default False.
            counted: as for `scores`.

        Returns:
            classes ``[N]`` (int64), labels ``[N, K]`` (uint8, 0 or 1) or values ``[N, ...]``; with a first axis T if
                there is one per step.
        """
        if target == "class":
            return z.argmax(-1) if per_step else self.decide(z, counted)
        values = z.astype(np.float64) if per_step else self.scores(z, counted)
        return (values > self.threshold).astype(np.uint8) if target == "labels" else values

    @property
    def threshold(self) -> float:
        """The number above which an output says that a label is there."""
        return 0.0

    def metrics(self, target: str, per_step: bool) -> tuple[metrics.Metric, ...]:
        """Return the metrics of a run with targets of this kind. The first one compares epochs."""
        return metrics.standard(target)

    def need(self, owner: str, target: str, per_step: bool) -> None:
        """Refuse targets of another kind.

        Args:
            owner: name of the data; the message begins with it.
            target, per_step: the kind of their targets.

        Raises:
            ValueError: the loss does not take them; the message names losses that do.
        """
        # Losses for numbers take one class per sample, but not one per step.
        fits = per_step is self.per_step if self.per_step is not None else not (per_step and target == "class")
        if target in self.targets and fits:
            return
        mine = " or ".join(NAMES[kind, bool(self.per_step)] for kind in self.targets)
        other = {"class": "StepCrossEntropy" if per_step else "RateCrossEntropy", "labels": "BinaryCrossEntropy"}
        change = "give the data other targets"
        if target == "values" and "class" in self.targets:
            change = "if these are classes, give whole numbers: y.astype(int), and y.argmax(1) for one-hot rows"
        elif target == "class" and "values" in self.targets:
            change = "if these are numbers, give floats: y.astype(float)"
        raise ValueError(
            f"{type(self).__name__} needs {mine} as targets; {owner} has {NAMES[target, per_step]}. "
            f"Use {other.get(target, 'MeanSquaredError')}, or {change}"
        )

    def pieces(self, kernels, z) -> np.ndarray | None:
        """Return the smooth piece of the loss on which each number of the readout lies, as an integer array; None for
        a loss without kinks and jumps. Finite differences are valid only where no number moves to another piece."""
        return None

    def __add__(self, other):
        if not isinstance(other, Loss):
            return NotImplemented
        mine, theirs = _parts(self), _parts(other)
        return LossSum(*(part for part, _ in mine + theirs), weights=tuple(weight for _, weight in mine + theirs))

    def __mul__(self, factor):
        if not isinstance(factor, Real):
            return NotImplemented
        factor = number("a loss's weight", factor)
        parts = _parts(self)
        return LossSum(*(part for part, _ in parts), weights=tuple(factor * weight for _, weight in parts))

    __rmul__ = __mul__


def _host_readout(what, z):
    """Return a readout on the host as a contiguous array of spikes or floats."""
    array = real_array(z)
    if array is None or array.dtype not in (np.uint8, np.float32, np.float64):
        got = z.dtype if isinstance(z, np.ndarray) else shown(z) if array is None else array.dtype
        raise ShapeError(f"{what}: the readout must be float32, float64 or spikes (uint8); got {got}")
    return np.ascontiguousarray(array)


class LossSum(Loss):
    """A weighted sum of losses, usually written with operators: ``a + 0.1 * b``.

    Args:
        losses: at least one loss.
        weights: one number per loss. Default None: every weight is 1.

    Raises:
        ValueError: there is no loss, an argument is not a loss, the number of weights differs from that of losses, or
            no kind of targets suits all losses.
    """

    def __init__(self, *losses: Loss, weights=None):
        if not losses:
            raise ValueError("LossSum: needs at least one loss")
        for loss in losses:
            if not isinstance(loss, Loss):
                raise ValueError(f"LossSum: every argument must be a loss; got {shown(loss)}")
        weights = (1.0,) * len(losses) if weights is None else tuple(listed("LossSum: weights", weights))
        if len(weights) != len(losses):
            raise ValueError(f"LossSum: needs {len(losses)} weights, one per loss; got {len(weights)}")
        self.losses = losses
        self.weights = tuple(number("LossSum: weights", weight) for weight in weights)
        self.targets = tuple(kind for kind in losses[0].targets if all(kind in loss.targets for loss in losses))
        fixed = {loss.per_step for loss in losses} - {None}
        if not self.targets or len(fixed) > 1:
            names = ", ".join(type(loss).__name__ for loss in losses)
            raise ValueError(f"LossSum: {names} do not take the same targets")
        self.per_step = fixed.pop() if fixed else None

    def __call__(self, z, y, kernels=None, lengths=None, mask=None, weights=None, dtype=np.float32):
        """Return losses and gradient as `Loss.__call__` does; the targets must be valid for every loss."""
        if kernels is None:
            kernels = for_device("cuda" if on_device(z) else "cpu")
        total, gradient = None, None
        for part, weight in _parts(self):
            losses, dz = part(z, y, kernels, lengths, mask, weights, dtype)
            kernels.scale(losses, weight)
            kernels.scale(dz, weight)
            if gradient is None:
                total, gradient = losses, dz
            else:
                kernels.add(total, losses, total)
                kernels.add(gradient, dz, gradient)
        return total, gradient

    def need(self, owner, target, per_step):
        for loss in self.losses:
            loss.need(owner, target, per_step)

    def scores(self, z, counted=None):
        """Return the scores of the first loss, which decides."""
        return self.losses[0].scores(z, counted)

    @property
    def threshold(self):
        return self.losses[0].threshold

    def pieces(self, kernels, z):
        found = [p.ravel() for part in self.losses if (p := part.pieces(kernels, z)) is not None]
        return np.concatenate(found) if found else None


def _parts(loss):
    """Return pairs (loss, weight) whose sum a loss is."""
    return list(zip(loss.losses, loss.weights, strict=True)) if isinstance(loss, LossSum) else [(loss, 1.0)]
