"""How convolutions and matrix products are computed: what was asked for, and what was done.

On the CPU the fastest way depends on how many inputs are active, which changes while a network learns. It is measured
and chosen for every call (see `kernels/cpu/route.py`), can be forced, and is told. On a CUDA device nothing is
measured: NVIDIA's library is used where it is installed (see `kernels/cuda/route.py`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..kernels.types import AUTO, PRECISIONS, ROUTES
from ..names import choice
from ..portable import nothing
from .base import Layer
from .parameter import Parameter


class _Arrived(NamedTuple):
    """What a pass left: its input, as the gradient of the weights needs it."""

    x: object


class Routed(Layer):
    """Base of the layers that multiply with weights. A subclass says how as ``taps(weight)``, ``geometry`` and
    ``groups``: the convolution it is.

    Attributes:
        way: the route and the precision that are asked for; see `set_route` and `set_precision`. A layer that moves to
            a device, or to a dtype, that lacks them goes back to the defaults.
        routes: the ways taken by the last passes: "forward", "weight" and "input" (their gradients) -> name.
        density: share of active inputs of the last forward pass; None where the target does not count them.
    """

    transient = Layer.transient | {"_active": nothing, "_kept_of": nothing}
    way = AUTO
    carries = False
    weight: Parameter
    groups: int
    geometry: Any
    taps: Callable[..., Any]

    def __init__(self, name):
        super().__init__(name)
        self.routes = {}
        self._active = self._kept = self._kept_of = None

    def keep(self, x, mode):
        """Leave the input of a stored pass for the backward pass."""
        self.kept = _Arrived(x) if mode.store else None

    def arrived(self):
        """The input of the last stored pass, on the layer's device; spikes as uint8 where the layer takes them so."""
        return self.kept.x

    @property
    def reads_spikes(self) -> bool:
        """Whether the gradient of the input can be left out where a neuron does not look at it."""
        return self.groups == 1

    @property
    def visible_limit(self) -> float:
        """Share of visible inputs up to which the target leaves out the gradients of the others."""
        return self.kernels.visible_limit(self.taps(self.weight.value), self.geometry, self.way)

    @property
    def density(self) -> float | None:
        return None if self._active is None else self._active.density

    def sense(self, x):
        """What the target wants to know of this pass's input."""
        self._active = self.kernels.active_inputs(x, self.dtype, self._active)
        return self._active

    def freeze(self):
        """Say that the weights will not change any more: what is made of them is kept from pass to pass, until a pass
        is stored for training, or the weights are other arrays."""
        self._kept = {}

    def kept_weights(self, mode, weight):
        """Where the target keeps what it makes of frozen weights; None where they may change."""
        if mode.store:
            self._kept = None
        elif self._kept is not None and self._kept_of is not weight:
            self._kept, self._kept_of = {}, weight
        return self._kept

    def __getstate__(self):
        return super().__getstate__() | {"_kept": None if self._kept is None else {}}

    def move(self, kernels, dtype):
        self._active = None
        if kernels.lacks(self.way, dtype) is not None:
            self.way = AUTO
        super().move(kernels, dtype)


def set_route(net: Layer, route: str) -> Layer:
    """Ask all convolutions and fully connected layers of a network to compute in one way.

    Args:
        net: a network or layer, on the device that it is to compute on.
        route: "auto", the way that is fastest on the device at the precision asked for (default of a network).
            On the CPU also "events" (active inputs alone; in gradients of inputs, those that the neuron in front can
            see, where its surrogate ends somewhere), "winograd" (3x3 kernels of stride 1) or "dense". On a CUDA device
            also "dense" (kernels of our own) or "library" (NVIDIA's cuBLAS, in float32 networks). The reference target
            takes them all and computes in its one way. A layer whose shape does not allow the way takes the nearest
            one, see its ``routes``.

    Returns:
        the network itself.

    Raises:
        ValueError: another route, a precision, or a route that a layer's device lacks.
    """
    if route in PRECISIONS:
        raise ValueError(f"set_route: {route!r} is a precision, not a route; use set_precision(net, {route!r})")
    route = choice("set_route: route", route, ROUTES)
    return _ask(net, "set_route", lambda way: way._replace(route=route))


def set_precision(net: Layer, precision: str) -> Layer:
    """Ask all convolutions and fully connected layers of a network to round the factors of their products.

    Args:
        net: a network or layer, on the device that it is to compute on.
        precision: "float32", nothing is rounded (default of a network); on a CUDA device with NVIDIA's cuBLAS, for
            float32 networks, also what tensor cores multiply: "tf32" (10 bits behind the point), "bfloat16" (7 bits)
            or "float16" (10 bits, numbers up to 65504). Sums stay float32. Convolutions of several groups are computed
            in float32 by kernels of our own, see a layer's ``routes``.

    Returns:
        the network itself.

    Raises:
        ValueError: another precision, or one that a layer's device, dtype or route lacks.
    """
    precision = choice("set_precision: precision", precision, PRECISIONS)
    return _ask(net, "set_precision", lambda way: way._replace(precision=precision))


def _ask(net, what, change):
    """Change the way of all layers, or of none."""
    layers = [layer for layer in net.walk() if isinstance(layer, Routed)]
    for layer in layers:
        missing = layer.kernels.lacks(change(layer.way), layer.dtype)
        if missing is not None:
            raise ValueError(f"{what}: {layer.path}: {missing}")
    for layer in layers:
        layer.way = change(layer.way)
    return net
