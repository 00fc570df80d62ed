"""Entries of joins, copies, delays, dropout, random spikes and penalties on activity."""

import numpy as np
from direct import drawn_direct
from registry import adjoint, drawn, entry, like, normal, spikes, unset

from numsnn.kernels.types import Band

U8 = np.uint8
FEATURES = {"one number": (1, 1), "tiles": (4, 97), "many steps": (41, 3), "no features": (3, 0)}
SHAPES = {"one": ((1,),), "picture": ((3, 5, 7),), "five axes": ((2, 1, 3, 4, 2),), "nothing": ((0, 3),)}
FLAT = (7, 30011)


def all_kinds(*kinds):
    """SHAPES in floats, and a picture in each combination of dtypes of the inputs and the output; None for a float."""
    shapes = {name: (*shape, *(None for _ in kinds[0])) for name, shape in SHAPES.items()}
    return shapes | {
        "-".join("spikes" if one else "float" for one in these): ((3, 5, 7), *these) for these in kinds if any(these)
    }


@entry(cases=all_kinds((U8, U8, U8), (U8, U8, None), (U8, None, None)), large=((FLAT, U8, None, None),), writes="y")
def add(rng, real, shape, a, b, y):
    return {"a": drawn(rng, a or real, *shape), "b": drawn(rng, b or real, *shape), "y": unset(y or real, *shape)}


JOINS = all_kinds((U8, U8, U8), (U8, U8, None), (U8, None, None), (None, U8, None))


@entry(cases=JOINS, large=((FLAT, U8, U8, U8),), writes="y")
def and_forward(rng, real, shape, a, s, y):
    return {"a": drawn(rng, a or real, *shape), "s": drawn(rng, s or real, *shape), "y": unset(y or real, *shape)}


@entry(cases=JOINS, large=((FLAT, U8, None, None),), writes="y")
def iand_forward(rng, real, shape, a, s, y):
    return and_forward(rng, real, shape, a, s, y)


def of_join(forward):
    def gradients(a, results):
        if a["a"].dtype == a["s"].dtype == np.float64:
            pair = {"a": a["a"], "s": a["s"]}
            yield from adjoint(
                forward,
                pair,
                {"y": a["dy"]},
                [(results["da"], a["a"]), (results["ds"], a["s"])] if a["dy"].size else [],
            )

    return gradients


JOINED = all_kinds((None, None), (U8, U8), (U8, None))


@entry(cases=JOINED, large=((FLAT, U8, None),), writes=("da", "ds"), gradients=of_join("and_forward"))
def and_backward(rng, real, shape, a, s):
    dy = normal(rng, real, *shape)
    pair = {"a": drawn(rng, a or real, *shape), "s": drawn(rng, s or real, *shape)}
    return {"dy": dy, **pair, "da": like(dy), "ds": like(dy)}


@entry(cases=JOINED, large=((FLAT, U8, None),), writes=("da", "ds"), gradients=of_join("iand_forward"))
def iand_backward(rng, real, shape, a, s):
    return and_backward(rng, real, shape, a, s)


def around_zero(rng, real, *shape):
    x = normal(rng, real, *shape)
    x.reshape(-1)[::3] = 0
    return x


@entry(cases=SHAPES, large=((FLAT,),), writes="y")
def relu_forward(rng, real, shape):
    x = around_zero(rng, real, *shape)
    return {"x": x, "y": like(x)}


def of_relu(a, results):
    x = np.where(a["y"] > 0, a["y"], -1.0)
    if x.size > 3 and a["dx"] is not a["dy"]:
        yield from adjoint("relu_forward", {"x": x}, {"y": a["dy"]}, [(results["dx"], x)])


@entry(cases=SHAPES | {"in place": ((3, 5, 7), True)}, large=((FLAT,),), updates="dx", gradients=of_relu)
def relu_backward(rng, real, shape, in_place=False):
    dy = normal(rng, real, *shape)
    return {"dy": dy, "y": np.maximum(around_zero(rng, real, *shape), 0), "dx": dy if in_place else like(dy)}


@entry(cases=FEATURES | {"spikes": (4, 97, U8)}, large=((2, 100_003),), writes="y")
def repeat(rng, real, steps, features, kind=None):
    return {"x": drawn(rng, kind or real, features), "y": unset(real, steps, features)}


