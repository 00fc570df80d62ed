"""Losses for classes: one per sample, or one per step."""

import numpy as np

from ..errors import ShapeError
from ..kernels import types
from ..shown import shown
from ..validate import at_least, listed, number, positive, real_array, whole, within
from .base import Loss
from .target import NO_LABEL, Wanted, classes_of, step_classes_of


class _ClassLoss(Loss):
    """Base of the losses for one class per sample. A subclass stores its ``class_weights``."""

    class_weights: tuple[float, ...] | None = None

    def read(self, y, shape):
        labels = classes_of(type(self).__name__, y, shape)
        return Wanted(labels.reshape(self.form(len(labels))), weights=self.weights_of(labels, shape[2]))

    def form(self, samples: int) -> tuple[int, ...]:
        """Return the shape of the labels that the kernel takes."""
        return (samples,)

    def weights_of(self, labels, classes):
        """Return the weight of every label, or None without class weights."""
        if self.class_weights is None:
            return None
        if len(self.class_weights) != classes:
            raise ShapeError(
                f"{type(self).__name__}: class_weights must have one number per class, {classes}; "
                f"got {len(self.class_weights)}"
            )
        return np.asarray(self.class_weights)[labels]


def _smoothing(what, label_smoothing):
    return within(f"{what}: label_smoothing", label_smoothing, 0, 1, open_high=True)


def _weights(what, class_weights):
    """Return class weights as a tuple of numbers of at least 0, or None."""
    if class_weights is None:
        return None
    given = listed(f"{what}: class_weights", class_weights, "numbers, one per class")
    if not given:
        raise ValueError(f"{what}: class_weights must be a list of numbers, one per class; got {shown(class_weights)}")
    return tuple(at_least(f"{what}: class_weights", weight, 0) for weight in given)


MOST_CLASSES = 2**24
"""Largest number of classes for which `balanced` counts labels; more come from labels that are no classes."""


def balanced(labels, n_classes: int | None = None) -> tuple[float, ...]:
    """Return class weights that make rare classes count as much as frequent ones: N / (K n), with n samples of a class.

        snn.losses.RateCrossEntropy(class_weights=snn.losses.balanced(train.y))

    Args:
        labels: whole numbers of any shape; negative ones (no label) are left out.
        n_classes: K. Default None: the largest label + 1.

    Returns:
        K numbers, whose mean over the labels is 1; 0 for a class that does not occur.

    Raises:
        ValueError: there is no label, they are not whole numbers, or a label is not smaller than n_classes.
    """
    given, labels = labels, real_array(labels)
    if labels is None or labels.dtype.kind not in "iu" or not (labels >= 0).any():
        got = shown(given) if labels is None else labels.dtype
        raise ValueError(f"balanced: labels must be whole numbers, at least one of them 0 or more; got {got}")
    most = MOST_CLASSES if n_classes is None else whole("balanced: n_classes", n_classes, high=MOST_CLASSES)
    if labels.max() >= most:
        raise ValueError(f"balanced: labels must be smaller than n_classes, {most}; got {labels.max()}")
    counts = np.bincount(labels[labels >= 0].astype(np.int64))
    classes = len(counts) if n_classes is None else most
    counts = np.pad(counts, (0, classes - len(counts)))
    there = np.count_nonzero(counts)
    return tuple(float(counts.sum() / (there * n)) if n else 0.0 for n in counts)


# --- means over time ------------------------------------------------------------------------------------------------


