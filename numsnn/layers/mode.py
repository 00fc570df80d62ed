"""How a pass through a network is made."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mode:
    """How a pass through the network is made.

    Attributes:
        training: normalise with the batch's statistics, and drop out.
        store: keep what the backward pass needs.
        track: update running statistics and PDA corrections.
        relaxed: spikes are Phi((u - theta) / alpha) instead of H(u - theta), the reset attached (docs/method.md, R1).
        inspect: go layer by layer and leave everything behind: every layer's output, potentials and, after the backward
            pass, input gradient. Takes more memory and time.
        seed: what dropout masks are a function of; a trainer gives every step its own.
        carried: where layers with a memory leave their state for the next pass, by full name; None starts from rest and
            leaves nothing. `Stream` and truncated BPTT use it.
    """

    training: bool = False
    store: bool = False
    track: bool = False
    relaxed: bool = False
    inspect: bool = False
    seed: int = 0
    carried: dict | None = None


INFERENCE = Mode()
TRAINING = Mode(training=True, store=True, track=True)
