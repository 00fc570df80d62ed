"""Which way a convolution or a matrix product is computed: chosen for every call from what was measured, never guessed.

    events     active inputs alone, work in proportion to their share (`events`); in gradients of inputs, those alone
               that the neuron in front can see (`visible`)
    winograd   3x3 kernels of stride 1, a quarter of the multiplications (`winograd`)
    dense      gathered patches times packed weights (`product`)
    grouped    many small groups, depthwise among them (`grouped`)

A route that a layer cannot take (Winograd's for a 1x1 kernel) stands for the next one below it that it can.
"""

from . import grouped

LEAST_CHANNELS = 16
"""Input and output channels from which on Winograd's transforms pay."""

EVENT_LIMIT = {
    "forward": {"winograd": 0.12, "dense": 0.33},
    "weight": {"winograd": 0.12, "dense": 0.30},
    "input": {"winograd": 0.10, "dense": 0.27},
}
"""Share of active (visible) inputs up to which events are faster than the other way, measured on 3x3 kernels of 64 to 512
channels (benchmarks/, density sweeps)."""


def visible_limit(w, stride, groups, route="auto"):
    """See `reference.conv.visible_limit`."""
    if route == "events" and groups == 1:
        return 1.0
    other = choose(route, "input", None, w, stride, groups)
    return EVENT_LIMIT["input"].get(other, 0.0) if route == "auto" and groups == 1 else 0.0


def choose(asked, passing, density, w, stride, groups):
    """The route of one call.

    Args:
        asked: one of `kernels.ROUTES`.
        passing: "forward", "weight" or "input", the pass.
        density: share of active inputs, for gradients of inputs of visible ones; None where nothing was counted.
        w: weights ``[kh, kw, I/groups, O]`` (or their gradient).
        stride, groups: of the convolution.
    """
    if grouped.worth_it(w, groups):
        return "grouped"
    kh, kw, inputs, outputs = w.shape
    fits = (kh, kw) == (3, 3) and tuple(stride) == (1, 1) and groups == 1
    if asked == "winograd" and fits:
        return "winograd"
    by_events = groups == 1 and density is not None
    if asked == "events" and by_events:
        return "events"
    if asked == "dense":
        return "dense"
    other = "winograd" if fits and min(inputs, outputs) >= LEAST_CHANNELS else "dense"
    if asked == "auto" and by_events and density <= EVENT_LIMIT[passing][other]:
        return "events"
    return other
