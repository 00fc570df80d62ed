"""Losses on the readout ``[T, N, K]``. One call computes the losses of all samples and the gradient of their mean.

Losses can be added and weighted: ``TET() + 0.1 * MembraneMSE()``. Penalties on the activity inside a network
(`numsnn.RateBand`, `numsnn.SpikePenalty`, `numsnn.Divergence`) are layers and can be combined with any loss. The
constructor of a loss raises a ValueError if an argument is not a number or is out of range.

The corresponding names in snnTorch are ce_rate_loss for ``TET(regulariser=0)``, ce_max_membrane_loss for
`MaxMembraneCrossEntropy`, mse_count_loss for `SpikeCountMSE`, mse_membrane_loss for `MembraneMSE` and ce_temporal_loss
for `TimeToFirstSpike`. `RateCrossEntropy` is the cross-entropy of the mean potential or of the mean firing rate.
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
        """Return the loss of every sample and the gradient of their mean.

        Args:
            kernels: kernels of the device that holds z.
            z: readout ``[T, N, K]``, float or spikes (uint8).
            labels: whole numbers ``[N]`` from 0 to K - 1 (`MembraneMSE` and `Pointwise` also take wanted values).
            dtype: dtype of the gradient if z holds spikes; otherwise the gradient has z's dtype. Default float32.

        Returns:
            The losses ``[N]`` and dL/dz ``[T, N, K]``, both on the device. The call does not wait for the device.

        Raises:
            ShapeError: the readout is not ``[T, N, K]``, or the labels do not fit it.
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
        """Check the labels and return them in the form that `evaluate` takes: int64 ``[N]``, on the device."""
        return kernels.from_host(check_labels(type(self).__name__, labels, shape[1], shape[2]), np.int64)

    def evaluate(self, kernels, z, labels, loss, dz):
        """Fill loss ``[N]`` and its gradient dz ``[T, N, K]``."""
        raise TypeError(f"{type(self).__name__} has no evaluate(kernels, z, labels, loss, dz)")

    def decide(self, z: np.ndarray) -> np.ndarray:
        """Return the classes ``[N]`` of a host readout ``[T, N, K]``; by default the largest mean over time decides."""
        return z.mean(0, dtype=np.float64).argmax(1)

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


class LossSum(Loss):
    """A weighted sum of losses, usually written with operators: ``a + 0.1 * b``.

    Args:
        losses: at least one loss.
        weights: one number per loss. Default None: every weight is 1.

    Raises:
        ValueError: there is no loss, an argument is not a loss, or the number of weights differs from that of losses.
    """

    def __init__(self, *losses: Loss, weights=None):
        if not losses:
            raise ValueError("LossSum: needs at least one loss")
        for loss in losses:
            if not isinstance(loss, Loss):
                raise ValueError(f"LossSum: every argument must be a loss; got {loss!r}")
        weights = (1.0,) * len(losses) if weights is None else tuple(weights)
        if len(weights) != len(losses):
            raise ValueError(f"LossSum: needs {len(losses)} weights, one per loss; got {len(weights)}")
        self.losses = losses
        self.weights = tuple(number("LossSum: weights", weight) for weight in weights)

    def __call__(self, kernels, z, labels, dtype=np.float32):
        """Return losses and gradient as `Loss.__call__` does; the labels must be valid for every loss."""
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
        """Return the classes according to the first loss."""
        return self.losses[0].decide(z)

    def pieces(self, kernels, z):
        found = [p.ravel() for part in self.losses if (p := part.pieces(kernels, z)) is not None]
        return np.concatenate(found) if found else None


def _parts(loss):
    """Return pairs (loss, weight) whose sum a loss is."""
    return list(zip(loss.losses, loss.weights, strict=True)) if isinstance(loss, LossSum) else [(loss, 1.0)]


