"""Which runs a study consists of.

The seeds are the outer loop: a study that is stopped early has all its settings, for fewer seeds.
"""

from itertools import product

from numsnn.psg import FAMILIES

from .runs import PDAS, Run

WIDTHS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
FEW = (0.25, 1.0, 4.0)
FIXED, LEARNED = (), ("width",)
ANY = [0.05, 20.0]
"""Bounds that hardly limit the width."""


def widths(task, families, steps=None):
    """All start widths and these families, each with a fixed and with a learned width."""

    def runs(seed):
        return [
            Run(task, seed, family, width, learn, steps=steps)
            for family, width, learn in product(families, WIDTHS, (FIXED, LEARNED))
        ]

    return runs


def repairs(seed):
    """Which settings of PSG bring widths that start too small or too large to where the others end."""
    options = ({"lr": 0.02, "bounds": ANY}, {"bounds": ANY}, {"bounds": [0.5, 20.0]}, {})
    hard = [("digits-dvs", None, family, width) for family in ("rectangle", "triangle") for width in (0.1, 1.0, 8.0)]
    hard += [("cifar10-5k", 2, "rectangle", width) for width in (0.1, 8.0)]
    return [
        Run(task, seed, family, width, psg=psg, steps=steps)
        for task, steps, family, width in hard
        for psg in options
        if width >= psg.get("bounds", ANY)[0]
    ]


def recurrent(seed):
    """How narrow the surrogate of recurrent neurons may become: without a bound, with the default bound, or with the
    bound of other neurons."""
    found = []
    places = product(("mnist8k-rows", "words"), ("triangle", "fast_sigmoid"), (0.1, 0.5, 1.0, 4.0))
    for task, family, width in places:
        others = [FAMILIES[family].peak, 20.0]
        found.append(Run(task, seed, family, width, FIXED, pda="off"))
        found += [
            Run(task, seed, family, width, psg=psg, pda="off")
            for psg in ({"bounds": ANY}, {}, {"bounds": others})
            if width >= psg.get("bounds", ANY)[0]
        ]
    return found


def threshold(seed):
    """The width learned, the threshold learned, both, or neither."""
    learns = (FIXED, LEARNED, ("threshold",), ("width", "threshold"))
    return [
        Run(task, seed, width=width, learn=learn, steps=steps)
        for task, steps, starts in (("digits-dvs", None, FEW), ("cifar10-5k", 2, (0.25, 4.0)))
        for width, learn in product(starts, learns)
        if task == "digits-dvs" or seed < 3
    ]


def potentials(task, depths, all_steps):
    """All forms of PDA, with and without normalisation, over depth and T.

    A depth of None stands for the task's own network. The fixed target is tried only without normalisation, because
    nothing else keeps neurons firing there.
    """

    def runs(seed):
        found = []
        for norm, depth, steps in product(("bn", "none"), depths, all_steps):
            layers = None if depth is None else "-".join(["16c3", "p2", *["16c3"] * (depth - 1)])
            pdas = PDAS if norm == "none" else [pda for pda in PDAS if pda != "target"]
            found += [Run(task, seed, pda=pda, norm=norm, steps=steps, architecture=layers) for pda in pdas]
        return found

    return runs


def recurrent_potentials(seed):
    """All forms of PDA in recurrent networks."""
    return [Run(task, seed, pda=pda, norm="none") for task, pda in product(("mnist8k-rows", "words"), PDAS)]


def recipe(seed):
    """The recipes that ship with the package."""
    return [Run(f"recipe {name}", seed) for name in ("mnist", "digits", "digits-dvs")]


STUDIES = {
    "recipes": (recipe, 5),
    "psg-digits-dvs": (widths("digits-dvs", FAMILIES), 3),
    "psg-mnist8k": (widths("mnist8k", ("triangle", "rectangle", "arctan")), 3),
    "psg-cifar10-5k-T2": (widths("cifar10-5k", ("triangle", "rectangle", "arctan"), 2), 3),
    "psg-cifar10-5k-T4": (widths("cifar10-5k", ("triangle",), 4), 3),
    "repairs": (repairs, 3),
    "recurrent": (recurrent, 3),
    "threshold": (threshold, 5),
    "pda-digits": (potentials("digits", (3, 8, 20), (1, 4, 10)), 3),
    "pda-digits-dvs": (potentials("digits-dvs", (3, 8), (4, 10)), 3),
    "pda-cifar10-5k": (potentials("cifar10-5k", (None,), (2,)), 3),
    "recurrent-pda": (recurrent_potentials, 3),
}
"""Name -> function that gives the runs of a seed, and number of seeds."""
