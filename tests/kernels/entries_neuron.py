"""Entries of the passes of neurons that follow a rule."""

from types import SimpleNamespace

import numpy as np
from bounds import PROMISE, within
from direct import drawn_direct, loss_on
from neurons import FAMILIES, SILENT, TIED, assert_bites, backward_bound, forward_bound
from outside_rules import ADAPTING, QUADRATIC
from registry import close, entry, like, normal, unset
from strengths import covering
from targets import reference

from numsnn.kernels.rules import LEAKY, SCALED, SCALED_SYNAPTIC, SYNAPTIC
from numsnn.kernels.types import Firing, Moments, Norm, Reset, Wanted

SHAPE = 9, 7, 8
"""Float32 takes four channels together on CUDA, and there are over two segments of time."""

SHAPES = {
    "one step": (1, 3, 2),
    "one row": (4, 1, 3),
    "one channel": (3, 7, 1),
    "more channels than a tile": (2, 9, 41),
    "one of everything": (1, 1, 1),
    "rows that are joined": (5, 37, 6),
    "a tile is a part of a row": (70, 3, 41),
    "eight steps": (8, 5, 3),
    "four steps, twelve channels": (4, 7, 12),
    "sixteen steps": (16, 3, 5),
    "27 steps": (27, 2, 5),
}
"""Among them as many steps as a CUDA thread keeps of one channel and of four, and at most of one."""

RANGES = {"beta": (0.3, 0.9), "gamma": (0.2, 0.6), "a": (0.1, 0.3), "strength": (0.2, 0.8)}
"""Name of a value -> what it is drawn from."""


def layer(rng, real, rule, shape, normed):
    """Currents and parameters for which some neurons fire. A row is silent, and a potential equals its threshold where
    nothing is rounded before it: with a leaky rule and no normalisation."""
    steps, rows, channels = shape
    values = np.array([rng.uniform(*RANGES[name], channels) for name in rule.values])
    values[0][:1] = 0.5
    scaled = rule in (SCALED, SCALED_SYNAPTIC)
    gain = 1 - values[0] if scaled else np.ones(channels)
    case = SimpleNamespace(
        values=values.astype(real),
        theta=rng.uniform(0.8, 1.2, channels).astype(real),
        alpha=rng.uniform(0.6, 1.5, channels).astype(real),
        i=(rng.normal(0.3, 0.9, shape) / gain).astype(real),
        d=rng.normal(0, 0.05, (steps, channels)).astype(real),
        start=rng.normal(0, 0.3, (1 + len(rule.states), rows, channels)).astype(real),
        norm=None,
    )
    if normed:
        centre, offset = rng.normal(size=(2, channels)).astype(real)
        case.norm = Norm(centre, rng.uniform(0.5, 2, channels).astype(real), offset)
        case.i = ((case.i - offset) / case.norm.factor + centre).astype(real)
    if rows > TIED and steps:
        case.i[:, SILENT] = -9
        if rule in (LEAKY, SCALED) and not normed:
            case.i[0, TIED, 0] = case.theta[0] * real(2 if scaled else 1)  # gain 1/2: both products are exact
            case.d[0, 0] = 0
            case.start[:, TIED, 0] = 0
    return case


def clear_layer(rng, real, rule, shape, reset, family, relaxed, normed, carry):
    """A layer none of whose potentials is so close to its threshold that rounding decides, but for the exact tie.

    Currents of potentials that are too close are lowered. The layer also has its potentials u and spikes s.
    """
    tolerance, case = 1000 * np.finfo(real).eps, layer(rng, real, rule, shape, normed)
    while True:
        u, s = like(case.i), like(case.i)
        firing, carried = Firing(case.theta, case.alpha, family), case.start.copy() if carry else None
        reference.neuron_forward(
            *(rule, case.i, case.values, firing, Reset(reset), case.d, relaxed, u, s, None, carried, case.norm)
        )
        distance = np.abs(u.astype(np.float64) - case.theta)
        near = (distance <= tolerance) & (distance > 0)
        if relaxed or not near.any():
            case.u, case.s = u, s if relaxed else s.astype(np.uint8)
            return case
        case.i[near] -= real(0.0625)


# --- forward ----------------------------------------------------------------------------------------------------------

