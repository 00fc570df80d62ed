"""Which runs a study consists of.

Seeds stand outside: a study that is stopped early has all its settings for fewer seeds.
"""

from itertools import product

from tasks import Run

WIDTHS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
FIXED, LEARNED = (), ("width",)
WEIGHT = 0.1
"""Of the divergence objective."""


def widths(task, families, steps=None):
    """Start widths and families, the width fixed and learned."""

    def runs(seed):
        return [
            Run(task, seed, family, width, learn, steps=steps)
            for family, width, learn in product(families, WIDTHS, (FIXED, LEARNED))
        ]

    return runs


def repairs(seed):
    """What helps widths that start too small, or too large, to where others arrive."""
    options = ({}, {"lr": 0.05}, {"lr": 0.1}, {"bounds": [0.5, 20.0]}, {"lr": 0.1, "bounds": [0.5, 20.0]})
    return [
        Run(task, seed, family, width, psg=psg, steps=steps)
        for (task, steps), family, width, psg in product(
            (("digits-dvs", None), ("cifar10-5k", 2)), ("rectangle", "triangle"), (0.1, 1.0, 8.0), options
        )
        if width >= psg.get("bounds", [0])[0]
    ]


def threshold(seed):
    """The width learned, the threshold learned, both, or neither."""
    learns = (FIXED, LEARNED, ("threshold",), ("width", "threshold"))
    return [
        Run(task, seed, width=width, learn=learn, steps=steps)
        for (task, steps), width, learn in product((("digits-dvs", None), ("cifar10-5k", 2)), (0.25, 1.0, 4.0), learns)
    ]


def stack(first, depth):
    """A network of so many convolutions of 16 channels; the first ones and their pooling as given."""
    layers = [*first, *["16c3"] * (depth - sum(part != "p2" for part in first))]
    return "-".join(layers)


def potentials(task, depths, all_steps):
    """PDA off, as tracked shift and as divergence, with and without normalisation, over depth and T."""

    def runs(seed):
        return [
            Run(
                task, seed, pda=pda, weight=WEIGHT if pda == "divergence" else 0.0, norm=norm, steps=steps,
                architecture=stack(("16c3", "p2"), depth),
            )
            for norm, depth, steps, pda in product(("bn", "none"), depths, all_steps, ("off", "shift", "divergence"))
        ]  # fmt: skip

    return runs


def potentials_cifar(seed):
    """The same on pictures that are harder."""
    return [
        Run("cifar10-5k", seed, pda=pda, weight=WEIGHT if pda == "divergence" else 0.0, norm=norm, steps=steps)
        for norm, steps, pda in product(("bn", "none"), (2, 4), ("off", "shift", "divergence"))
    ]


def recipe(seed):
    """The recipes that ship with the package."""
    return [Run(f"recipe {name}", seed) for name in ("mnist", "digits", "digits-dvs")]


ALL = (
    "triangle", "rectangle", "arctan", "logistic", "gaussian", "laplace", "fast_sigmoid",
)  # fmt: skip

STUDIES = {
    "recipes": (recipe, 5),
    "repairs": (repairs, 3),
    "psg-digits-dvs": (widths("digits-dvs", ALL), 3),
    "psg-mnist8k": (widths("mnist8k", ("triangle", "rectangle", "arctan")), 3),
    "psg-cifar10-5k-T2": (widths("cifar10-5k", ("triangle", "rectangle", "arctan"), 2), 3),
    "psg-cifar10-5k-T4": (widths("cifar10-5k", ("triangle", "rectangle"), 4), 3),
    "threshold": (threshold, 5),
    "pda-digits": (potentials("digits", (3, 8, 20), (1, 2, 4, 10)), 3),
    "pda-digits-dvs": (potentials("digits-dvs", (3, 8, 20), (2, 4, 10)), 3),
    "pda-cifar10-5k": (potentials_cifar, 3),
}
"""Name -> function that gives the runs of a seed, and how many seeds there are."""
