"""Calls of every CUDA kernel function with all arguments that lead to different kernels, for `compile_ptx.py`."""

from itertools import product

import dry_run
import numpy as np
import twins
from neurons import FAMILIES
from outside_rules import ADAPTING
from own_neurons import KLIF, QIF
from registry import drawn, filled, leaves, normal, spikes
from twins import twin

from numsnn.kernels.cuda import neuron
from numsnn.kernels.cuda.ways import library
from numsnn.kernels.rules import LEAKY, SCALED, SCALED_SYNAPTIC, SYNAPTIC
from numsnn.kernels.types import Direct, Extensions, Firing, Geometry, Moments, Norm, Reset, Stored, Wanted

REAL, REGISTRY = np.float32, filled()

MISSING = []
"""Functions that were called and that the device does not have."""

PRODUCTS = (
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "linear_backward_input",
    "linear_backward_weight",
    "linear_forward",
)
"""Functions that use NVIDIA's library if it is installed."""

NEURONS = "neuron_backward", "neuron_forward", "neuron_reset", "recurrent_backward", "recurrent_forward"
"""Functions that are called in more ways than their samples."""

HOST_ONLY = "active_inputs", "lacks", "visible_limit", "feed"
"""Functions that start no kernel."""

RESETS = 0.0, None, "none"

SOME_FAMILIES = FAMILIES[::4]
"""Families for kernels other than the backward pass of a plain neuron, which is compiled with all of them."""

NARROW, WIDE = (3, 70, 17), (3, 40, 32)
"""Shapes of currents ``[T, M, C]``, with a number of channels that is not a multiple of 4, and with one that is."""

LONGER = (10, 70, 17), (16, 70, 17), (9, 40, 32)
"""Shapes for which the backward pass keeps another number of steps in registers, or computes segments of time."""


def everything():
    """Make all calls."""
    twins.WATCHED = False
    neuron.LEAST_WIDE = 1  # threads compute four channels at a time for small arrays, too
    library.multiply = lambda *arguments, **named: None
    library.available = lambda: False
    for name in sorted(REGISTRY.keys() - {*NEURONS, *HOST_ONLY}):
        _as(name, samples(name))
    for name in NEURONS:
        _as(name, samples(name, ()))
    for name, work in (
        ("conv2d_forward", large_products),
        ("conv2d_backward_input", dilated_gradients),
        ("neuron_forward", neuron_forwards),
        ("neuron_backward", neuron_backwards),
        ("neuron_reset", neuron_resets),
        ("recurrent_forward", recurrent_forwards),
        ("recurrent_backward", recurrent_backwards),
    ):
        _as(name, work)
    library.available = lambda: True
    for name in PRODUCTS:
        _as(name, samples(name))
    _as("conv2d_backward_input", dilated_gradients)


def samples(name, cases=None):
    """Call a function with these samples in float32, or with all of them, and with the large ones."""
    entry = REGISTRY[name]

    def work(k, rng):
        for case in (*(entry.cases.values() if cases is None else cases), *entry.large):
            arguments = entry.sample(case, REAL)
            arrays = (one for name, value in arguments.items() for _, one in leaves(value, name))
            if not any(one is np.float64 or getattr(one, "dtype", REAL) == np.float64 for one in arrays):
                entry.results(k, arguments)

    return work


def empty(*shape):
    return np.full(shape, np.nan, REAL)


def _as(name, work):
    """Do the work and record the kernels that it starts under this name."""
    if not hasattr(twin, name):
        MISSING.extend([name] if name not in MISSING else [])
        return
    dry_run.CALLERS.append(name)
    work(twin, np.random.default_rng(0))
    dry_run.CALLERS.pop()


def one_by_one(count):
    """Return combinations of flags: none set, all set, and each one set alone."""
    yield from ((False,) * count, (True,) * count)
    yield from (tuple(k == on for k in range(count)) for on in range(count))


def vectors(rng, count, channels):
    return rng.uniform(0.3, 0.9, (count, channels)).astype(REAL)


