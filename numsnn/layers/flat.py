"""All parameters of a network in one piece of memory."""

from itertools import accumulate

import numpy as np

ALIGNMENT = 16
"""Every parameter begins at a multiple of so many numbers: at a cache line, as if it had memory of its own."""


class FlatParameters:
    """Values and gradients of all parameters, one behind the other, so that an optimiser, or the gradients' norm, takes
    one pass over them. The parameters' own arrays become views of it. Gradients in
    the gaps between them are zero.

    Attributes:
        value, grad: vectors of all values and gradients.
        ends: ``[P]`` int64: where each parameter ends and the next one begins, the gap behind it included.
        names: the parameters' full names.
    """

    def __init__(self, kernels, parameters):
        sizes = [p.value.size for _, p in parameters]
        ends = list(accumulate(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes))
        dtype = parameters[0][1].value.dtype
        self.kernels, self.names = kernels, [name for name, _ in parameters]
        self.ends = kernels.from_host(np.array(ends), np.int64)
        self._places = [(first, first + n) for first, n in zip([0, *ends[:-1]], sizes, strict=True)]
        self._shapes = [p.value.shape for _, p in parameters]
        self.value, self.grad = self.vector(dtype), self.vector(dtype)
        self._views = []
        for (_, p), value, grad in zip(parameters, self.parts(self.value), self.parts(self.grad), strict=True):
            kernels.copy(p.value, value)
            kernels.copy(p.grad, grad)
            p.place(value, grad)
            p.flat = self
            self._views.append((value, grad))

    @classmethod
    def of(cls, kernels, parameters) -> "FlatParameters":
        """Those that these parameters are part of already, or new ones, which they are made part of.

        Args:
            kernels: functions of the parameters' target.
            parameters: (name, `Parameter`) pairs, at least one.
        """
        flat = parameters[0][1].flat
        return flat if flat is not None and flat._hold(parameters) else cls(kernels, parameters)

    def _hold(self, parameters):
        """Whether these parameters, and no others, are views of this memory."""
        if len(parameters) != len(self._views):
            return False
        pairs = zip(parameters, self._views, strict=True)
        return all(p.value is value and p.grad is grad for (_, p), (value, grad) in pairs)

    def vector(self, dtype):
        """A vector of zeros with room for every parameter."""
        return self.kernels.zeros((self._places[-1][1] + -self._places[-1][1] % ALIGNMENT,), dtype)

    def parts(self, vector) -> list:
        """Views of a vector's parts, one a parameter and of its shape."""
        pairs = zip(self._places, self._shapes, strict=True)
        return [vector[first:last].reshape(shape) for (first, last), shape in pairs]
