"""Networks fed one step at a time, for inputs that are long or never end."""

from dataclasses import replace

import numpy as np

from ..errors import ShapeError
from . import carry
from .mode import INFERENCE
from .names import title


class Stream:
    """A network at inference that is given one time step after the other; made by ``net.stream()``.

    The spikes are those of the whole sequence given at once. Nothing but potentials and the like is kept between steps,
    so that memory does not grow with time. The network itself may be used otherwise meanwhile.

    Args:
        net: any network whose layers declare whether they carry something from step to step.

    Attributes:
        steps: how many steps were fed since the start or the last `reset`.

    Raises:
        TypeError: ``carries`` of a layer is None.
    """

    def __init__(self, net):
        carry.need_declarations(net, f"{title(net)}.stream")
        self.net = net
        self.reset()

    def reset(self) -> None:
        """Start from rest again; the number of samples may then be another one."""
        self.steps, self._samples = 0, None
        self._mode = replace(INFERENCE, carried={})

    def step(self, x) -> np.ndarray:
        """The output of one time step.

        Args:
            x: ``[N, C]`` or ``[N, H, W, C]``, uint8 or the network's float dtype. A network that begins with a `Repeat`
                is given its picture at every step.

        Returns:
            ``[N, K]`` or ``[N, H, W, K]``, a new array.

        Raises:
            ShapeError: wrong rank, channels or dtype, or another number of samples than at the step before.
            ValueError: NaN or inf in x.
        """
        return self.feed(x if self.net.takes_pictures else np.asarray(x)[None])[0]

    def feed(self, x) -> np.ndarray:
        """The output of several steps at once: ``[T, N, ...]`` in, ``[T, N, ...]`` out; errors as for `step`."""
        x = self.net.admit(x)
        samples = x.shape[0 if self.net.takes_pictures else 1]
        if self._samples not in (None, samples):
            raise ShapeError(
                f"{title(self.net)}: the stream is of {self._samples} samples; got {samples}. Call reset()"
            )
        y = self.net.kernels.to_host(self.net.forward(x, self._mode))
        self._samples = samples
        self.steps += len(y)
        return y
