"""Random choices, and random neurons: every option that a neuron takes, alone and with others."""

import numpy as np
from own_neurons import KLIF, QIF

import numsnn as snn

SMOOTH = ("logistic", "gaussian", "arctan")
KINKED = ("triangle", "rectangle", "laplace", "fast_sigmoid")

ANY_RANK = ("LIF", "IF", "PLIF", "ALIF", "CubaLIF", "QIF", "KLIF", "LI")
RECURRENT = ("RecurrentLIF", "RecurrentALIF", "RecurrentCubaLIF")
CLASSES = {name: getattr(snn, name) for name in (*ANY_RANK, *RECURRENT) if hasattr(snn, name)}
CLASSES |= {"QIF": QIF, "KLIF": KLIF}

LARGEST = 1200
"""Largest number of elements of an output by default; it keeps finite differences quick."""

ATTEMPTS = 100
"""Number of draws after which a choice of options that fits is given up."""


class Chance:
    """A source of random choices that are plain Python values, so that they print as a user would write them.

    Args:
        seed: determines all choices.
        few: whether neurons come from a few kinds only, each of which needs few compiled kernels.
        largest: largest number of elements of an output.
    """

    def __init__(self, seed: int, few: bool = False, largest: int = LARGEST):
        self.numbers, self.few, self.largest = np.random.default_rng(seed), few, largest

    def yes(self, share: float) -> bool:
        """Return True in this share of the calls."""
        return bool(self.numbers.random() < share)

    def one(self, *options):
        """Return one of the options."""
        return options[int(self.numbers.integers(len(options)))]

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from low to high."""
        return int(self.numbers.integers(low, high + 1))

    def real(self, low: float, high: float) -> float:
        """Return a number of three digits between low and high. A potential that is computed from round numbers is
        never equal to such a threshold, so that rounding does not decide about spikes."""
        return round(float(self.numbers.uniform(low, high)), 3)

    def per_channel(self, low: float, high: float, channels: int, learn=None):
        """Return one number or, unless the value is learned as one number per layer, sometimes one per channel."""
        if learn in (True, "layer") or not self.yes(0.3):
            return self.real(low, high)
        return tuple(self.real(low, high) for _ in range(channels))

    def learned(self):
        """Return a choice of what is learned."""
        return self.one(False, False, True, "layer", "channel")


def surrogate(chance: Chance):
    """Return a surrogate of any family, with a fixed or a learned width."""
    family = chance.one(*(SMOOTH if chance.yes(0.7) else KINKED))
    width = chance.real(0.4, 1.5)
    kind = chance.one("name", "fixed", "layer", "channel", "layer", "channel")
    if kind == "name":
        return family
    return snn.Surrogate(family, width) if kind == "fixed" else snn.PSG(family, width, per=kind)


def pda(chance: Chance):
    """Return settings of PDA, or None."""
    if chance.yes(0.6):
        return None
    return snn.PDA(
        momentum=chance.real(0.1, 1),
        correct=chance.yes(0.8),
        target=chance.one(None, None, chance.real(-0.2, 0.5)),
        divergence=chance.one(0.0, chance.real(0.05, 0.8)),
        eps=chance.one(1e-3, 0.1),
    )


def neuron(chance: Chance, shape: tuple[int, ...]):
    """Return a neuron of any kind and with any options that fit an input of this shape."""
    kinds = (*ANY_RANK, *RECURRENT) if len(shape) == 3 else ANY_RANK
    for _ in range(ATTEMPTS):
        kind = chance.one(*kinds)
        try:
            return _few(chance, shape) if chance.few else _neuron(chance, kind, shape[-1])
        except ValueError:  # these options exclude each other
            continue
    raise AssertionError(f"no neuron fits {shape}")


def _few(chance, shape):
    """Return a neuron of one of three kinds, whose numbers differ but which need one kernel per kind and pass."""
    channels, kind = shape[-1], chance.whole(0, 3 if len(shape) == 3 else 2)
    numbers = {"tau": chance.real(1.2, 5), "v_init": chance.per_channel(-0.3, 0.3, channels)}
    if kind == 0:
        return snn.LI(**numbers)
    numbers |= {"v_threshold": chance.real(0.3, 1.2), "learn_threshold": True, "learn_tau": True}
    psg = snn.PSG("triangle", chance.real(0.5, 1.5), per=chance.one("layer", "channel"))
    if kind < 3:
        return snn.LIF(**numbers, v_reset=chance.real(-0.4, 0.2), surrogate=psg, pda=snn.PDA(chance.real(0.1, 1)))
    return snn.RecurrentLIF(**numbers, refractory=chance.whole(1, 2), surrogate=psg)


def _neuron(chance, kind, channels):
    if kind == "LI":
        return snn.LI(
            **_leak(chance, channels),
            learn_v_init=(learn := chance.learned()),
            v_init=chance.per_channel(-0.5, 0.5, channels, learn),
            record=chance.one((), "u", "v"),
        )
    options = _common(chance, channels)
    if kind in ("QIF", "KLIF"):
        del options["refractory"]
        if kind == "QIF":
            options |= {"k": chance.real(0.05, 0.3), "learn": chance.one(None, {"k": "channel"}, ("k", "c"))}
        else:
            options |= {"beta": chance.real(0.2, 0.9), "learn": chance.one(None, ("k", "beta"), {"k": "channel"})}
        return CLASSES[kind](**options)
    if kind == "PLIF":
        options |= {"learn_tau": (learn := chance.one("layer", "channel"))}
        options |= {"tau": chance.per_channel(1.2, 5, channels, learn), "decay_input": chance.yes(0.7)}
    elif kind != "IF":
        options |= _leak(chance, channels)
    if "ALIF" in kind:
        learn = chance.learned()
        options |= {
            "learn_adaptation": learn,
            "tau_adaptation": chance.per_channel(1.5, 20, channels, learn),
            "strength": chance.per_channel(0.2, 2, channels, learn),
        }
    if "Cuba" in kind:
        learn = chance.learned()
        options["learn_tau_synapse"] = learn
        if chance.yes(0.3):
            options["gamma_synapse"] = chance.per_channel(0.05, 0.9, channels, learn)
        else:
            options["tau_synapse"] = chance.per_channel(1.2, 5, channels, learn)
    names = ("u", "v", "s", *(("a",) if "ALIF" in kind else ()), *(("j",) if "Cuba" in kind else ()))
    if chance.yes(0.2):
        options["record"] = chance.one(*names)
    return CLASSES[kind](**options)


def _leak(chance, channels):
    """Return the options of a leak: a time constant or a factor, also the extreme ones."""
    learn = chance.learned()
    options = {"learn_tau": learn, "decay_input": chance.yes(0.3)}
    if chance.yes(0.3):
        options["beta"] = chance.one(0.0, 1.0, 0.5, chance.per_channel(0.1, 0.95, channels, learn))
    else:
        options["tau"] = chance.one(1.0, chance.per_channel(1.1, 6, channels, learn), chance.real(1.1, 6))
    return options


def _common(chance, channels):
    """Return the options that all spiking neurons take, without those that have their default values by chance."""
    learn_threshold, learn_v_init = chance.learned(), chance.learned()
    options = {
        "v_threshold": chance.per_channel(0.3, 1.2, channels, learn_threshold),
        "v_reset": chance.one(0.0, 0.0, chance.real(-0.5, 0.2), None, None, "delayed", "none"),
        "v_init": chance.one(0.0, chance.per_channel(-0.5, 0.5, channels, learn_v_init)),
        "learn_v_init": learn_v_init,
        "detach_reset": chance.yes(0.2),
        "learn_threshold": learn_threshold,
        "refractory": chance.one(0, 0, 0, 1, 2),
        "surrogate": surrogate(chance),
        "pda": pda(chance),
    }
    return options
