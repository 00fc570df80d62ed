"""Trained arrays, and the constrained values neurons derive from them."""

import numpy as np

from ..kernels import zeros_like

GROUPS = ("weight", "bias", "norm", "width", "threshold", "leak")
"""Kinds of parameters an optimiser may treat apart. Weight decay acts on "weight" alone."""


class Parameter:
    """One trained array and its gradient.

    Attributes:
        name: the array's name within its layer.
        value, grad: arrays of one shape and dtype.
        group: one of `GROUPS`.
        lr: a learning rate of its own, or None for the optimiser's.
        bounds: (low, high) the value is kept in, or None.
        flat: the `FlatParameters` whose memory value and gradient were last made part of, or None.
    """

    def __init__(self, name, value, group, lr=None, bounds=None):
        self.name, self.value, self.group, self.lr, self.bounds = name, value, group, lr, bounds
        self.grad, self.flat = zeros_like(value), None

    def move(self, kernels, old_kernels, dtype):
        """Bring value and gradient to another target or dtype."""
        self.value = kernels.from_host(old_kernels.to_host(self.value), dtype)
        self.grad = kernels.from_host(old_kernels.to_host(self.grad), dtype)

    def __repr__(self):
        return f"Parameter({self.name!r}, shape={self.value.shape}, group={self.group!r})"


class ConstrainedValue:
    """A width, threshold or leak: ``[C]`` numbers a neuron's kernels use, constant or derived from a parameter.

    Args:
        name, group: of the parameter, where it is learned.
        value: one number, or one a channel.
        kind: "positive" (trained as its logarithm) or "unit" (between 0 and 1, trained as its logit).
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
            raw_bounds = None if bounds is None else tuple(map(float, self._unconstrained(np.array(bounds))))
            prefix = "log" if kind == "positive" else "logit"
            self.parameter = Parameter(f"{prefix}_{name}", kernels.from_host(raw, dtype), group, lr, raw_bounds)

    def _unconstrained(self, value):
        return np.log(value) if self.kind == "positive" else np.log(value) - np.log1p(-value)

    def refresh(self):
        """The natural values ``[C]``, derived anew from the parameter."""
        if self.parameter is not None:
            forward = self.kernels.positive_forward if self.kind == "positive" else self.kernels.unit_forward
            forward(self.parameter.value, self.natural)
        return self.natural

    def collect(self):
        """Turn `gradient`, that of the natural values, into the parameter's."""
        if self.parameter is not None:
            backward = self.kernels.positive_backward if self.kind == "positive" else self.kernels.unit_backward
            backward(self.gradient, self.natural, self.parameter.grad)

    def move(self, kernels, old_kernels, dtype):
        """Bring the natural values to another target or dtype; the parameter is the layer's to move."""
        self.natural = kernels.from_host(old_kernels.to_host(self.natural), dtype)
        self.gradient = kernels.from_host(old_kernels.to_host(self.gradient), dtype)
        self.kernels = kernels
