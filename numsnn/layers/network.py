"""What a network, which may be a single layer, offers to its user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..kernels import for_device
from ..portable import Portable
from ..validate import whole
from . import borders, moving
from . import state as arrays
from .fold import fold
from .mode import INFERENCE, Mode
from .parameter import Parameter
from .plan import Plan, plan_of
from .stream import Stream

if TYPE_CHECKING:
    from .base import Layer


class Network(Portable):
    """The user's side of every layer; `Layer`, which is derived from it, is the side of a layer's author.

    Names belong to the network that is asked: a layer may stand in several networks, such as a feature extractor and
    each of the networks that have it in common.
    """

    path: str
    device: str
    dtype: np.dtype
    input_shape: Any
    own_plan: Plan | None
    _kernels: Any

    @property
    def kernels(self) -> Any:
        """The functions of this layer's target."""
        if self._kernels is None:
            self._kernels = for_device(self.device)
        return self._kernels

    @property
    def takes_pictures(self) -> bool:
        """Whether the input has no time axis, as that of a network that begins with a `Repeat`."""
        return False

    @property
    def built(self) -> bool:
        """Whether the layer knows its shapes and has its parameters."""
        return self.input_shape is not None

    def children(self) -> list[tuple[str, Layer]]:
        """Names and layers directly inside this one; none for a layer that is not a container."""
        return []

    def construct(self, shape, rng) -> None:
        """`build` with the generator that the whole network shares."""
        raise NotImplementedError

    def forward(self, x, mode: Mode = INFERENCE) -> Any:
        """The output for x; the array is the layer's own and is overwritten by the next pass."""
        raise NotImplementedError

    def build(self, shape: tuple[int, ...], seed: int = 0) -> Self:
        """Work out all shapes and make the parameters.

        Args:
            shape: of the input, ``[T, N, C]`` or ``[T, N, H, W, C]``; without T where the network begins with a
                `Repeat`.
            seed: of the initial weights.

        Returns:
            the layer itself.

        Raises:
            ShapeError: the shape does not fit; the layer, what came and what was expected are named.
        """
        plan_of(self).enter()
        shape = tuple(whole(f"{self.path}.build: every extent of shape {tuple(shape)}", n) for n in shape)
        self.construct(shape, np.random.default_rng(whole("build: seed", seed, 0)))
        return self

    def __call__(self, x, training: bool = False):
        """The output for x, as a new NumPy array.

        Args:
            x: ``[T, N, C]`` or ``[T, N, H, W, C]``, uint8 or the network's float dtype; without T where the network
                begins with a `Repeat`.
            training: batch statistics and dropout, as in training; running statistics stay as they are.

        Raises:
            ShapeError: wrong rank, channels or dtype.
            ValueError: NaN or inf in x.
        """
        return self.kernels.to_host(self.forward(self.admit(x), Mode(training=training)))

    def admit(self, x):
        """Check an input at the network's door and bring it to the target's memory; errors as for `__call__`."""
        return borders.admit(self, x)

    def stream(self) -> Stream:
        """The network as a `Stream`, to be fed one time step at a time.

        Raises:
            TypeError: a layer does not declare whether it carries something from step to step.
        """
        return Stream(self)

    def fold(self) -> Layer:
        """A new network for inference, batch normalisations folded into the weights before them: see `layers.fold`."""
        return fold(self)

    def tree(self) -> Iterator[Any]:
        """This layer and all layers inside it, in the order the data passes them."""
        yield self
        for _, child in self.children():
            yield from child.tree()

    def walk(self) -> Iterator[Layer]:
        """All layers that are not containers, in the order the data passes them."""
        return (layer for layer in self.tree() if not layer.container)

    def named(self) -> list[tuple[str, Layer]]:
        """Pairs (full name, layer) of this network and everything in it, in the order of `tree`. The names are those in
        this network, whatever others a layer stands in."""
        return plan_of(self).named

    def parameters(self) -> list[tuple[str, Parameter]]:
        """All trained arrays with their full names in this network, such as "conv2d1.weight"."""
        return arrays.parameters(self)

    def statistics(self) -> dict[str, np.ndarray]:
        """All tracked, untrained arrays (running moments, PDA corrections) with their full names, as host copies."""
        return arrays.statistics(self)

    def state(self) -> dict[str, np.ndarray]:
        """Host copies of all parameters and statistics, by full name: what a checkpoint stores."""
        return arrays.state(self)

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Set all parameters and statistics.

        Raises:
            ShapeError: a name is missing, unknown, or its array has another shape; nothing is changed then.
        """
        arrays.load_state(self, state)

    def to(self, device: str | None = None, dtype=None) -> Self:
        """Move the network to another target or float dtype, in place.

        Args:
            device: "reference", "cpu" or "cuda"; None leaves it.
            dtype: "float32" (default of a new network) or "float64" (gradient checks); None leaves it.

        Raises:
            ValueError: another device or dtype.
            DeviceError: "cuda" where there is no CUDA device, or what is needed to use it is not installed.
        """
        moving.to(self, device, dtype)
        return self