def of_repeat(a, results):
    if a["dx"].size:
        x = np.zeros_like(a["dx"])
        yield from adjoint("repeat", {"x": x}, {"y": a["dy"]}, [(results["dx"], x)])


@entry(
    cases=FEATURES,
    large=((3, 100_003),),
    writes="dx",
    bound=lambda a, want: {"dx": (len(a["dy"]), np.abs(a["dy"]).sum(0))} if want["dx"].size else {},
    gradients=of_repeat,
)
def sum_steps(rng, real, steps, features):
    return {"dy": normal(rng, real, steps, features), "dx": unset(real, features)}


PARTS = {"first": (None, 0), "last": (None, 31), "spikes": (U8, 3), "no rows": (None, 3, 0)}


@entry(cases=PARTS | {"counts": (U8, 3, 23, U8)}, large=((None, 13, 9001),), updates="y")
def concat(rng, real, kind, first, rows=23, into=None):
    """The channels beside the part are kept."""
    return {"x": drawn(rng, kind or real, rows, 5), "first": first, "y": drawn(rng, into or real, rows, 36)}


def of_concat(a, results):
    if a["dx"].size:
        x = np.zeros_like(a["dx"])

        def loss():
            y = np.zeros_like(a["dy"])
            y[:, a["first"] : a["first"] + x.shape[1]] = x
            return (a["dy"] * y).sum()

        yield results["dx"], loss, x


@entry(
    cases={name: case for name, case in PARTS.items() if case[0] is None},
    large=((None, 13, 9001),),
    writes="dx",
    gradients=of_concat,
)
def split(rng, real, kind, first, rows=23):
    return {"dy": normal(rng, real, rows, 36), "first": first, "dx": unset(real, rows, 5)}


# --- delays -----------------------------------------------------------------------------------------------------------

DELAYS = {"none": [0, 0, 0], "one": [1, 1, 1], "each its own": [0, 2, 5], "beyond the end": [7, 4, 9]}
LONG = {
    "one step": (None, [0, 1, 3], 2, 1, 1),
    "no rows": (None, [0, 1, 3], 2, 5, 0),
    **{f"{name}, {reach} before": (None, steps, reach) for name, steps in DELAYS.items() for reach in (0, 2, 9)},
    **{f"spikes, {reach} before": (U8, [0, 2, 5], reach) for reach in (0, 2, 9)},
}


@entry(
    cases=LONG,
    large=((None, [n % 8 for n in range(17)], 7, 5, 9001),),
    writes="y",
    updates="past",
)
def delay_forward(rng, real, kind, steps, reach, length=5, rows=11):
    x, past = drawn(rng, kind or real, length, rows, len(steps)), spikes(rng, reach, rows, len(steps))
    return {"x": x, "steps": np.array(steps), "past": past.astype(real), "y": like(x)}


def of_delay(a, results):
    if a["dx"].size:
        x, past = np.zeros_like(a["dx"]), np.zeros((0, *a["dx"].shape[1:]))
        arguments = {"x": x, "steps": a["steps"], "past": past}
        if (a["steps"] < len(x)).any():
            yield from adjoint("delay_forward", arguments, {"y": a["dy"]}, [(results["dx"], x)])


@entry(
    cases={name: (steps,) for name, steps in DELAYS.items()} | {"one step": ([0, 1, 3], 1), "no rows": ([0, 1], 5, 0)},
    large=(([n % 8 for n in range(17)], 5, 9001),),
    writes="dx",
    gradients=of_delay,
)
def delay_backward(rng, real, steps, length=5, rows=4):
    dy = normal(rng, real, length, rows, len(steps))
    return {"dy": dy, "steps": np.array(steps), "dx": like(dy)}


# --- random numbers ---------------------------------------------------------------------------------------------------


def of_dropout(a, results):
    """It is its own transpose."""
    if a["x"].dtype == np.float64 and a["x"].size > 50:
        x = np.zeros_like(a["x"])
        chance = {"p": a["p"], "seed": a["seed"]}
        yield from adjoint("dropout", {"x": x, **chance}, {"y": a["x"]}, [(results["y"], x)])


