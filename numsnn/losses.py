"""Losses on the readout ``[T, N, K]``: mean over the samples of a batch, value and gradient in one pass.

Losses add up and may be weighted: ``TET() + 0.1 * MembraneMSE()``. What acts on the activity inside a network instead
(`numsnn.RateBand`, `numsnn.SpikePenalty`, `numsnn.Divergence`) is a layer, and goes with any loss.

snnTorch's names for the same ideas: ce_rate_loss is ``TET(regulariser=0)``, ce_max_membrane_loss is
`MaxMembraneCrossEntropy`, mse_count_loss `SpikeCountMSE`, mse_membrane_loss `MembraneMSE` and ce_temporal_loss
`TimeToFirstSpike`. The cross-entropy of the mean potential, or of spikes' mean rate, is `RateCrossEntropy`.
"""

from functools import cache
from numbers import Real

import numpy as np

from .describe import Described
from .errors import ShapeError
from .kernels import types
from .names import choice
from .validate import number, positive, within


class Loss(Described):
    """Base of all losses. A subclass writes ``evaluate(kernels, z, labels, loss, dz)``, which calls its kernel."""

    __array_ufunc__ = None  # NumPy's scalars leave `np.float64(0.1) * loss` to `__rmul__`

    def __call__(self, kernels, z, labels, dtype=np.float32) -> tuple:
        """Loss of every sample and the gradient of their mean.

        Args:
            kernels: functions of the target z lives on.
            z: readout ``[T, N, K]``, float or uint8 spikes.
            labels: ``[N]`` whole numbers from 0 to K - 1 (`MembraneMSE` also takes targets).
            dtype: of the gradient where z holds spikes; otherwise it is z's. Default float32.

        Returns:
            losses ``[N]`` and dL/dz ``[T, N, K]``, both on the target: nobody waits for them.

        Raises:
            ShapeError: the readout is not ``[T, N, K]``, or the labels do not go with it.
        """
        if z.ndim != 3:
            raise ShapeError(f"{type(self).__name__}: the readout must be [T, N, K]; got {z.shape}")
        dtype = np.dtype(dtype) if z.dtype == np.uint8 else z.dtype
        labels = self.prepare(kernels, labels, z.shape, dtype)
        dz = kernels.empty(z.shape, dtype)
        loss = kernels.empty((z.shape[1],), dtype)
        self.evaluate(kernels, z, labels, loss, dz)
        return loss, dz

    def prepare(self, kernels, labels, shape, dtype):
        """What `evaluate` gets as labels, on the target: checked, int64 ``[N]``."""
        return kernels.from_host(check_labels(type(self).__name__, labels, shape[1], shape[2]), np.int64)

    def evaluate(self, kernels, z, labels, loss, dz):
        """Fill loss ``[N]`` and dz ``[T, N, K]``."""
        raise TypeError(f"{type(self).__name__} has no evaluate(kernels, z, labels, loss, dz)")

    def decide(self, z: np.ndarray) -> np.ndarray:
        """The class ``[N]`` that a readout ``[T, N, K]`` on the host stands for: the largest mean over time, unless the
        loss trains another answer."""
        return z.mean(0, dtype=np.float64).argmax(1)

    def pieces(self, kernels, z) -> np.ndarray | None:
        """For a loss with kinks or choices: on which smooth piece every number of this readout lies, as an integer
        array; None otherwise. Finite differences hold only where it does not change."""
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


