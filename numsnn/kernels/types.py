"""What goes through the door of the kernels together: small named tuples in the place of long trains of arguments."""

from typing import Any, NamedTuple

# --- neurons ---


class Firing(NamedTuple):
    """Where and how neurons fire (N2, S1). theta and alpha are ``[C]``.

    Attributes:
        theta: threshold.
        alpha: width of the surrogate.
        family: of the surrogate.
        reach: distance from the threshold, in widths, from which on the surrogate is zero, or taken to be.
    """

    theta: Any
    alpha: Any
    family: str
    reach: float = 0.0


class Reset(NamedTuple):
    """What a spike does to the potential.

    Attributes:
        value: of a hard reset (N3); None for a soft one (N4), "none" for none at all (N13).
        detached: the backward pass treats the spike in the reset as a constant (N12).
    """

    value: float | str | None = 0.0
    detached: bool = False


class Norm(NamedTuple):
    """A normalisation in front of a neuron, as its kernels apply it (B4): (x - centre) factor + offset, all ``[C]``."""

    centre: Any
    factor: Any
    offset: Any


class Moments(NamedTuple):
    """Mean and (biased) variance; the shapes are told where they are asked for."""

    mean: Any
    var: Any


class Direct(NamedTuple):
    """The gradient of a loss that acts on u itself (D5, D6): p = offset + slope u, both ``[C]``."""

    offset: Any
    slope: Any


class Wanted(NamedTuple):
    """Gradients of a neuron's parameters, out, each ``[C]``; None where it is not learned.

    Attributes:
        values: one for each value of the neuron's rule.
        theta, alpha: of threshold and width.
    """

    values: tuple
    theta: Any = None
    alpha: Any = None


class Extensions(NamedTuple):
    """What neurons with extensions have beside the potential (X1, X4, X7, X14); None, or 0, for what they have not.

    Attributes:
        lateral: weights ``[C, C]`` (from, to).
        gamma: decay of the synaptic current ``[C]``.
        rho, kappa: decay and strength of the threshold's adaptation ``[C]``.
        refractory: whole steps.
    """

    lateral: Any = None
    gamma: Any = None
    rho: Any = None
    kappa: Any = None
    refractory: int = 0


class Stored(NamedTuple):
    """What a forward pass of neurons with extensions leaves, ``[T, M, C]``: potentials and spikes, and, None where the
    neuron has no such part, synaptic current, adaptation and (uint8) whether it was refractory."""

    u: Any
    s: Any
    j: Any = None
    a: Any = None
    held: Any = None


# --- layers without neurons ---


class Geometry(NamedTuple):
    """How the kernel of a convolution moves over its input (W4).

    Attributes:
        stride, padding: pairs (vertical, horizontal).
        groups: groups of channels that do not mix.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1


class Window(NamedTuple):
    """The filter window of a pooling, which slides over pictures (W7, W8).

    Attributes:
        kernel, stride, padding: pairs (vertical, horizontal).
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)


class Affine(NamedTuple):
    """What a normalisation does beside centring (B3, B12): scale gamma (x - mean) / sqrt(var + eps) + beta.

    Attributes:
        gamma, beta: ``[C]``.
        eps: added to the variance.
        scale: 1, or the threshold of the neuron behind it in the threshold-dependent form. Group normalisation has
            no scale.
    """

    gamma: Any
    beta: Any
    eps: float
    scale: float = 1.0

    def unscaled(self) -> tuple[Any, Any, float]:
        """gamma, beta and eps, for a normalisation without a scale.

        Raises:
            ValueError: there is a scale.
        """
        if self.scale != 1:
            raise ValueError(f"groupnorm: scale must be 1, as group normalisation has none; got {self.scale!r}")
        return self[:3]


class Band(NamedTuple):
    """The firing rates that cost nothing (A2), spikes per step."""

    low: float
    high: float


class Objective(NamedTuple):
    """How the divergence objective counts (D4).

    Attributes:
        weight: factor of the objective in the loss.
        eps: added to both variances, so that a silent channel stays finite.
        potentials: how many there are per channel.
    """

    weight: float
    eps: float
    potentials: int


# --- losses ---


class Temporal(NamedTuple):
    """The numbers of `temporal_cross_entropy` (L3).

    Attributes:
        smoothing: of the labels.
        regulariser: share of the squared distance, between 0 and 1; the rest is the cross-entropy's.
        target: what that distance is measured from.
    """

    smoothing: float
    regulariser: float
    target: float


class Rates(NamedTuple):
    """Firing rates that `spike_count_mse` wants (L4): of the labelled class, and of each other one."""

    correct: float
    incorrect: float


class Timing(NamedTuple):
    """The numbers of `first_spike_cross_entropy` (L7).

    Attributes:
        smoothing: of the labels.
        temperature: what spike times are divided by, in steps.
    """

    smoothing: float
    temperature: float


# --- optimisers ---


class Segments(NamedTuple):
    """How the parameters of a network lie in one vector, each a segment of it.

    Attributes:
        ends: ``[P]`` int64, where each segment ends and the next one begins.
        settings: ``[4, P]``: learning rate, weight decay, lower and upper bound of each.
    """

    ends: Any
    settings: Any


class Momentum(NamedTuple):
    """How stochastic gradient descent goes on in its last direction (O2, O3).

    Attributes:
        share: of the last step that is kept, in [0, 1).
        nesterov: look ahead along it.
    """

    share: float
    nesterov: bool


class Adam(NamedTuple):
    """The numbers of Adam (O4, O5, O6).

    Attributes:
        beta1, beta2: decay of the first and of the second moment.
        eps: added to the root of the second moment.
        decoupled: weight decay is taken off the value, instead of being added to the gradient.
    """

    beta1: float
    beta2: float
    eps: float
    decoupled: bool


# --- ways to compute products ---

ROUTES = ("auto", "events", "winograd", "dense", "library")
"""Ways to compute a convolution or matrix product that can be asked for: see `cpu.route` and `cuda.route`."""

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
"""What the factors of products may be rounded to. "float32" rounds nothing more than the network's own numbers are."""


class Way(NamedTuple):
    """How convolutions and matrix products are to be computed.

    Attributes:
        route: one of `ROUTES`; "auto" leaves the choice to the target.
        precision: one of `PRECISIONS`, of the factors; sums keep the network's dtype.
    """

    route: str = "auto"
    precision: str = "float32"


AUTO = Way()
"""The target's choice, at full precision."""