@entry(
    cases={
        "one number": (1, 1, 0.3, 0),
        "tiles": (4, 97, 0.3, 12345),
        "many steps": (41, 3, 0.3, 2**63 + 5),
        "nothing is dropped": (4, 97, 0.0, 3),
        "spikes": (4, 97, 0.3, 11, U8),
        "no features": (3, 0, 0.5, 1),
    },
    large=((3, 50_003, 0.4, 77),),
    writes="y",
    bound=lambda a, want: {"y": (3, want["y"])} if want["y"].size else {},
    gradients=of_dropout,
)
def dropout(rng, real, steps, features, p, seed, kind=None):
    """A division against a product with a rounded reciprocal is three roundings; the mask has equal bits."""
    return {"x": drawn(rng, kind or real, steps, features), "p": p, "seed": seed, "y": unset(real, steps, features)}


@entry(
    cases={
        "one spike": (1, 1, 1),
        "tiles": (3, 5, 40),
        "one sample": (2, 1, 97),
        "later steps, any seed": (2, 4, 13, 3, 2**64 - 1),
        "no samples": (2, 0, 3),
    },
    large=((4, 30, 700, 3, 5),),
    writes="s",
)
def poisson(rng, real, steps, samples, features, first=0, seed=3):
    indices = rng.integers(0, 2**24, samples)
    x = rng.random((samples, features)).astype(real)
    return {"x": x, "indices": indices, "first": first, "seed": seed, "s": unset(U8, steps, samples, features)}


# --- penalties on activity --------------------------------------------------------------------------------------------

ROWS_UNITS = {"one spike": (1, 1), "each rate": (11, 7), "blocks": (33, 5), "one unit": (16, 1)}


def trains(rng, real, kind, rows, units):
    """Of every rate: the first unit is silent, the last one fires always. Or what relaxed mode has in their place."""
    if kind == U8:
        return (rng.random((rows, units)) < np.linspace(0, 1, units)).astype(U8)
    return (np.linspace(0.1, 0.9, units) + rng.uniform(-0.1, 0.1, (rows, units))).astype(real)


def penalties(**settings):
    return {
        f"{name}, {shape}, {'relaxed' if kind is None else 'spikes'}": (setting, kind, *sizes)
        for name, setting in settings.items()
        for shape, sizes in ROWS_UNITS.items()
        for kind in (None, U8)
    }


def of_penalty(name, setting):
    def gradients(a, results):
        """pull is the gradient of the sum by every one of a unit's spikes."""
        s = a["s"]
        if s.dtype == np.float64 and s.shape == (11, 7):
            arguments = {"s": s, setting: a[setting], "weight": a["weight"]}
            other = {"pull": np.zeros(7), "value": np.ones(7)}
            yield from adjoint(name, arguments, other, [(np.broadcast_to(results["pull"], s.shape), s)])

    return gradients


def ten_of_one(a, want):
    return {"value": (10, 1), "pull": (10, 1)}


@entry(
    cases=penalties(band=Band(0.3, 0.5), point=Band(0.4, 0.4)),
    large=((Band(0.15, 0.25), U8, 200, 5003),),
    writes=("value", "pull"),
    bound=ten_of_one,
    gradients=of_penalty("rate_band", "band"),
)
def rate_band(rng, real, band, kind, rows, units):
    out = {"value": unset(real, units), "pull": unset(real, units)}
    return {"s": trains(rng, real, kind, rows, units), "band": band, "weight": 0.7, **out}


@entry(
    cases=penalties(l1=1, l2=2),
    large=((2, None, 6000, 17),),
    writes=("value", "pull"),
    bound=ten_of_one,
    gradients=of_penalty("rate_power", "power"),
)
def rate_power(rng, real, power, kind, rows, units):
    out = {"value": unset(real, units), "pull": unset(real, units)}
    return {"s": trains(rng, real, kind, rows, units), "power": power, "weight": 0.7, **out}


ROWS = {"one number": (1, 1), "tiles": (11, 7), "no rows": (0, 3)}


@entry(cases=ROWS, large=((6000, 17),), writes="y")
def add_row(rng, real, rows, units):
    return {"x": normal(rng, real, rows, units), "row": normal(rng, real, units), "y": unset(real, rows, units)}


def four_terms(a, want):
    x, u, (centre, offset, slope, _) = a["x"], a["u"], a["direct"]
    return {"y": (4, np.abs(x) + np.abs(slope) * (np.abs(u) + np.abs(centre)) + np.abs(offset))} if x.size else {}


@entry(cases=ROWS, large=((6000, 17),), writes="y", bound=four_terms)
def add_affine(rng, real, rows, channels):
    x, u = normal(rng, real, 2, rows, channels)
    return {"x": x, "u": u, "direct": drawn_direct(rng, real, channels), "y": like(x)}