RULES = LEAKY, SCALED
FLAGS = {"rule": RULES, "reset": (0.0, -0.2, None), "real": (np.float32, np.float64)}
SPIKING = covering(FLAGS, (tuple(FLAGS), 3))
RELAXED = covering(FLAGS | {"family": FAMILIES}, (tuple(FLAGS), 2), (("family",), 1))
FORWARD = [case | {"store": True} for case in (*SPIKING, *({"relaxed": True} | case for case in RELAXED))]
"""Of the leaky neuron: with spikes, its flags meet in all combinations. In relaxed mode any two of them do, and there
is every family. Further options are those of the other cases."""

ON = {"store": True, "carry": True, "normed": True, "measure": True}
MIXED = {"store": True, "carry": False, "normed": True, "measure": False}
OTHER = {"store": False, "carry": True, "normed": False, "measure": True}
OFF = dict.fromkeys(ON, False)

OF_RULES = [
    # rule, reset, family, relaxed, detached, direct, values that are not learned, options
    (SYNAPTIC, 0.0, "triangle", False, False, True, (), ON),
    (SYNAPTIC, None, "arctan", True, True, False, ("beta", "alpha"), MIXED),
    (SCALED_SYNAPTIC, None, "gaussian", False, False, True, ("gamma",), OTHER),
    (SCALED_SYNAPTIC, "none", "arctan", True, False, False, ("theta",), OFF),
    (QUADRATIC, -0.2, "arctan", False, True, True, (), MIXED),
    (QUADRATIC, 0.0, "logistic", True, False, False, ("a", "theta", "alpha"), OTHER),
    (ADAPTING, None, "triangle", False, False, True, (), ON),
    (ADAPTING, 0.0, "arctan", True, True, False, ("gamma", "strength"), OFF),
    (LEAKY, "delayed", "triangle", False, False, True, (), ON),
    (SCALED_SYNAPTIC, "delayed", "arctan", True, False, False, ("gamma",), OTHER),
    (SYNAPTIC, "delayed", "gaussian", False, True, False, ("beta", "theta"), MIXED),
]
"""Every rule meets every option both ways, but for the kinds of reset, of which it meets two. The delayed reset, which
takes part in the gradient of beta, meets every option both ways."""


def text(options):
    """The name of a case."""
    words = [
        name if one is True else str(getattr(one, "name", one)) for name, one in options.items() if one is not False
    ]
    return ", ".join(word for word in words if word != "()" and "class" not in word)


def of_rules(*names):
    """Cases of OF_RULES by name, with the options of these names, in float64 and some in float32."""
    found = {}
    for number, (rule, reset, family, relaxed, detached, direct, skip, options) in enumerate(OF_RULES):
        everything = options | {
            "rule": rule,
            "reset": reset,
            "family": family,
            "relaxed": relaxed,
            "detached": detached,
            "direct": direct,
            "skip": skip,
            "ended": False,
            "in_place": False,
        }
        for real in (np.float64, *((np.float32,) if number in (2, 6, 8) else ())):
            case = {"real": real} | {name: everything[name] for name in names}
            found[f"{text(case)} {real.__name__}"] = (case,)
    return found


def reals_of(case):
    """Every case of a neuron is a kernel to compile, so it has a float type of its own."""
    return case[0].get("real", np.float32), *case[0].get("also", ())


def plain(**options):
    """Cases of the leaky neuron with spikes, of every shape."""
    return {name: (options | {"also": (np.float64,)}, shape) for name, shape in SHAPES.items()}


def slow(case, real):
    return case in ("rows that are joined", "a tile is a part of a row", "27 steps")


def of_leaky(a, u, s):
    """What `neurons.forward_bound` and `neurons.backward_bound` need to know of a leaky neuron."""
    firing = a["firing"]
    return SimpleNamespace(i=a["i"], beta=a["values"][0], theta=firing.theta, alpha=firing.alpha, d=a["d"], u=u, s=s)


def forward_agrees(a, got, want):
    """Bounds of the leaky neuron are derived line by line; else numbers are of order 1."""
    eps = 100 * float(np.finfo(a["i"].dtype).eps)
    close(a, got, want, eps)
    if a["rule"] in RULES and a["norm"] is None and a["carried"] is None and a["u"] is not None and a["i"].size:
        flags = a["reset"].value, a["rule"] is SCALED, a["firing"].family if a["relaxed"] else None
        case = of_leaky(a, want["u"], want["s"])
        error_u, error_s = forward_bound(case, *flags, want["u"], want["s"])
        within(got["u"], want["u"], error_u)
        within(got["s"], want["s"], error_s)
        if want["u"].shape == SHAPE and not a["relaxed"]:
            assert_bites(want["u"], want["s"], a["firing"].theta)


