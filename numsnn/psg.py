"""PSG, the parametric surrogate gradient: the width of the surrogate is a parameter like any other.

A spike's derivative does not exist; training uses the density phi of a symmetric distribution in its place, stretched
to the width alpha (docs/method.md, S1, P1, P2, P3):

    Phi_alpha(x) = Phi(x / alpha)        phi_alpha(x) = phi(x / alpha) / alpha        x = u - theta

Because every family is a location-scale family, the gradient of the width is explicit and the same for all:

    dL/d alpha = - sum over t and neurons of q[t] phi_alpha(x[t]) x[t] / alpha

with q the gradient that reaches the spike. What is trained is rho = log alpha (so alpha stays positive), bounded, with
its own learning rate. The width touches the backward pass only: inference never sees it.

The idea of an iteratively updated surrogate parameter is that of Wang, Cheng and Lim (arXiv:2304.13289); this formula
is this project's own formulation of it.
"""

import math
from dataclasses import dataclass

from .describe import Described
from .names import choice
from .validate import positive, two


@dataclass(frozen=True)
class Family:
    """What is known of a surrogate family beside its equations.

    Attributes:
        peak: phi(0), so that the slope at the threshold is peak / alpha.
        reach: the |z| from which on the surrogate cannot see a potential: the edge of the support, or for unbounded
            families where phi(z) falls below 1 % of phi(0).
        compact: whether the density is exactly zero beyond the reach.
        breaks: the z at which the density or its slope jumps; finite differences must not cross them.
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
"""Slope at the threshold, in units of 1 / threshold, beyond which a width does not narrow by default.

The explicit gradient is that of a network whose spikes are smooth. Firing itself does not change with the width, so
that in the last layer in front of the readout nothing stops it from asking for ever narrower surrogates, which see
hardly any potential: training ended with a higher loss for every lower bound that was tried (benchmarks/RESULTS.md)."""

STEEPEST_RECURRENT = 2.0
"""The same for neurons that feed their spikes back: their gradients come back at every step and grow less where a
surrogate sees less. Over 100 steps networks with fast sigmoids trained from every start with this bound, less reliably
with the other, and badly without one (benchmarks/RESULTS.md)."""

WIDEST = 20.0
"""Largest width by default, in thresholds."""


class Surrogate(Described):
    """A surrogate of fixed width.

    Args:
        family: "rectangle", "triangle", "logistic", "arctan", "gaussian", "laplace", "fast_sigmoid", or the name of a
            family of your own, see `numsnn.register_surrogate`.
        width: alpha, in units of the membrane potential. Default 1.

    Raises:
        TypeError: a subclass that defines a density or a cdf: kernels know families by their names.
        ValueError: an unknown family, or a width that is not a positive number.
    """

    learned = False

    def __init_subclass__(cls, **kwargs):
        for name in ("density", "cdf"):
            if name in vars(cls):
                raise TypeError(
                    f"{cls.__name__}: a subclass cannot bring its own {name}, which kernels would not call; "
                    "use numsnn.register_surrogate(name, density, cdf)"
                )
        super().__init_subclass__(**kwargs)

    def __init__(self, family: str = "triangle", width: float = 1.0):
        self.family = choice(f"{type(self).__name__}: family", family, FAMILIES)
        self.width = positive(f"{type(self).__name__}: width", width)

    @property
    def reach(self) -> float:
        """Distance from the threshold, in widths, from which on a potential is undesired (docs/method.md, D7)."""
        return FAMILIES[self.family].reach


class PSG(Surrogate):
    """A surrogate whose width is learned.

    Args:
        family, width: as for `Surrogate`; the width is where learning starts.
        per: "layer" for one width a layer (default), "channel" for one a channel.
        lr: learning rate of log alpha, scaled by the schedule like every other. Default 0.1.
        bounds: smallest and largest width. Default None: from where the slope at the threshold is 1 / threshold (width
            1 for a triangle and a threshold of 1; half of it for recurrent neurons) to 20 thresholds; a start outside
            is brought inside by the first update.

    Raises:
        ValueError: an unknown family or granularity, a width that is not positive or lies outside bounds that are
            given.
    """

    learned = True

    def __init__(
        self,
        family: str = "triangle",
        width: float = 1.0,
        per: str = "layer",
        lr: float = 0.1,
        bounds: tuple[float, float] | None = None,
    ):
        super().__init__(family, width)
        self.per = choice("PSG: per", per, ("layer", "channel"))
        self.lr = positive("PSG: lr", lr)
        self.bounds = None
        if bounds is not None:
            low, high = two("PSG: bounds", bounds)
            self.bounds = (positive("PSG: lower bound", low), positive("PSG: upper bound", high))
            if not low <= width <= high:
                raise ValueError(f"PSG: width must lie within bounds {self.bounds}; got {width}")

    def bounds_at(self, threshold: float, recurrent: bool = False) -> tuple[float, float]:
        """Smallest and largest width of neurons with this threshold."""
        if self.bounds is not None:
            return self.bounds
        steepest = STEEPEST_RECURRENT if recurrent else STEEPEST
        return FAMILIES[self.family].peak * threshold / steepest, WIDEST * threshold
