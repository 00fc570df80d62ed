"""Batches in an order that can be repeated and resumed."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from ..cores import MOST_THREADS
from ..validate import flag, whole
from .batch import Batch

# Keeps the random numbers of shuffling apart from others of the same seed (weights, dropout). Changing this
# value would change the order of the samples for every seed.
_STREAM = 0x6F72646572  # "order"


class Source(Protocol):
    """What a Loader needs: `numsnn.data.Dataset`, or any other class that makes batches from indices."""

    def __len__(self) -> int:
        """Number of samples."""

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pair ``(x, y)`` of the samples with the indices ``[n]``: a `numsnn.data.Batch` or a tuple."""


class Loader:
    """Divides a dataset into batches, epoch by epoch.

    The order of an epoch depends only on (seed, epoch). A run that stopped after k batches of an epoch continues with
    ``epoch(e, start=k)`` and gets the batches that it would have got without the interruption. (NumPy may change its
    random streams in a later version.) Batches and their order are the same for any number of workers. A dataset that
    changes from epoch to epoch, such as `numsnn.data.Augmented`, has a method ``at_epoch(epoch)`` that returns the
    source of that epoch's batches.

    Args:
        dataset: a `Dataset`, or another object with ``len()`` and ``batch(indices)``.
        batch_size: samples per batch, at least 1; the last batch of an epoch may be smaller. Default 64.
        shuffle: whether each epoch has a new order instead of the stored one. Default False.
        seed: whole number of at least 0 that determines the orders. Default 0.
        drop_last: whether a last batch that is smaller than batch_size is left out. Default False.
        workers: number of threads that make batches in advance; 0 (default) makes each batch when it is asked for.
        prefetch: number of batches that the workers make in advance, at least 1. Default: the number of workers, but at
            least 2.

    Raises:
        TypeError: dataset cannot make batches, for example because it is a tuple (x, y).
        ValueError: another argument is out of range, or drop_last leaves no batch.
    """

    def __init__(
        self,
        dataset: Source,
        batch_size: int = 64,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        workers: int = 0,
        prefetch: int | None = None,
    ) -> None:
        if isinstance(dataset, type) or not (hasattr(dataset, "__len__") and callable(getattr(dataset, "batch", None))):
            raise TypeError(
                f"Loader: dataset must be a Dataset; got {type(dataset).__name__}. For arrays: as_dataset((x, y))"
            )
        self.dataset = dataset
        self.batch_size = whole("Loader: batch_size", batch_size)
        self.shuffle = flag("Loader: shuffle", shuffle)
        self.seed = whole("Loader: seed", seed, 0)
        self.drop_last = flag("Loader: drop_last", drop_last)
        self.workers = whole("Loader: workers", workers, 0, MOST_THREADS)
        self.prefetch = max(2, self.workers) if prefetch is None else whole("Loader: prefetch", prefetch)
        if len(self) == 0:
            raise ValueError(f"Loader: drop_last leaves no batch: {len(dataset)} samples, batch_size {self.batch_size}")

    def __len__(self) -> int:
        """Number of batches per epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Return an iterator over the batches of one epoch, `numsnn.data.Batch`, as the dataset makes them.

        Args:
            epoch: whole number of at least 0.
            start: number of the first batch, ``0 .. len(self)``. With ``len(self)``, for a run that stopped at the end
                of an epoch, there are no batches. Default 0.

        Raises:
            ValueError: epoch or start is out of range. The error is raised by this call, not when the first batch is
                made.
        """
        epoch = whole("Loader: epoch", epoch, 0)
        start = whole("Loader: start", start, 0)
        if start > len(self):
            raise ValueError(f"Loader: start must be in 0..{len(self)}, the number of batches; got {start}")
        at_epoch = getattr(self.dataset, "at_epoch", None)
        source = self.dataset if at_epoch is None else at_epoch(epoch)
        return self._batches(source, self._order(epoch), start)

    def _order(self, epoch: int) -> np.ndarray:
        """Return the sample numbers ``[N]`` in the order of this epoch."""
        n = len(self.dataset)
        if not self.shuffle:
            return np.arange(n)
        # A spawn key instead of the entropy (seed, epoch): NumPy pads entropy with zeros, so that epoch 0 would get
        # the same random numbers as default_rng(seed).
        sequence = np.random.SeedSequence(self.seed, spawn_key=(_STREAM, epoch))
        return np.random.Generator(np.random.PCG64(sequence)).permutation(n)

    def _batches(self, source: Source, order: np.ndarray, start: int) -> Iterator[Batch]:
        def make(i):
            return Batch.of(source.batch(order[i * self.batch_size : (i + 1) * self.batch_size]))

        if not self.workers:
            yield from map(make, range(start, len(self)))
            return
        rest = iter(range(start, len(self)))
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="numsnn-loader")
        try:
            ahead = deque(pool.submit(make, i) for i in itertools.islice(rest, self.prefetch))
            while ahead:
                batch = ahead.popleft().result()
                if (i := next(rest, None)) is not None:
                    ahead.append(pool.submit(make, i))
                yield batch
        finally:  # also if the caller stops before the last batch
            pool.shutdown(wait=True, cancel_futures=True)