DEFAULT = {"family": "triangle", "reset": 0.0, "rule": LEAKY, "relaxed": False}


def shared(rng, real, options, shape):
    """Options with their defaults, the layer that they name, and the arguments of both passes."""
    o = SimpleNamespace(**dict.fromkeys(("store", "carry", "measure", "normed", "direct"), False) | DEFAULT | options)
    case = clear_layer(rng, real, o.rule, shape, o.reset, o.family, o.relaxed, o.normed, o.carry)
    reach = 1.0 if o.family == "triangle" else 0.5
    firing = Firing(case.theta, case.alpha, o.family, reach)
    return (
        o,
        case,
        {"rule": o.rule, "i": case.i, "values": case.values, "firing": firing, "d": case.d, "norm": case.norm},
    )


@entry(
    cases={f"{text(case)} {case['real'].__name__}": (case,) for case in FORWARD}
    | of_rules("rule", "reset", "family", "relaxed", *ON)
    | plain(store=True, normed=True)
    | {f"{name}, measured": case for name, case in plain(store=True, normed=True, measure=True).items()},
    large=(({"store": True, "normed": True, "measure": True}, (2, 6000, 17)),),
    writes=("u", "s", "states", "moments", "visible"),
    updates="carried",
    compare=forward_agrees,
    reals=reals_of,
    relaxed=True,
    slow=lambda case, real: slow(case.removesuffix(", measured"), real) or (case in SHAPES and real == np.float64),
)
def neuron_forward(rng, real, options, shape=SHAPE):
    o, case, given = shared(rng, real, options, shape)
    steps, _, channels = shape
    return {
        **given,
        "reset": Reset(o.reset),
        "relaxed": o.relaxed,
        "u": like(case.i) if o.store else None,
        "s": like(case.i) if o.relaxed else unset(np.uint8, *shape),
        "states": unset(real, len(o.rule.states), *shape) if o.store and o.rule.states else None,
        "carried": case.start.copy() if o.carry else None,
        "moments": Moments(*(unset(real, steps, channels) for _ in range(2))) if o.measure else None,
        "visible": unset(np.uint8, *shape) if o.measure else None,
    }


# --- backward ---------------------------------------------------------------------------------------------------------

SIX = "rule", "reset", "detached", "beta", "direct", "real"

BACKWARD = covering(
    {
        "rule": RULES,
        "reset": (0.0, -0.2, None),
        "detached": (False, True),
        "beta": (True, False),
        "direct": (False, True),
        "real": (np.float32, np.float64),
        "family": FAMILIES,
        "relaxed": (False, True),
        "in_place": (False, True),
        "others": (True, False),
        "ended": (False, True),
    },
    (SIX, 3),
    (("family", "real"), 2),
    (("family", "relaxed"), 2),
    ((*SIX[1:3], *SIX[4:], "relaxed", "in_place", "others", "ended"), 2),
)
"""Of the leaky neuron: any three of its six flags meet in all combinations; every family with both float types, on
spikes and relaxed; and any two of the options that its derived bounds hold for."""


def backward_cases():
    for case in BACKWARD:
        beta, others = case.pop("beta"), case.pop("others")
        skip = (() if beta else ("beta",)) + (() if others else ("theta", "alpha"))
        yield f"{text(case | {'fixed': skip})} {case['real'].__name__}", (case | {"skip": skip},)


