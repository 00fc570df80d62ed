"""PSG, the parametric surrogate gradient: the width of the surrogate is a trained parameter.

A spike has no derivative. Training uses the density phi of a symmetric distribution in its place, scaled to the width
alpha (docs/method.md, S1, P1, P2, P3, P6):

    Phi_alpha(x) = Phi(x / alpha)        phi_alpha(x) = phi(x / alpha) / alpha        x = u - theta

Because every family is a location-scale family, the gradient of the width has the same explicit form for all of them:

    dL/d alpha = - sum over t and neurons of q[t] phi_alpha(x[t]) x[t] / alpha

Here q is the gradient that reaches the spike. The trained number is rho = log alpha, so that alpha stays positive; it
has bounds and its own learning rate. The width acts in the backward pass only and has no influence on inference.

Wang, Cheng and Lim (arXiv:2304.13289) proposed a surrogate parameter that is updated iteratively; this formula is this
project's own formulation of the idea.
"""

import math
from dataclasses import dataclass

from .describe import Described
from .names import choice
from .validate import positive, two, within


@dataclass(frozen=True)
class Family:
    """Properties of a surrogate family in addition to its equations.

    Attributes:
        peak: phi(0); the slope at the threshold is peak / alpha.
        reach: |z| beyond which the surrogate cannot see a potential: the edge of the support or, for densities without
            such an edge, the point at which phi(z) falls below 1 % of phi(0).
        compact: whether the density is exactly zero beyond the reach.
        breaks: values of z at which the density or its slope jumps; finite differences must not cross them.
    """

    peak: float
    reach: float
    compact: bool = False
    breaks: tuple[float, ...] = ()


FAMILIES = {
    "rectangle": Family(1.0, 0.5, True, (-0.5, 0.5)),
    "triangle": Family(1.0, 1.0, True, (-1.0, 0.0, 1.0)),
    "logistic": Family(0.25, 2 * math.acosh(10)),
    "arctan": Family(1 / math.pi, math.sqrt(99)),
    "gaussian": Family(1 / math.sqrt(2 * math.pi), math.sqrt(2 * math.log(100))),
    "laplace": Family(0.5, math.log(100), breaks=(0.0,)),
    "fast_sigmoid": Family(0.5, 9.0, breaks=(0.0,)),
}

STEEPEST = 1.0
"""Largest slope at the threshold, in units of 1 / threshold; it sets the smallest width by default.

The explicit gradient is the gradient of a network with smooth spikes. The width does not change when neurons fire, so
in the last layer in front of the readout the gradient can make the surrogate ever narrower, until it sees hardly any
potential. Training ended with a higher loss for every smaller width bound that was tried (benchmarks/RESULTS.md)."""

STEEPEST_RECURRENT = 2.0
"""The same for recurrent neurons. Their gradients return at every step, and they grow less if the surrogate sees less.
Networks of fast sigmoids with 100 steps trained from every start with this bound, less reliably with the other bound,
and badly without a bound (benchmarks/RESULTS.md)."""

WIDEST = 20.0
"""Largest width by default, as a multiple of the threshold."""

STEEPEST_WINDOW = 10.0
"""With the rule "window": the largest slope at the threshold by default, in units of 1 / threshold. This rule does not
ask for ever narrower surrogates, so that its bounds only keep numbers in range; recurrent neurons are the exception,
whose potentials spread more and more when gradients grow from step to step (docs/method.md, P6)."""


