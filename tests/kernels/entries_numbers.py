"""Entries of optimisers, constrained parameters, and the moments of potentials."""

import math

import numpy as np
from direct import pull_on, unset_direct
from registry import adjoint, entry, like, normal, unset
from targets import reference

from numsnn.kernels.types import Adam, Moments, Momentum, Norm, Objective, SeenShare, Segments

# --- optimisers -------------------------------------------------------------------------------------------------------

FREE = -math.inf, math.inf
ENDS = {
    "one number": ([1], [(0.1, 0.01, *FREE)]),
    "three parameters": ([16, 48, 105], [(0.1, 0.01, *FREE), (0.03, 0.0, -0.25, 0.3), (0.2, 0.5, -1, math.inf)]),
    "tiles": ([80], [(0.05, 0.1, *FREE)]),
}
"""Segments that fill less and more than a tile, with rates, decays and bounds of their own."""

MANY = [16, 90_000, 140_080], [(0.1, 0.01, *FREE), (0.02, 0, -0.5, 0.7), (0.3, 0.1, -math.inf, 3)]


def plan(ends, rows, real):
    return Segments(np.array(ends), np.ascontiguousarray(np.array(rows, real).T))


def with_options(**options):
    return {f"{ends}, {name}": (*case, *option) for ends, case in ENDS.items() for name, option in options.items()}


def of_descent(a, want):
    start = [a[name] for name in ("value", "grad", "velocity") if a[name] is not None]
    scale = sum(np.abs(array) for array in start)
    return dict.fromkeys(want, (8, scale))


@entry(
    cases=with_options(plain=(0.0, False), momentum=(0.9, False), nesterov=(0.9, True)),
    large=((*MANY, 0.9, True), (*MANY, 0.0, False)),
    updates=("value", "velocity"),
    bound=of_descent,
)
def sgd_update(rng, real, ends, rows, share, nesterov):
    value, grad, velocity = normal(rng, real, 3, ends[-1])
    numbers = {"segments": plan(ends, rows, real), "factor": 0.9, "momentum": Momentum(share, nesterov)}
    return {"value": value, "grad": grad, "velocity": velocity if share else None, **numbers}


def of_adam(a, want):
    (ends, settings), adam = a["segments"], a["adam"]
    sizes = np.diff([0, *ends])
    lr, decay, correction1, correction2 = (np.repeat(row, sizes) for row in (*settings[:2], *a["corrections"]))
    value, g, first = (np.abs(a[name]) for name in ("value", "grad", "first"))
    g = g + decay * value
    rate = a["factor"] * lr * correction1 / (np.sqrt(want["second"]) * correction2 + adam.eps)
    return {"value": (16, value + rate * (first + g)), "first": (16, first + g), "second": (16, a["second"] + g * g)}


@entry(
    cases=with_options(added=(False,), decoupled=(True,)),
    large=((*MANY, True),),
    updates=("value", "first", "second"),
    bound=of_adam,
)
def adam_update(rng, real, ends, rows, decoupled):
    """The updates of the segments are the 4th, the 1st and the 9th."""
    value, grad, first = normal(rng, real, 3, ends[-1])
    adam = Adam(0.9, 0.99, 1e-3, decoupled)
    corrections = np.array([adam.corrections(update) for update in (4, 1, 9)[: len(ends)]], real).T.copy()
    moments = {"first": first, "second": rng.uniform(0.1, 2, ends[-1]).astype(real)}
    numbers = {"segments": plan(ends, rows, real), "factor": 0.9, "adam": adam, "corrections": corrections}
    return {"value": value, "grad": grad, **moments, **numbers}


@entry(
    cases={"one": ((1,),), "three axes": ((3, 5, 7),), "four axes": ((1, 2, 1, 41),), "nothing": ((0, 3),)},
    large=(((7, 20_011),),),
    call=lambda k, x: {"total": np.array(k.sum_squares(x))},
    bound=lambda a, want: {"total": (a["x"].size + 2, want["total"])},
)
def sum_squares(rng, real, shape):
    return {"x": normal(rng, real, *shape)}


@entry(cases={"matrix": ((2, 5),), "nothing": ((0,),)}, large=(((100,),),), updates="x", one_thread=True)
def scale(rng, real, shape):
    return {"x": normal(rng, real, *shape), "factor": 0.3}


# --- constrained parameters -------------------------------------------------------------------------------------------

WIDTHS = {"a value per channel": (4, 4), "a value per layer": (1, 4), "one channel": (1, 1)}
LARGE = (17, 17), (1, 17)


def natural_of(function):
    def draw(rng, real, raw, channels):
        return {"raw": 2 * normal(rng, real, raw), "natural": unset(real, channels)}

    draw.__name__ = function
    entry(
        cases=WIDTHS,
        large=LARGE,
        writes="natural",
        bound=lambda a, want: {"natural": (4, want["natural"])},
        one_thread=True,
    )(draw)


def raw_of(name, inverse):
    """The gradient of raw values; `inverse` tells them for the natural values that the sample has."""

    def gradients(a, results):
        raw = inverse(a["natural"][: len(results["draw"])])
        yield from adjoint(f"{name}_forward", {"raw": raw}, {"natural": a["dnatural"]}, [(results["draw"], raw)])

    def draw(rng, real, raw, channels):
        natural = np.resize(rng.uniform(0.2, 0.8, raw), channels).astype(real)
        return {"dnatural": normal(rng, real, channels), "natural": natural, "draw": unset(real, raw)}

    draw.__name__ = f"{name}_backward"
    entry(
        cases=WIDTHS,
        large=LARGE,
        writes="draw",
        bound=lambda a, want: {"draw": (len(a["natural"]) + 4, np.abs(a["dnatural"]).sum())},
        gradients=gradients,
        one_thread=True,
    )(draw)


