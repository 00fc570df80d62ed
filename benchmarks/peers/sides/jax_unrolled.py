"""Plain JAX with eight time steps per turn of `lax.scan`, the default of jaxpike. Some networks are faster with it, and
others without: a comparison measures both, and the faster one counts."""

from . import jax
from .jax import Meter, load, use

__all__ = ["Meter", "Side", "load", "use"]


class Side(jax.Side):
    unroll = 8
