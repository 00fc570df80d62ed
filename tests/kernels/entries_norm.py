"""Entries of moments and normalisations."""

import numpy as np
from registry import adjoint, drawn, entry, like, normal, unset
from targets import reference

from numsnn.kernels.types import Affine, Moments

EPS, SCALE = 1e-3, 0.7
"""Both large enough to matter: a kernel that forgot one would be far off."""

SHAPES = {"one sample": (1, 1), "a few": (2, 3), "tiles": (61, 5), "a wide row": (7, 41)}
"""(M, C): one sample, a last tile cut short, and a row larger than a (small) tile."""


def numbers(rng, real, *shape):
    return rng.normal(0.4, 1.5, shape).astype(real)


def affine(rng, real, channels, scale=SCALE):
    return Affine(*rng.normal(1, 0.3, (2, channels)).astype(real), EPS, scale)


def of_numbers(a, want):
    """The bound of the variance also holds what the error of the mean does to it."""
    rows = a["x"].shape[1] + 2
    return {"mean": (rows, np.abs(a["x"]).mean(1)), "var": (2 * rows, np.square(a["x"]).mean(1))}


def of_moments(a, want):
    """The running moments take in a part of the rounding of the moments, and add their own."""
    bounds, before = of_numbers(a, want), a["running"]
    if before is None:
        return bounds
    pairs = {f"running.{name}": (*bounds[name], np.abs(getattr(before, name))) for name in ("mean", "var")}
    return bounds | {name: (ops + 3, scale + size) for name, (ops, scale, size) in pairs.items()}


@entry(
    cases={f"{name}, groups: {groups}": (groups, *shape) for name, shape in SHAPES.items() for groups in (1, 3)},
    large=((2, 6000, 17),),
    writes=("mean", "var"),
    updates="running",
    bound=of_moments,
)
def moments(rng, real, groups, rows, channels):
    mean, var = (unset(real, groups, channels) for _ in range(2))
    running = None
    if groups == 3:
        running = Moments(normal(rng, real, groups, channels), rng.uniform(0.2, 2, (groups, channels)).astype(real))
    x = numbers(rng, real, groups, rows, channels)
    return {"x": x, "mean": mean, "var": var, "running": running, "momentum": 0.25}


@entry(
    cases={"channels": ((3,),), "row": ((1, 3),), "column": ((3, 1),)},
    large=(((17,),),),
    updates="running",
    bound=lambda a, want: {"running": (3, np.abs(a["running"]) + np.abs(a["value"]))},
    one_thread=True,
)
def running_update(rng, real, shape):
    return {"running": normal(rng, real, *shape), "value": normal(rng, real, *shape), "momentum": 0.25}


def factors(a):
    """1 / sqrt(var + eps), and the factor of the forward pass."""
    inverse = 1 / np.sqrt(a["moments"].var.astype(np.float64) + EPS)
    return inverse, SCALE * np.abs(a["affine"].gamma) * inverse


def of_batchnorm(a, want):
    _, factor = factors(a)
    return {"y": (8, factor * np.abs(a["x"] - a["moments"].mean) + np.abs(a["affine"].beta))} if a["x"].size else {}


@entry(cases=SHAPES | {"no rows": (0, 3)}, large=((6000, 17),), writes="y", bound=of_batchnorm)
def batchnorm_forward(rng, real, rows, channels):
    x = numbers(rng, real, rows, channels)
    given = Moments(normal(rng, real, channels), rng.uniform(0.2, 2, channels).astype(real))
    return {"x": x, "affine": affine(rng, real, channels), "moments": given, "y": like(x)}


def of_slopes(a, want):
    x, dy, rows = a["x"], a["dy"], len(a["x"])
    inverse, factor = factors(a)
    distance = np.abs(x - a["moments"].mean)
    normalised = distance * inverse
    if a["sums"] is None:
        sums, projections = np.abs(dy).sum(0), np.abs(dy * normalised).sum(0)
    else:
        sums, projections = np.abs(a["sums"][0]), np.abs(a["sums"][1]) * inverse
    centred = np.abs(dy) + (sums + normalised * projections) / rows
    bounds = {"dgamma": (rows + 8, SCALE * projections), "dbeta": (rows, sums), "dx": (rows + 12, factor * centred)}
    return {name: bounds[name] for name in want}


