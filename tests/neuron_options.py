"""All options of a network of neurons, and the parts that they make (see `neuron_case` and `neuron_rows`).

An option is called "PART.ARGUMENT" where it is an argument of a constructor, and its values are keys of `VALUES` or the
argument's values themselves. What may not stand together is not written down here: the constructors are asked.
"""

import math

import numsnn as snn

CHANNELS = CLASSES = 3
ABSENT = "absent"
"""The argument is not given."""

LEARN = ABSENT, False, "layer", "channel"


class WithAdaptation(snn.CustomNeuron):
    """A neuron of a user's own, with two states."""

    values = {"b": snn.Value(0.3), "g": snn.Value(0.4, "unit", learn=True)}
    states = ("j", "w")

    def step(i, v, states, values):
        (b, g), (j, w) = values, states
        j = g * j + i
        w = 0.5 * w + b * v
        return 0.5 * v + j - w, (j, w)

    def step_back(du, dstates, i, v, states, values):
        (b, g), (j, _), (dj, dw) = values, states, dstates
        dj = dj + du
        dw = dw - du
        return dj, 0.5 * du + b * dw, (g * dj, 0.5 * dw), (v * dw, j * dj)


class OwnLogCosh(snn.losses.Pointwise):
    """A loss of a user's own."""

    @staticmethod
    def value(z, y):
        return math.log(math.cosh(z - y))

    @staticmethod
    def slope(z, y):
        return math.tanh(z - y)


class OwnSum(snn.losses.LossSum):
    """A sum of losses, whose constructor takes no options here."""

    def __init__(self):
        super().__init__(snn.losses.TET(), snn.losses.MembraneMSE(), weights=(0.7, 0.4))


KINDS = {
    "neuron": {
        **{kind.__name__: kind for kind in (snn.IF, snn.LIF, snn.PLIF, snn.ALIF, snn.CubaLIF)},
        **{kind.__name__: kind for kind in (snn.RecurrentLIF, snn.RecurrentALIF, snn.RecurrentCubaLIF, WithAdaptation)},
    },
    "surrogate": {"PSG": snn.PSG, "Surrogate": snn.Surrogate},
    "pda": {ABSENT: None, "PDA": snn.PDA},
    "norm": {
        ABSENT: None,
        **{k.__name__: k for k in (snn.BatchNorm, snn.BNTT, snn.TEBN, snn.GroupNorm, snn.LayerNorm)},
    },
    "penalty": {ABSENT: None, **{k.__name__: k for k in (snn.RateBand, snn.SpikePenalty, snn.Divergence)}},
    "readout": {ABSENT: None, "LI": snn.LI},
    "loss": {
        kind.__name__: kind
        for kind in (
            snn.losses.RateCrossEntropy,
            snn.losses.TET,
            snn.losses.StepCrossEntropy,
            snn.losses.SpikeCountMSE,
            snn.losses.MaxMembraneCrossEntropy,
            snn.losses.TimeToFirstSpike,
            snn.losses.MembraneMSE,
            snn.losses.MeanSquaredError,
            snn.losses.BinaryCrossEntropy,
            OwnLogCosh,
            OwnSum,
        )
    },
}
"""Part of a network -> its classes by name."""

