"""What meets in the tournament: ways to choose the width of the surrogate, and ways to adjust the potentials.

A candidate changes the neurons, the loss or the trainer of a task, and nothing else. All have the triangle as their
surrogate, and all but the widths start from the width 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numsnn as snn

from . import stepped
from . import width_rules as rules

FIXED_WIDTHS = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)
"""The best one of these is chosen for each task with the validation part: what a rule has to beat."""


@dataclass(frozen=True)
class Candidate:
    """One way to train.

    Attributes:
        surrogate: of the neurons.
        neuron: further arguments of the neurons.
        kind: class of the neurons of networks that are not recurrent.
        rule: function that makes a callback of the trainer, or None.
        loss: function that makes the loss of tasks that are not recurrent, or None for the task's own.
        recurrent: whether the candidate takes part in recurrent tasks.
    """

    surrogate: snn.Surrogate = field(default_factory=snn.Surrogate)
    neuron: dict = field(default_factory=dict)
    kind: type = snn.LIF
    rule: Callable[[], snn.training.Callback] | None = None
    loss: Callable[[], snn.losses.Loss] | None = None
    recurrent: bool = True

    def layer(self, tau: float, recurrent: bool) -> snn.layers.Neuron:
        """The neuron layer that a network has copies of."""
        kind = snn.RecurrentLIF if recurrent else self.kind
        return kind(tau=tau, surrogate=self.surrogate, **self.neuron)


def _learned(width: float = 1.0, **options) -> Candidate:
    return Candidate(snn.PSG(width=width, **options))


def _by(rule: Callable, width: float = 1.0) -> Candidate:
    return Candidate(snn.Surrogate(width=width), rule=rule)


WIDTHS = {
    **{f"fixed {width:g}": Candidate(snn.Surrogate(width=width)) for width in FIXED_WIDTHS},
    "gradient": _learned(),
    "gradient from 0.25": _learned(0.25),
    "gradient from 4": _learned(4.0),
    "gradient per channel": _learned(per="channel"),
    "with the rate 2 to 0.5": _by(lambda: rules.WithTheRate((2.0, 0.5))),
    "with the rate 2 to 1": _by(lambda: rules.WithTheRate((2.0, 1.0))),
    "with the rate 4 to 0.5": _by(lambda: rules.WithTheRate((4.0, 0.5))),
    "with the rate 0.5 to 2": _by(lambda: rules.WithTheRate((0.5, 2.0))),
    "spread 0.7": _by(lambda: rules.Spread(0.7)),
    "spread 1": _by(lambda: rules.Spread(1.0)),
    "spread 1.4": _by(lambda: rules.Spread(1.414)),
    "spread 1.4 to 0.7": _by(lambda: rules.Spread((1.4, 0.7))),
    "window 0.3": _learned(rule="window", share=0.3),
    "window 0.5": _learned(rule="window", share=0.5),
    "window 0.7": _learned(rule="window", share=0.7),
    "look-ahead": _by(rules.LookAhead),
    "look-ahead from 4": _by(rules.LookAhead, 4.0),
    "mask": Candidate(kind=rules.MaskedLIF, rule=rules.Drawing, recurrent=False),
    "noisy": Candidate(kind=rules.NoisyLIF, rule=rules.Drawing, recurrent=False),
}
"""Ways to choose the width."""

POTENTIALS = {
    "shift": Candidate(neuron={"pda": snn.PDA()}),
    "divergence": Candidate(neuron={"pda": snn.PDA(correct=False, divergence=0.1)}),
    "learned start": Candidate(neuron={"learn_v_init": "channel"}),
    "tracked start": Candidate(neuron={"v_init": 1e-9}, rule=rules.InitialPotential),
    "learned threshold": Candidate(neuron={"learn_threshold": "layer"}),
    "threshold and width": Candidate(neuron={"learn_threshold": "layer"}, rule=rules.WithTheThreshold),
    "detached reset": Candidate(neuron={"detach_reset": True}),
    "learned start, window 0.5": Candidate(snn.PSG(rule="window"), {"learn_v_init": "channel"}),
    "learned start, detached reset": Candidate(neuron={"learn_v_init": "channel", "detach_reset": True}),
    "MPBN": Candidate(kind=stepped.NormalisedLIF, recurrent=False),
    "tracked deviation": Candidate(kind=stepped.TrackedLIF, recurrent=False),
    "quantisation loss": Candidate(kind=stepped.QuantisedLIF, recurrent=False),
    "distillation": Candidate(loss=lambda: stepped.StepDistillation(0.1), recurrent=False),
    "TET": Candidate(loss=lambda: snn.losses.TET(label_smoothing=0.1, regulariser=0.0), recurrent=False),
}
"""Ways to adjust the potentials, to be compared with "fixed 1"."""

CANDIDATES = WIDTHS | POTENTIALS
