"""Random small networks with a loss, data and settings. One whole number describes each of them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from own_neurons import KLIF, QIF
from random_networks.draw import LARGEST, Chance, neuron
from random_networks.layers import chain, projection

import numsnn as snn
from numsnn import losses
from numsnn.layers.inputs import each


class SmoothDistance(losses.Pointwise):
    """A loss as a user would define it: the logarithm of the hyperbolic cosine of the distance."""

    @staticmethod
    def value(z, y):
        return math.log(math.cosh(z - y))

    @staticmethod
    def slope(z, y):
        return math.tanh(z - y)


@dataclass(frozen=True)
class Case:
    """A network with what is needed to compute with it. It prints as the call that makes it.

    Attributes:
        net: the network, not built.
        shape: shape of the input, or shapes by name.
        loss: the loss.
        target: kind of the targets: "class", "step class", "labels", "step labels", "values" or "step values".
        lengths: lengths of the sequences, or None.
        data: kind of the input: "numbers", "sparse", "spikes", "latency" or "still" (all zero).
        frozen: full names of frozen layers.
        seed: seed of the weights and of the data.
    """

    net: Any
    shape: Any
    loss: Any = None
    target: str = "class"
    lengths: tuple[int, ...] | None = None
    data: str = "numbers"
    frozen: tuple[str, ...] = ()
    seed: int = 0


NAMES = {name: getattr(snn, name) for name in snn.__all__} | {name: getattr(losses, name) for name in losses.__all__}
NAMES |= {"QIF": QIF, "KLIF": KLIF, "SmoothDistance": SmoothDistance, "Case": Case}


def read(text: str) -> Case:
    """Return the case that was printed as this text."""
    return eval(text, dict(NAMES))


# --- the parts of a case ----------------------------------------------------------------------------------------------


def _sequence(chance):
    """Return the shape of a sequence, often with one step, one sample or odd extents."""
    head = chance.one(1, 2, 3, 4, 5), chance.one(1, 1, 2, 3, 4)
    rank = chance.one(3, 3, 4, 5, 5)
    positions = {3: (), 4: (chance.whole(1, 9),), 5: (chance.whole(1, 7), chance.whole(1, 7))}[rank]
    shape = (*head, *positions, chance.whole(1, 5))
    return shape if math.prod(shape) <= chance.largest // 2 else _sequence(chance)


def _start(chance):
    """Return the first layers of a network, the shape of its input and that of what they give."""
    kind = chance.one("sequence", "sequence", "sequence", "repeat", "poisson", "graph")
    shape = _sequence(chance)
    if kind == "sequence":
        return [], shape, shape
    if kind == "graph":
        return _graph(chance)
    while len(shape) == 4:
        shape = _sequence(chance)
    if kind == "poisson":
        return [snn.Poisson(shape[0], seed=chance.whole(0, 9))], shape[1:], shape
    inside, after = chain(chance, (1, *shape[1:]), chance.whole(0, 2))
    if len(after) == 4:  # Repeat gives what a sequence of pictures or of features would be
        inside, after = [], (1, *shape[1:])
    return [snn.Repeat(shape[0], *inside)], shape[1:], (shape[0], *after[1:])


def _graph(chance):
    """Return a graph with two inputs, each of which goes through layers of its own, and which share a layer."""
    steps, samples, features = chance.whole(1, 4), chance.whole(1, 3), chance.whole(1, 4)
    shapes, nodes = {}, {}
    for name in ("eye", "ear"):
        shape = (steps, samples, *_sequence(chance)[2:])
        made, after = chain(chance, shape, chance.whole(0, 2), depth=2)
        picture = len(shape) != 4 and chance.yes(0.3)
        if picture:
            made.insert(0, snn.Repeat(steps))
        if len(after) > 3:
            made.append(snn.Flatten())
        made.append(snn.Linear(math.prod(after[2:]), features))
        shapes[name] = shape[1:] if picture else shape
        nodes[f"from {name}"] = (snn.Sequential(*made), name)
    if chance.yes(0.6):
        part = snn.Sequential(snn.Linear(features, features), neuron(chance, (steps, samples, features)))
        nodes |= {"first": (part, "from eye"), "second": ("first", "from ear")}
    ends = list(nodes)[-2:]
    join = chance.one("add", "concat")
    nodes["joined"] = (join, *ends)
    after = (steps, samples, features * (1 if join == "add" else 2))
    return [snn.Graph(("eye", "ear"), nodes)], shapes, after


def _readout(chance, shape):
    """Return the last layers, the shape of the readout, and whether it holds spikes or numbers between 0 and 1."""
    classes, made = chance.whole(1, 4), []
    if len(shape) > 3 and chance.yes(0.7):
        made.append(snn.GlobalAvgPool2d() if len(shape) == 5 and chance.yes(0.3) else snn.Flatten())
        shape = made[0].infer(shape)
    made.append(projection(chance, shape, classes))
    shape = (*shape[:-1], classes)
    kind = chance.one("numbers", "numbers", "numbers", "LI", "LI", "spikes", "spikes", "Divergence")
    if kind == "LI":
        made.append(snn.LI(tau=chance.real(1.2, 5), learn_tau=chance.yes(0.5) and not chance.few))
    elif kind == "spikes":
        made.append(neuron(chance, shape))
    elif kind == "Divergence":
        made.append(snn.Divergence(chance.real(0.05, 0.5)))
    return made, shape, isinstance(made[-1], snn.Neuron)


def _loss(chance, shape, spikes):
    """Return a loss and the kind of its targets for a readout of this shape."""
    classes = shape[-1]
    smoothing = chance.one(0.0, chance.real(0, 0.4))
    weights = chance.one(None, None, tuple(chance.real(0, 2) for _ in range(classes)))
    if len(shape) > 3:
        kind = chance.one("values", "step values")
        if chance.few:
            return losses.MembraneMSE(), kind
        return chance.one(
            (losses.MembraneMSE(), kind),
            (losses.MeanSquaredError(), "values"),
            (SmoothDistance(over="steps"), "step values"),
        )
    options = [
        (losses.RateCrossEntropy(smoothing, weights), "class"),
        (losses.TET(smoothing, chance.real(0, 1), chance.real(0.3, 1), weights), "class"),
        (losses.StepCrossEntropy(smoothing, weights), "step class"),
        (losses.SpikeCountMSE(chance.real(0.5, 1), chance.real(0, 0.3), weights), "class"),
        (losses.MaxMembraneCrossEntropy(smoothing, weights), "class"),
        (losses.BinaryCrossEntropy("mean"), "labels"),
        (losses.BinaryCrossEntropy("steps"), "step labels"),
        (losses.MeanSquaredError("mean"), "values"),
        (losses.MeanSquaredError("steps"), "step values"),
        (losses.MembraneMSE(chance.real(0.5, 1), chance.real(-0.2, 0.3)), chance.one("class", "labels", "values")),
        (SmoothDistance(over="mean"), "values"),
        (losses.TET() + chance.real(0.1, 1) * losses.MembraneMSE(), "class"),
    ]
    if chance.few:  # two kernels serve these
        options = [options[k] for k in (1, 2, 9)]
    elif spikes:
        options += 3 * [(losses.TimeToFirstSpike(chance.real(0.5, 2), smoothing, weights), "class")]
    return chance.one(*options)


def draw(seed: int, few: bool = False, longest: int = 6, largest: int = LARGEST) -> Case:
    """Return the case of this seed.

    Args:
        seed: any whole number of at least 0.
        few: whether neurons and losses are of a few kinds only, so that few kernels are compiled. Default False.
        longest: largest number of layers between the start and the readout. Default 6.
        largest: largest number of elements of an array between two layers. Default `LARGEST`.
    """
    chance = Chance(seed, few, largest)
    first, shape, inside = _start(chance)
    middle, after = chain(chance, inside, chance.whole(0, longest))
    last, readout, spikes = _readout(chance, after)
    net = snn.Sequential(*first, *middle, *last)
    loss, target = _loss(chance, readout, spikes)
    lengths = None
    timed = not net.takes_pictures and not net.picture_inputs
    if timed and readout[0] > 1 and chance.yes(0.25):
        lengths = tuple(chance.whole(1, readout[0]) for _ in range(readout[1]))
    names = [name for name, part in net.named()[1:] if not part.container]
    frozen = tuple(name for name in names if chance.yes(0.3)) if chance.yes(0.2) else ()
    data = chance.one("numbers", "numbers", "numbers", "sparse", "spikes", "latency", "still")
    return Case(net, shape, loss, target, lengths, data, frozen, seed)


# --- numbers ----------------------------------------------------------------------------------------------------------


def built(case: Case):
    """Return a copy of the network, built on the reference in float32, with weights that are all different."""
    net = case.net.copy().to("reference").build(case.shape, seed=case.seed)
    rng = np.random.default_rng(case.seed)
    for _, parameter in net.parameters():
        if parameter.group in ("weight", "bias", "norm"):
            parameter.value[...] += rng.normal(0, 0.2, parameter.value.shape)
    return net.freeze_only(list(case.frozen)) if case.frozen else net


def inputs(case: Case, seed: int = 0):
    """Return an input, float32 or uint8, or one per name."""
    rng = np.random.default_rng((case.seed, seed))
    pictures = case.net.picture_inputs if case.net.input_names else ()
    if isinstance(case.shape, dict):
        return {
            name: _numbers(rng, shape, case.data, name not in pictures and not case.net.takes_pictures)
            for name, shape in case.shape.items()
        }
    return _numbers(rng, case.shape, case.data, not case.net.takes_pictures)


def _numbers(rng, shape, data, timed):
    if data == "spikes":
        return (rng.random(shape) < 0.4).astype(np.uint8)
    if data == "latency" and timed:
        return snn.encode.latency(rng.random(shape[1:]), shape[0])
    if data == "still":
        return np.zeros(shape, np.float32)
    x = rng.normal(0.3, 1, shape)
    return np.where(rng.random(shape) < 0.2, x, 0).astype(np.float32) if data == "sparse" else x.astype(np.float32)


def as_float64(x):
    """Return an input in float64."""
    return each(x, lambda part: part.astype(np.float64))


def targets(case: Case, shape):
    """Return targets for a readout of this shape."""
    rng = np.random.default_rng((case.seed, 99))
    steps, samples, classes = shape[0], shape[1], shape[-1]
    if case.target == "class":
        return rng.integers(0, classes, samples)
    if case.target == "step class":
        return rng.integers(-1, classes, (steps, samples))
    form = shape if case.target.startswith("step") else shape[1:]
    return rng.integers(0, 2, form) if case.target.endswith("labels") else rng.normal(0.3, 0.5, form)
