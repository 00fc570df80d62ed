"""Trained arrays, and the constrained values neurons derive from them."""

from typing import Any, ClassVar

import numpy as np

from ..errors import ShapeError
from ..kernels import for_device, zeros_like
from ..portable import Portable, nothing, on_device

GROUPS = ("weight", "bias", "norm", "width", "threshold", "leak")
"""Kinds of parameters an optimiser may treat apart. Weight decay acts on "weight" alone."""


class Parameter(Portable):
    """One trained array and its gradient.

    An array that is assigned to ``value`` or ``grad`` is copied and converted to the parameter's dtype and C order.

    Args:
        name: the array's name within its layer.
        value: where training starts, a NumPy array or an array on the layer's device.
        group: one of `GROUPS`.
        lr: a learning rate of its own, or None for the optimiser's.
        bounds: (low, high) the value is kept in, or None.

    Attributes:
        value, grad: arrays of one shape and dtype.
        flat: the `FlatParameters` whose memory value and gradient were last made part of, or None.

    Raises:
        ShapeError: on assigning, another shape, or what is no array of real numbers.
        ValueError: on assigning a value, NaN or inf.
    """

    transient: ClassVar = {"flat": nothing}
    _value: Any
    _grad: Any

    def __init__(
        self,
        name: str,
        value: Any,
        group: str,
        lr: float | None = None,
        bounds: tuple[float, float] | None = None,
    ):
        self.name, self.group, self.lr, self.bounds = name, group, lr, bounds
        self.flat = self._layer = None
        value = value if on_device(value) else np.asarray(value)
        self.place(value, zeros_like(value))

    @property
    def value(self) -> Any:
        """The trained array."""
        return self._value

    @value.setter
    def value(self, given):
        new = zeros_like(self._value)  # of its own: what was made of the old array is then known to be outdated
        self._fill(new, given, "value", finite=True)
        self._value = new

    @property
    def grad(self) -> Any:
        """The gradient of the last backward pass."""
        return self._grad

    @grad.setter
    def grad(self, given):
        self._fill(self._grad, given, "grad", finite=False)

    def place(self, value, grad):
        """Take these arrays as they are, without a check or a copy: for arrays that the package has made itself."""
        self._value, self._grad = value, grad

    def belong_to(self, layer):
        """Become a parameter of a layer, in the layer's dtype."""
        self._layer = layer
        strided = isinstance(self._value, np.ndarray) and not self._value.flags.c_contiguous
        if strided or self._value.dtype != layer.dtype:
            self.move(layer.kernels, layer.kernels, layer.dtype)

    def move(self, kernels, old_kernels, dtype):
        """Bring value and gradient to another target or dtype."""
        value, grad = (kernels.from_host(old_kernels.to_host(array), dtype) for array in (self._value, self._grad))
        self.place(value, grad)

    def _fill(self, array, given, what, finite):
        """Copy what was given into an array, or refuse it in one line."""
        full = f"{self.name}.{what}" if self._layer is None else f"{self._layer.path}.{self.name}.{what}"
        if on_device(given):
            given = to_host(given)
        try:
            host = np.asarray(given)
        except ValueError:  # nested lists of unequal lengths
            host = np.asarray(None)
        if host.dtype.kind not in "biuf":
            got = f"{type(given).__name__} of dtype {host.dtype}"
            raise ShapeError(f"{full} must be an array of real numbers of shape {array.shape}; got {got}")
        if host.shape != array.shape:
            raise ShapeError(f"{full} must have shape {array.shape}; got {host.shape}")
        with np.errstate(over="ignore"):
            host = np.asarray(host, array.dtype, order="C")
        if finite and not np.isfinite(host).all():
            index = tuple(int(k) for k in np.argwhere(~np.isfinite(host))[0])
            raise ValueError(f"{full} must be finite as {array.dtype}; got {np.asarray(given)[index]} at {index}")
        put(host, array)

    def __repr__(self):
        return f"Parameter({self.name!r}, shape={self.value.shape}, group={self.group!r})"


class ConstrainedValue(Portable):
    """A width, threshold or leak: ``[C]`` numbers a neuron's kernels use, constant or derived from a parameter.

    Args:
        name, group: of the parameter, where it is learned.
        value: one number, or one a channel.
        kind: "positive" (trained as its logarithm), "unit" (between 0 and 1, trained as its logit) or "free" (trained
            as it is).
        learn: False, "layer" (one parameter a layer) or "channel" (one a channel).
        channels: C.
        kernels, dtype: functions and float dtype of the target.
        lr, bounds: of the parameter; the bounds are those of the natural value.
    """

    def __init__(self, name, group, value, kind, learn, channels, kernels, dtype, lr=None, bounds=None):
        self.kind, self.kernels, self.parameter = kind, kernels, None
        value = np.broadcast_to(np.asarray(value, np.float64), (channels,))
        self.natural = kernels.from_host(value, dtype)
        self.gradient = kernels.zeros((channels,), dtype)
        if learn:
            raw = self._unconstrained(value if learn == "channel" else value[:1])
            raw_bounds: Any = None if bounds is None else tuple(map(float, self._unconstrained(np.array(bounds))))
            full = {"positive": f"log_{name}", "unit": f"logit_{name}", "free": name}[kind]
            self.parameter = Parameter(full, kernels.from_host(raw, dtype), group, lr, raw_bounds)

    def _unconstrained(self, value):
        if self.kind == "free":
            return value
        return np.log(value) if self.kind == "positive" else np.log(value) - np.log1p(-value)

    def refresh(self):
        """The natural values ``[C]``, derived anew from the parameter."""
        if self.parameter is not None:
            getattr(self.kernels, f"{self.kind}_forward")(self.parameter.value, self.natural)
        return self.natural

    def collect(self):
        """Turn `gradient`, that of the natural values, into the parameter's."""
        if self.parameter is not None:
            getattr(self.kernels, f"{self.kind}_backward")(self.gradient, self.natural, self.parameter.grad)

    def move(self, kernels, old_kernels, dtype):
        """Bring the natural values to another target or dtype; the parameter is the layer's to move."""
        self.natural = kernels.from_host(old_kernels.to_host(self.natural), dtype)
        self.gradient = kernels.from_host(old_kernels.to_host(self.gradient), dtype)
        self.kernels = kernels


def to_host(x):
    """A NumPy copy of an array on a CUDA device."""
    return for_device("cuda").to_host(x)


def put(host, array):
    """Copy a NumPy array into an array of any device, of the same shape and dtype."""
    for_device("cuda" if on_device(array) else "reference").put(host, array)