class LossSum(Loss):
    """A weighted sum of losses, usually written with operators: ``a + 0.1 * b``.

    Args:
        losses: at least one.
        weights: one number a loss; None (default) stands for ones.

    Raises:
        ValueError: no loss, something that is not a loss, or weights that do not go with them.
    """

    def __init__(self, *losses: Loss, weights=None):
        if not losses:
            raise ValueError("LossSum: needs at least one loss")
        for loss in losses:
            if not isinstance(loss, Loss):
                raise ValueError(f"LossSum: is made of losses; got {loss!r}")
        weights = (1.0,) * len(losses) if weights is None else tuple(weights)
        if len(weights) != len(losses):
            raise ValueError(f"LossSum: needs {len(losses)} weights, one a loss; got {len(weights)}")
        self.losses = losses
        self.weights = tuple(number("LossSum: weights", weight) for weight in weights)

    def __call__(self, kernels, z, labels, dtype=np.float32):
        """As `Loss.__call__`; labels have to suit every one of the losses."""
        total, gradient = None, None
        for part, weight in _parts(self):
            losses, dz = part(kernels, z, labels, dtype)
            kernels.scale(losses, weight)
            kernels.scale(dz, weight)
            if gradient is None:
                total, gradient = losses, dz
            else:
                kernels.add(total, losses, total)
                kernels.add(gradient, dz, gradient)
        return total, gradient

    def decide(self, z):
        """The first loss decides."""
        return self.losses[0].decide(z)

    def pieces(self, kernels, z):
        found = [p.ravel() for part in self.losses if (p := part.pieces(kernels, z)) is not None]
        return np.concatenate(found) if found else None


def _parts(loss):
    """Losses and weights a loss is the sum of."""
    return list(zip(loss.losses, loss.weights, strict=True)) if isinstance(loss, LossSum) else [(loss, 1.0)]


def check_labels(what: str, labels, samples: int, classes: int) -> np.ndarray:
    """Labels as int64 ``[N]``, refused with one line where they do not fit."""
    labels = np.asarray(labels)
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise ShapeError(
            f"{what}: labels must be {samples} whole numbers, one a sample; got {labels.dtype} of shape {labels.shape}"
        )
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        raise ShapeError(
            f"{what}: labels must lie in 0..{classes - 1} for a readout of {classes}; "
            f"got {labels[bad[0]]} at index {bad[0]}"
        )
    return labels.astype(np.int64)


def check_targets(what: str, labels, shapes, correct: float, incorrect: float) -> np.ndarray:
    """Target numbers ``[T, N, K]`` or ``[1, N, K]``: those given as floats of one of these shapes, the last of which is
    ``[N, K]``, or made of labels."""
    targets = np.asarray(labels)
    samples, classes = shapes[-1]
    if targets.dtype.kind != "f":
        labels = check_labels(what, targets, samples, classes)
        targets = np.where(np.arange(classes) == labels[:, None], correct, incorrect)
    if targets.shape not in shapes:
        wanted = f"the readout's shape {shapes[0]}, or {shapes[1]}" if len(shapes) > 1 else f"shape {shapes[0]}"
        raise ShapeError(f"{what}: targets must have {wanted}; got {targets.shape}")
    if not np.isfinite(targets).all():
        raise ValueError(f"{what}: targets must be finite; got NaN or inf among them")
    return targets.reshape(-1, samples, classes)


def _smoothing(what, label_smoothing):
    return within(f"{what}: label_smoothing", label_smoothing, 0, 1, open_high=True)


# --- means over time ------------------------------------------------------------------------------------------------


class RateCrossEntropy(Loss):
    """Cross-entropy of the readout's mean over time: of the mean membrane potential of an integrator, of the mean of a
    Linear's output, or of spikes' rates.

    Args:
        label_smoothing: a in [0, 1); targets are (1 - a) onehot + a / K. Default 0.
    """

    def __init__(self, label_smoothing: float = 0.0):
        self.label_smoothing = _smoothing("RateCrossEntropy", label_smoothing)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.rate_cross_entropy(z, labels, self.label_smoothing, loss, dz)


class TET(Loss):
    """Temporal efficient training (Deng et al. 2022, arXiv:2202.11946): the mean over time of every step's cross-
    entropy, mixed with the readout's squared distance from a target.

    Args:
        label_smoothing: a in [0, 1); targets are (1 - a) onehot + a / K. Default 0.
        regulariser: weight of the squared distance, in [0, 1]; the cross-entropy gets the rest. Default 0.05.
        target: readout the distance is measured from; usually the threshold. Default 1.
    """

    def __init__(self, label_smoothing: float = 0.0, regulariser: float = 0.05, target: float = 1.0):
        self.label_smoothing = _smoothing("TET", label_smoothing)
        self.regulariser = within("TET: regulariser", regulariser, 0, 1)
        self.target = number("TET: target", target)

    def evaluate(self, kernels, z, labels, loss, dz):
        temporal = types.Temporal(self.label_smoothing, self.regulariser, self.target)
        kernels.temporal_cross_entropy(z, labels, temporal, loss, dz)