class RateCrossEntropy(_ClassLoss):
    """Cross-entropy of the mean of the readout over time: the mean potential of an integrator, the mean output of a
    `Linear`, or the firing rates of neurons. The targets are one class per sample, whole numbers ``[N]``.

    Args:
        label_smoothing: a in [0, 1); the wanted distribution is (1 - a) onehot + a / K. Default 0.
        class_weights: K numbers of at least 0, by which the losses of the samples of each class are multiplied; see
            `balanced`. Default None: one.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weights=None):
        self.label_smoothing = _smoothing("RateCrossEntropy", label_smoothing)
        self.class_weights = _weights("RateCrossEntropy", class_weights)

    def evaluate(self, kernels, z, y, shares, loss, dz):
        kernels.rate_cross_entropy(z, y, self.label_smoothing, shares, loss, dz)


class TET(_ClassLoss):
    """Temporal efficient training (Deng et al. 2022, arXiv:2202.11946): the mean over steps of the cross-entropy of
    each step, plus the mean squared distance of the readout from a target. The targets are one class per sample, whole
    numbers ``[N]``.

    Args:
        label_smoothing: a in [0, 1); the wanted distribution is (1 - a) onehot + a / K. Default 0.
        regulariser: weight of the squared distance in [0, 1]; the cross-entropy has the rest. Default 0.05.
        target: value from which the distance of the readout is measured, usually the threshold. Default 1.
        class_weights: as for `RateCrossEntropy`. Default None.
    """

    def __init__(
        self, label_smoothing: float = 0.0, regulariser: float = 0.05, target: float = 1.0, class_weights=None
    ):
        self.label_smoothing = _smoothing("TET", label_smoothing)
        self.regulariser = within("TET: regulariser", regulariser, 0, 1)
        self.target = number("TET: target", target)
        self.class_weights = _weights("TET", class_weights)

    def form(self, samples):
        return (1, samples)

    def evaluate(self, kernels, z, y, shares, loss, dz):
        temporal = types.Temporal(self.label_smoothing, self.regulariser, self.target)
        kernels.temporal_cross_entropy(z, y, temporal, shares, loss, dz)


class StepCrossEntropy(_ClassLoss):
    """Cross-entropy of every step with the label of this step: the mean over the steps that have a label.

    The targets are one class per step, whole numbers ``[T, N]`` in a batch (``[N, T]`` in a dataset); -1 stands for a
    step without a label. The loss of a sample without any label is 0.

    Args:
        label_smoothing: a in [0, 1); the wanted distribution is (1 - a) onehot + a / K. Default 0.
        class_weights: K numbers of at least 0, by which the cross-entropies of the steps of each class are multiplied;
            see `balanced`. Default None: one.
    """

    per_step = True

    def __init__(self, label_smoothing: float = 0.0, class_weights=None):
        self.label_smoothing = _smoothing("StepCrossEntropy", label_smoothing)
        self.class_weights = _weights("StepCrossEntropy", class_weights)

    def read(self, y, shape):
        labels = step_classes_of("StepCrossEntropy", y, shape)
        return Wanted(labels, labels != NO_LABEL, self.weights_of(labels, shape[2]))

    def evaluate(self, kernels, z, y, shares, loss, dz):
        temporal = types.Temporal(self.label_smoothing, 0.0, 0.0)
        kernels.temporal_cross_entropy(z, y, temporal, shares, loss, dz)


class SpikeCountMSE(_ClassLoss):
    """Mean over classes of the squared distance between the firing rate of a class and its wanted rate. The targets are
    one class per sample, whole numbers ``[N]``.

    Args:
        correct_rate: wanted rate of the class of the label, in spikes per step. Default 0.9.
        incorrect_rate: wanted rate of the other classes, in spikes per step. Default 0.1.
        class_weights: as for `RateCrossEntropy`. Default None.
    """

    def __init__(self, correct_rate: float = 0.9, incorrect_rate: float = 0.1, class_weights=None):
        self.correct_rate = number("SpikeCountMSE: correct_rate", correct_rate)
        self.incorrect_rate = number("SpikeCountMSE: incorrect_rate", incorrect_rate)
        self.class_weights = _weights("SpikeCountMSE", class_weights)

    def evaluate(self, kernels, z, y, shares, loss, dz):
        kernels.spike_count_mse(z, y, types.Rates(self.correct_rate, self.incorrect_rate), shares, loss, dz)


# --- potentials -----------------------------------------------------------------------------------------------------


class MaxMembraneCrossEntropy(_ClassLoss):
    """Cross-entropy of the maximum of the readout over time, taken for every class ("max over time": Cramer et al.
    2022, arXiv:1910.07407). A class may reach its maximum at any step of a sequence. The targets are one class per
    sample, whole numbers ``[N]``.

    Only the step of the maximum receives a gradient; of several equal maxima it is the first one.

    Args:
        label_smoothing: a in [0, 1); the wanted distribution is (1 - a) onehot + a / K. Default 0.
        class_weights: as for `RateCrossEntropy`. Default None.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weights=None):
        self.label_smoothing = _smoothing("MaxMembraneCrossEntropy", label_smoothing)
        self.class_weights = _weights("MaxMembraneCrossEntropy", class_weights)

    def evaluate(self, kernels, z, y, shares, loss, dz):
        kernels.max_membrane_cross_entropy(z, y, self.label_smoothing, shares, loss, dz)

    def scores(self, z, counted=None):
        """Return the largest readout over time per class."""
        return z.max(0) if counted is None else np.where(counted[:, :, None], z, -np.inf).max(0)

    def pieces(self, kernels, z):
        return kernels.to_host(z).argmax(0)