class Surrogate(Described):
    """A surrogate of fixed width.

    Args:
        family: "rectangle", "triangle" (default), "logistic", "arctan", "gaussian", "laplace", "fast_sigmoid", or the
            name of a family that `numsnn.register_surrogate` has registered.
        width: alpha, in units of the membrane potential. Default 1.

    Raises:
        TypeError: a subclass defines density or cdf, which the kernels would not use: they find families by name.
        ValueError: the family is unknown, or the width is not a positive number.
    """

    learned = follows = False

    def __init_subclass__(cls, **kwargs):
        for name in ("density", "cdf"):
            if name in vars(cls):
                raise TypeError(
                    f"{cls.__name__}: a subclass cannot define {name}, because kernels would not call it; "
                    "use numsnn.register_surrogate(name, density, cdf)"
                )
        super().__init_subclass__(**kwargs)

    def __init__(self, family: str = "triangle", width: float = 1.0):
        self.family = choice(f"{type(self).__name__}: family", family, FAMILIES)
        self.width = positive(f"{type(self).__name__}: width", width)

    @property
    def reach(self) -> float:
        """Distance from the threshold, in widths, beyond which a potential is undesired (docs/method.md, D7)."""
        return FAMILIES[self.family].reach


class PSG(Surrogate):
    """A surrogate whose width adapts to the network in training, by one of two rules.

    With the rule "gradient" the width is learned: it has an explicit gradient and is updated like every parameter (P1,
    P2). With the rule "window" it follows the potentials: every tenth training pass their mean and variance are
    measured and tracked, and the width becomes the one at which the surrogate sees a given share of them, if they are
    normally distributed (P4, P5). The start value then matters for the first pass alone.

    Args:
        family, width: as for `Surrogate`; the width is the start value.
        per: "layer" (default; one width per layer) or "channel" (one width per channel).
        lr: for the rule "gradient", learning rate of log alpha; the schedule scales it. Default 0.1.
        bounds: (smallest width, largest width). Default None. For the rule "gradient": at the smallest width, the slope
            at the threshold is 1 / threshold (width 1 for a triangle and a threshold of 1), and recurrent neurons use
            half of this width; the largest width is 20 thresholds. If the start value lies outside the default bounds,
            the first update moves it inside. For the rule "window": from a tenth of the width at which this slope is 1
            / threshold to 20 thresholds, and for recurrent neurons from half of that width to that width.
        rule: "gradient" (default) or "window".
        share: for the rule "window", share of the potentials that the surrogate sees, between 0 and 1. Default 0.5.

    Raises:
        ValueError: the family, per or rule is unknown, a number is not positive, the share is not between 0 and 1, or
            the width is outside the given bounds.
    """

    def __init__(
        self,
        family: str = "triangle",
        width: float = 1.0,
        per: str = "layer",
        lr: float = 0.1,
        bounds: tuple[float, float] | None = None,
        rule: str = "gradient",
        share: float = 0.5,
    ):
        super().__init__(family, width)
        self.per = choice("PSG: per", per, ("layer", "channel"))
        self.lr = positive("PSG: lr", lr)
        self.rule = choice("PSG: rule", rule, ("gradient", "window"))
        self.share = within("PSG: share", share, 0, 1, open_low=True, open_high=True)
        self.bounds = None
        if bounds is not None:
            low, high = two("PSG: bounds", bounds)
            self.bounds = (positive("PSG: lower bound", low), positive("PSG: upper bound", high))
            if not low <= width <= high:
                raise ValueError(f"PSG: width must lie within bounds {self.bounds}; got {width}")

    @property
    def learned(self) -> bool:  # type: ignore[override]
        """Whether the width is a parameter."""
        return self.rule == "gradient"

    @property
    def follows(self) -> bool:  # type: ignore[override]
        """Whether the width follows the potentials."""
        return self.rule == "window"

    def bounds_at(self, threshold: float, recurrent: bool = False) -> tuple[float, float]:
        """Return the smallest and the largest width for neurons with this threshold (P3, P6)."""
        if self.bounds is not None:
            return self.bounds
        unit = FAMILIES[self.family].peak * threshold  # divided by a slope in units of 1 / threshold: its width
        if not self.follows:
            return unit / (STEEPEST_RECURRENT if recurrent else STEEPEST), WIDEST * threshold
        if recurrent:
            return unit / STEEPEST_RECURRENT, unit / STEEPEST
        return unit / STEEPEST_WINDOW, WIDEST * threshold
