"""The settings of one pass through a network."""

import zlib
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ..portable import Portable
from ..shown import shown
from ..validate import flag, whole


@dataclass(frozen=True)
class Mode(Portable):
    """The settings of one pass through a network.

    Attributes:
        training: normalise with the statistics of the batch, and apply dropout. Default False.
        store: keep what the backward pass needs. Default False.
        track: update running statistics and PDA corrections. Default False.
        relaxed: spikes are Phi((u - theta) / alpha) instead of H(u - theta) (docs/method.md, R1). Default False.
        inspect: run the layers one by one and keep the output, the potentials and, after the backward pass, the input
            gradient of every layer. This takes more memory and time. Default False.
        seed: seed of the dropout masks; a trainer uses a different seed for every training step. Default 0.
        lengths: ``[N]`` whole numbers on the host: steps of each sequence, from 1 to T. Later steps are padding:
            statistics and penalties ignore them, and dL/dy must be zero there. In one of several passes (carried), 0
            stands for a sequence that is over. Default None: every sequence has T steps.
        carried: dictionary in which layers that carry a state leave it for the next pass, by full name. Default None:
            the pass starts from rest and leaves no state. `Stream` and truncated BPTT use it.
        resets: dictionary of spikes ``[T, M, C]`` by full name: what the reset of a neuron with ``detach_reset`` takes
            in the place of its own spikes (docs/method.md, R4). `check_gradients` uses it, on the reference target
            only. Default None: every reset takes the neuron's own spikes.
        recompute: keep one bit per spike for the backward pass, which computes most other outputs inside the network
            again (see `layers.recompute`). It takes less memory and more time; the gradients are the same, bit for bit.
            A pass without store keeps no output longer than the next layer needs it. The attribute ``output`` of a
            layer whose output was dropped is None. A pass with relaxed or inspect drops nothing, and neither does one
            with training in which sequences differ in length. Default False.

    Raises:
        ValueError: a setting is not True or False, or the seed is not a whole number of at least 0.
        TypeError: carried or resets is not a dictionary.
    """

    training: bool = False
    store: bool = False
    track: bool = False
    relaxed: bool = False
    inspect: bool = False
    seed: int = 0
    lengths: np.ndarray | None = None
    carried: dict | None = None
    resets: dict | None = None
    recompute: bool = False

    def __post_init__(self):
        for name in ("training", "store", "track", "relaxed", "inspect", "recompute"):
            flag(f"Mode: {name}", getattr(self, name))
        whole("Mode: seed", self.seed, 0, 2**64 - 1)
        for name in ("carried", "resets"):
            if not isinstance(getattr(self, name), dict | None):
                raise TypeError(f"Mode: {name} must be a dict or None; got {shown(getattr(self, name))}")

    def frozen(self) -> Self:
        """Return the settings for a frozen layer: it computes as at inference, and what it tracks does not change."""
        return replace(self, training=False, track=False)

    def seed_of(self, path: str) -> int:
        """Return the seed of a layer's random numbers in the pass; it differs from layer to layer.

        Args:
            path: full name of the layer.
        """
        return self.seed ^ zlib.crc32(path.encode())


INFERENCE = Mode()
TRAINING = Mode(training=True, store=True, track=True)