# --- spike times ----------------------------------------------------------------------------------------------------


class TimeToFirstSpike(_ClassLoss):
    """Cross-entropy of the times of first spikes: it trains the class of the label to fire before the others.

        logits_k = -t1_k / temperature
        t1       = sum_t t z[t] prod_{t'<t} (1 - z[t'])  +  T prod_t (1 - z[t])          t = 0..T-1, silence counts as T

    A softmax over negative first-spike times is the usual loss of temporally coded networks (Mostafa 2018,
    arXiv:1606.08165; Göltz et al. 2021, arXiv:1912.11443). In those networks the time of a spike is continuous and has
    a gradient. The definition of t1 for discrete steps is this project's own: the expected time of the first spike if
    z[t] is the probability of firing at step t. If z holds spikes, t1 is the time of the first one, and dt1/dz[t] is
    exactly the change of t1 by a spike at t, so a silent class also learns when to fire. In relaxed mode t1 is smooth.
    In a sequence that is shorter than the batch, T is its length.

    The readout must hold spikes, or numbers between 0 and 1: the last layer of the network must be a neuron. The
    targets are one class per sample, whole numbers ``[N]``.

    Args:
        temperature: lead, in steps, by which the odds of a class grow by the factor e. Default 1.
        label_smoothing: a in [0, 1); the wanted distribution is (1 - a) onehot + a / K. Default 0.
        class_weights: as for `RateCrossEntropy`. Default None.

    Raises:
        ValueError: an argument is out of range or, in a call, the readout leaves [0, 1].
    """

    def __init__(self, temperature: float = 1.0, label_smoothing: float = 0.0, class_weights=None):
        self.temperature = positive("TimeToFirstSpike: temperature", temperature)
        self.label_smoothing = _smoothing("TimeToFirstSpike", label_smoothing)
        self.class_weights = _weights("TimeToFirstSpike", class_weights)

    def evaluate(self, kernels, z, y, shares, loss, dz):
        if z.dtype != np.uint8:
            _need_probabilities(kernels.to_host(z))
        timing = types.Timing(self.label_smoothing, self.temperature)
        kernels.first_spike_cross_entropy(z, y, timing, shares, loss, dz)

    def scores(self, z, counted=None):
        """Return minus the expected time of the first spike: the class that fires first decides, the lowest class if
        several fire first, and class 0 if none fires."""
        quiet = 1.0 - (z if counted is None else z * counted[:, :, None])
        survival = quiet.cumprod(0)
        return -(survival if counted is None else survival * counted[:, :, None]).sum(0)


def _need_probabilities(z):
    """Refuse a readout outside [0, 1]; accept NaN, so that a diverged run is reported as diverged, and what the
    distribution function of a surrogate can round to in relaxed mode."""
    rounding = 4 * np.finfo(z.dtype).eps
    outside = (z < -rounding) | (z > 1 + rounding)
    if outside.any():
        at = tuple(int(k) for k in np.argwhere(outside)[0])
        raise ValueError(
            f"TimeToFirstSpike: the readout must be spikes, between 0 and 1; got {z[at]} at index {at}. "
            "The last layer must be a neuron"
        )
