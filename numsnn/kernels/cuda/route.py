"""Chooses the route of every convolution and matrix product on the GPU.

    library    uses NVIDIA's library cuBLAS (`library`). The precision says how the factors are rounded: not at all
               ("float32"), or for tensor cores to 10 bits of the fraction ("tf32"), to 7 bits ("bfloat16"), or to 10
               bits, where numbers beyond 65504 become infinite ("float16"). Sums are float32.
    dense      uses numsnn's own tiles (`product`)
    grouped    for groups of few channels, such as in a depthwise convolution (`grouped`)

The library is used for float32 arrays in one group. All other arrays are multiplied by numsnn's own tiles, and so is
everything if the library is not installed. There is no route "events", because active inputs are not counted on a GPU.
"""

import numpy as np

from ..types import AUTO
from .ways import grouped, library

ROUTES = ("auto", "dense", "library")
"""The routes of `types.ROUTES` that the GPU has."""


def choose(way, w, groups) -> str:
    """Choose the route of one call.

    Args:
        way: the `types.Way` that the user asks for.
        w: weights ``[kh, kw, I/groups, O]``, or their gradient.
        groups: number of groups.

    Returns:
        "library", "dense" or "grouped".
    """
    if grouped.worth_it(w, groups):
        return "grouped"
    if way.route == "dense" or groups > 1 or w.dtype != np.float32 or not library.available():
        return "dense"
    return "library"


def name_of(route, way) -> str:
    """The name of a route in reports. The name of the library's route includes the precision."""
    return f"library, {way.precision}" if route == "library" else route


def lacks(way, dtype):
    """See `reference.conv.lacks`."""
    if way.route not in ROUTES:
        return f"device 'cuda' has no route {way.route!r}, only {', '.join(map(repr, ROUTES))}"
    rounded = way.precision != "float32"
    if rounded and way.route == "dense":
        return "route 'dense' of device 'cuda' has precision 'float32' only"
    if way.route != "library" and not rounded:
        return None
    wanted = f"precision {way.precision!r}" if rounded else "route 'library'"
    if dtype != np.float32:
        return f"device 'cuda' has {wanted} for float32 networks only, not for {dtype}"
    return None if library.available() else f"{wanted} needs NVIDIA's cuBLAS, which cannot be used: {library.reason()}"


def visible_limit(w, geometry, way=AUTO):
    """See `reference.conv.visible_limit`. It is 0, because a visible mask makes nothing faster on a GPU."""
    return 0.0
