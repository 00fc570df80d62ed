"""Whether two sides compute the same. This is checked before anything is timed.

Spikes. Two float32 computations of a potential differ by rounding, so a potential that comes within TIE of its
threshold may end up on either side of it. In the lowest layer of neurons where spikes differ, both sides had the same
input: there the first difference in time of every neuron has to be such a tie. All differences at later steps or in
higher layers follow from it. They grow from layer to layer, because in training batch normalisation makes every sample
depend on all others.

Gradients. If no spike differs, the gradient of every parameter has to agree to TOLERANCE: the norm of the difference
divided by the norm. If a share f of a layer's spikes differs, it may differ by 2 sqrt(f) more.

If spikes differ at full size, everything is compared once more for fewer steps and samples of the same batch, until no
spike differs; there the gradients have to agree to TOLERANCE.
"""

import numpy as np

TIE = 1e-4
"""Distance from the threshold, in units of the potential; a threshold is about 1."""

TOLERANCE = 2e-4

RUNGS = ((1, 8), (4, 8), (8, 16), (1000, 8), (1000, 1000))
"""Divisors of steps and samples, tried one after the other until no spike differs."""


class Disagreement(ValueError):
    """The two sides do not compute the same."""


def relative(got, want):
    """Norm of the difference divided by the norm; 0 if both are zero."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        raise Disagreement(f"shapes differ: {got.shape} and {want.shape}")
    if not (np.isfinite(got).all() and np.isfinite(want).all()):
        return float("inf")
    norm, distance = np.linalg.norm(want), np.linalg.norm(got - want)
    return float(distance / norm) if norm else (0.0 if not distance else float("inf"))


def compare_gradients(ours, theirs):
    """Parameter -> relative difference."""
    return {name: relative(ours[name], theirs[name]) for name in names(ours, "p")}


def compare_spikes(ours, theirs):
    """Number of different spikes of every layer, and the number of all potentials."""
    layers = names(ours, "s")
    if layers != names(theirs, "s"):
        raise Disagreement(f"layers of neurons: {len(layers)} and {len(names(theirs, 's'))}")
    for name in layers:
        if ours[name].shape != theirs[name].shape:
            raise Disagreement(f"spikes {name}: shapes {ours[name].shape} and {theirs[name].shape}")
    return [int((ours[name] != theirs[name]).sum()) for name in layers], sum(ours[name].size for name in layers)


def names(arrays, letter):
    """Names made of this letter and a number, in the order of the numbers."""
    return sorted((name for name in arrays if name[0] == letter), key=lambda name: int(name[1:]))


def spikes_of(outcome):
    """Number of spikes of every layer."""
    return [int(outcome[name].sum()) for name in names(outcome, "s")]


def first_differences(mine, other, whole_sample):
    """Where spikes ``[T, N, ...]`` differ for the first time: in every neuron, or with `whole_sample` (for neurons with
    lateral weights) in every sample."""
    differ = mine != other
    if whole_sample:
        differ = differ.reshape(*differ.shape[:2], -1)
        before = np.cumsum(differ.any(2), 0) - differ.any(2)
        return (differ & (before == 0)[..., None]).reshape(mine.shape)
    before = np.cumsum(differ, 0, dtype=np.int32) - differ
    return differ & (before == 0)


def farthest_from_tie(mine, other, potentials, threshold, whole_sample):
    """The largest distance from the threshold at which spikes differ for the first time."""
    first = first_differences(mine, other, whole_sample).reshape(potentials.shape)
    return float(np.abs(potentials[first].astype(np.float64) - threshold).max())


def rungs(steps, samples):
    """(steps, samples) of smaller and smaller parts of a batch."""
    found = []
    for t, n in RUNGS:
        rung = max(1, steps // t), max(1, samples // n)
        if rung != (steps, samples) and rung not in found:
            found.append(rung)
    return found


def allowed(differ, spikes):
    """How far gradients may be apart.

    Args:
        differ: number of different spikes of every layer.
        spikes: number of all spikes of every layer.
    """
    share = max((different / max(1, there) for different, there in zip(differ, spikes, strict=True)), default=0.0)
    return TOLERANCE + 2 * share**0.5


def judge(differences, tolerance, where):
    """The largest relative difference.

    Raises:
        Disagreement: it is larger than the tolerance.
    """
    name, worst = max(differences.items(), key=lambda item: item[1], default=("", 0.0))
    if not worst <= tolerance:
        raise Disagreement(f"the gradient of {name} differs by {worst:.1e} {where}; at most {tolerance:g} is allowed")
    return worst
