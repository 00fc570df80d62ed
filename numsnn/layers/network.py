"""The methods of a network that its user calls; a single layer is a network, too."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..kernels import for_device
from ..portable import Portable
from ..validate import flag, listed, whole
from . import borders, moving
from . import state as arrays
from .fold import fold
from .inputs import checked_shape
from .mode import INFERENCE, Mode
from .names import find, title
from .parameter import Parameter
from .plan import Plan, plan_of
from .sharing import uses
from .stream import Stream
from .turn import Turn, taken

if TYPE_CHECKING:
    from .base import Layer


class Network(Portable):
    """The methods of every layer for the user of a network; the derived `Layer` has those for the author of a layer.

    The full names of layers are those in the network whose method is called. A layer may be part of several networks,
    such as a feature extractor and the networks that share it.

    One thread at a time may use a network: a call is a RuntimeError while another thread computes with the network,
    trains it, or uses another network that has layers in common with it. Give every thread a `copy`.
    """

    path: str
    turn: Turn
    device: str
    dtype: np.dtype
    input_shape: Any
    own_plan: Plan | None
    container: bool
    _frozen: bool
    _kernels: Any

    def __getstate__(self) -> dict[str, Any]:
        with taken(self):  # a network that another thread uses is not pickled
            return super().__getstate__()

    def __deepcopy__(self, memo: dict) -> Self:
        with taken(self):  # until all arrays are copied
            copied = type(self).__new__(type(self))
            memo[id(self)] = copied
            copied.__setstate__(deepcopy(self.__getstate__(), memo))
        return copied

    @property
    def kernels(self) -> Any:
        """The kernels of this layer's device."""
        if self._kernels is None:
            self._kernels = for_device(self.device)
        return self._kernels

    @property
    def takes_pictures(self) -> bool:
        """Whether the input has no time axis. This holds for a network that begins with a `Repeat`."""
        return False

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs of a network with several inputs, such as a `Graph`; empty for any other network."""
        return ()

    @property
    def picture_inputs(self) -> tuple[str, ...]:
        """The names of those of several inputs that have no time axis."""
        return ()

    @property
    def built(self) -> bool:
        """Whether the layer knows its shapes and has its parameters."""
        return self.input_shape is not None

    def __getitem__(self, name: str) -> Any:
        """Return the layer with this full name, such as ``net["conv2d1"]`` or ``net["residual1.branch.lif1"]``.

        Raises:
            KeyError: there is no layer of this name.
            TypeError: name is not a string. The layers of a `Sequential` also have numbers.
        """
        return find(self, name)

    def __contains__(self, name) -> bool:
        """Return whether a layer inside this one has this full name, or is this very layer."""
        return any(name is layer or (isinstance(name, str) and name == known) for known, layer in self.named()[1:])

    def children(self) -> list[tuple[str, Layer]]:
        """Return pairs (name, layer) of the layers directly inside this one; none if it is not a container."""
        return []

    def construct(self, shape, rng) -> None:
        """Build the layer with the random number generator that the whole network shares."""
        raise NotImplementedError

    def forward(self, x, mode: Mode = INFERENCE) -> Any:
        """Return the output for x. The layer owns the array, and the next pass overwrites it."""
        raise NotImplementedError

    def build(self, shape: tuple[int, ...] | dict[str, tuple[int, ...]], seed: int = 0) -> Self:
        """Determine all shapes and make the parameters.

        Args:
            shape: shape of the input, ``[T, N, C]`` or ``[T, N, H, W, C]``; without T if the network begins with a
                `Repeat`. For a network with several inputs, one shape per name of an input.
            seed: seed of the initial weights. Default 0.

        Returns:
            The layer itself.

        Raises:
            ShapeError: the shape does not fit a layer; the message names the layer, the shape and the expected form.
            ValueError: an extent of the shape or the seed is not a whole number of the allowed range.
        """
        with taken(self):
            plan_of(self).enter()
            self.construct(checked_shape(self, shape), np.random.default_rng(whole("build: seed", seed, 0)))
        return self

    def __call__(self, x, training: bool = False):
        """Return the output for x, as a new NumPy array.

        Args:
            x: ``[T, N, C]`` or ``[T, N, H, W, C]``, uint8 or the network's float dtype; without T if the network
                begins with a `Repeat`. For a network with several inputs, a dict with one array per name, or a tuple in
                the order of the names.
            training: whether to use batch statistics and dropout, as in training. Running statistics are not changed in
                either case. Default False.

        Raises:
            ShapeError: the rank, the number of channels or the dtype of x is wrong.
            ValueError: x holds NaN or inf.
        """
        flag(f"{title(self)}: training", training)
        with taken(self):
            return self.kernels.to_host(self.forward(self.admit(x), Mode(training=training)))

    def admit(self, x):
        """Check an input from outside and copy it to the network's device; the errors are those of `__call__`."""
        return borders.admit(self, x)

    def stream(self, samples: int | None = None, warm: bool = False) -> Stream:
        """Return a `Stream` of this network, which takes one time step at a time; arguments and errors are those of
        `Stream`."""
        return Stream(self, samples, warm)

    def fold(self) -> Layer:
        """Return a new network for inference with batch normalisations folded into weights: see `layers.fold`."""
        with taken(self):
            return fold(self)

    def tree(self) -> Iterator[Any]:
        """Yield this layer and all layers inside it, in the order in which data pass through them."""
        yield self
        for _, child in self.children():
            yield from child.tree()

    def walk(self) -> Iterator[Layer]:
        """Yield all layers that are not containers, in the order in which data pass through them."""
        return (layer for layer in self.tree() if not layer.container)

    def named(self) -> list[tuple[str, Layer]]:
        """Return pairs (full name, layer) of this network and of all layers in it, in the order of `tree`. The names
        are those in this network, even if a layer is also part of other networks."""
        return plan_of(self).named

    def total_penalty(self) -> float:
        """Return the sum of the terms that the layers added to the loss in the last stored pass. On a CUDA device, this
        waits for the device."""
        return float(sum(layer.penalty for layer in self.walk()))

    def parameters(self) -> list[tuple[str, Parameter]]:
        """Return pairs (full name, `Parameter`) of all trained arrays, with names such as "conv2d1.weight"."""
        return arrays.parameters(self)

    def trainable(self) -> list[tuple[str, Parameter]]:
        """Return pairs (full name, `Parameter`) of the trained arrays that are not frozen: those that an optimiser
        updates."""
        return arrays.trainable(self)

    @property
    def frozen(self) -> bool:
        """Whether this layer, or every layer in this network, is frozen."""
        if not self.container:
            return self._frozen
        inside = [layer._frozen for layer in self.walk()]
        return bool(inside) and all(inside)

    def freeze(self) -> Self:
        """Exclude this layer, with all layers in it, from training, and return it.

        A frozen layer computes as at inference also in training: it normalises with its running statistics, and does
        not drop features. Its parameters, statistics and PDA corrections do not change, and its parameters get neither
        gradients nor weight decay. `backward` computes no more than the other layers need, and ends behind the last
        layer that still learns. Copies and checkpoints keep the layer frozen.

        A layer that is part of several networks is frozen in all of them, and so are all uses of a shared layer.
        """
        with taken(self):
            for layer in self.tree():
                for use in uses(layer):
                    use._frozen = True
                for p in layer.own_parameters():
                    layer.kernels.fill(p.grad, 0)
        return self

    def unfreeze(self) -> Self:
        """Let this layer, with all layers in it, learn again, and return it."""
        with taken(self):
            for layer in self.tree():
                for use in uses(layer):
                    use._frozen = False
        return self

    def frozen_layers(self) -> list[str]:
        """Return the full names of all layers that are frozen, except containers."""
        return [name for name, layer in self.named() if layer._frozen and not layer.container]

    def freeze_only(self, names: list[str]) -> Self:
        """Freeze the layers with these full names, let all others learn, and return the network.

        Raises:
            KeyError: there is no layer of one of these names.
            ValueError: names is not a list.
        """
        names = listed(f"{title(self)}.freeze_only: names", names, "full names of layers")
        layers = [find(self, name) if self.children() else self for name in names]
        self.unfreeze()
        for layer in layers:
            layer.freeze()
        return self

    def statistics(self) -> dict[str, np.ndarray]:
        """Return host copies of all tracked arrays (running moments, PDA corrections) by full name."""
        with taken(self):
            return arrays.statistics(self)

    def state(self) -> dict[str, np.ndarray]:
        """Return host copies of all parameters and statistics by full name, as a checkpoint stores them."""
        with taken(self):
            return arrays.state(self)

    def load_state(self, state: dict[str, np.ndarray], strict: bool = True) -> arrays.LoadReport:
        """Set parameters and statistics.

        Args:
            state: arrays by full name, as `state` returns them.
            strict: whether the names and shapes must be exactly those of this network. Default True. With False, what
                fits by name and shape is taken and the rest stays as it is, for example to fine-tune a network with
                another number of classes.

        Returns:
            a `LoadReport`, which prints what was taken, what is missing or unknown, and which shapes differ.

        Raises:
            ShapeError: a name is missing or unknown, or its array has another shape, or, without strict, nothing fits;
                the network is then unchanged.
            ValueError: an array holds NaN or inf.
            RuntimeError: the network has not been built.
        """
        with taken(self):
            return arrays.load_state(self, state, strict)

    def copy(self) -> Self:
        """Return an independent copy: built and frozen as this network, with the same weights and statistics."""
        with taken(self):
            return deepcopy(self)

    def to(self, device: str | None = None, dtype=None) -> Self:
        """Move the network to another device or float dtype, in place, and return it.

        Args:
            device: "reference", "cpu" or "cuda". Default None: the device stays.
            dtype: "float32" (the dtype of a new network) or "float64" (for gradient checks). Default None: the dtype
                stays.

        Raises:
            ValueError: the device or dtype is unknown.
            DeviceError: the device is "cuda" but there is no CUDA device, or the software that it needs is not
                installed.
        """
        with taken(self):
            moving.to(self, device, dtype)
        return self
