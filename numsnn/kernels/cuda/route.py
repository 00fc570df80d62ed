"""Which way a convolution or a matrix product is computed on the device.

    float32    NVIDIA's library, cuBLAS, in float32 (`library`)
    tf32       the same with factors rounded to 10 bits behind the point, for tensor cores; sums are float32
    bfloat16   likewise, to 7 bits
    float16    likewise, to 10 bits, and infinite beyond 65504
    dense      our own tiles (`product`)
    grouped    groups of few channels, depthwise among them (`grouped`)

The library multiplies float32 numbers in one group; whatever else comes, and everything where it is not installed, is
computed by our own tiles. Nothing is counted on the device, so that the ways of the CPU, "events" and "winograd", stand
for "auto".
"""

import numpy as np

from .ways import grouped, library

LIBRARY = ("float32", "tf32", "bfloat16", "float16")


def choose(asked, w, groups) -> str:
    """The route of one call: asked is one of `kernels.ROUTES`, w the weights ``[kh, kw, I/groups, O]`` or their
    gradient."""
    if grouped.worth_it(w, groups):
        return "grouped"
    if asked == "dense" or groups > 1 or w.dtype != np.float32 or not library.available():
        return "dense"
    return asked if asked in LIBRARY else "float32"


def visible_limit(w, stride, groups, route="auto"):
    """See `reference.conv.visible_limit`: a mask saves a device nothing."""
    return 0.0
