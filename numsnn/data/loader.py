"""Batches in an order that can be repeated and resumed."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

# Sets the shuffling apart from other streams that are spawned from the same seed (weights, dropout).
# Part of what a run depends on: another value here is another order for every seed.
_STREAM = 0x6F72646572  # "order"


class Source(Protocol):
    """What a Loader draws from: `numsnn.data.Dataset`, or any data that can make batches by index."""

    def __len__(self) -> int:
        """Number of samples."""

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(x, y)`` of the samples at indices ``[n]``."""


class Loader:
    """Cuts a dataset into batches, an epoch at a time.

    The order of an epoch is a function of (seed, epoch) and of nothing else, not of what was drawn before:
    a run that stopped after k batches of epoch e goes on with ``epoch(e, start=k)`` and sees exactly the
    batches it would have seen. (NumPy promises its streams within a version, not for ever.)

    Parameters
    ----------
    dataset : `Dataset`, or anything with ``len()`` and ``batch(indices)``.
    batch_size : samples a batch, >= 1; the last batch of an epoch may be smaller.
    shuffle : a new order each epoch instead of the stored one.
    seed : whole number >= 0, for shuffle.
    drop_last : leave out a last batch that is smaller than batch_size.
    workers : threads that make batches ahead of their use; 0, the default, makes each batch when it is asked for.
    prefetch : batches that are ready or being made ahead, >= 1, where there are workers. Default 2, or as many as
        there are workers.

    Batches and their order are the same for any number of workers. A dataset that changes from epoch to epoch, such
    as `numsnn.data.Augmented`, has a method ``at_epoch(epoch)`` that gives the source of that epoch's batches.

    Raises
    ------
    TypeError
        If dataset cannot make batches, such as a bare tuple (x, y).
    ValueError
        If an argument is not as above, or if drop_last leaves no batch.
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
        if not callable(getattr(dataset, "batch", None)):
            raise TypeError(
                f"Loader: dataset must be a Dataset; got {type(dataset).__name__}. For arrays: as_dataset((x, y))"
            )
        self.dataset = dataset
        self.batch_size = _whole("batch_size", batch_size, least=1)
        self.shuffle = bool(shuffle)
        self.seed = _whole("seed", seed, least=0)
        self.drop_last = bool(drop_last)
        self.workers = _whole("workers", workers, least=0)
        self.prefetch = max(2, self.workers) if prefetch is None else _whole("prefetch", prefetch, least=1)
        if len(self) == 0:
            raise ValueError(f"Loader: drop_last leaves no batch: {len(dataset)} samples, batch_size {self.batch_size}")

    def __len__(self) -> int:
        """Batches an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches ``(x, y)`` of one epoch from batch number start on, as the dataset makes them.

        epoch: whole number >= 0. start: ``0 .. len(self)``; ``len(self)``, where a run stopped right at the
        end of an epoch, gives nothing. Raises ValueError for others, at the call and not at the first batch.
        """
        epoch = _whole("epoch", epoch, least=0)
        start = _whole("start", start, least=0)
        if start > len(self):
            raise ValueError(f"Loader: start must be in 0..{len(self)}, the batches of an epoch; got {start}")
        at_epoch = getattr(self.dataset, "at_epoch", None)
        source = self.dataset if at_epoch is None else at_epoch(epoch)
        return self._batches(source, self._order(epoch), start)

    def _order(self, epoch: int) -> np.ndarray:
        """Sample numbers ``[N]`` in the order of this epoch."""
        n = len(self.dataset)
        if not self.shuffle:
            return np.arange(n)
        # A spawn key, not the plain entropy (seed, epoch): trailing zeros of the entropy are padding, so
        # epoch 0 would be the very stream that default_rng(seed) gives to everybody else.
        sequence = np.random.SeedSequence(self.seed, spawn_key=(_STREAM, epoch))
        return np.random.Generator(np.random.PCG64(sequence)).permutation(n)

    def _batches(self, source: Source, order: np.ndarray, start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        def make(i):
            return source.batch(order[i * self.batch_size : (i + 1) * self.batch_size])

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
        finally:  # also where the caller has had enough
            pool.shutdown(wait=True, cancel_futures=True)


def _whole(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"Loader: {name} must be a whole number >= {least}; got {value!r}")
    return int(value)
