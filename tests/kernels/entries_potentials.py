"""Entries of the reset alone, and of the leaky integrator."""

import numpy as np
from registry import entry, like, normal, spikes, unset
from targets import reference

from numsnn.kernels.types import Reset

# --- the reset alone --------------------------------------------------------------------------------------------------


@entry(
    cases={
        f"{reset}, {kind.__name__}": (reset, kind) for reset in (0.0, -0.2, None, "none") for kind in (np.uint8, float)
    }
    | {"one step": (None, np.uint8, (7, 8)), "no rows": (0.0, np.uint8, (2, 0, 3))},
    large=((0.0, np.uint8, (2, 6000, 17)),),
    writes="v",
    bound=lambda a, want: {"v": (4, 2 + np.abs(a["u"]))} if want["v"].size else {},
)
def neuron_reset(rng, real, reset, kind, shape=(3, 7, 8)):
    s = spikes(rng, *shape) if kind == np.uint8 else rng.random(shape).astype(real)
    theta = rng.uniform(0.3, 0.9, shape[-1]).astype(real)
    return {"u": normal(rng, real, *shape), "s": s, "theta": theta, "reset": Reset(reset), "v": unset(real, *shape)}


# --- the leaky integrator ---------------------------------------------------------------------------------------------

INTEGRATED = {
    f"{'scaled' if scaled else 'plain'}, {'carried' if carried else 'from rest'}": (scaled, carried)
    for scaled in (False, True)
    for carried in (False, True)
} | {
    "one of everything": (False, True, (1, 1, 1)),
    "one step": (True, False, (1, 3, 2)),
}


def charges(a, want):
    return {name: (4 * len(a["u"]), 10) for name in want}


@entry(cases=INTEGRATED, large=((True, False, (3, 5003, 17)),), writes="u", updates="carried", bound=charges)
def integrator_forward(rng, real, scaled, carried, shape=(7, 19, 5)):
    beta = rng.uniform(0.2, 0.9, shape[2]).astype(real)
    start = normal(rng, real, *shape[1:]) if carried else None
    i = normal(rng, real, *shape)
    return {"i": i, "beta": beta, "decay_input": scaled, "u": like(i), "carried": start}


def gradients_of_charges(a, want):
    ops = 4 * len(a["u"])
    return {
        name: (ops * (a["u"][0].size if name == "dbeta" else 1), 10) for name in want if want[name].size and a["u"].size
    }


def of_integrator(a, results):
    if 5 < a["i"].size < 100:
        start = a["start"]

        def loss():
            u, carried = np.empty_like(a["i"]), None if start is None else start.copy()
            reference.integrator_forward(a["i"], a["beta"], a["decay_input"], u, carried)
            return (a["du"] * u).sum()

        yield results["di"], loss, a["i"]
        yield results["dbeta"], loss, a["beta"]
        if start is not None:
            yield results["dstart"], loss, start


@entry(
    cases=INTEGRATED | {"small": (True, True, (4, 3, 2)), "small, plain": (False, False, (4, 3, 2))},
    large=((True, False, (3, 5003, 17)), (True, True, (3, 5003, 17))),
    writes=("di", "dbeta", "dstart"),
    bound=gradients_of_charges,
    gradients=of_integrator,
)
def integrator_backward(rng, real, scaled, carried, shape=(7, 19, 5)):
    a = integrator_forward(rng, real, scaled, carried, shape)
    start = a.pop("carried")
    reference.integrator_forward(**a, carried=None if start is None else start.copy())
    out = {"di": like(a["i"]), "dbeta": like(a["beta"]), "dstart": None if start is None else like(start)}
    return {**a, "du": normal(rng, real, *shape), "start": start, **out}
