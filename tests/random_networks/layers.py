"""Random layers that fit an input of a given shape, and random chains, branches and graphs of them."""

from math import gcd, prod

from random_networks.draw import ATTEMPTS, Chance, neuron

import numsnn as snn


def divisors(*numbers: int) -> list[int]:
    """Return the common divisors of whole numbers."""
    shared = gcd(*numbers)
    return [k for k in range(1, shared + 1) if shared % k == 0]


# --- single layers ----------------------------------------------------------------------------------------------------


def _pair(chance, low, high):
    return chance.one(chance.whole(low, high), (chance.whole(low, high), chance.whole(low, high)))


def linear(chance, shape):
    return snn.Linear(shape[-1], chance.whole(1, 6), bias=chance.yes(0.6))


def _outputs(chance, channels):
    """Return a number of output channels, and groups that divide both numbers of channels."""
    outputs = chance.one(chance.whole(1, 6), channels, 2 * channels)
    return outputs, chance.one(1, *divisors(channels, outputs))


def conv1d(chance, shape):
    outputs, groups = _outputs(chance, shape[-1])
    stride = chance.one(1, 1, 2, 3)
    padding = chance.one(*(("same",) if stride == 1 else ()), "valid", chance.whole(0, 3))
    return snn.Conv1d(
        shape[-1],
        outputs,
        chance.whole(1, 4),
        stride=stride,
        padding=padding,
        groups=groups,
        bias=chance.yes(0.4),
        dilation=chance.one(1, 1, 2, 3),
    )


def conv2d(chance, shape):
    outputs, groups = _outputs(chance, shape[-1])
    stride = chance.one(1, 1, _pair(chance, 1, 3))
    padding = chance.one(*(("same",) if stride == 1 else ()), "valid", _pair(chance, 0, 2))
    return snn.Conv2d(
        shape[-1],
        outputs,
        chance.one(3, _pair(chance, 1, 4)),
        stride=stride,
        padding=padding,
        groups=groups,
        bias=chance.yes(0.4),
        dilation=chance.one(1, 1, _pair(chance, 1, 3)),
    )


def conv_transpose2d(chance, shape):
    outputs, groups = _outputs(chance, shape[-1])
    stride = chance.whole(1, 3), chance.whole(1, 3)
    return snn.ConvTranspose2d(
        shape[-1],
        outputs,
        _pair(chance, 1, 3),
        stride=stride,
        padding=_pair(chance, 0, 1),
        output_padding=tuple(chance.whole(0, step - 1) for step in stride),
        groups=groups,
        bias=chance.yes(0.4),
        dilation=chance.one(1, 1, _pair(chance, 1, 2)),
    )


