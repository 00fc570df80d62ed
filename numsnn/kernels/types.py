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
    """Mean and (biased) variance, out; the shapes are told where they are asked for."""

    mean: Any
    var: Any


class Direct(NamedTuple):
    """A loss that acts on the potential itself (D5, D6): p = offset + slope u, both ``[C]``."""

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
