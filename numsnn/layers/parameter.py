"""Trained arrays, and the constrained values that neurons derive from them."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np

from ..errors import ShapeError
from ..kernels import for_device, zeros_like
from ..names import choice
from ..portable import Portable, nothing, on_device
from ..shown import shown
from ..validate import at_least, real_array, text, two

GROUPS = ("weight", "bias", "norm", "width", "threshold", "leak")
"""Groups of parameters that an optimiser may treat differently. By default weight decay acts on "weight" only."""


class Parameter(Portable):
    """One trained array and its gradient.

    An array that is assigned to ``value`` or ``grad`` is copied and converted to the parameter's dtype and C order.

    Args:
        name: name of the array within its layer.
        value: start value for training, a NumPy array or an array on the layer's device.
        group: one of `GROUPS`.
        lr: learning rate of this parameter. Default None: the optimiser's learning rate.
        bounds: (low, high), the bounds of the value. Default None: no bounds.

    Attributes:
        value, grad: the trained array and its gradient, of equal shape and dtype.
        flat: the `FlatParameters` that last took value and gradient into its memory, or None.

    Raises:
        ShapeError: the value is not an array of real numbers, or an assigned one has another shape.
        ValueError: the assigned value holds NaN or inf, or another argument is out of range.
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
        self.name = text("Parameter: name", name, empty=False)
        who = f"Parameter {name!r}"
        self.group = choice(f"{who}: group", group, GROUPS)
        self.lr = None if lr is None else at_least(f"{who}: lr", lr, 0)
        self.bounds = None if bounds is None else self._checked_bounds(f"{who}: bounds", bounds)
        self.flat = self._layer = None
        if not on_device(value):
            array = real_array(value)
            if array is None or array.dtype.kind not in "iuf":
                raise ShapeError(f"{who}: value must be an array of real numbers; got {shown(value)}")
            value = array
        self.place(value, zeros_like(value))

    @staticmethod
    def _checked_bounds(what, bounds):
        low, high = two(what, bounds)
        if not isinstance(low, Real) or not isinstance(high, Real) or not low <= high:
            raise ValueError(f"{what} must be (low, high), of which low is not larger; got {shown(bounds)}")
        return float(low), float(high)

    @property
    def value(self) -> Any:
        """The trained array."""
        return self._value

    @value.setter
    def value(self, given):
        new = zeros_like(self._value)  # a new array shows that whatever was derived from the old one is outdated
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
        """Use these arrays without a check or a copy; only for arrays that the package itself has made."""
        self._value, self._grad = value, grad

    def uses(self, value, grad) -> bool:
        """Return whether the parameter uses these very arrays."""
        return self._value is value and self._grad is grad

    def belong_to(self, layer):
        """Make this a parameter of a layer and convert it to the layer's dtype."""
        self._layer = layer
        strided = isinstance(self._value, np.ndarray) and not self._value.flags.c_contiguous
        if strided or self._value.dtype != layer.dtype:
            self.move(layer.kernels, layer.kernels, layer.dtype)

    def move(self, kernels, old_kernels, dtype):
        """Move value and gradient to another device or dtype."""
        value, grad = (kernels.from_host(old_kernels.to_host(array), dtype) for array in (self._value, self._grad))
        self.place(value, grad)

    def _fill(self, array, given, what, finite):
        """Copy the given numbers into an array, or refuse them with an error of one line."""
        full = f"{self.name}.{what}" if self._layer is None else f"{self._layer.path}.{self.name}.{what}"
        if on_device(given):
            given = to_host(given)
        try:
            host = np.asarray(given)
        except Exception:  # nested lists of unequal lengths or too deep
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
    """A width, threshold or leak: ``[C]`` numbers for the kernels of a neuron, constant or derived from a parameter.

    Args:
        name, group: name and group of the parameter, if the value is learned.
        value: one number, or one number per channel.
        kind: "positive" (trained as its logarithm), "unit" (between 0 and 1, trained as its logit) or "free" (trained
            as it is).
        learn: False, "layer" (one number per layer) or "channel" (one number per channel).
        channels: C.
        kernels, dtype: kernels of the device, and float dtype.
        lr: learning rate of the parameter. Default None: the optimiser's.
        bounds: bounds of the natural value, not of the trained one. Default None: no bounds.

    Attributes:
        natural, gradient: the numbers ``[C]``, and their gradient.
        uniform: whether all channels have the same number, now and after every update.
        parameter: the `Parameter`, or None if the value is not learned.
    """

    def __init__(self, name, group, value, kind, learn, channels, kernels, dtype, lr=None, bounds=None):
        self.kind, self.kernels, self.parameter = kind, kernels, None
        self._forward, self._backward = f"{kind}_forward", f"{kind}_backward"
        value = np.broadcast_to(np.asarray(value, np.float64), (channels,))
        self.uniform = learn != "channel" and bool((value == value[0]).all())
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
        """Derive the natural values ``[C]`` from the parameter again, and return them."""
        if self.parameter is not None:
            getattr(self.kernels, self._forward)(self.parameter.value, self.natural)
        return self.natural

    def collect(self):
        """Convert ``gradient``, the gradient of the natural values, into the gradient of the parameter."""
        if self.parameter is not None:
            getattr(self.kernels, self._backward)(self.gradient, self.natural, self.parameter.grad)

    def move(self, kernels, old_kernels, dtype):
        """Move the natural values to another device or dtype; the layer moves the parameter."""
        self.natural = kernels.from_host(old_kernels.to_host(self.natural), dtype)
        self.gradient = kernels.from_host(old_kernels.to_host(self.gradient), dtype)
        self.kernels = kernels


def to_host(x):
    """Return a NumPy copy of an array on a CUDA device."""
    return for_device("cuda").to_host(x)


def put(host, array):
    """Copy a NumPy array into an array of the same shape and dtype on any device."""
    for_device("cuda" if on_device(array) else "reference").put(host, array)