def large_products(k, rng):
    """Call products that are large enough to fill a device, so that larger tiles are used."""
    w, y = normal(rng, REAL, 3, 3, 64, 64), empty(32, 32, 32, 64)
    geometry = Geometry((1, 1), (1, 1))
    for kind in (REAL, np.uint8):
        x = drawn(rng, kind, *y.shape)
        for bias in (None, normal(rng, REAL, 64)):
            k.conv2d_forward(x, w, bias, geometry, y)
        k.conv2d_backward_weight(x, y, geometry, empty(*w.shape))
    k.conv2d_backward_input(y, w, geometry, empty(*y.shape))


def dilated_gradients(k, rng):
    """Call the input gradient of dilated filters, in one group and in many."""
    for groups in (1, 16):
        geometry = Geometry((1, 1), (2, 2), groups, (2, 2))
        for kind in (REAL, np.uint8):
            dy, w = drawn(rng, kind, 2, 9, 9, 16), normal(rng, REAL, 3, 3, 16 // groups, 16)
            k.conv2d_backward_input(dy, w, geometry, empty(2, 9, 9, 16))


# --- neurons that follow a rule ---------------------------------------------------------------------------------------


def kinds(count, families):
    """shape, surrogate, reset, and flags: every family that is given and every reset with all parts that a neuron may
    have, each part alone; fewer where access is narrow."""
    for flags in one_by_one(count):
        yield WIDE, families[0], 0.0, flags
    for surrogate in families:
        yield WIDE, surrogate, 0.0, (True,) * count
    for reset in (*RESETS, "delayed"):
        yield WIDE, families[0], reset, (True,) * count
    for surrogate, on in product((families[0], families[-1]), (False, True)):
        yield NARROW, surrogate, 0.0, (on,) * count
    yield NARROW, families[0], None, (True,) * count


def rules_of(kinds):
    """rule and kind: the leaky neuron in every kind, with its input scaled or not by the first flag; the other rules
    with all parts where access is wide and with none where it is narrow; and for sequences of other lengths the leaky
    neuron and one with two states."""
    for shape, surrogate, reset, flags in kinds:
        yield SCALED if flags[0] else LEAKY, shape, surrogate, reset, flags[1:]
    parts, surrogate = len(flags) - 1, kinds[0][1]
    own = QIF().rule(), KLIF().rule()
    for rule in (SYNAPTIC, SCALED_SYNAPTIC, ADAPTING, *own):
        yield rule, NARROW, surrogate, 0.0, (False,) * parts
        yield rule, WIDE, surrogate, None, (True,) * parts
    for rule, shape in product((LEAKY, ADAPTING), LONGER):
        yield rule, shape, surrogate, 0.0, (True,) * parts


def neuron_forwards(k, rng):
    """Flags: scaled, norm, u and states, carried, moments, visible."""
    for rule, shape, surrogate, reset, flags in rules_of([*kinds(6, (None, *SOME_FAMILIES))]):
        normed, store, carry, measure, see = flags
        steps, rows, channels = shape
        theta, alpha, *norm = vectors(rng, 5, channels)
        k.neuron_forward(
            rule,
            normal(rng, REAL, *shape),
            vectors(rng, len(rule.values), channels),
            Firing(theta, alpha, surrogate or "triangle", 1.0),
            Reset(reset),
            normal(rng, REAL, steps, channels),
            surrogate is not None,
            empty(*shape) if store else None,
            np.zeros(shape, np.uint8 if surrogate is None else REAL),
            empty(len(rule.states), *shape) if store and rule.states else None,
            normal(rng, REAL, 1 + len(rule.states), rows, channels) if carry else None,
            Norm(*norm) if normed else None,
            Moments(*empty(2, steps, channels)) if measure else None,
            np.zeros(shape, np.uint8) if see else None,
        )


def ends(rng, shape):
    """Return for every row the step at which its sequence ends."""
    steps, rows, _ = shape
    return rng.integers(1, steps + 1, rows)


def neuron_backwards(k, rng):
    """Flags: scaled, attached, learn values, theta, alpha, direct, ended, start, norm, in place, spikes as
    numbers."""
    detached = [(WIDE, "triangle", reset, (True, False, *(True,) * 9)) for reset in RESETS]
    for rule, shape, surrogate, reset, flags in rules_of([*kinds(11, FAMILIES), *detached]):
        attached, learn, *learned, direct, ended, carry, normed, in_place, numbers = flags
        steps, rows, channels = shape
        theta, alpha, *norm = vectors(rng, 5, channels)
        ds = normal(rng, REAL, *shape)
        k.neuron_backward(
            rule,
            ds,
            normal(rng, REAL, *shape),
            np.zeros(shape, REAL if numbers else np.uint8),
            vectors(rng, len(rule.values), channels),
            Firing(theta, alpha, surrogate),
            Reset(reset, not attached),
            normal(rng, REAL, steps, channels),
            Direct(*vectors(rng, 3, channels), ends(rng, shape) if ended else None) if direct else None,
            ds if in_place else empty(*shape),
            Wanted(
                tuple(empty(channels) if learn else None for _ in rule.values),
                *(empty(channels) if one else None for one in learned),
            ),
            normal(rng, REAL, 1 + len(rule.states), rows, channels) if carry else None,
            Norm(*norm) if normed else None,
            empty(2, channels) if normed else None,
            empty(rows, channels) if carry else None,
        )


def neuron_resets(k, rng):
    for shape, reset in product((NARROW, WIDE), RESETS):
        k.neuron_reset(
            normal(rng, REAL, *shape), spikes(rng, *shape), vectors(rng, 1, shape[2])[0], Reset(reset), empty(*shape)
        )


# --- neurons with further memory --------------------------------------------------------------------------------------


def recurrent_arguments(rng, shape, flags, spikes_type):
    """Leak, extensions, threshold and width, correction; what is stored; what the pass is carried on from."""
    lateral, synapse, adaptation, refractory, _, carry = flags
    steps, rows, channels = shape
    beta, gamma, rho, kappa, theta, alpha = vectors(rng, 6, channels)
    extensions = Extensions(
        normal(rng, REAL, channels, channels) if lateral else None,
        gamma if synapse else None,
        *((rho, kappa) if adaptation else (None, None)),
        2 * refractory,
    )
    stored = Stored(
        empty(*shape),
        np.zeros(shape, spikes_type),
        empty(*shape) if synapse else None,
        empty(*shape) if adaptation else None,
        np.zeros(shape, np.uint8) if refractory else None,
    )
    carried = normal(rng, REAL, 5, rows, channels) if carry else None
    return beta, extensions, theta, alpha, normal(rng, REAL, steps, channels), stored, carried


def recurrent_forwards(k, rng):
    """Flags: lateral weights, synapse, adaptation, refractory, decay_input, carried."""
    for shape, surrogate, reset, flags in kinds(6, (None, *SOME_FAMILIES)):
        spikes_type = np.uint8 if surrogate is None else REAL
        beta, extensions, theta, alpha, d, stored, carried = recurrent_arguments(rng, shape, flags, spikes_type)
        firing, relaxed = Firing(theta, alpha, surrogate or "triangle"), surrogate is not None
        k.recurrent_forward(
            normal(rng, REAL, *shape), beta, extensions, firing, Reset(reset), d, flags[4], relaxed, stored, carried
        )


def recurrent_backwards(k, rng):
    """Flags: as forward; attached, direct, ended, spikes as numbers."""
    detached = [(WIDE, "triangle", reset, (*(True,) * 6, False, True, True, True)) for reset in RESETS]
    for shape, surrogate, reset, flags in [*kinds(10, SOME_FAMILIES), *detached]:
        *parts, attached, direct, ended, numbers = flags
        spikes_type = REAL if numbers else np.uint8
        beta, extensions, theta, alpha, d, stored, carried = recurrent_arguments(rng, shape, parts, spikes_type)
        lateral, gamma, rho, kappa, _ = extensions
        k.recurrent_backward(
            normal(rng, REAL, *shape),
            stored,
            beta,
            extensions,
            Firing(theta, alpha, surrogate),
            Reset(reset, not attached),
            d,
            parts[4],
            Direct(*vectors(rng, 3, shape[2]), ends(rng, shape) if ended else None) if direct else None,
            empty(*shape),
            None if lateral is None else empty(*lateral.shape),
            Wanted(
                tuple(None if x is None else empty(*x.shape) for x in (beta, gamma, rho, kappa)),
                *empty(2, shape[2]),
            ),
            carried,
            empty(*shape[1:]) if carried is not None else None,
        )
