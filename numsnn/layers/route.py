"""Routes and precisions of convolutions and matrix products: those that were requested and those that were taken.

On the CPU the fastest route depends on the share of active inputs, which changes during training. The route is chosen
for every call (see `kernels/cpu/route.py`), unless the user requests one, and the layer reports it. On a CUDA device
the share has no influence: NVIDIA's library is used if it is installed (see `kernels/cuda/route.py`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..kernels.types import AUTO, PRECISIONS, ROUTES
from ..names import choice
from ..portable import nothing
from .allowance import claim
from .base import Layer
from .parameter import Parameter


class _Arrived(NamedTuple):
    """What a pass keeps: its input, which the gradient of the weights needs."""

    x: object


class Routed(Layer):
    """Base of the layers that multiply with weights. A subclass describes its product as a convolution with
    ``taps(weight)``, ``geometry`` and ``groups``, and stores whether it has a ``bias``.

    Attributes:
        way: the requested route and precision; see `set_route` and `set_precision`. If the layer moves to a device or a
            dtype that does not support them, they return to the defaults.
        routes: the route that the last passes took, under "forward", "weight" (gradient of the weight) and "input"
            (gradient of the input).
        density: active share of the inputs in the last forward pass; None if the device or the layer does not count
            them.
    """

    transient = Layer.transient | dict.fromkeys(("_active", "_density", "_kept_of"), nothing)
    way = AUTO
    carries = False
    recomputes = receives = True
    weight: Parameter
    offset: Parameter | None
    bias: bool
    groups: int
    geometry: Any
    taps: Callable[..., Any]

    def __init__(self, name):
        super().__init__(name)
        self.routes = {}
        self._active = self._kept = self._kept_of = self._density = None

    def create_weight(self, shape, fan_in, outputs, rng):
        """Make the weight of this shape, uniform with variance 2 / fan_in (He et al. 2015, arXiv:1502.01852). If the
        layer has a bias, make it of zeros, one per output."""
        claim(self, shape, f"{self.path} ({type(self).__name__}): the weight")
        bound = np.sqrt(6 / fan_in)
        weight = self.kernels.from_host(rng.uniform(-bound, bound, shape), self.dtype)
        self.weight = self.add_parameter(Parameter("weight", weight, "weight"))
        self.offset = None
        if self.bias:
            self.offset = self.add_parameter(Parameter("bias", self.kernels.zeros((outputs,), self.dtype), "bias"))

    def keep(self, x):
        """Keep the input of a stored pass for the backward pass."""
        self.kept = _Arrived(x)

    @property
    def reads_input(self):
        return not self._frozen

    def receive(self, x):
        self.kept = _Arrived(x)

    def arrived(self):
        """Return the input of the last stored pass, on the layer's device; spikes may be uint8."""
        return self.kept.x

    @property
    def reads_spikes(self) -> bool:
        """Whether the layer can skip elements of the input gradient that the neuron in front does not need."""
        return self.groups == 1

    @property
    def visible_limit(self) -> float:
        """Share of visible inputs up to which the device skips the gradients of the other inputs."""
        return self.kernels.visible_limit(self.taps(self.weight.value), self.geometry, self.way)

    @property
    def density(self) -> float | None:
        return self._density if self._active is None else self._active.density

    def sense(self, x):
        """Return the list of active inputs of this pass, in the form that the device needs. In a pass that drops
        outputs (see `recompute`), all layers use the same list, one after the other."""
        plan = self.plan
        active = self.kernels.active_inputs(x, self.dtype, plan.active if plan.lean else self._active)
        if not plan.lean:
            self._active = active
            return active
        plan.active, plan.active_of, self._active = active, self, None
        self._density = None if active is None else active.density
        return active

    def sensed(self, x):
        """Return the list of the active inputs x of the last stored pass; it is made again if another layer has used
        it."""
        plan = self.plan
        if not plan.lean:
            return self._active
        return plan.active if plan.active_of is self else self.sense(x)

    def prepare_once(self):
        """Declare that the weights will not change. What the kernels prepare from them is then kept from pass to pass,
        until a pass is stored for training or the weight is another array."""
        self._kept = {}

    def kept_weights(self, mode, weight):
        """Return the dictionary in which the device keeps what it prepares from weights that do not change, or None."""
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
    """Request one route for all convolutions and fully connected layers of a network.

    Args:
        net: a network or layer, on the device on which it will compute.
        route: "auto" requests the fastest route on the device at the requested precision; a new network uses it.
            The CPU also supports "events" (active inputs only; in input gradients, only the elements that the neuron in
            front can see, if its surrogate has a limited reach), "winograd" (3x3 kernels with stride 1 and dilation 1)
            and "dense". A CUDA device also supports "dense" (the package's own kernels) and "library" (NVIDIA's cuBLAS,
            in float32 networks). The device "reference" accepts every route and always computes in the same way. A
            layer whose shape does not allow the route takes the nearest one; its ``routes`` says which one it took.

    Returns:
        The network itself.

    Raises:
        ValueError: the route is unknown, is the name of a precision, or is not available on the device of a layer.
    """
    if isinstance(route, str) and route in PRECISIONS:
        raise ValueError(f"set_route: {route!r} is a precision, not a route; use set_precision(net, {route!r})")
    route = choice("set_route: route", route, ROUTES)
    return _ask(net, "set_route", lambda way: way._replace(route=route))


def set_precision(net: Layer, precision: str) -> Layer:
    """Request one precision for all convolutions and fully connected layers of a network.

    Args:
        net: a network or layer, on the device on which it will compute.
        precision: how the factors of products are rounded. "float32": they are not rounded; a new network uses this.
            On a CUDA device with NVIDIA's cuBLAS, float32 networks also support the formats of tensor cores: "tf32" (10
            bits after the binary point), "bfloat16" (7 bits) and "float16" (10 bits, numbers up to 65504). Sums stay in
            float32. Convolutions with several groups always compute in float32, with the package's own kernels; the
            ``routes`` of a layer say so.

    Returns:
        The network itself.

    Raises:
        ValueError: the precision is unknown, or the device, dtype or route of a layer does not support it.
    """
    precision = choice("set_precision: precision", precision, PRECISIONS)
    return _ask(net, "set_precision", lambda way: way._replace(precision=precision))


def _ask(net, what, change):
    """Change route or precision of all layers, or of none if one of them does not support the change."""
    if not isinstance(net, Layer):
        raise TypeError(f"{what}: net must be a network, such as snn.Sequential(...); got {type(net).__name__}")
    layers = [layer for layer in net.walk() if isinstance(layer, Routed)]
    for layer in layers:
        missing = layer.kernels.lacks(change(layer.way), layer.dtype)
        if missing is not None:
            raise ValueError(f"{what}: {layer.path}: {missing}")
    for layer in layers:
        layer.way = change(layer.way)
    return net
