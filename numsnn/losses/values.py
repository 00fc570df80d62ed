"""Losses for numbers and for labels: every number of the readout is compared with a wanted one."""

import math
from functools import cache
from typing import Any

from ..names import choice
from ..validate import number
from .base import Loss
from .target import Wanted, values_of


class _ValueLoss(Loss):
    """Base of the losses that compare numbers. A subclass stores ``correct`` and ``incorrect``, the numbers that stand
    for a label that is there and for one that is not."""

    targets: tuple[str, ...] = ("values", "class", "labels")
    per_step: bool | None = None
    takes_pictures = True
    correct: float
    incorrect: float

    @property
    def threshold(self):
        return (self.correct + self.incorrect) / 2


class MembraneMSE(_ValueLoss):
    """Squared distance of the readout z from wanted values y, mean over steps and outputs.

        L = mean_{t,k} (z[t,k] - y[t,k])^2

    The readout is ``[T, N, K]`` or has more axes, such as pictures ``[T, N, H, W, C]``. The targets are

    - values: floats of the readout's shape, or without its first axis, for the same values at every step;
    - one class per sample: whole numbers ``[N]``. The wanted value is `correct` for the class of the label and
      `incorrect` for the other classes, at every step;
    - several labels: 0 and 1 (or truth values) of the readout's shape, or without its first axis: `incorrect` and
      `correct`.

    Args:
        correct: wanted readout of the class of the label, usually the threshold. Default 1.
        incorrect: wanted readout of the other classes. Default 0.

    Raises:
        ShapeError: in a call, the targets are none of these.
        ValueError: an argument or a wanted value is NaN or inf.
    """

    def __init__(self, correct: float = 1.0, incorrect: float = 0.0):
        self.correct = number("MembraneMSE: correct", correct)
        self.incorrect = number("MembraneMSE: incorrect", incorrect)

    def read(self, y, shape):
        return Wanted(values_of("MembraneMSE", y, shape, self.correct, self.incorrect))

    def evaluate(self, kernels, z, y, shares, loss, dz):
        kernels.membrane_mse(z, y, shares, loss, dz)


class Pointwise(_ValueLoss):
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

    `numsnn.check_gradients` detects a slope that is not the derivative of the value. Readout and targets are those of
    `MembraneMSE`; over "mean", all values are the same at every step.

    Args:
        over: "mean" (default) compares the mean of the readout over time, "steps" compares every step.
        correct: wanted value of the class of the label. Default 1.
        incorrect: wanted value of the other classes. Default 0.

    Raises:
        TypeError: a subclass does not define value or slope.
        ValueError: a function cannot be compiled in single precision or, in a call, a wanted value is not finite.
        ShapeError: in a call, the targets do not fit the readout.
    """

    value: Any = None
    slope: Any = None

    def __init__(self, over: str = "mean", correct: float = 1.0, incorrect: float = 0.0):
        what = type(self).__name__
        for name in ("value", "slope"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{what} has no {name}(z, y); write it as a static method")
            _need_single_precision(f"{what}: {name}", getattr(self, name))
        self.over = choice(f"{what}: over", over, ("mean", "steps"))
        self.per_step = False if over == "mean" else None
        self.correct = number(f"{what}: correct", correct)
        self.incorrect = number(f"{what}: incorrect", incorrect)

    def read(self, y, shape):
        moving = self.over == "steps"
        return Wanted(values_of(type(self).__name__, y, shape, self.correct, self.incorrect, moving))

    def evaluate(self, kernels, z, y, shares, loss, dz):
        kernels.pointwise(z, y, (self.value, self.slope), self.over == "mean", shares, loss, dz)


class MeanSquaredError(Pointwise):
    """Squared distance of the mean of the readout over time from wanted values, mean over outputs: the usual loss of a
    regression.

        over "mean"     L = mean_k (mean_t z[t,k] - y[k])^2
        over "steps"    L = mean_{t,k} (z[t,k] - y[t,k])^2, as in `MembraneMSE`

    Readout, arguments and errors are those of `Pointwise`. A run takes values as targets; whole numbers are classes,
    and are refused.
    """

    targets = ("values",)

    @staticmethod
    def value(z, y):
        return (z - y) * (z - y)

    @staticmethod
    def slope(z, y):
        return (z - y) + (z - y)


class BinaryCrossEntropy(Pointwise):
    """Cross-entropy of every output by itself, for several labels per sample: the mean of the readout over time (or the
    readout of every step) is the logit of the label.

        L = mean_k [ log(1 + exp(z_k)) - y_k z_k ],      z_k = mean_t z[t,k]

    The targets are 0 and 1 (or truth values) ``[N, K]``; over "steps" they may also be ``[T, N, K]``. A label is
    predicted if its logit is positive.

    Args:
        over: "mean" (default) takes the mean of the readout over time, "steps" takes every step.

    Raises:
        ValueError: over is unknown or, in a call, a label is neither 0 nor 1.
        ShapeError: in a call, the targets do not fit the readout.
    """

    targets = ("labels",)

    def __init__(self, over: str = "mean"):
        super().__init__(over)

    def read(self, y, shape):
        wanted = super().read(y, shape)
        if wanted.y.min() < 0 or wanted.y.max() > 1:
            raise ValueError(f"BinaryCrossEntropy: labels must lie in 0..1; got {wanted.y.min()} to {wanted.y.max()}")
        return wanted

    @staticmethod
    def value(z, y):
        return max(z, 0.0) - z * y + math.log1p(math.exp(-abs(z)))

    @staticmethod
    def slope(z, y):
        # A tanh cannot overflow, unlike the exponential of the logistic function.
        return (math.tanh(z * 0.5) + 1.0) * 0.5 - y

    @property
    def threshold(self):
        return 0.0


@cache
def _need_single_precision(what, function):
    from ..kernels.own import need_single_precision

    need_single_precision(what, function, 2)