def of_normalisation(a, results):
    """The statistics are the batch's, computed again for every difference, or constants."""
    x, (gamma, beta, *rest), dy, frozen = a["x"], a["affine"], a["dy"], a["frozen"]
    if len(x) < 3 or a["sums"] is not None or "dx" not in results or a["dx"] is dy:
        return

    def loss():
        y = np.empty_like(x)
        now = a["moments"] if frozen else Moments(x.mean(0), x.var(0))
        reference.batchnorm_forward(x, Affine(gamma, beta, *rest), now, y)
        return (a["dy"] * y).sum()

    for gradient, array in (("dx", x), ("dgamma", gamma), ("dbeta", beta)):
        yield results[gradient], loss, array


GRADIENTS = {
    f"{name}, {'frozen' if frozen else 'of the batch'}": (*shape, frozen)
    for name, shape in SHAPES.items()
    for frozen in (False, True)
}


@entry(
    cases=GRADIENTS
    | {
        f"{where}, frozen: {frozen}, {how}": (*shape, frozen, how)
        for where, shape in list(SHAPES.items())[:3]
        for frozen in (False, True)
        for how in ("in place", "from sums", "without dx")
    },
    large=((6000, 17, False),),
    writes=("dgamma", "dbeta"),
    updates="dx",
    bound=of_slopes,
    gradients=of_normalisation,
)
def batchnorm_backward(rng, real, rows, channels, frozen, how="plain"):
    x, dy = numbers(rng, real, rows, channels), normal(rng, real, rows, channels)
    given = Moments(x.mean(0) + 0.3 * frozen, x.var(0) * (1 + 0.7 * frozen))
    out = {"dgamma": unset(real, channels), "dbeta": unset(real, channels)}
    dx = {"in place": dy, "without dx": None}.get(how, like(x))
    sums = normal(rng, real, 2, channels) if how == "from sums" else None
    numbers_ = {"affine": affine(rng, real, channels), "moments": Moments(*(m.astype(real) for m in given))}
    return {"dy": dy, "x": x, **numbers_, "frozen": frozen, "dx": dx, **out, "sums": sums}


@entry(
    cases={"channels": (5,)},
    large=((17,),),
    writes="factor",
    bound=lambda a, want: {"factor": (8, want["factor"])},
    one_thread=True,
)
def batchnorm_factor(rng, real, channels):
    var = rng.uniform(0.2, 2, channels).astype(real)
    return {"affine": affine(rng, real, channels), "var": var, "factor": unset(real, channels)}


def of_fold(a, want):
    """It is computed in float64, and rounded once."""
    _, factor = factors(a)
    b = 0 if a["b"] is None else np.abs(a["b"])
    offset = (b + np.abs(a["moments"].mean)) * factor + np.abs(a["affine"].beta)
    return {"folded_w": (8, np.abs(a["w"]) * factor), "folded_b": (8, offset)}


@entry(
    cases={
        "matrix": ((7, 5), True),
        "without a bias": ((7, 5), False),
        "filters": ((3, 3, 2, 4), True),
    },
    large=(((40, 17), True),),
    writes=("folded_w", "folded_b"),
    bound=of_fold,
    one_thread=True,
)
def batchnorm_fold(rng, real, shape, bias):
    w, channels = normal(rng, real, *shape), shape[-1]
    b = normal(rng, real, channels) if bias else None
    given = Moments(normal(rng, real, channels), rng.uniform(0.2, 2, channels).astype(real))
    out = {"folded_w": like(w), "folded_b": unset(real, channels)}
    return {"w": w, "b": b, "affine": affine(rng, real, channels), "moments": given, **out}


# --- a scale a step ---------------------------------------------------------------------------------------------------

STEPS = {name: (3, *shape) for name, shape in SHAPES.items()} | {"one step": (1, 7, 3)}


@entry(cases=STEPS | {"spikes": (3, 7, 5, np.uint8)}, large=((3, 6000, 17),), writes="y")
def scale_steps_forward(rng, real, steps, rows, channels, kind=None):
    x = drawn(rng, kind or real, steps, rows, channels)
    return {"x": x, "p": rng.normal(1, 0.3, steps).astype(real), "y": like(x, real)}


def of_steps(a, results):
    if 1 < a["x"].size < 100:
        pairs = [(results["dx"], a["x"]), (results["dp"], a["p"])]
        yield from adjoint("scale_steps_forward", {"x": a["x"], "p": a["p"]}, {"y": a["dy"]}, pairs)


