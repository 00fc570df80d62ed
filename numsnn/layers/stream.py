"""Streams: networks that take one time step at a time, for long or endless inputs."""

from dataclasses import replace

import numpy as np

from ..errors import ShapeError
from . import carry
from .inputs import repeated, samples_of, shape_of, timed
from .mode import INFERENCE
from .names import title


class Stream:
    """A network at inference that takes one time step after the other; ``net.stream()`` makes it.

    The spikes are the same as those for the whole sequence in one pass. Only the carried states, such as potentials,
    are stored between steps, so memory does not grow with time. The network itself may be used for other passes in the
    meantime.

    Args:
        net: a network whose layers all declare whether they carry a state from step to step.

    Attributes:
        steps: number of steps since the start or the last `reset`.

    Raises:
        TypeError: ``carries`` of a layer is None.
    """

    def __init__(self, net):
        carry.need_declarations(net, f"{title(net)}.stream")
        self.net = net
        self.reset()

    def reset(self) -> None:
        """Start from rest again. The next input may have another number of samples."""
        self.steps = 0
        self._samples: int | None = None
        self._mode = replace(INFERENCE, carried={})

    def step(self, x) -> np.ndarray:
        """Return the output of one time step.

        Args:
            x: ``[N, C]`` or ``[N, H, W, C]``, uint8 or the network's float dtype. A network that begins with a `Repeat`
                or `Poisson` takes its picture at every step, and one with several inputs takes a dict of arrays.

        Returns:
            ``[N, K]`` or ``[N, H, W, K]``, a new array.

        Raises:
            ShapeError: the rank, the number of channels or the dtype is wrong, or the number of samples differs from
                that of the step before.
            ValueError: x holds NaN or inf.
        """
        return self.feed(repeated(self.net, x))[0]

    def feed(self, x) -> np.ndarray:
        """Return the output ``[T, N, ...]`` of several steps ``[T, N, ...]`` in one pass; the errors are those of
        `step`. A network that begins with a `Repeat` or `Poisson` takes ``[N, ...]``, and computes a single step."""
        x = self.net.admit(x)
        samples = samples_of(timed(self.net, shape_of(x), lambda shape: shape[1:]))
        if self._samples not in (None, samples):
            raise ShapeError(f"{title(self.net)}: the stream has {self._samples} samples; got {samples}. Call reset()")
        y = self.net.kernels.to_host(self.net.forward(x, self._mode))
        self._samples = samples
        self.steps += len(y)
        return y
