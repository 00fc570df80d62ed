"""Entries of losses."""

import math

import numpy as np
from registry import drawn, entry, normal, unset
from targets import reference

from numsnn.kernels.types import Rates, Shares, Temporal, Timing

U8 = np.uint8
STEPS, SAMPLES, CLASSES = 3, 5, 4
LENGTHS = [1, 3, 2, 3, 1]
WEIGHTS = [0.5, 2.0, 0.0, 1.0, 3.0]
"""Lengths of sequences and weights of samples, for shares that differ."""

SIZES = {"readout": (), "spikes": (U8,), "lengths and weights": (None, STEPS, SAMPLES, CLASSES, True)}
ONES = {"one of everything": (None, 1, 1, 1), "one step": (None, 1, 5, 4), "one class": (None, 3, 5, 1)}
LARGE = (None, 3, 50, 10)


def with_settings(**settings):
    return {
        f"{name}, {sizes}": (one, *case) for name, one in settings.items() for sizes, case in (SIZES | ONES).items()
    }


def shares(real, steps, samples, uneven=False):
    if not uneven:
        return Shares(np.full((steps, samples), 1 / steps, real), np.ones(samples, real))
    inside = np.arange(steps)[:, None] < LENGTHS
    return Shares((inside / np.array(LENGTHS)).astype(real), np.array(WEIGHTS, real))


def batch(rng, real, kind, steps, samples, classes, uneven):
    """Readout, labels (the first and the last class among them), shares and memory of the outputs."""
    z = drawn(rng, kind or real, steps, samples, classes)
    labels = rng.integers(0, classes, samples)
    labels[:2] = (0, classes - 1)[:samples]
    out = {"loss": unset(real, samples), "dz": unset(real, steps, samples, classes)}
    return (z if kind else real(2) * z), labels, {"shares": shares(real, steps, samples, uneven), **out}


def rounding(largest, slope):
    """Forty operations at most lie between readout and result. A logarithm of a probability errs by the largest logit's
    rounding, a probability by that times itself, a squared distance by its own size's."""

    def bound(a, want):
        steps, samples, _ = a["z"].shape
        size, weight = largest(a), max(WEIGHTS)
        return {"loss": (40, weight * size**2), "dz": (40, weight * size * slope(a, steps) / samples)}

    return bound


def number(a):
    return np.abs(a["z"].astype(np.float64)).max() + 2


def of_loss(name):
    def gradients(a, results):
        """dz is the gradient of the mean over samples."""
        z = a["z"]
        if z.dtype != np.float64 or z.shape != (STEPS, SAMPLES, CLASSES):
            return
        out = {"loss": np.empty(SAMPLES), "dz": np.empty_like(z)}

        def loss():
            getattr(reference, name)(**a | out)
            return out["loss"].mean()

        yield results["dz"], loss, z

    return gradients


def checks(name, largest=number, slope=lambda a, steps: 1):
    return {"writes": ("loss", "dz"), "bound": rounding(largest, slope), "gradients": of_loss(name)}


@entry(cases=with_settings(plain=0.0, smoothed=0.1), large=((0.1, *LARGE),), **checks("rate_cross_entropy"))
def rate_cross_entropy(rng, real, smoothing, kind=None, steps=STEPS, samples=SAMPLES, classes=CLASSES, uneven=False):
    z, labels, rest = batch(rng, real, kind, steps, samples, classes, uneven)
    return {"z": z, "labels": labels, "smoothing": smoothing, **rest}


@entry(cases=with_settings(plain=0.0, smoothed=0.1), large=((0.1, *LARGE),), **checks("max_membrane_cross_entropy"))
def max_membrane_cross_entropy(rng, real, smoothing, *sizes):
    return rate_cross_entropy(rng, real, smoothing, *sizes)