ARGUMENTS = {
    "neuron.tau": (ABSENT, 1.5, (1.25, 2.0, 4.0)),
    "neuron.beta": (ABSENT, 0.8, 0.0, 1.0, (0.2, 0.5, 0.9)),
    "neuron.decay_input": (ABSENT, True, False),
    "neuron.learn_tau": LEARN,
    "neuron.tau_adaptation": (ABSENT, 3.0, (1.5, 3.0, 9.0)),
    "neuron.strength": (ABSENT, 0.7, (0.3, 0.7, 2.0)),
    "neuron.learn_adaptation": LEARN,
    "neuron.tau_synapse": (ABSENT, 3.0, (1.5, 3.0, 9.0)),
    "neuron.gamma_synapse": (ABSENT, 0.4, 0.0, (0.2, 0.5, 0.9)),
    "neuron.learn_tau_synapse": LEARN,
    "neuron.b": (ABSENT, 0.2, (0.1, 0.2, 0.4)),
    "neuron.g": (ABSENT, 0.3, (0.1, 0.2, 0.4)),
    "neuron.learn": (ABSENT, ("b", "g"), (("b", "channel"), ("g", "channel"))),
    "neuron.v_threshold": (ABSENT, 0.7, (0.5, 0.7, 1.1)),
    "neuron.v_reset": (ABSENT, 0.2, -0.4, None, "delayed", "none"),
    "neuron.v_init": (ABSENT, 0.3, (0.6, -0.2, 0.3)),
    "neuron.learn_v_init": LEARN,
    "neuron.detach_reset": (ABSENT, True),
    "neuron.learn_threshold": LEARN,
    "neuron.refractory": (ABSENT, 1, 2),
    "neuron.record": (ABSENT, ("u", "s")),
    "surrogate.family": (ABSENT, "rectangle", "logistic", "arctan", "gaussian", "laplace", "fast_sigmoid", "parabola"),
    "surrogate.width": (ABSENT, 0.6, 2.0),
    "surrogate.per": (ABSENT, "channel"),
    "pda.momentum": (ABSENT, 0.5),
    "pda.correct": (ABSENT, False, True),
    "pda.target": (ABSENT, 0.4),
    "pda.divergence": (ABSENT, 0.7),
    "pda.eps": (ABSENT, 0.1),
    "norm.v_threshold": (ABSENT, 0.7),
    "norm.eps": (ABSENT, 0.1),
    "norm.momentum": (ABSENT, 0.5),
    "norm.affine": (ABSENT, False),
    "norm.bias": (ABSENT, True),
    "norm.groups": (ABSENT, 1, 3),
    "penalty.low": (ABSENT, 0.3),
    "penalty.high": (ABSENT, 0.4),
    "penalty.weight": (ABSENT, 0.8),
    "penalty.per": (ABSENT, "channel"),
    "penalty.norm": (ABSENT, "l2"),
    "penalty.target_mean": (ABSENT, 0.5),
    "penalty.target_var": (ABSENT, 2.0),
    "penalty.eps": (ABSENT, 0.1),
    "readout.tau": (ABSENT, 3.0, (1.5, 3.0, 9.0)),
    "readout.beta": (ABSENT, 0.8, 1.0, (0.2, 0.5, 0.9)),
    "readout.decay_input": (ABSENT, True),
    "readout.learn_tau": LEARN,
    "readout.v_init": (ABSENT, 0.3, (0.6, -0.2, 0.3)),
    "readout.learn_v_init": LEARN,
    "readout.record": (ABSENT, "v"),
    "loss.label_smoothing": (ABSENT, 0.2),
    "loss.class_weights": (ABSENT, (0.5, 1.0, 2.0)),
    "loss.regulariser": (ABSENT, 0.0, 0.5, 1.0),
    "loss.target": (ABSENT, 0.4),
    "loss.correct_rate": (ABSENT, 0.6),
    "loss.incorrect_rate": (ABSENT, 0.2),
    "loss.correct": (ABSENT, 0.8),
    "loss.incorrect": (ABSENT, 0.1),
    "loss.over": (ABSENT, "steps"),
    "loss.temperature": (ABSENT, 2.0),
}

PASS = {
    "steps": (4, 1, 2),
    "samples": (3, 1),
    "places": (None, (2, 1)),
    "targets": ("classes", "classes per step", "values", "values per step", "labels", "labels per step"),
    "lengths": (False, True),
    "mask": (False, True),
    "weights": (False, True),
    "inspect": (False, True),
    "carried": (False, True),
    "frozen": (None, "neuron", "norm"),
}
"""Options of a pass: numbers of steps and samples, positions of pictures, kind of targets; whether sequences have
lengths, the loss a mask and weights of samples, layers run one by one, and the pass starts from the state of an earlier
one (as in truncated BPTT); and which layer is frozen."""

OPTIONS = {part: tuple(kinds) for part, kinds in KINDS.items()} | PASS | ARGUMENTS
PARTS = tuple(KINDS)

NEUTRAL = {
    ("neuron", "PLIF"): {"neuron.learn_tau": False},
    ("norm", "GroupNorm"): {"norm.groups": 1},
    ("penalty", "RateBand"): {"penalty.low": 0.3, "penalty.high": 0.4},
    ("penalty", "SpikePenalty"): {"penalty.weight": 0.8},
    ("penalty", "Divergence"): {"penalty.weight": 0.8},
    ("loss", "StepCrossEntropy"): {"targets": "classes per step"},
    ("loss", "MeanSquaredError"): {"targets": "values"},
    ("loss", "BinaryCrossEntropy"): {"targets": "labels"},
}
"""What these classes take where a row says nothing; other arguments are then not given."""


class Impossible(TypeError):
    """Options of a part that the network does not have."""


def make(part, row, **more):
    """Construct a part of the network from its options in a row; None for a part that the network does not have."""
    given = {
        name.partition(".")[2]: value for name, value in row.items() if name.startswith(f"{part}.") and value != ABSENT
    }
    kind = KINDS[part][row[part]]
    if kind is None:
        if given:
            raise Impossible(f"there is no {part}")
        return None
    if part == "norm":
        more["channels"] = CHANNELS
        if kind in (snn.BNTT, snn.TEBN):
            more["steps"] = row["steps"]
    if isinstance(given.get("learn"), tuple) and isinstance(given["learn"][0], tuple):
        given["learn"] = dict(given["learn"])
    return kind(**given, **more)
