"""Training loops of one's own: forward pass, backward pass and update, one call each."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ..errors import CheckpointError, DivergenceError, ShapeError
from ..layers import TRAINING, Layer, Mode
from ..layers.flat import FlatParameters
from ..layers.inputs import shape_of
from ..layers.plan import plan_of
from ..layers.turn import taken
from ..optim import Adam, Optimizer, clip_global_norm
from ..plain_json import parsed
from ..portable import Portable, nothing, on_device
from ..shown import shown
from ..validate import at_least, flag, path_of, positive, real_array, whole
from . import checkpoint
from .checks import difference, first_bad, need_unfrozen, part
from .training_state import checked_loop

STEP_STREAM = 0x73746570
"""Key ("step") that keeps the seeds of training steps apart from other random numbers of the same seed."""


class Loop(Portable):
    """The steps of a training loop that its user writes.

        loop = snn.Loop(net, snn.optim.Adam(1e-3))
        for x, y in batches:
            z = loop.forward(x)
            losses, dz = loss(z, y)         # a loss of numsnn, or NumPy code of your own
            loop.backward(dz)
            loop.step()

    Several calls of `forward` and `backward` before a `step` accumulate gradients: the update is that of one large
    batch, as far as no layer takes statistics over a batch. Every forward pass has a seed of its own, so that dropout
    and random encoders differ from pass to pass. Frozen layers are not updated.

    Args:
        net: the network; it is built at the first batch if it is not built yet.
        optimizer: default ``Adam(2e-3)``.
        seed: determines the initial weights, if the network is not built, and the seeds of all passes. Default 0.
        clip_norm: largest global norm of the gradients. Default None: gradients are not clipped.
        recompute: whether passes keep less for the backward pass, which computes it again: less memory, more time, the
            same bits (see `numsnn.Mode`). Default False.

    Attributes:
        passes: number of forward passes so far.

    Raises:
        TypeError: optimizer is an object of another kind.
        ValueError: another argument is out of range.
    """

    transient: ClassVar = {"_shape": nothing}  # a copy of the network has not kept the pass

    def __init__(
        self,
        net: Layer,
        optimizer: Optimizer | None = None,
        seed: int = 0,
        clip_norm: float | None = None,
        recompute: bool = False,
    ) -> None:
        self.net = part("Loop", "net", net, Layer)
        self.optimizer = part("Loop", "optimizer", optimizer, Optimizer, lambda: Adam(2e-3))
        self.seed = whole("Loop: seed", seed, 0)
        self.clip_norm = None if clip_norm is None else positive("Loop: clip_norm", clip_norm)
        self.recompute = flag("Loop: recompute", recompute)
        self.passes = 0
        self._shape: tuple[int, ...] | None = None
        self._names: list[str] = []
        self._samples, self._total = 0, 0
        self._sum: Any = None
        self._checked = False

    @property
    def penalty(self) -> float:
        """The terms that layers of the network added to the loss in the last forward pass, such as a `RateBand`."""
        return self.net.total_penalty()

    def forward(self, x, lengths=None):
        """Run a forward pass in training mode, and keep what the backward pass needs.

        Args:
            x: as for a call of the network: ``[T, N, ...]``, or ``[N, ...]`` if it begins with a `Repeat` or `Poisson`;
                for several inputs, a dict of arrays by name.
            lengths: ``[N]`` steps of each sequence, from 1 to T; later steps are padding. Default None: all are whole.

        Returns:
            the output ``[T, N, ...]``, a new array on the device of the network (for "cpu" a NumPy array).

        Raises:
            ShapeError: the rank, the number of channels or the dtype of x is wrong, or the lengths do not fit.
            ValueError: x holds NaN or inf.
        """
        with taken(self.net):
            x = self.net.admit(x)
            if not self.net.built:
                self.net.build(shape_of(x), self.seed)
            seed = pass_seed(self.net, self.seed, self.passes)
            z = self.run(x, replace(TRAINING, recompute=self.recompute, seed=seed, lengths=lengths))
            copy = self.net.kernels.empty(z.shape, z.dtype)
            self.net.kernels.copy(z, copy)
        return copy

    def run(self, x, mode: Mode = TRAINING):
        """Run a forward pass on an array of the device, and return the output, which the next pass overwrites."""
        z = self.net.forward(x, mode)
        self.passes += 1
        self._shape = tuple(z.shape)
        return z

    def backward(self, dz) -> None:
        """Run the backward pass of the last forward pass, and add its gradients to those since the last `step`.

        Args:
            dz: the gradient of the mean loss of the batch by the output, an array of the output's shape on the host or
                on the device.

        Raises:
            RuntimeError: there was no forward pass since the last backward pass.
            ShapeError: dz has another shape than the output.
        """
        net, kernels = self.net, self.net.kernels
        if self._shape is None:
            raise RuntimeError("Loop.backward: call forward first; every backward pass needs a forward pass of its own")
        host = dz if on_device(dz) else real_array(dz)
        if host is None:
            raise ShapeError(f"Loop.backward: dz must be an array of real numbers; got {shown(dz)}")
        if tuple(host.shape) != self._shape:
            raise ShapeError(f"Loop.backward: dz must have the output's shape {self._shape}; got {host.shape}")
        dz = host if on_device(host) else kernels.from_host(host, net.dtype)
        samples = self._shape[1]
        with taken(net):
            if self._samples:
                self._accumulate()
            net.backward(dz, need_dx=False)
        self._samples, self._shape = samples, None

    def _accumulate(self):
        """Add the gradients of the last backward pass, times its samples, to the sum."""
        flat = self._flat()
        if flat is None:
            return
        kernels = self.net.kernels
        kernels.scale(flat.grad, self._samples)
        if self._sum is None:
            self._sum = flat.vector(flat.value.dtype)
        kernels.add(self._sum, flat.grad, self._sum)
        self._total += self._samples

    def _flat(self):
        parameters = self.net.trainable()
        names = [name for name, _ in parameters]
        if not self._total:
            self._names = names
        if names != self._names:
            raise RuntimeError(
                "Loop: layers were frozen or unfrozen between the passes of one update; do so after a step, or call "
                "reset to forget their gradients"
            )
        return FlatParameters.of(self.net.kernels, parameters) if parameters else None

    def step(self, factor: float = 1.0) -> float:
        """Update the parameters by the gradients since the last `step`.

        Args:
            factor: factor of all learning rates, such as that of a schedule. Default 1.

        Returns:
            the global norm of the gradients before clipping.

        Raises:
            RuntimeError: there was no backward pass since the last `step`.
            ValueError: factor is not a finite number of at least 0, or every layer that can learn is frozen.
            DivergenceError: a gradient is NaN or inf; the parameters are unchanged. The message names the layer.
        """
        at_least("Loop.step: factor", factor, 0)
        with taken(self.net):
            norm = self.clip()
            if not math.isfinite(norm):
                raise DivergenceError(
                    f"Loop.step: the gradient is not finite at step {self.optimizer.steps + 1}; first in "
                    f"{first_bad(self.net)}. A lower learning rate or clip_norm may help."
                )
            self.update(factor)
        return norm

    def clip(self) -> float:
        """Take the mean of the accumulated gradients, clip it, and return its global norm before clipping."""
        if not self._samples:
            raise RuntimeError("Loop.step: call forward and backward first")
        kernels = self.net.kernels
        if self._total:
            self._accumulate()
            flat = self._flat()
            kernels.copy(self._sum, flat.grad)
            kernels.scale(flat.grad, 1 / self._total)
        self._samples, self._total, self._sum = 0, 0, None
        return clip_global_norm(kernels, self.net.trainable(), self.clip_norm)

    def reset(self) -> None:
        """Forget the last forward pass, and the gradients since the last `step`."""
        self._shape = None
        self._samples, self._total, self._sum = 0, 0, None

    def update(self, factor: float = 1.0) -> None:
        """Update the parameters by the gradients that `clip` left."""
        if not self._checked:
            self.optimizer.check_groups(name for name, _ in self.net.parameters())
            self.optimizer.check_network(self.net.parameters())
            self._checked = True
        parameters = self.net.trainable()
        if not parameters:
            need_unfrozen("Loop.step", self.net)
        self.optimizer.step(self.net.kernels, parameters, factor)

    # --- keeping ---

    def save(self, path: str | os.PathLike[str], **more) -> None:
        """Write network, optimiser and seeds to one HDF5 file, which is replaced as a whole. Gradients since the last
        `step` are not part of it.

        Args:
            path: path of the file; `numsnn.load` reads the network from it.
            more: numbers, strings, lists and dictionaries that `restore` returns, such as ``epoch=3``.

        Raises:
            TypeError: more holds something else, such as an array; nothing is written.
            DivergenceError: an array holds NaN or inf.
            OSError: the file cannot be written.
        """
        path = path_of("Loop.save: path", path)
        for name, value in more.items():
            try:
                parsed(json.dumps(value))
            except (TypeError, ValueError, RecursionError) as error:
                raise TypeError(
                    f"Loop.save: {name} must be plain data, which JSON can hold; got {shown(value)}"
                ) from error
        state = self.optimizer.state()
        counters = {"passes": self.passes, "steps": state["steps"], "counts": state["counts"]}
        position = {"seed": self.seed, **counters, "more": more}
        checkpoint.write(path, self.net, {"optimizer": state["arrays"]}, {"loop": position})

    def restore(self, path: str | os.PathLike[str]) -> dict:
        """Go on from a file that `save` wrote, with the same bits as without the interruption. Gradients since the last
        `step` are forgotten.

        Returns:
            what `save` got as ``more``.

        Raises:
            FileNotFoundError: the file does not exist.
            CheckpointError: the file is damaged, holds no loop, or is of another network.
        """
        path = path_of("Loop.restore: path", path)
        net, arrays, training = checkpoint.read(path)
        position = (training or {}).get("loop")
        if position is None:
            raise CheckpointError(f"{path}: holds no loop; snn.load reads the network alone")
        if net.description() != self.net.description():
            raise CheckpointError(f"{path}: belongs to another network: {difference(net, self.net)}")
        checked_loop(path, position, net, arrays["optimizer"], self.optimizer)
        if not self.net.built:
            self.net.build(net.input_shape)
        self.net.load_state(net.state())
        self.net.freeze_only(net.frozen_layers())
        counters = {"steps": position["steps"], "counts": position.get("counts")}
        self.optimizer.load_state(counters | {"arrays": arrays["optimizer"]})
        self.seed, self.passes = position["seed"], position["passes"]
        self.reset()
        return position["more"]


def pass_seed(net: Layer, seed: int, *place: int) -> int:
    """Return the seed of a training step of a network, as `step_seed` does; 0 if no layer draws random numbers."""
    return step_seed(seed, *place) if plan_of(net).draws else 0


def step_seed(seed: int, *place: int) -> int:
    """Return the seed of a training step, a function of the run's seed and the place of the step in the run."""
    entropy = np.random.SeedSequence(seed, spawn_key=(STEP_STREAM, *place))
    return int(entropy.generate_state(1, np.uint64)[0])
