"""Which way a convolution or a matrix product is computed on the device.

    library    NVIDIA's library, cuBLAS (`library`); its precision says how it rounds the factors: not at all
               ("float32"), for tensor cores to 10 bits behind the point ("tf32"), to 7 ("bfloat16"), or to 10 and
               infinite beyond 65504 ("float16"); sums are float32
    dense      our own tiles (`product`)
    grouped    groups of few channels, depthwise among them (`grouped`)

The library multiplies float32 numbers in one group; whatever else comes, and everything where it is not installed, is
computed by our own tiles. Nothing is counted on the device, so that it has no route "events".
"""

import numpy as np

from ..types import AUTO
from .ways import grouped, library

ROUTES = ("auto", "dense", "library")
"""Those of `types.ROUTES` that this target has."""


def choose(way, w, groups) -> str:
    """The route of one call: way is what is asked for, w the weights ``[kh, kw, I/groups, O]`` or their gradient."""
    if grouped.worth_it(w, groups):
        return "grouped"
    if way.route == "dense" or groups > 1 or w.dtype != np.float32 or not library.available():
        return "dense"
    return "library"


def name_of(route, way) -> str:
    """A route as it is reported: that of the library with its precision."""
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
    """See `reference.conv.visible_limit`: a mask saves a device nothing."""
    return 0.0