def pool1d(chance, shape):
    kernel = chance.whole(1, 3)
    kind = chance.one(snn.AvgPool1d, snn.SumPool1d, snn.MaxPool1d)
    return kind(kernel, stride=chance.one(None, 1, 2, 3), padding=chance.whole(0, kernel // 2))


def pool2d(chance, shape):
    kernel = chance.whole(1, 3), chance.whole(1, 3)
    kind = chance.one(snn.AvgPool2d, snn.SumPool2d, snn.MaxPool2d)
    padding = tuple(chance.whole(0, extent // 2) for extent in kernel)
    return kind(kernel, stride=chance.one(None, _pair(chance, 1, 3)), padding=padding)


def norm(chance, shape):
    steps, channels, eps = shape[0], shape[-1], chance.one(1e-5, 1e-3, 0.1)
    kind = chance.one("batch", "batch", "steps", "scaled steps", "group", "layer")
    if kind == "batch":
        return snn.BatchNorm(
            channels, v_threshold=chance.one(1.0, chance.real(0.3, 2)), eps=eps, momentum=0.3, affine=chance.yes(0.8)
        )
    if kind == "steps":
        return snn.BNTT(channels, steps, eps=eps, bias=chance.yes(0.5))
    if kind == "scaled steps":
        return snn.TEBN(channels, steps, eps=eps)
    if kind == "group":
        return snn.GroupNorm(chance.one(*divisors(channels)), channels, eps=eps, affine=chance.yes(0.8))
    return snn.LayerNorm(channels, eps=eps, affine=chance.yes(0.8))


def delay(chance, shape):
    if chance.yes(0.5):
        return snn.Delay(chance.whole(0, 3), channels=chance.one(None, shape[-1]))
    return snn.Delay(tuple(chance.whole(0, 3) for _ in range(shape[-1])))


def penalty(chance, shape):
    per = chance.one("neuron", "channel")
    if chance.yes(0.5):
        low = chance.real(0, 0.5)
        return snn.RateBand(low, min(1.0, low + chance.real(0, 0.4)), weight=chance.real(0.1, 1), per=per)
    return snn.SpikePenalty(chance.real(0.05, 0.5), chance.one("l1", "l2"), per=per)


def divergence(chance):
    return snn.Divergence(chance.real(0.05, 0.5), chance.real(-0.5, 0.5), chance.real(0.3, 2), chance.one(1e-3, 0.1))


KEEPING = (
    (neuron, 5, (3, 4, 5)),
    (norm, 2, (3, 4, 5)),
    (lambda chance, shape: snn.Dropout(chance.real(0, 0.7)), 1, (3, 4, 5)),
    (delay, 1, (3, 4, 5)),
    (penalty, 1, (3, 4, 5)),
    (lambda chance, shape: snn.ReLU(), 0.5, (3, 4, 5)),
)
"""Layers that keep the shape: function, weight and ranks of the input."""

LAYERS = (
    *KEEPING,
    (linear, 4, (3,)),
    (conv1d, 4, (4,)),
    (conv2d, 4, (5,)),
    (conv_transpose2d, 1.5, (5,)),
    (pool1d, 4, (4,)),
    (pool2d, 4, (5,)),
    (lambda chance, shape: snn.GlobalAvgPool2d(), 0.3, (5,)),
    (lambda chance, shape: snn.Flatten(), 0.5, (3, 4, 5)),
)


REAL = snn.Linear, snn.Conv1d, snn.Conv2d, snn.BatchNorm, snn.GroupNorm, snn.BNTT
"""Layers that never give spikes, so that a `Divergence` can follow them."""


def layer(chance: Chance, shape, table=LAYERS):
    """Return a random layer from a table that takes an input of this shape."""
    fitting = [(make, weight) for make, weight, ranks in table if len(shape) in ranks]
    weights = [weight / sum(weight for _, weight in fitting) for _, weight in fitting]
    for _ in range(ATTEMPTS):
        make = fitting[int(chance.numbers.choice(len(fitting), p=weights))][0]
        try:
            made = make(chance, shape)
            if prod(made.infer(shape)) <= max(chance.largest, prod(shape)):
                return made
        except (ValueError, snn.ShapeError):
            continue
    raise AssertionError(f"no layer fits {shape}")


# --- layers of layers -------------------------------------------------------------------------------------------------


def projection(chance, shape, outputs):
    """Return a layer with weights that keeps the positions and gives this many channels."""
    bias = chance.yes(0.5)
    if len(shape) == 3:
        return snn.Linear(shape[-1], outputs, bias)
    if len(shape) == 4:
        return snn.Conv1d(shape[-1], outputs, chance.one(1, 3), padding="same", bias=bias)
    return snn.Conv2d(shape[-1], outputs, chance.one(1, 3, (2, 3)), padding="same", bias=bias)


def branch(chance, shape, outputs):
    """Return layers that keep the positions and give this many channels."""
    made = [layer(chance, shape, KEEPING) for _ in range(chance.whole(0, 1))]
    made.append(projection(chance, shape, outputs))
    after = (*shape[:-1], outputs)
    return made + [layer(chance, after, KEEPING) for _ in range(chance.whole(0, 2))]


def residual(chance, shape):
    outputs = chance.one(shape[-1], chance.whole(1, 5))
    shortcut = None
    if outputs != shape[-1] or chance.yes(0.4):
        shortcut = snn.Sequential(*branch(chance, shape, outputs))
    return snn.Residual(*branch(chance, shape, outputs), shortcut=shortcut, join=chance.one("add", "and", "iand"))


def concat(chance, shape):
    parts = [snn.Sequential(*branch(chance, shape, chance.whole(1, 3))) for _ in range(chance.whole(1, 2))]
    if chance.yes(0.5):
        parts.insert(chance.whole(0, len(parts)), None)
    return snn.Concat(*parts)


def shared_graph(chance, shape):
    """Return a graph with one input in which one part is used two or three times."""
    part = snn.Sequential(*branch(chance, shape, shape[-1]))
    nodes = {"once": (part, "x"), "twice": (chance.one(part, "once"), chance.one("once", "x"))}
    if chance.yes(0.3):
        nodes["again"] = ("once", "twice")
    ends = [*nodes, *(("x",) if chance.yes(0.5) else ())]
    nodes["joined"] = (chance.one("add", "concat"), *ends)
    return snn.Graph(("x",), nodes)


def chain(chance: Chance, shape, length: int, depth: int = 0):
    """Return this many random layers that follow one another, and the shape of their output."""
    made = []
    for _ in range(length):
        nested = depth < 2 and chance.yes(0.2)
        for _ in range(ATTEMPTS):
            if nested:
                new = chance.one(residual, concat, shared_graph, _nested)(chance, shape)
            else:
                new = layer(chance, shape)
            if prod(new.infer(shape)) <= max(chance.largest, prod(shape)):
                break
        else:
            raise AssertionError(f"no layer fits {shape}")
        made.append(new)
        shape = new.infer(shape)
        if isinstance(new, REAL) and chance.yes(0.1):
            made.append(divergence(chance))
    return made, shape


def _nested(chance, shape):
    return snn.Sequential(*chain(chance, shape, chance.whole(1, 3), depth=2)[0])