for kind, inverse in {"positive": np.log, "unit": lambda y: np.log(y / (1 - y)), "free": np.copy}.items():
    natural_of(f"{kind}_forward")
    raw_of(kind, inverse)


# --- moments of potentials --------------------------------------------------------------------------------------------


@entry(
    cases={"one number": (1, 1), "steps and channels": (4, 3)},
    large=((4, 17),),
    updates="d",
    bound=lambda a, want: {"d": (4, np.abs(a["d"]) + np.abs(a["mean"]) + np.abs(a["target"]))},
    one_thread=True,
)
def shift_update(rng, real, steps, channels):
    d, mean = normal(rng, real, 2, steps, channels)
    return {"d": d, "mean": mean, "target": normal(rng, real, channels), "momentum": 0.1}


def of_steps(a, want):
    """Around a mean that is large beside what steps differ by: its rounding is all that is lost of it."""
    mean, var = (x.astype(np.float64) for x in a["moments"])
    spread = mean.max(0) - mean.min(0)
    eps = np.finfo(want["total.var"].dtype).eps
    squares = var.mean(0) + mean.var(0) + spread**2 + eps * np.square(mean).mean(0)
    return {"total.mean": (2, np.abs(mean).mean(0)), "total.var": (len(mean) + 8, squares)}


@entry(cases={"one step": (1, 3), "steps": (4, 3)}, large=((4, 17),), writes="total", bound=of_steps, one_thread=True)
def merge_steps(rng, real, steps, channels):
    u = rng.normal(30, 1, (steps, 50, channels))
    total = Moments(*(unset(real, channels) for _ in range(2)))
    return {"moments": Moments(u.mean(1).astype(real), u.var(1).astype(real)), "total": total}


def of_window(a, want):
    """In float32 the share is known to 1e-7, and where a window sees nearly all or nearly nothing, the width is not."""
    return {"width": (64, want["width"].astype(np.float64))}


@entry(
    cases={"a layer": (1, 3), "channels": (3, 3), "alike": (1, 4, 0.0), "out of reach": (1, 3, 1.0, 0.1)},
    large=((17, 17),),
    writes="width",
    bound=of_window,
    one_thread=True,
)
def window_width(rng, real, groups, channels, spread=1.0, high=20.0):
    mean, theta = normal(rng, real, groups), rng.uniform(0.5, 1.5, channels).astype(real)
    var = (spread * rng.uniform(0.3, 2.5, groups)).astype(real)
    return {
        "moments": Moments(mean, var),
        "theta": theta,
        "aim": SeenShare(0.4, 1.0, 0.05, high),
        "width": unset(real, channels),
    }


def of_normalised(a, want):
    (mean, var), (centre, factor, offset) = a["moments"], a["norm"]
    size = (np.abs(mean) + np.abs(centre)) * np.abs(factor) + np.abs(offset)
    return {"normalised.mean": (8, size), "normalised.var": (8, var * factor**2)}


@entry(
    cases={"plain": (3,), "in place": (3, True)},
    large=((17,),),
    updates="normalised",
    bound=of_normalised,
    one_thread=True,
)
def normalised_moments(rng, real, channels, in_place=False):
    mean, var, *norm = normal(rng, real, 5, channels)
    moments = Moments(mean, np.abs(var))
    normalised = moments if in_place else Moments(like(mean), like(var))
    return {"moments": moments, "norm": Norm(*norm), "normalised": normalised}


def of_divergence(a, results):
    """What `direct` says is the gradient by every potential, through its mean and variance."""
    mean, var = (x[None] for x in a["moments"])
    n = a["objective"].potentials
    if n != 29:
        return
    u = np.random.default_rng(2).normal(size=(n, mean.shape[1]))
    u = (u - u.mean(0)) / u.std(0) * np.sqrt(var) + mean
    value, direct = like(mean[0]), unset_direct(mean.dtype, mean.shape[1])

    def loss():
        reference.divergence(Moments(u.mean(0), u.var(0)), a["target"], a["objective"], value, direct)
        return value.sum()

    yield pull_on(a["direct"], u), loss, u


def of_two_normals(a, want):
    (mean, var), (target_mean, target_var), (weight, eps, n) = a["moments"], a["target"], a["objective"]
    v, w, gap, share = var + eps, target_var + eps, np.abs(mean - target_mean), weight / len(mean)
    slope = share / n * (1 / w + (w + gap**2) / v**2)
    offset = share / n * gap * (1 / w + 1 / v)
    value = share * ((v + gap**2) / w + (w + gap**2) / v + 1)
    return {"value": (16, value), "direct.offset": (16, offset), "direct.slope": (16, slope)}


@entry(
    cases={"channels": (3, 29), "one potential": (1, 1)},
    large=((17, 100),),
    writes=("value", "direct"),
    bound=of_two_normals,
    gradients=of_divergence,
    one_thread=True,
)
def divergence(rng, real, channels, potentials):
    mean, target_mean = normal(rng, real, 2, channels)
    var, target_var = rng.uniform(0.3, 2.5, (2, channels)).astype(real)
    value, direct = unset(real, channels), unset_direct(real, channels)
    pair = {"moments": Moments(mean, var), "target": Moments(target_mean, target_var)}
    return {**pair, "objective": Objective(0.6, 1e-2, potentials), "value": value, "direct": direct}