@entry(
    cases=with_settings(some=Rates(0.8, 0.2), all_or_nothing=Rates(1.0, 0.0)),
    large=((Rates(0.9, 0.1), *LARGE),),
    **checks("spike_count_mse"),
)
def spike_count_mse(rng, real, rates, *sizes):
    found = rate_cross_entropy(rng, real, 0.0, *sizes)
    del found["smoothing"]
    return found | {"rates": rates}


TEMPORAL = {
    "plain": Temporal(0.0, 0.0, 0.0),
    "pulled": Temporal(0.1, 0.3, 0.8),
    "only pulled": Temporal(0.0, 1.0, -0.4),
}


@entry(
    cases=with_settings(**TEMPORAL) | {"a label per step": (TEMPORAL["pulled"], *SIZES["lengths and weights"], True)},
    large=((Temporal(0.1, 0.2, 1.0), *LARGE),),
    **checks("temporal_cross_entropy"),
)
def temporal_cross_entropy(
    rng, real, temporal, kind=None, steps=STEPS, samples=SAMPLES, classes=CLASSES, uneven=False, each=False
):
    """Steps that do not count have no label."""
    z, labels, rest = batch(rng, real, kind, steps, samples, classes, uneven)
    if each:
        labels = np.where(rest["shares"].steps > 0, rng.integers(0, classes, (steps, samples)), -1)
    return {"z": z, "labels": labels.reshape(-1, samples), "temporal": temporal, **rest}


def time(a):
    return len(a["z"]) / a["timing"].temperature + 2


@entry(
    cases=with_settings(plain=Timing(0.0, 1.0), cold=Timing(0.1, 0.4)),
    large=((Timing(0.1, 0.7), U8, 3, 50, 10),),
    **checks("first_spike_cross_entropy", time, lambda a, steps: steps / a["timing"].temperature),
)
def first_spike_cross_entropy(
    rng, real, timing, kind=None, steps=STEPS, samples=SAMPLES, classes=CLASSES, uneven=False
):
    z, labels, rest = batch(rng, real, kind, steps, samples, classes, uneven)
    return {"z": z if kind else (1 / (1 + np.exp(-z))).astype(real), "labels": labels, "timing": timing, **rest}


def wanted(rng, real, moving, steps, samples, classes):
    return normal(rng, real, steps if moving else 1, samples, classes)


def distance(a):
    return np.abs(a["z"].astype(np.float64)).max() + np.abs(a["target"]).max() + 2


@entry(
    cases=with_settings(constant=False, moving=True),
    large=((False, *LARGE),),
    **checks("membrane_mse", distance),
)
def membrane_mse(rng, real, moving, kind=None, steps=STEPS, samples=SAMPLES, classes=CLASSES, uneven=False):
    z, _, rest = batch(rng, real, kind, steps, samples, classes, uneven)
    return {"z": z, "target": wanted(rng, real, moving, steps, samples, classes), **rest}


def log_cosh(z, y):
    return 1.5 * math.log(math.cosh(z - y))


def log_cosh_slope(z, y):
    return 1.5 * math.tanh(z - y)


OWN = {
    f"{'mean' if over_mean else 'each step'}, {'moving' if moving else 'constant'}": (over_mean, moving)
    for over_mean, moving in ((True, False), (False, False), (False, True))
}


@entry(
    cases={f"{name}, {sizes}": (*own, *case) for name, own in OWN.items() for sizes, case in (SIZES | ONES).items()},
    large=((True, False, *LARGE), (False, False, *LARGE)),
    **checks("pointwise", distance),
)
def pointwise(rng, real, over_mean, moving, kind=None, steps=STEPS, samples=SAMPLES, classes=CLASSES, uneven=False):
    z, _, rest = batch(rng, real, kind, steps, samples, classes, uneven)
    given = {"target": wanted(rng, real, moving, steps, samples, classes), "functions": (log_cosh, log_cosh_slope)}
    return {"z": z, **given, "over_mean": over_mean, **rest}