def check_labels(what: str, labels, samples: int, classes: int) -> np.ndarray:
    """Return labels as int64 ``[N]``; refuse labels that do not fit the readout."""
    labels = np.asarray(labels)
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise ShapeError(
            f"{what}: labels must be {samples} whole numbers, one per sample; "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        raise ShapeError(
            f"{what}: labels must lie in 0..{classes - 1} for a readout of {classes}; "
            f"got {labels[bad[0]]} at index {bad[0]}"
        )
    return labels.astype(np.int64)


def check_targets(what: str, labels, shapes, correct: float, incorrect: float) -> np.ndarray:
    """Return wanted values ``[T, N, K]`` or ``[1, N, K]``, made of labels or of floats of one of the given shapes."""
    targets = np.asarray(labels)
    samples, classes = shapes[-1]
    if targets.dtype.kind != "f":
        labels = check_labels(what, targets, samples, classes)
        targets = np.where(np.arange(classes) == labels[:, None], correct, incorrect)
    if targets.shape not in shapes:
        wanted = f"the readout's shape {shapes[0]}, or {shapes[1]}" if len(shapes) > 1 else f"shape {shapes[0]}"
        raise ShapeError(f"{what}: wanted values must have {wanted}; got {targets.shape}")
    if not np.isfinite(targets).all():
        raise ValueError(f"{what}: wanted values must be finite; got NaN or inf among them")
    return targets.reshape(-1, samples, classes)


def _smoothing(what, label_smoothing):
    return within(f"{what}: label_smoothing", label_smoothing, 0, 1, open_high=True)


# --- means over time ------------------------------------------------------------------------------------------------


class RateCrossEntropy(Loss):
    """Cross-entropy of the mean of the readout over time: the mean potential of an integrator, the mean output of a
    `Linear`, or the firing rates of neurons.

    Args:
        label_smoothing: a in [0, 1); the wanted distribution is (1 - a) onehot + a / K. Default 0.
    """

    def __init__(self, label_smoothing: float = 0.0):
        self.label_smoothing = _smoothing("RateCrossEntropy", label_smoothing)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.rate_cross_entropy(z, labels, self.label_smoothing, loss, dz)


class TET(Loss):
    """Temporal efficient training (Deng et al. 2022, arXiv:2202.11946): the mean over steps of the cross-entropy of
    each step, plus the mean squared distance of the readout from a target.

    Args:
        label_smoothing: a in [0, 1); the wanted distribution is (1 - a) onehot + a / K. Default 0.
        regulariser: weight of the squared distance in [0, 1]; the cross-entropy has the rest. Default 0.05.
        target: value from which the distance of the readout is measured, usually the threshold. Default 1.
    """

    def __init__(self, label_smoothing: float = 0.0, regulariser: float = 0.05, target: float = 1.0):
        self.label_smoothing = _smoothing("TET", label_smoothing)
        self.regulariser = within("TET: regulariser", regulariser, 0, 1)
        self.target = number("TET: target", target)

    def evaluate(self, kernels, z, labels, loss, dz):
        temporal = types.Temporal(self.label_smoothing, self.regulariser, self.target)
        kernels.temporal_cross_entropy(z, labels, temporal, loss, dz)


class SpikeCountMSE(Loss):
    """Mean over classes of the squared distance between the firing rate of a class and its wanted rate.

    Args:
        correct_rate: wanted rate of the class of the label, in spikes per step. Default 0.9.
        incorrect_rate: wanted rate of the other classes, in spikes per step. Default 0.1.
    """

    def __init__(self, correct_rate: float = 0.9, incorrect_rate: float = 0.1):
        self.correct_rate = number("SpikeCountMSE: correct_rate", correct_rate)
        self.incorrect_rate = number("SpikeCountMSE: incorrect_rate", incorrect_rate)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.spike_count_mse(z, labels, types.Rates(self.correct_rate, self.incorrect_rate), loss, dz)


# --- potentials -----------------------------------------------------------------------------------------------------


class MaxMembraneCrossEntropy(Loss):
    """Cross-entropy of the maximum of the readout over time, taken for every class ("max over time": Cramer et al.
    2022, arXiv:1910.07407). A class may reach its maximum at any step of a sequence.

    Only the step of the maximum receives a gradient; of several equal maxima it is the first one.

    Args:
        label_smoothing: a in [0, 1); the wanted distribution is (1 - a) onehot + a / K. Default 0.
    """

    def __init__(self, label_smoothing: float = 0.0):
        self.label_smoothing = _smoothing("MaxMembraneCrossEntropy", label_smoothing)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.max_membrane_cross_entropy(z, labels, self.label_smoothing, loss, dz)

    def decide(self, z):
        """Return the class with the largest maximum over time."""
        return z.max(0).argmax(1)

    def pieces(self, kernels, z):
        return kernels.to_host(z).argmax(0)


class MembraneMSE(Loss):
    """Squared distance of the readout z from wanted values y, mean over steps and classes.

        L = mean_{t,k} (z[t,k] - y[t,k])^2

    For labels ``[N]``, the wanted value is `correct` for the class of the label and `incorrect` for the other classes,
    at every step. For a regression, pass the wanted values as floats in place of the labels: ``[N, K]`` (the same
    values at every step) or ``[T, N, K]``.

    Args:
        correct: wanted readout of the class of the label, usually the threshold. Default 1.
        incorrect: wanted readout of the other classes. Default 0.

    Raises:
        ShapeError: in a call, the wanted values are neither labels nor floats of one of these shapes.
        ValueError: an argument or a wanted value is NaN or inf.
    """

    def __init__(self, correct: float = 1.0, incorrect: float = 0.0):
        self.correct = number("MembraneMSE: correct", correct)
        self.incorrect = number("MembraneMSE: incorrect", incorrect)

    def prepare(self, kernels, labels, shape, dtype):
        """Return the wanted values on the device: ``[T, N, K]``, or ``[1, N, K]`` if they are equal at every step."""
        targets = check_targets("MembraneMSE", labels, (shape, shape[1:]), self.correct, self.incorrect)
        return kernels.from_host(targets, dtype)

    def evaluate(self, kernels, z, labels, loss, dz):
        kernels.membrane_mse(z, labels, loss, dz)


# --- a loss of your own ---------------------------------------------------------------------------------------------


class Pointwise(Loss):
    """Base of losses that users define and that compare every number z of the readout with a wanted value y:

        over "steps"    L = mean_{t,k} value(z[t,k], y[t,k])
        over "mean"     L = mean_k value(mean_t z[t,k], y[k])

    A subclass defines two functions of two numbers, the value and its derivative by z. They are compiled into the
    kernels of the CPU and of CUDA devices; `numsnn.register_surrogate` says what they may use.

        class LogCosh(snn.losses.Pointwise):
            @staticmethod
            def value(z, y):
                return math.log(math.cosh(z - y))

            @staticmethod
            def slope(z, y):
                return math.tanh(z - y)

        snn.Trainer(net, loss=LogCosh(over="steps"))

    `numsnn.check_gradients` detects a slope that is not the derivative of the value. As for `MembraneMSE`, labels
    ``[N]`` stand for the wanted values `correct` and `incorrect`, and floats ``[N, K]`` (over "steps" also
    ``[T, N, K]``) in place of the labels are the wanted values themselves.

    Args:
        over: "mean" (default) compares the mean of the readout over time, "steps" compares every step.
        correct: wanted value of the class of the label. Default 1.
        incorrect: wanted value of the other classes. Default 0.

    Raises:
        TypeError: a subclass does not define value or slope.
        ValueError: a function cannot be compiled in single precision or, in a call, a wanted value is not finite.
        ShapeError: in a call, the wanted values are neither labels nor floats of one of these shapes.
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
        """Return the wanted values on the device: ``[T, N, K]``, or ``[1, N, K]`` if they are equal at every step."""
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
    """Cross-entropy of the times of first spikes: it trains the class of the label to fire before the others.

        logits_k = -t1_k / temperature
        t1       = sum_t t z[t] prod_{t'<t} (1 - z[t'])  +  T prod_t (1 - z[t])          t = 0..T-1, silence counts as T

    A softmax over negative first-spike times is the usual loss of temporally coded networks (Mostafa 2018,
    arXiv:1606.08165; Göltz et al. 2021, arXiv:1912.11443). In those networks the time of a spike is continuous and has
    a gradient. The definition of t1 for discrete steps is this project's own: the expected time of the first spike if
    z[t] is the probability of firing at step t. If z holds spikes, t1 is the time of the first one, and dt1/dz[t] is
    exactly the change of t1 by a spike at t, so a silent class also learns when to fire. In relaxed mode t1 is smooth.

    The readout must hold spikes, or numbers between 0 and 1: the last layer of the network must be a neuron.

    Args:
        temperature: lead, in steps, by which the odds of a class grow by the factor e. Default 1.
        label_smoothing: a in [0, 1); the wanted distribution is (1 - a) onehot + a / K. Default 0.

    Raises:
        ValueError: an argument is out of range or, in a call, the readout leaves [0, 1].
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
        """Return the class that fires first: the lowest class if several fire first, and class 0 if none fires."""
        return (1.0 - z).cumprod(0).sum(0).argmin(1)


def _need_probabilities(z):
    """Refuse a readout outside [0, 1]; accept NaN, so that a diverged run is reported as diverged."""
    outside = (z < 0) | (z > 1)
    if outside.any():
        at = tuple(int(k) for k in np.argwhere(outside)[0])
        raise ValueError(
            f"TimeToFirstSpike: the readout must be spikes, between 0 and 1; got {z[at]} at index {at}. "
            "The last layer must be a neuron"
        )
