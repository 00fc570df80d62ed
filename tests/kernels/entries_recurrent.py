"""Entries of neurons with lateral weights, a synaptic current, an adapting threshold and a refractory time."""

import itertools
from types import SimpleNamespace

import numpy as np
from bounds import within
from direct import drawn_direct, loss_on
from registry import entry, like, normal, unset
from targets import reference

from numsnn.kernels.types import Extensions, Firing, Reset, Stored, Wanted

STEPS, ROWS, CHANNELS = 7, 5, 5
PARTS = list(itertools.product([False, True], repeat=4))  # lateral, synapse, adaptation, refractory
RESETS = [0.0, -0.2, None, "none"]
NAMES = "lateral", "synapse", "adaptation", "refractory"


def parity(number, mask):
    return bool((number & mask).bit_count() % 2)


def options():
    """Reset, relaxed mode, detaching, decay_input, carried state and the potential's own loss vary along with the parts
    (every kind of neuron is a kernel to compile: one of each, and every flag meets every part both ways). A delayed
    reset meets a synapse alone, lateral weights alone, and the three extensions that go with it."""
    for number, parts in enumerate(PARTS):
        found = {
            "parts": parts,
            "reset": RESETS[(number + number // 4) % 4],
            "relaxed": parity(number, 15),
            "detached": parity(number, 9),
            "scaled": parity(number, 6),
            "carried": parity(number, 12),
            "direct": parity(number, 5),
        }
        yield ", ".join(name for name, there in zip(NAMES, parts, strict=True) if there) or "no part", (found,)
    for number, parts in enumerate([(False, True, False), (True, False, False), (True, True, True)]):
        found = {"parts": (*parts, False), "reset": "delayed", "relaxed": number != 2, "detached": number == 0}
        yield f"delayed reset {number}", (found | {"scaled": number != 1, "carried": True, "direct": True},)
    yield "all parts, float32", ({"parts": (True,) * 4, "reset": None, "real": np.float32},)


CASES = dict(options())
ALL_PARTS = {"parts": (True,) * 4, "real": np.float32}
DEFAULT = dict.fromkeys(("relaxed", "detached", "scaled", "carried", "direct"), False) | {
    "reset": 0.0,
    "real": np.float64,
    "kept": True,
}


def layer(rng, real, options, shape):
    """Options, and the arguments of both passes, for a neuron whose first row is silent."""
    o = SimpleNamespace(**DEFAULT | options)
    lateral, synapse, adaptation, refractory = o.parts
    steps, rows, channels = shape

    def vector(low, high):
        return rng.uniform(low, high, channels).astype(real)

    i = rng.normal(0.5, 1.0, shape).astype(real)
    i[:, :1] = -5
    w = rng.normal(0, 0.3, (channels, channels)).astype(real) if lateral else None
    decays = (vector(0.5, 0.9), vector(0.2, 0.8)) if adaptation else (None, None)
    extensions = Extensions(w, vector(0.2, 0.6) if synapse else None, *decays, 2 if refractory else 0)
    start = None
    if o.carried:
        v, j, a = rng.normal(0, 0.5, (3, rows, channels))
        fired = rng.random((rows, channels)) < 0.2
        start = np.stack([v, j * synapse, np.abs(a) * adaptation, fired, extensions.refractory * fired]).astype(real)
    optional = unset(real, *shape) if synapse else None, unset(real, *shape) if adaptation else None
    s, held = unset(real if o.relaxed else np.uint8, *shape), unset(np.uint8, *shape) if refractory else None
    given = {
        "beta": vector(0.3, 0.9),
        "extensions": extensions,
        "firing": Firing(vector(0.6, 1.2), vector(0.5, 2), "arctan"),
        "reset": Reset(o.reset, o.detached),
        "d": rng.normal(0, 0.1, (steps, channels)).astype(real),
        "decay_input": o.scaled,
        "stored": Stored(unset(real, *shape), s, *optional, held) if o.kept else Stored(None, s),
    }
    return o, i, start, given


def agrees(a, got, want):
    """In float32 a potential sums at most STEPS (CHANNELS + 5) terms of size up to 10, and a gradient as many rows."""
    real = a["beta"].dtype
    if real == np.float64:
        bound = 1e-10
    else:
        bound = STEPS * (CHANNELS + 5) * 10 * np.finfo(real).eps * (1 if "i" in a else a["stored"].s.shape[1])
    for name, array in want.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape, name
        if array.dtype == np.uint8:
            np.testing.assert_array_equal(got[name], array, err_msg=name)
        else:
            within(got[name], array, bound * max(1, np.abs(array).max(initial=0)))


SIZES = {"one step": (1, 4, 5), "one row": (4, 1, 5), "one channel": (4, 5, 1), "one of everything": (1, 1, 1)}
SMALL = {name: ({"parts": (True, False, False, False), "carried": True}, shape) for name, shape in SIZES.items()}
SPIKES_ONLY = {
    "spikes alone are stored": ({"parts": (True,) * 4, "carried": True, "kept": False},),
    "spikes alone, no part": ({"parts": (False,) * 4, "reset": None, "kept": False},),
}


@entry(
    cases=CASES | SMALL | SPIKES_ONLY,
    large=((ALL_PARTS, (6, 70, 33)),),
    writes="stored",
    updates="carried",
    compare=agrees,
    reals=lambda case: (case[0].get("real", np.float64),),
    relaxed=True,
)
def recurrent_forward(rng, real, options, shape=(STEPS, ROWS, CHANNELS)):
    o, i, start, given = layer(rng, real, options, shape)
    return {"i": i, **given, "relaxed": o.relaxed, "carried": start}


def of_neuron(a, results):
    """The loss reads spikes and potentials of the relaxed neuron."""
    stored, extensions, direct, start = a["stored"], a["extensions"], a["direct"], a["start"]
    if stored.s.dtype != np.float64 or a["reset"].detached:
        return
    i, kept = a["_i"], [like(x) if x is not None else None for x in stored]

    def loss():
        carried = None if start is None else start.copy()
        names = "beta", "extensions", "firing", "reset", "d", "decay_input"
        reference.recurrent_forward(i, *(a[name] for name in names), True, Stored(*kept), carried)
        u, s = kept[:2]
        return (a["ds"] * s + loss_on(direct, u)).sum()

    yield results["di"], loss, i
    pairs = zip(("values.0", "values.1", "values.2", "values.3"), (a["beta"], *extensions[1:4]), strict=True)
    for name, array in (*pairs, ("theta", a["firing"].theta), ("alpha", a["firing"].alpha)):
        if f"wanted.{name}" in results:
            yield results[f"wanted.{name}"], loss, array
    if extensions.lateral is not None:
        yield results["dlateral"], loss, extensions.lateral


@entry(
    cases=CASES | SMALL,
    large=((ALL_PARTS, (6, 70, 33)),),
    writes=("di", "dlateral", "wanted", "dstart"),
    compare=agrees,
    gradients=of_neuron,
    reals=lambda case: (case[0].get("real", np.float64),),
    relaxed=True,
)
def recurrent_backward(rng, real, options, shape=(STEPS, ROWS, CHANNELS)):
    o, i, start, given = layer(rng, real, options, shape)
    carried = None if start is None else start.copy()
    reference.recurrent_forward(i=i, **given, relaxed=o.relaxed, carried=carried)
    extensions, channels = given["extensions"], shape[2]
    lateral, *parts, _ = extensions
    wanted = [None if x is None else unset(real, channels) for x in (given["beta"], *parts)]
    return {
        **given,
        "_i": i,
        "ds": normal(rng, real, *shape),
        "direct": drawn_direct(rng, real, channels) if o.direct else None,
        "di": like(i),
        "dlateral": None if lateral is None else like(lateral),
        "wanted": Wanted(tuple(wanted), unset(real, channels), unset(real, channels)),
        "start": start,
        "dstart": None if start is None else unset(real, *shape[1:]),
    }