class SpikeCountMSE(Loss):
    """Squared distance of every class's firing rate from the one that is wanted, mean over classes.

    Args:
        correct_rate: wanted rate (spikes a step) of the label's class. Default 0.9.
        incorrect_rate: wanted rate of the others. Default 0.1.
    """

    def __init__(self, correct_rate: float = 0.9, incorrect_rate: float = 0.1):
        self.correct_rate = number("SpikeCountMSE: correct_rate", correct_rate)
        self.incorrect_rate = number("SpikeCountMSE: incorrect_rate", incorrect_rate)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.spike_count_mse(z, labels, types.Rates(self.correct_rate, self.incorrect_rate), loss, dz)


# --- potentials -----------------------------------------------------------------------------------------------------


class MaxMembraneCrossEntropy(Loss):
    """Cross-entropy of the readout's maximum over time, in every class its own ("max over time": Cramer et al. 2022,
    arXiv:1910.07407): a class may answer at any moment of a sequence, and the others do not have to wait for it.

    The gradient goes to the step of the maximum alone, to the first of equal ones.

    Args:
        label_smoothing: a in [0, 1); targets are (1 - a) onehot + a / K. Default 0.
    """

    def __init__(self, label_smoothing: float = 0.0):
        self.label_smoothing = _smoothing("MaxMembraneCrossEntropy", label_smoothing)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.max_membrane_cross_entropy(z, labels, self.label_smoothing, loss, dz)

    def decide(self, z):
        """The largest maximum over time."""
        return z.max(0).argmax(1)

    def pieces(self, kernels, z):
        return kernels.to_host(z).argmax(0)


class MembraneMSE(Loss):
    """Squared distance of the readout from its target, mean over steps and classes.

        L = mean_{t,k} (z[t,k] - target[t,k])^2

    With labels ``[N]`` the target is `correct` for the label's class and `incorrect` for the others, at every step.
    Called with an array of floats in the labels' place, ``[N, K]`` (the same target at every step) or ``[T, N, K]``,
    it is that array: a regression.

    Args:
        correct: wanted readout of the label's class; usually the threshold. Default 1.
        incorrect: wanted readout of the others. Default 0.

    Raises:
        ShapeError: on the call, targets that are neither labels nor floats of one of these shapes.
        ValueError: NaN or inf among the targets.
    """

    def __init__(self, correct: float = 1.0, incorrect: float = 0.0):
        self.correct = number("MembraneMSE: correct", correct)
        self.incorrect = number("MembraneMSE: incorrect", incorrect)

    def prepare(self, kernels, labels, shape, dtype):
        """The target ``[T, N, K]``, or ``[1, N, K]`` for one that does not change."""
        targets = check_targets("MembraneMSE", labels, (shape, shape[1:]), self.correct, self.incorrect)
        return kernels.from_host(targets, dtype)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.membrane_mse(z, labels, loss, dz)


# --- a loss of your own ---------------------------------------------------------------------------------------------