def backward_agrees(a, got, want):
    """Bounds of the leaky neuron are derived line by line; else numbers are of order 1, or sums of such numbers."""
    real, (steps, rows, _) = a["i"].dtype, a["i"].shape
    eps, terms = 1000 * float(np.finfo(real).eps), steps * rows
    largest = max(1, np.abs(want["di"]).max(initial=0))
    sums = {name: terms for name in want if name.startswith(("wanted", "dnorm"))}
    for name, array in want.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape, name
        within(got[name], array, eps * largest * sums.get(name, 1))
    direct, reset = a["direct"], a["reset"]
    if a["rule"] in RULES and a["norm"] is None and a["start"] is None and a["i"].size and reset.value != "delayed":
        firing = a["firing"]
        u, s = like(a["i"]), like(a["s"])
        reference.neuron_forward(
            a["rule"], a["i"], a["values"], firing, Reset(reset.value), a["d"], s.dtype == real, u, s
        )
        flags = reset.value, reset.detached, a["rule"] is SCALED, firing.family, direct
        bound = backward_bound(of_leaky(a, u, s), a["ds"], u, s, *flags)
        names = {"di": "di", "wanted.values.0": "dbeta", "wanted.theta": "dtheta", "wanted.alpha": "dalpha"}
        for name, array in want.items():
            allowed = bound[names[name]]
            if real == np.float64:
                allowed = np.minimum(allowed, PROMISE * max(1, np.abs(array).max()))
            within(got[name], array, allowed)


def of_neuron(a, results):
    """The loss reads spikes and potentials of the relaxed neuron, which has smooth surrogates only."""
    firing, start, direct = a["firing"], a["start"], a["direct"]
    if a["s"].dtype != np.float64 or firing.family not in ("arctan", "logistic", "gaussian") or a["reset"].detached:
        return
    x, (steps, rows, _) = a["i"], a["i"].shape
    acts = np.ones((steps, rows, 1))
    if direct is not None and direct.ends is not None:
        acts = (np.arange(steps)[:, None] < direct.ends)[:, :, None]

    def loss():
        u, s = np.empty_like(x), np.empty_like(x)
        carried = None if start is None else start.copy()
        reference.neuron_forward(
            *(a["rule"], x, a["values"], firing, a["reset"], a["d"], True, u, s, None, carried, a["norm"])
        )
        return (a["_ds"] * s + acts * loss_on(direct, u)).sum()

    if a["norm"] is None:
        yield results["di"], loss, x
    for number, value in enumerate(a["values"]):
        if f"wanted.values.{number}" in results:
            yield results[f"wanted.values.{number}"], loss, value
    for name, array in (("wanted.theta", firing.theta), ("wanted.alpha", firing.alpha)):
        if name in results:
            yield results[name], loss, array
    if start is not None:
        yield results["dstart"], loss, start[0]


@entry(
    cases=dict(backward_cases())
    | of_rules("rule", "reset", "family", "relaxed", "detached", "direct", "skip", "carry", "normed")
    | plain(normed=True)
    | {
        f"{rule.name}, 27 steps, {real.__name__}": (
            {"rule": rule, "reset": reset, "family": "arctan", "carry": True, "direct": True, "real": real},
            SHAPES["27 steps"],
        )
        for rule, reset, real in (
            (ADAPTING, 0.0, np.float32),
            (ADAPTING, 0.0, np.float64),
            (SYNAPTIC, "delayed", np.float64),
        )
    }
    | {
        "small, relaxed": (
            {"family": "arctan", "relaxed": True, "carry": True, "direct": True, "real": np.float64},
            (4, 3, 2),
        )
    },
    large=(({"normed": True}, (2, 6000, 17)),),
    writes=("wanted", "dnorm", "dstart"),
    updates="di",
    compare=backward_agrees,
    gradients=of_neuron,
    reals=reals_of,
    relaxed=True,
    slow=slow,
)
def neuron_backward(rng, real, options, shape=SHAPE):
    """A row ends at its first step, and one with the sequence."""
    defaults = {"detached": False, "skip": (), "in_place": False, "ended": False}
    o, case, given = shared(rng, real, defaults | options, shape)
    (steps, rows, channels), names = shape, o.rule.values
    ds, ends = normal(rng, real, *shape), None
    if o.ended:
        ends = rng.integers(1, steps + 1, rows)
        ends[:2] = (1, steps)[:rows]
    wanted = [None if name in o.skip else unset(real, channels) for name in (*names, "theta", "alpha")]
    return {
        **given,
        "ds": ds,
        "_ds": ds.copy(),
        "s": case.s,
        "reset": Reset(o.reset, o.detached),
        "direct": drawn_direct(rng, real, channels, ends) if o.direct else None,
        "di": ds if o.in_place else like(ds),
        "wanted": Wanted(tuple(wanted[:-2]), *wanted[-2:]),
        "start": case.start if o.carry else None,
        "dnorm": unset(real, 2, channels) if o.normed else None,
        "dstart": unset(real, rows, channels) if o.carry else None,
    }
