"""Whose turn it is: a network is used by one thread at a time.

A pass writes into memory that belongs to the layers, and the next pass reuses this memory. Two threads in one network
would get each other's numbers, or memory that has been freed. Every use of a network therefore takes its turn first,
without waiting. Networks that have layers in common have one turn together.
"""

import os
from contextlib import ExitStack
from itertools import count
from threading import RLock

from .names import title

_numbers = count()
_joining = RLock()
_forks = 0
"""How often this process, and the processes that it was forked from, have been forked off."""


class Turn:
    """The turn of a layer, or of several networks that have layers in common.

    Attributes:
        number: turns are numbered as they are made.
        joined: the turn that this one has become a part of, or None.
        lock: what the thread holds whose turn it is; see `take`.
    """

    def __init__(self):
        self.number, self.joined = next(_numbers), None
        self.lock, self._fork = RLock(), _forks

    def last(self):
        """Return the turn that this one has become a part of in the end; the turn itself, if there is none."""
        turn = self
        while turn.joined is not None:
            turn = turn.joined
        return turn

    def take(self):
        """Return the lock after taking it, or None if another thread holds it. The same thread may take it again."""
        if self.lock.acquire(blocking=False):
            return self.lock
        if self._fork == _forks:
            return None
        self.lock, self._fork = RLock(), _forks  # the thread that held the old one does not exist in this process
        return self.take()


def join(layers) -> None:
    """Give these layers, and all networks that they are part of, one turn: the oldest of theirs.

    Raises:
        RuntimeError: another thread uses one of them.
    """
    with _joining, ExitStack() as held:
        turns = {layer.turn.last().number: (layer.turn.last(), layer) for layer in layers}
        for turn, layer in turns.values():
            held.enter_context(_Held(_lock_of(turn, layer)))
        oldest, _ = turns[min(turns)]
        for turn, _ in turns.values():
            if turn is not oldest:
                turn.joined = oldest
        for layer in layers:
            layer.turn = oldest


def taken(net) -> "_Held":
    """Return a context in which this thread uses a network, or a layer.

    Raises:
        RuntimeError: another thread uses the network, or one with which it has layers in common.
    """
    turn = net.turn if net.turn.joined is None else net.turn.last()
    return _Held(turn.lock if turn.lock.acquire(blocking=False) else _lock_of(turn, net))


def _lock_of(turn, net):
    """Return the lock of a turn after taking it."""
    lock = turn.take()
    if lock is None:
        raise RuntimeError(
            f"{title(net)}: another thread is using this network, or layers of it; give every thread a network of its "
            "own, made with net.copy() before the threads start"
        )
    return lock


class _Held:
    """A context that releases, at its end, a lock that has been taken."""

    __slots__ = ("_lock",)

    def __init__(self, lock):
        self._lock = lock

    def __enter__(self):
        return None

    def __exit__(self, *exception):
        self._lock.release()


def _after_fork():
    global _forks, _joining
    _forks, _joining = _forks + 1, RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