class Pointwise(Loss):
    """Base of a loss of your own that compares every readout number z with a target number y:

        over "steps"    L = mean_{t,k} value(z[t,k], y[t,k])
        over "mean"     L = mean_k value(mean_t z[t,k], y[k])

    A subclass brings two functions of two numbers, the value and its derivative by z. They are compiled into the
    kernels of the CPU and of CUDA devices; `numsnn.register_surrogate` says what they may use.

        class LogCosh(snn.losses.Pointwise):
            @staticmethod
            def value(z, y):
                return math.log(math.cosh(z - y))

            @staticmethod
            def slope(z, y):
                return math.tanh(z - y)

        snn.Trainer(net, loss=LogCosh(over="steps"))

    `numsnn.check_gradients` finds a slope that is not the derivative of the value. As with `MembraneMSE`, labels
    ``[N]`` stand for the targets `correct` and `incorrect`, and an array of floats in their place is the target itself:
    ``[N, K]``, over steps also ``[T, N, K]``.

    Args:
        over: "mean" for the readout's mean over time (default), or "steps" for every step.
        correct: target of the label's class. Default 1.
        incorrect: target of the others. Default 0.

    Raises:
        TypeError: a subclass without value or slope.
        ValueError: functions that cannot be compiled in single precision, or, on the call, targets that are not finite.
        ShapeError: on the call, targets that are neither labels nor floats of one of these shapes.
    """

    value = slope = None

    def __init__(self, over: str = "mean", correct: float = 1.0, incorrect: float = 0.0):
        what = type(self).__name__
        for name in ("value", "slope"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{what} has no {name}(z, y); write it as a static method")
            _need_single_precision(f"{what}: {name}", getattr(self, name))
        self.over = choice(f"{what}: over", over, ("mean", "steps"))
        self.correct = number(f"{what}: correct", correct)
        self.incorrect = number(f"{what}: incorrect", incorrect)

    def prepare(self, kernels, labels, shape, dtype):
        """The target ``[T, N, K]``, or ``[1, N, K]`` for one that does not change."""
        shapes = (shape[1:],) if self.over == "mean" else (shape, shape[1:])
        targets = check_targets(type(self).__name__, labels, shapes, self.correct, self.incorrect)
        return kernels.from_host(targets, dtype)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.pointwise(z, labels, (self.value, self.slope), self.over == "mean", loss, dz)


@cache
def _need_single_precision(what, function):
    from .kernels.own import need_single_precision

    need_single_precision(what, function, 2)


# --- spike times ----------------------------------------------------------------------------------------------------


class TimeToFirstSpike(Loss):
    """Cross-entropy of the first spikes' times: the label's class is to fire before the others.

        logits_k = -t1_k / temperature
        t1       = sum_t t z[t] prod_{t'<t} (1 - z[t'])  +  T prod_t (1 - z[t])          t = 0..T-1, silence counts as T

    A softmax over negative first-spike times is the usual loss of temporally coded networks (Mostafa 2018,
    arXiv:1606.08165; Göltz et al. 2021, arXiv:1912.11443). There a spike's time is continuous and has a gradient of its
    own. The definition of t1 for discrete steps is this project's: the expected time of the first spike, if z[t] is the
    probability to fire at t. For spikes it is the first one's time, and dt1/dz[t] is exactly the difference that a
    spike at t makes, so that a silent class also learns when to fire. In relaxed mode it is a smooth function.

    The readout has to be spikes (or numbers between 0 and 1): end the network in neurons.

    Args:
        temperature: steps by which a class must be ahead for its odds to grow by e. Default 1.
        label_smoothing: a in [0, 1); targets are (1 - a) onehot + a / K. Default 0.

    Raises:
        ValueError: on the call, a readout that leaves [0, 1].
    """

    def __init__(self, temperature: float = 1.0, label_smoothing: float = 0.0):
        self.temperature = positive("TimeToFirstSpike: temperature", temperature)
        self.label_smoothing = _smoothing("TimeToFirstSpike", label_smoothing)

    def evaluate(self, kernels, z, labels, loss, dz):
        if z.dtype != np.uint8:
            _need_probabilities(kernels.to_host(z))
        timing = types.Timing(self.label_smoothing, self.temperature)
        kernels.first_spike_cross_entropy(z, labels, timing, loss, dz)

    def decide(self, z):
        """The class that fires first, of equal ones the first; class 0 where all are silent."""
        return (1.0 - z).cumprod(0).sum(0).argmin(1)


def _need_probabilities(z):
    """Refuse a readout that is not spikes; NaN passes, so that a run that diverged is reported as such."""
    outside = (z < 0) | (z > 1)
    if outside.any():
        at = tuple(int(k) for k in np.argwhere(outside)[0])
        raise ValueError(
            f"TimeToFirstSpike: the readout must be spikes, between 0 and 1; got {z[at]} at index {at}. "
            "End the network in neurons"
        )
