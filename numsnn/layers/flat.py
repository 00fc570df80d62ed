"""All parameters of a network in one contiguous array."""

from itertools import accumulate

import numpy as np

ALIGNMENT = 16
"""Every parameter begins at a multiple of this number of elements, hence at the beginning of a cache line."""


class FlatParameters:
    """Values and gradients of all parameters, one after the other, so that an optimiser or the norm of the gradients
    reads them in one loop. The arrays of the parameters become views of these vectors. Gradients in the gaps between
    the parameters are zero.

    Attributes:
        value, grad: vectors of all values and of all gradients.
        ends: int64 ``[P]``: the index at which the gap behind each parameter ends and the next parameter begins.
        names: full names of the parameters.
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
        """Return the `FlatParameters` that already hold exactly these parameters, or new ones.

        Args:
            kernels: kernels of the parameters' device.
            parameters: pairs (name, `Parameter`), at least one.
        """
        flat = parameters[0][1].flat
        return flat if flat is not None and flat._hold(parameters) else cls(kernels, parameters)

    def _hold(self, parameters):
        """Return whether exactly these parameters are views of these vectors."""
        if len(parameters) != len(self._views):
            return False
        pairs = zip(parameters, self._views, strict=True)
        return all(p.uses(value, grad) for (_, p), (value, grad) in pairs)

    def vector(self, dtype):
        """Return a vector of zeros with space for every parameter."""
        return self.kernels.zeros((self._places[-1][1] + -self._places[-1][1] % ALIGNMENT,), dtype)

    def parts(self, vector) -> list:
        """Return one view of the vector per parameter, of the shape of the parameter."""
        pairs = zip(self._places, self._shapes, strict=True)
        return [vector[first:last].reshape(shape) for (first, last), shape in pairs]
