"""Named tuples of values that are passed to kernels together, so that kernels need fewer arguments.

In this module ``[C]`` is the shape of an array with one number per channel, T the number of time steps and M the number
of rows.
"""

from typing import Any, NamedTuple

import numpy as np

# --- neurons ---


class Firing(NamedTuple):
    """Where neurons fire, and the surrogate of the spike (N2, S1).

    Attributes:
        theta: threshold, ``[C]``.
        alpha: width of the surrogate, ``[C]``.
        family: name of the surrogate's family.
        reach: distance from the threshold, in widths, beyond which the surrogate's density is zero or is treated as
            zero.
    """

    theta: Any
    alpha: Any
    family: str
    reach: float = 0.0


class Reset(NamedTuple):
    """What a spike does to the potential.

    Attributes:
        value: potential after a hard reset (N3); None for a soft reset (N4); "delayed" for a soft reset that acts one
            step later (N18), where the first value of the neuron's rule must be beta; "none" for no reset (N13).
        detached: whether the backward pass treats the spike in the reset as a constant (N12).
        spikes: ``[T, M, C]``, in a forward pass what the reset takes in the place of the pass's own spikes (R4); None
            for these. Only the reference kernels take it.
    """

    value: float | str | None = 0.0
    detached: bool = False
    spikes: Any = None


class Norm(NamedTuple):
    """A normalisation that the neuron kernels apply to the input (B4): (x - centre) factor + offset, all ``[C]``."""

    centre: Any
    factor: Any
    offset: Any


class Moments(NamedTuple):
    """Mean and biased variance. Each function that takes or returns moments states their shapes."""

    mean: Any
    var: Any


class Direct(NamedTuple):
    """The gradient of a loss that acts on the potential u itself (D5, D6): p = offset + slope (u - centre).

    Attributes:
        centre, offset, slope: ``[C]``.
        ends: ``[M]``, int64: for every row, the number of the step from which on p is 0 (V4), counted from 0; None if p
            acts at all steps.
    """

    centre: Any
    offset: Any
    slope: Any
    ends: Any = None


class Wanted(NamedTuple):
    """Output arrays for the gradients of a neuron's parameters, each ``[C]``, or None for a parameter that is fixed.

    Attributes:
        values: one array per parameter value of the neuron's rule.
        theta, alpha: arrays for the gradients of the threshold and of the width.
    """

    values: tuple
    theta: Any = None
    alpha: Any = None


class Extensions(NamedTuple):
    """The extensions of a neuron (X1, X4, X7, X14). A part that the neuron does not have is None, or 0 for refractory.

    Attributes:
        lateral: lateral weights, ``[C, C]`` (from, to).
        gamma: decay of the synaptic current, ``[C]``.
        rho, kappa: decay and strength of the threshold's adaptation, ``[C]``.
        refractory: refractory time, a whole number of steps.
    """

    lateral: Any = None
    gamma: Any = None
    rho: Any = None
    kappa: Any = None
    refractory: int = 0


class Stored(NamedTuple):
    """Arrays ``[T, M, C]`` that a forward pass of neurons with extensions fills and its backward pass reads.

    Attributes:
        u, s: potentials after charging, and spikes. u is None, with all arrays below, if a pass stores spikes only.
        j: synaptic current, or None without a synapse.
        a: adaptation, or None without an adaptive threshold.
        held: uint8, 1 where the neuron is refractory, or None without a refractory time.
    """

    u: Any
    s: Any
    j: Any = None
    a: Any = None
    held: Any = None


# --- layers without neurons ---


class Geometry(NamedTuple):
    """How the filter of a convolution moves over its input (W4).

    Attributes:
        stride: pair (vertical, horizontal), in pixels.
        padding: pair (vertical, horizontal): zeros above and to the left of the picture. Below and to the right there
            are as many zeros as the filters of the last outputs read.
        groups: number of groups of channels. A filter reads the channels of its own group only.
        dilation: pair (vertical, horizontal): distance between neighbouring taps, in pixels.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    dilation: tuple[int, int] = (1, 1)


class Window(NamedTuple):
    """The filter window of a pooling, which slides over pictures (W7, W8).

    Attributes:
        kernel: kernel size, a pair (vertical, horizontal) in pixels.
        stride, padding: pairs (vertical, horizontal), in pixels.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def index_dtype(self):
        """The dtype of an index of the window's taps: int16, or int32 if there are more taps than int16 can count."""
        height, width = self.kernel
        return np.int16 if height * width <= 1 << 15 else np.int32


