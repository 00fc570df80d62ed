"""Recomputing: outputs inside a network that a pass does not keep for the backward pass, which computes them again.

A pass with `Mode.recompute` drops the output of a layer as soon as the next layer has read it, if both layers allow it:

- ``recomputes`` of the layer that writes the output: its method ``again()`` returns the output of the last stored pass
  once more, with the same bits, without changing any state. A layer computes it from its input, and then
  ``from_input`` is true; a neuron restores its spikes from the bits that it has packed them into.
- ``receives`` of the layer that reads it: its method ``receive(x)`` puts the input of the last stored pass, which was
  dropped, in its place; ``receive(None)`` forgets it. ``reads_input`` says whether its own backward pass reads it.

Everything that depends on a state stays as it is: statistics are measured once, potentials start from the same state,
and dropout and random spikes are not drawn again. This is activation checkpointing (Chen, Xu, Zhang and Guestrin 2016,
arXiv:1604.06174), selective: what is cheap to compute again is dropped, and spikes take one bit each.

The dropped outputs lie in the memory that the network lends for gradients. As long as this memory is not needed they
stay there, and are not computed again (see `arena`). A class from outside the package takes part only if it declares
``recomputes`` and ``receives`` itself, because it may have changed an inherited pass.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from .arena import Arena
from .memory import Pool


class Dropped(NamedTuple):
    """What the passes of a network with `Mode.recompute` drop.

    Attributes:
        behind: container whose layers follow one another -> the numbers of the stages whose outputs are dropped.
        writers: the layers whose output lies in memory that the network lends.
    """

    behind: dict
    writers: set


def allows(layer, name: str) -> bool:
    """Return whether a layer declares ``recomputes`` or ``receives`` for its own passes. A neuron looks itself whether
    its passes are those of the package."""
    return bool(getattr(layer, name)) and (not layer.foreign or layer.fires or name in vars(type(layer)))


def dropped(plan) -> Dropped:
    """Return what the network of a plan drops."""
    behind: dict = {}
    writers: set = set()
    for container, stages in plan.stages.items():
        pairs = enumerate(pairwise(stages))
        numbers = {k for k, (one, other) in pairs if allows(one, "recomputes") and allows(other, "receives")}
        behind[container] = set() if container.foreign else numbers
        writers.update(stages[k].writer() for k in behind[container])
    for _, layer in plan.named:
        if layer.joins == "sum" and not layer.foreign:
            writers.update(path.writer() for path in layer.dropped_paths())
    return Dropped(behind, writers)


def drops(mode, padding) -> bool:
    """Return whether a pass drops outputs: not if somebody wants to see them, or if spikes are no bits. With padding,
    normalisations in training keep copies of the real steps of their input in any case."""
    return mode.recompute and not (mode.inspect or mode.relaxed or (mode.training and padding is not None))


def memory_for(pool: Pool, mode, lean: bool) -> Pool:
    """Return the memory for a pass that begins: that of the pass before if it is of the kind that is needed.

    Args:
        pool: the memory of the pass before.
        mode: the settings of the pass.
        lean: whether it drops outputs.
    """
    if isinstance(pool, Arena) != lean and (lean or mode.store):
        pool = Arena() if lean else Pool()
    if isinstance(pool, Arena):
        pool.begin()
    return pool


class Chain:
    """What a container whose layers follow one another keeps for its backward pass.

    Args:
        pool: the memory that the network lends.
        passed: the layers, with a `Pair` in place of two fused ones.
        dropped: the numbers of those whose outputs were dropped.

    Attributes:
        repeated: in a `Repeat`, the output before it was repeated, and the number of repetitions; otherwise None.
    """

    def __init__(self, pool, passed: Sequence[Any], dropped=frozenset()):
        self.passed, self.dropped, self.repeated = passed, dropped, None
        self._pool = pool
        self._laid_by: dict = {}  # number of a layer -> its output, and what the memory knows it by
        self.forget()

    def forget(self) -> None:
        """Forget what was restored."""
        self._back: dict = {}  # number of a layer -> its input
        self._spikes = None  # of the layer whose backward pass is next

    def lay_by(self, k, x) -> None:
        """Give back the output x of a layer; it may stay in its place until `_restore` wants it."""
        self._laid_by[k] = x, self._pool.lay_by(x)

    def _taken_back(self, k):
        """Return the output of a layer if it is still in its place, otherwise None."""
        x, known_by = self._laid_by.pop(k, (None, None))
        return x if self._pool.take_back(known_by) else None

    def again(self):
        """Return the output of the last layer once more."""
        return self._again(len(self.passed) - 1)

    def _again(self, k):
        stage = self.passed[k]
        if stage.from_input:
            self._restore(k)
        y = stage.again()
        if not stage.reads_input and (x := self._removed(k)) is not None:
            self.lay_by(k - 1, x)
        return y

    def _restore(self, k):
        """Put the input of a layer in its place again if it was dropped."""
        if k - 1 in self.dropped and k not in self._back:
            x = self._taken_back(k - 1)
            self._back[k] = x = self._again(k - 1) if x is None else x
            self.passed[k].receive(x)

    def prepare(self, k) -> None:
        """Restore what the backward pass of a layer reads."""
        stage = self.passed[k]
        if stage.reads_input:
            self._restore(k)
        if stage.lacks_output():
            if self._spikes is None:
                self._spikes = self._taken_back(k)
            if self._spikes is None:
                self._spikes = stage.again()
            stage.recall(self._spikes)

    def settle(self, k, first) -> None:
        """Give back what `prepare` has restored, after the backward pass of a layer. Its input stays for the layer in
        front if that needs its own output.

        Args:
            k: number of the layer.
            first: number of the last layer that the backward pass reaches.
        """
        stage = self.passed[k]
        if self._spikes is not None:
            stage.recall(None)
            self._pool.give(self._spikes)
            self._spikes = None
        x = self._removed(k)
        if x is not None and k > first and self.passed[k - 1].lacks_output():
            self._spikes = x
        else:
            self._pool.give(x)

    def _removed(self, k):
        """Return the input of a layer after taking it away again; None if it was not restored."""
        x = self._back.pop(k, None)
        if x is not None:
            self.passed[k].receive(None)
        return x


def from_input(stages, numbers) -> bool:
    """Return whether the last output of a chain is computed again from the input of the chain.

    Args:
        stages: the layers, with a `Pair` in place of two fused ones.
        numbers: the numbers of those whose outputs are dropped.
    """
    for k, stage in reversed([*enumerate(stages)]):
        if not stage.from_input:
            return False
        if k and k - 1 not in numbers:
            return False
    return True