@entry(
    cases=STEPS,
    large=((3, 6000, 17),),
    writes=("dx", "dp"),
    bound=lambda a, want: {"dp": (a["x"][0].size, np.abs(a["dy"] * a["x"]).sum((1, 2)))},
    gradients=of_steps,
)
def scale_steps_backward(rng, real, steps, rows, channels):
    dy, x = normal(rng, real, 2, steps, rows, channels)
    return {"dy": dy, "x": x, "p": rng.normal(1, 0.3, steps).astype(real), "dx": like(x), "dp": unset(real, steps)}


# --- group normalisation ----------------------------------------------------------------------------------------------

GROUPED = {
    "one number": ((1, 1, 1), 1),
    "features": ((7, 1, 6), 2),
    "samples of several to a tile": ((9, 2, 4), 2),
    "samples of several tiles": ((2, 19, 6), 3),
    "a row larger than a tile": ((2, 3, 40), 4),
    "one group": ((3, 5, 8), 1),
    "a group a channel": ((3, 5, 4), 4),
}
"""((B, M, C), G); the tiles are those of small_tiles, 24 numbers each."""

LARGE = ((3, 6000, 18), 3), ((900, 7, 18), 3)
"""Several tiles per sample, and several samples per tile."""


def of_groups(a, want):
    """An error of the mean or the variance reaches everything behind it, relative to |x| and to x^2 / var."""
    x, (gamma, beta, *_) = a["x"], a["affine"]
    groups = a["moments"].mean.shape[1]
    wide = x.astype(np.float64).reshape(*x.shape[:2], groups, -1)

    def over_groups(values):
        """Means over positions and the group's channels, one for each of the channels ``[B, 1, C]``."""
        means = values.reshape(wide.shape).mean((1, 3))
        return np.repeat(means, x.shape[2] // groups, 1)[:, None]

    var = over_groups(wide**2) - over_groups(wide) ** 2
    inverse = 1 / np.sqrt(var + EPS)
    z = (np.abs(x) + over_groups(np.abs(wide))) * inverse
    of_variance = 1 + over_groups(wide**2) / (var + EPS)
    bounds = {
        "moments.mean": np.abs(wide).mean((1, 3)),
        "moments.var": (wide**2).mean((1, 3)),
        "y": np.abs(gamma) * z * of_variance + np.abs(beta),
    }
    if "dy" in a:
        slope = np.abs(gamma * a["dy"])
        centred = slope + over_groups(slope) + z * over_groups(slope * z)
        bounds = {
            "dx": inverse * centred * of_variance,
            "dgamma": (np.abs(a["dy"]) * z * of_variance).sum((0, 1)),
            "dbeta": np.abs(a["dy"]).sum((0, 1)),
        }
    return {name: (8 * x.size, scale) for name, scale in bounds.items() if name in want}


@entry(cases=GROUPED, large=LARGE, writes=("moments", "y"), bound=of_groups)
def groupnorm_forward(rng, real, shape, groups):
    x = numbers(rng, real, *shape)
    given = Moments(*(unset(real, shape[0], groups) for _ in range(2)))
    return {"x": x, "affine": affine(rng, real, shape[2], 1.0), "moments": given, "y": like(x)}


def of_groupnorm(a, results):
    x, (gamma, beta, *_) = a["x"], a["affine"]
    if "dx" in results and 1 < x.size < 150:
        y, given = np.empty_like(x), Moments(*(np.empty_like(a["moments"].mean) for _ in range(2)))

        def loss():
            reference.groupnorm_forward(x, a["affine"], given, y)
            return (a["dy"] * y).sum()

        for gradient, array in (("dx", x), ("dgamma", gamma), ("dbeta", beta)):
            yield results[gradient], loss, array


@entry(
    cases=GROUPED | {"without dx": ((2, 19, 6), 3, False)},
    large=LARGE,
    writes=("dx", "dgamma", "dbeta"),
    bound=of_groups,
    gradients=of_groupnorm,
)
def groupnorm_backward(rng, real, shape, groups, want_dx=True):
    x, dy = numbers(rng, real, *shape), normal(rng, real, *shape)
    parts = x.reshape(*shape[:2], groups, -1)
    given = Moments(*(m.astype(real) for m in (parts.mean((1, 3)), parts.var((1, 3)))))
    out = {"dgamma": unset(real, shape[2]), "dbeta": unset(real, shape[2])}
    dx = like(x) if want_dx else None
    return {"dy": dy, "x": x, "affine": affine(rng, real, shape[2], 1.0), "moments": given, "dx": dx, **out}