class Affine(NamedTuple):
    """The numbers of a normalisation (B3, B12): scale gamma (x - mean) / sqrt(var + eps) + beta.

    Attributes:
        gamma, beta: scale and offset of the normalisation, ``[C]``.
        eps: number added to the variance.
        scale: 1, or in the threshold-dependent form the threshold of the neuron that follows. Group normalisation
            has no scale.
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
    """The band of firing rates without a penalty (A2), in spikes per step."""

    low: float
    high: float


class Objective(NamedTuple):
    """The numbers of the divergence objective (D4).

    Attributes:
        weight: factor of the objective in the loss.
        eps: number added to both variances, so that the divergence of a silent channel stays finite.
        potentials: number of potentials per channel.
    """

    weight: float
    eps: float
    potentials: int


HALVINGS = 40
"""Number of times that the interval between the bounds of a width is halved (P4), by its logarithm. From a factor of
10^4 between the bounds, 1 + 10^-11 is left."""


class SeenShare(NamedTuple):
    """What the width of a surrogate follows (P4): the share of the potentials that it is to see.

    Attributes:
        share: this share, between 0 and 1.
        reach: reach of the family, in widths.
        low, high: smallest and largest width.
    """

    share: float
    reach: float
    low: float
    high: float


# --- losses ---


class Shares(NamedTuple):
    """What the parts of a batch count in a loss (L9). Both arrays are of the dtype of the gradient.

    Attributes:
        steps: ``[T, N]``, the share of every step in the mean over time. A step with the share 0 is left out. For the
            plain mean over all steps, every share is 1 / T.
        samples: ``[N]``, the factor of every sample's loss.
    """

    steps: Any
    samples: Any


class Temporal(NamedTuple):
    """The numbers of `temporal_cross_entropy` (L3).

    Attributes:
        smoothing: label smoothing.
        regulariser: weight of the squared distance, from 0 to 1. The cross-entropy has the weight 1 - regulariser.
        target: value from which the squared distance of every output is measured.
    """

    smoothing: float
    regulariser: float
    target: float


class Rates(NamedTuple):
    """The firing rates that `spike_count_mse` aims at (L4): of the labelled class, and of every other class."""

    correct: float
    incorrect: float


class Timing(NamedTuple):
    """The numbers of `first_spike_cross_entropy` (L7).

    Attributes:
        smoothing: label smoothing.
        temperature: number of steps by which spike times are divided.
    """

    smoothing: float
    temperature: float


# --- optimisers ---


class Segments(NamedTuple):
    """How the P parameters of a network lie in one vector. Each parameter is a segment of the vector.

    Attributes:
        ends: ``[P]`` int64, the index at which each segment ends and the next one begins.
        settings: ``[4, P]``, the learning rate, weight decay, lower bound and upper bound of each segment.
    """

    ends: Any
    settings: Any


class Momentum(NamedTuple):
    """The momentum of stochastic gradient descent (O2, O3).

    Attributes:
        share: factor of the last velocity, in [0, 1).
        nesterov: whether to use Nesterov momentum.
    """

    share: float
    nesterov: bool


class Adam(NamedTuple):
    """The numbers of Adam (O4, O5, O6).

    Attributes:
        beta1, beta2: decay rates of the first and of the second moment.
        eps: number added to the root of the second moment.
        decoupled: whether weight decay is subtracted from the value instead of added to the gradient.
    """

    beta1: float
    beta2: float
    eps: float
    decoupled: bool

    def corrections(self, update: int) -> tuple[float, float]:
        """Return the bias corrections (O5) of the given update of a parameter, counted from 1: factors of the first
        moment and of the root of the second moment."""
        return 1 / (1 - self.beta1**update), (1 - self.beta2**update) ** -0.5


# --- ways to compute products ---

ROUTES = ("auto", "events", "winograd", "dense", "library")
"""The routes that a user can ask for in a convolution or matrix product. See `cpu.route` and `cuda.route`."""

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
"""Formats that the factors of a product may be rounded to. With "float32" they keep the network's own dtype."""


class Way(NamedTuple):
    """How convolutions and matrix products are to be computed.

    Attributes:
        route: one of `ROUTES`. With "auto" the device chooses.
        precision: one of `PRECISIONS`, the precision of the factors. Sums keep the network's dtype.
    """

    route: str = "auto"
    precision: str = "float32"


AUTO = Way()
"""The device chooses the route, and factors are not rounded."""
