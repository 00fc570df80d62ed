"""A batch: samples and targets, with the lengths of sequences and the weights of samples if they have any."""

from __future__ import annotations

import numpy as np


class Batch(tuple):
    """A pair ``(x, y)`` that also holds what a loss has to know about its samples.

        x, y = batch                  # as a pair
        batch.lengths, batch.weights  # None if all sequences are whole and all samples count the same

    Args:
        x: samples ``[n, ...]``, or ``[T, n, ...]`` for sequences.
        y: targets ``[n, ...]``, or ``[T, n, ...]`` for one target per step.
        lengths: ``[n]`` whole numbers: steps of each sequence, from 1 to T. Steps from there on are padding, which
            losses, metrics and statistics ignore. Default None: every sequence has T steps.
        weights: ``[n]`` numbers of at least 0, by which the losses of the samples are multiplied. Default None: one.
    """

    lengths: np.ndarray | None
    weights: np.ndarray | None

    def __new__(cls, x, y, lengths=None, weights=None) -> Batch:
        self = super().__new__(cls, (x, y))
        self.lengths, self.weights = lengths, weights
        return self

    def __getnewargs__(self):
        return self[0], self[1], self.lengths, self.weights

    @property
    def x(self):
        """The samples."""
        return self[0]

    @property
    def y(self):
        """The targets."""
        return self[1]

    @classmethod
    def of(cls, pair) -> Batch:
        """Return a Batch: the pair itself if it is one already.

        Raises:
            TypeError: this is no pair.
        """
        if isinstance(pair, cls):
            return pair
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            got = f"{len(pair)} entries" if isinstance(pair, tuple | list) else type(pair).__name__
            raise TypeError(f"a batch must be a pair (x, y) or a numsnn.data.Batch; got {got}")
        return cls(*pair)
