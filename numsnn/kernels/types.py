"""Small records that the kernels of all targets take."""

from typing import NamedTuple

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
