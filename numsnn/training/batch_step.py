"""Training on one batch: one pass, or in truncated BPTT one pass and one update per chunk of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..data import Batch
from ..errors import DivergenceError
from ..layers import TRAINING, Mode
from ..layers.inputs import each, first_timed
from ..losses import Loss
from .checks import first_bad
from .loop import Loop
from .source import Kind


class BatchStep:
    """Trains on batches.

    Args:
        loop: the passes and updates.
        loss: the loss.
        truncate: number of steps per chunk, or None.
        place: function that returns the position in the run and what was saved, for the message of an error.
    """

    def __init__(self, loop: Loop, loss: Loss, truncate: int | None, place: Callable[[], tuple[str, str]]):
        self.loop, self.loss, self.truncate, self.place = loop, loss, truncate, place

    def run(self, batch: Batch, kind: Kind, seed: int, factor: float, update: bool) -> tuple[np.ndarray, float]:
        """Train on one batch.

        Args:
            batch: the batch, with its samples on the device.
            kind: kind of its targets.
            seed: seed of dropout and random encoders.
            factor: factor of the learning rates.
            update: whether to update the parameters; otherwise the gradients are kept for a later update. Chunks of
                steps always update.

        Returns:
            the readout, on the host, and the mean loss. In chunks, the readout ends with the longest sequence, and the
                loss of a sample is the mean over its steps.

        Raises:
            DivergenceError: a loss or gradient is not finite; the message names step, layer and last good checkpoint.
        """
        mode = replace(TRAINING, recompute=self.loop.recompute, seed=seed)
        if self.truncate is None:
            now = replace(mode, lengths=batch.lengths)
            readout, losses, penalty = self._pass(batch, now)
            if update:
                self._update(batch, now, factor)
            return readout, float(losses.mean(dtype=np.float64)) + penalty
        mode = replace(mode, carried={})
        readouts: list[np.ndarray] = []
        total: Any = 0.0
        steps: Any = 0
        for chunk in self._chunks(batch, kind.per_step, self.truncate):
            now = replace(mode, lengths=chunk.lengths)
            readout, losses, penalty = self._pass(chunk, now)
            self._update(chunk, now, factor)
            readouts.append(readout)
            count = len(readout) if chunk.lengths is None else chunk.lengths
            total = total + count * (losses.astype(np.float64) + penalty)
            steps = steps + count
        return np.concatenate(readouts), float(np.mean(total / steps))

    def _chunks(self, batch: Batch, per_step: bool, length: int) -> Iterator[Batch]:
        """Yield the parts of a batch, of `length` steps each, up to the end of the longest sequence."""
        steps = len(first_timed(self.loop.net, batch.x))
        for k in range(0, steps, length):
            end = min(k + length, steps)
            lengths = None if batch.lengths is None else np.clip(batch.lengths - k, 0, end - k)
            if lengths is not None and not lengths.any():
                return
            chunk = slice(k, end)
            x = each(batch.x, lambda part, chunk=chunk: part[chunk])
            yield Batch(x, batch.y[chunk] if per_step else batch.y, lengths, batch.weights)

    def _pass(self, batch: Batch, mode: Mode):
        """Make a forward and a backward pass; return the readout and the losses ``[N]``, on the host, and the
        penalty."""
        kernels = self.loop.net.kernels
        z = self.loop.run(batch.x, mode)
        losses, dz = self._loss(z, batch)
        losses, readout = kernels.to_host(losses), kernels.to_host(z)
        if not np.isfinite(losses).all():
            self._diverged("the loss")
        self.loop.backward(dz)
        return readout, losses, self.loop.penalty

    def _loss(self, z, batch: Batch):
        net = self.loop.net
        return self.loss(z, batch.y, net.kernels, batch.lengths, weights=batch.weights, dtype=net.dtype)

    def _update(self, batch: Batch, mode: Mode, factor: float):
        """Update the parameters by the gradients of the passes since the last update."""
        net = self.loop.net
        if not math.isfinite(self.loop.clip()):
            if mode.carried is None:  # repeat the passes in such a way that every layer's gradient can be inspected
                z = net.forward(batch.x, replace(mode, track=False, inspect=True))
                net.backward(self._loss(z, batch)[1], need_dx=False)
            self._diverged("the gradient")
        self.loop.update(factor)

    def _diverged(self, what):
        where, saved = self.place()
        raise DivergenceError(
            f"training diverged: {what} is not finite at {where}; first in {first_bad(self.loop.net)}; {saved}. "
            "A lower learning rate or clip_norm may help."
        )
