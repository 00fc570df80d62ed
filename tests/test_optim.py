"""Optimisers: rates and decays per parameter, bounds, clipping, and continuing from a saved state."""

import copy
import json
import math
import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest

import numsnn as snn
from numsnn.kernels import for_device
from numsnn.layers import Parameter
from numsnn.layers.parameter import GROUPS
from numsnn.optim import AHEAD, SGD, Adam, AdamW, Optimizer, clip_global_norm, global_norm

reference = for_device("reference")

OPTIMISERS = {
    "plain SGD": lambda **options: SGD(0.1, momentum=0.0, **options),
    "SGD": lambda **options: SGD(0.1, **options),
    "nesterov": lambda **options: SGD(0.1, nesterov=True, **options),
    "Adam": lambda **options: Adam(0.01, **options),
    "AdamW": lambda **options: AdamW(0.01, **options),
}


def parameters(dtype=np.float64):
    """One of every group, three numbers each, with gradients."""
    rng = np.random.default_rng(0)
    made = []
    for group in GROUPS:
        p = Parameter(group, rng.normal(0, 1, 3).astype(dtype), group)
        p.grad[...] = rng.normal(0, 1, 3)
        made.append((f"layer.{group}", p))
    return made


def values(made):
    return {name: p.value.copy() for name, p in made}


def steps(optimizer, made, n=1, factor=1.0, kernels=reference):
    """n updates with gradients that change from step to step."""
    for k in range(n):
        for j, (_, p) in enumerate(made):
            p.grad[...] = np.random.default_rng([optimizer.steps, j]).normal(0, 1, p.grad.shape)
        optimizer.step(kernels, made, factor * (1 - 0.1 * k))


def of(group, lr=None):
    return SimpleNamespace(group=group, lr=lr)


# --- rates and decays -----------------------------------------------------------------------------------------------


def test_rate_is_the_group_s_or_the_parameter_s_or_the_optimiser_s():
    optimizer = SGD(0.1, groups={"width": {"lr": 0.7}, "bias": {"weight_decay": 0.3}})
    assert optimizer.rate_of("layer.p", of("weight")) == 0.1
    assert optimizer.rate_of("layer.p", of("bias")) == 0.1
    assert optimizer.rate_of("layer.p", of("threshold", lr=0.02)) == 0.02
    assert optimizer.rate_of("layer.p", of("width", lr=0.02)) == 0.7


def test_decay_acts_on_weights_alone_unless_a_group_says_otherwise():
    plain = SGD(0.1, weight_decay=0.5)
    assert {group: plain.decay_of("layer.p", of(group)) for group in GROUPS} == dict.fromkeys(GROUPS, 0.0) | {
        "weight": 0.5
    }
    optimizer = SGD(0.1, weight_decay=0.5, groups={"bias": {"weight_decay": 0.3}, "weight": {"weight_decay": 0}})
    assert optimizer.decay_of("layer.p", of("bias")) == 0.3
    assert optimizer.decay_of("layer.p", of("weight")) == 0


def test_groups_by_name():
    """The name of a parameter comes before that of its layer, that of a layer inside before the outer one, and all
    before the kind. What the longest name does not say, a shorter one or the kind says."""
    groups = {
        "weight": {"lr": 1.0, "weight_decay": 0.1},
        "block": {"lr": 2.0},
        "block.conv1": {"lr": 3.0, "weight_decay": 0.3},
        "block.conv1.weight": {"lr": 4.0},
    }
    optimizer = SGD(0.5, groups=groups)
    rates = {
        name: optimizer.rate_of(name, of(name.rpartition(".")[2]))
        for name in (
            "other.weight",
            "other.bias",
            "block.bias",
            "block.conv1.bias",
            "block.conv1.weight",
            "blocks.bias",
        )
    }
    assert list(rates.values()) == [1.0, 0.5, 2.0, 3.0, 4.0, 0.5]
    assert optimizer.decay_of("block.conv1.weight", of("weight")) == 0.3
    assert optimizer.decay_of("block.weight", of("weight")) == 0.1


def test_groups_to_which_nothing_belongs():
    names = ["conv1.weight", "block.lif1.log_width"]
    for group in ("weight", "conv1", "block", "block.lif1", "conv1.weight"):
        SGD(groups={group: {}}).check_groups(names)
    kinds = ", ".join(GROUPS)
    for group, hint in (("conv", "conv1"), ("weigth", "weight")):
        message = (
            f"SGD: group {group!r} is neither a kind of parameters ({kinds}) nor the name of a layer or parameter. "
            f"Did you mean {hint!r}?"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            SGD(groups={group: {}}).check_groups(names)


def test_a_loop_checks_its_groups():
    net = snn.Sequential(snn.Linear(2, 2))
    loop = snn.Loop(net, SGD(groups={"linaer1": {"lr": 0.1}}))
    loop.backward(loop.forward(np.ones((1, 1, 2), np.float32)))
    with pytest.raises(ValueError, match=r"^SGD: group 'linaer1' is neither .* Did you mean 'linear1'\?$"):
        loop.step()


@pytest.mark.parametrize("make", OPTIMISERS.values(), ids=OPTIMISERS)
def test_decay_pulls_weights_towards_zero(make):
    """The others move as they do without it."""
    decayed, free = parameters(), parameters()
    make(weight_decay=0.5).step(reference, decayed)
    make(weight_decay=0.0).step(reference, free)
    for (name, p), (_, q) in zip(decayed, free, strict=True):
        assert np.array_equal(p.value, q.value) == (name != "layer.weight")


@pytest.mark.parametrize("make", OPTIMISERS.values(), ids=OPTIMISERS)
def test_a_rate_of_zero_leaves_a_group_alone(make):
    made = parameters()
    before = values(made)
    optimizer = make(groups={"leak": {"lr": 0.0}})
    steps(optimizer, made, 3)
    for name, p in made:
        assert np.array_equal(p.value, before[name]) == (name == "layer.leak")


@pytest.mark.parametrize("make", OPTIMISERS.values(), ids=OPTIMISERS)
def test_first_step_is_proportional_to_the_rate(make):
    """A parameter's own rate, a group's and the schedule's factor are the same thing to it."""
    moved = []
    for factor, groups, own in ((3.0, None, None), (1.0, {"norm": {"lr": None}}, None), (1.0, None, True)):
        made = parameters()
        (p,) = (p for name, p in made if name == "layer.norm")
        lr = make().lr
        if groups:
            groups["norm"]["lr"] = 3 * lr
        p.lr = 3 * lr if own else None
        before = p.value.copy()
        make(groups=groups).step(reference, [("layer.norm", p)], factor)
        moved.append(p.value - before)
    np.testing.assert_allclose(moved[1], moved[0], rtol=1e-14)
    np.testing.assert_allclose(moved[2], moved[0], rtol=1e-14)
    assert np.abs(moved[0]).min() > 1e-3


def test_a_width_brings_its_own_rate():
    """Plain SGD moves every parameter by its rate times its gradient."""
    neurons = [snn.LIF(surrogate=snn.PSG(width=4.0, lr=rate)) for rate in (0.25, 0.5)]
    net = snn.Sequential(snn.Linear(3, 4), *neurons)
    net.to("reference", "float64").build((1, 1, 3))
    made = net.parameters()
    before = values(made)
    for _, p in made:
        p.grad[...] = 1
    SGD(0.125, momentum=0.0).step(reference, made)
    moved = {name: set((before[name] - p.value).ravel().round(12)) for name, p in made}
    assert moved == {
        "linear1.weight": {0.125},
        "linear1.bias": {0.125},
        "lif1.log_width": {0.25},
        "lif2.log_width": {0.5},
    }


# --- updates --------------------------------------------------------------------------------------------------------

CLOSE = 1e-13
"""A few dozen roundings, in float64, of numbers of order 1."""


def one(dtype=np.float64):
    return Parameter("weight", np.array([1.0, -2.0, 0.5], dtype), "weight")


def run_by_hand(update, n=4):
    """The values of one parameter after every of n updates of the numbers (value, gradient, step)."""
    value, seen = one().value.copy(), []
    for k in range(n):
        gradient = np.random.default_rng([k, 0]).normal(0, 1, 3)
        value = update(value, gradient, k + 1)
        seen.append(value)
    return seen


def run(optimizer, n=4):
    p, seen = one(), []
    for _ in range(n):
        steps(optimizer, [("layer.weight", p)])
        seen.append(p.value.copy())
    return seen


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(momentum, nesterov, decay):
    velocity = np.zeros(3)

    def update(value, gradient, step):
        gradient = gradient + decay * value
        velocity[...] = momentum * velocity + gradient
        return value - 0.1 * (gradient + momentum * velocity if nesterov else velocity)

    got = run(SGD(0.1, momentum=momentum, nesterov=nesterov, weight_decay=decay))
    np.testing.assert_allclose(got, run_by_hand(update), rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adam(kind, decay):
    first, second = np.zeros(3), np.zeros(3)

    def update(value, gradient, step):
        if kind is Adam:
            gradient = gradient + decay * value
        first[...] = 0.8 * first + 0.2 * gradient
        second[...] = 0.95 * second + 0.05 * gradient**2
        moved = 0.1 * (first / (1 - 0.8**step)) / (np.sqrt(second / (1 - 0.95**step)) + 1e-3)
        return (value - 0.1 * decay * value if kind is AdamW else value) - moved

    got = run(kind(0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=decay))
    np.testing.assert_allclose(got, run_by_hand(update), rtol=CLOSE, atol=CLOSE)


def test_nesterov_is_another_step_than_momentum():
    plain, nesterov = run(SGD(0.1)), run(SGD(0.1, nesterov=True))
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(plain, nesterov, strict=True))


@pytest.mark.parametrize("make", OPTIMISERS.values(), ids=OPTIMISERS)
def test_bounds_hold_after_every_update(make):
    made = parameters()
    for _, p in made:
        p.value[...] = 0.0
        p.bounds = (-0.01, 0.02)
    optimizer = make()
    reached = set()
    for _ in range(6):
        steps(optimizer, made)
        for _, p in made:
            assert ((p.value >= -0.01) & (p.value <= 0.02)).all()
            reached |= set(p.value) & {-0.01, 0.02}
    assert reached == {-0.01, 0.02}


def test_gradients_are_left_alone():
    made = parameters()
    before = [p.grad.copy() for _, p in made]
    for make in OPTIMISERS.values():
        make(weight_decay=0.1).step(reference, made)
    assert all(np.array_equal(p.grad, grad) for (_, p), grad in zip(made, before, strict=True))


# --- clipping -------------------------------------------------------------------------------------------------------


def with_gradients(*gradients):
    made = []
    for k, gradient in enumerate(gradients):
        p = Parameter(f"p{k}", np.zeros(np.shape(gradient)), "weight")
        p.grad[...] = gradient
        made.append((f"layer.p{k}", p))
    return made


def test_global_norm():
    assert global_norm(reference, with_gradients([3.0, 0.0], [[4.0]], [12.0])) == 13.0
    assert global_norm(reference, []) == 0.0


def test_clipping_scales_all_gradients_alike():
    made = with_gradients([3.0, 0.0], [[4.0]])
    assert clip_global_norm(reference, made, 2.5) == 5.0
    np.testing.assert_array_equal(made[0][1].grad, [1.5, 0.0])
    np.testing.assert_array_equal(made[1][1].grad, [[2.0]])
    assert global_norm(reference, made) == 2.5


@pytest.mark.parametrize("limit", [5.0, 100.0, None])
def test_clipping_leaves_small_gradients_alone(limit):
    made = with_gradients([3.0, 4.0])
    assert clip_global_norm(reference, made, limit) == 5.0
    np.testing.assert_array_equal(made[0][1].grad, [3.0, 4.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_clipping_leaves_gradients_that_are_not_finite_to_be_seen(bad):
    made = with_gradients([3.0, bad], [4.0])
    norm = clip_global_norm(reference, made, 1.0)
    assert not math.isfinite(norm)
    np.testing.assert_array_equal(made[0][1].grad, [3.0, bad])
    np.testing.assert_array_equal(made[1][1].grad, [4.0])


def test_norm_of_large_float32_gradients_does_not_overflow():
    p = Parameter("p", np.zeros(4, np.float32), "weight")
    p.grad[...] = 1e30
    assert global_norm(reference, [("layer.p", p)]) == pytest.approx(2e30, rel=1e-6)


# --- state ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("make", OPTIMISERS.values(), ids=OPTIMISERS)
def test_going_on_from_a_state_is_going_on(make, device):
    """Bit for bit, in float32; the state is a copy that later steps do not touch."""
    kernels = snn.kernels.for_device(device)
    made, optimizer = parameters(np.float32), make(weight_decay=0.01)
    steps(optimizer, made, 3, kernels=kernels)
    state = optimizer.state()
    copies = {key: array.copy() for key, array in state["arrays"].items()}
    other, resumed = parameters(np.float32), make(weight_decay=0.01)
    for (_, p), (_, q) in zip(other, made, strict=True):
        p.value[...] = q.value
    steps(optimizer, made, 3, kernels=kernels)
    assert all(np.array_equal(state["arrays"][key], array) for key, array in copies.items())

    resumed.load_state(state)
    assert resumed.steps == 3
    steps(resumed, other, 3, kernels=kernels)
    assert all(np.array_equal(p.value, q.value) for (_, p), (_, q) in zip(other, made, strict=True))
    assert all(np.array_equal(state["arrays"][key], array) for key, array in copies.items())
    after, want = resumed.state(), optimizer.state()
    assert after["steps"] == want["steps"] == 6
    assert after["arrays"].keys() == want["arrays"].keys()
    assert all(np.array_equal(after["arrays"][key], array) for key, array in want["arrays"].items())


def test_forgetting_the_state_is_seen():
    """What the test above relies on: without it the next step is another one."""
    for name in ("SGD", "Adam"):
        made, optimizer = parameters(), OPTIMISERS[name]()
        steps(optimizer, made, 3)
        before = values(made)
        steps(optimizer, made)
        forgetful = OPTIMISERS[name]()
        again = parameters()
        for p_name, p in again:
            p.value[...] = before[p_name]
        forgetful.steps = 3
        steps(forgetful, again)
        assert not any(np.array_equal(p.value, q.value) for (_, p), (_, q) in zip(made, again, strict=True))


def test_names_of_the_state():
    """One array a slot and parameter, in the parameter's dtype."""
    slots = {"plain SGD": set(), "SGD": {"velocity"}, "Adam": {"first", "second"}}
    for name, expected in slots.items():
        made, optimizer = parameters(np.float32)[:2], OPTIMISERS[name]()
        steps(optimizer, made)
        state = optimizer.state()
        assert state["steps"] == 1
        assert set(state["arrays"]) == {f"{p_name}/{slot}" for p_name, _ in made for slot in expected}
        assert all(array.dtype == np.float32 and array.shape == (3,) for array in state["arrays"].values())


# --- parameters that join late ---------------------------------------------------------------------------------------

JOINED = [0, 0, 1, 1, 1, 0, 1]
"""Whether the second and third parameter are updated in each step: they join, are frozen again, and come back."""


def with_late_ones(optimizer, kernels, pattern, dtype=np.float64, made=None, at=0):
    """Make one update per entry of the pattern, of the first parameter and, if the entry is 1, of two more."""
    if made is None:
        made = parameters(dtype)[:3]
        for _, p in made:
            p.place(kernels.from_host(p.value, dtype), kernels.zeros((3,), dtype))
    for k, joined in enumerate(pattern, at):
        for j, (_, p) in enumerate(made):
            p.grad = np.random.default_rng([k, j]).normal(0, 1, 3)
        optimizer.step(kernels, made if joined else made[:1])
    return made


@pytest.mark.parametrize("device", ["reference", "cpu", "cuda"])
@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_a_parameter_that_joins_late_has_the_updates_of_adam_from_the_start(kind, device):
    """By hand: each parameter counts its own updates. The first one after three steps alone moves by its rate."""
    if device == "cuda":
        pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    kernels = for_device(device)
    options = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3}
    optimizer = kind(**options, groups={"layer": {"weight_decay": 0.3}})
    made = with_late_ones(optimizer, kernels, JOINED)
    got = {name: kernels.to_host(p.value) for name, p in made}
    for j, (name, p) in enumerate(parameters()[:3]):
        value, first, second, update = p.value.copy(), 0.0, 0.0, 0
        for k, joined in enumerate(JOINED):
            if j and not joined:
                continue
            update += 1
            g = np.random.default_rng([k, j]).normal(0, 1, 3)
            shrunk = value - 0.1 * 0.3 * value if kind is AdamW else value
            g = g if kind is AdamW else g + 0.3 * value
            first, second = 0.8 * first + 0.2 * g, 0.95 * second + 0.05 * g**2
            value = shrunk - 0.1 * (first / (1 - 0.8**update)) / (np.sqrt(second / (1 - 0.95**update)) + 1e-3)
        np.testing.assert_allclose(got[name], value, rtol=CLOSE, atol=CLOSE)
        assert optimizer.counts[name] == update
    assert optimizer.steps == len(JOINED) and list(optimizer.counts.values()) == [7, 4, 4]


def test_the_first_update_of_a_late_parameter_is_its_rate():
    made, optimizer = parameters()[:2], Adam(0.01)
    steps(optimizer, made[:1], 200)
    before = made[1][1].value.copy()
    steps(optimizer, made)
    np.testing.assert_allclose(np.abs(made[1][1].value - before), 0.01, rtol=1e-5)


def test_corrections_are_copied_again_in_time():
    """More updates than corrections are copied ahead, and new betas in between."""
    p, optimizer = one(), Adam(0.1, betas=(0.8, 0.95), eps=1e-3)
    value, first, second = p.value.copy(), 0.0, 0.0
    for k in range(2 * AHEAD + 3):
        beta = optimizer.betas = (0.7, 0.9) if k >= AHEAD + 5 else (0.8, 0.95)
        g = p.grad[...] = np.random.default_rng([k, 0]).normal(0, 1, 3)
        optimizer.step(reference, [("layer.weight", p)])
        first, second = beta[0] * first + (1 - beta[0]) * g, beta[1] * second + (1 - beta[1]) * g**2
        root = np.sqrt(second / (1 - beta[1] ** (k + 1)))
        value = value - 0.1 * first / (1 - beta[0] ** (k + 1)) / (root + 1e-3)
        np.testing.assert_allclose(p.value, value, rtol=1e-11, atol=1e-11)


def test_corrections_are_copied_rarely():
    """Once in many steps, also if parameters have different counts."""
    made, optimizer, copies = parameters()[:3], Adam(0.01), []
    kernels = SimpleNamespace(**{name: getattr(reference, name) for name in dir(reference)})
    kernels.from_host = lambda x, dtype: copies.append(np.shape(x)) or reference.from_host(x, dtype)
    steps(optimizer, made[:1], kernels=kernels)
    copies.clear()
    steps(optimizer, made, AHEAD, kernels=kernels)
    assert copies.count((AHEAD, 2, 3)) == 1 and len(copies) == 3  # also the ends of the segments and their settings
    steps(optimizer, made, kernels=kernels)
    assert copies.count((AHEAD, 2, 3)) == 2 and len(copies) == 4


@pytest.mark.parametrize("way", ["state", "deepcopy", "pickle"])
@pytest.mark.parametrize("at", range(1, len(JOINED)))
def test_going_on_with_parameters_that_joined_late(way, at):
    """Bit for bit, wherever the run is cut: while they are frozen, too."""
    optimizer, cpu = Adam(0.01), for_device("cpu")
    whole = with_late_ones(Adam(0.01), cpu, JOINED, np.float32)
    made = with_late_ones(optimizer, cpu, JOINED[:at], np.float32)
    if way == "state":
        other = Adam(0.01)
        state = optimizer.state()
        arrays = state.pop("arrays")
        other.load_state(json.loads(json.dumps(state)) | {"arrays": arrays})
    else:
        other = copy.deepcopy(optimizer) if way == "deepcopy" else pickle.loads(pickle.dumps(optimizer))
    counts = dict(optimizer.counts)
    with_late_ones(other, cpu, JOINED[at:], np.float32, made, at)
    assert all(np.array_equal(p.value, q.value) for (_, p), (_, q) in zip(made, whole, strict=True))
    assert optimizer.counts == counts and list(other.counts.values()) == [7, 4, 4]


def test_a_restored_optimiser_forgets_the_corrections_that_it_had():
    """The vectors of the parameters stay, and their counts are others."""
    made, optimizer = parameters()[:2], Adam(0.01)
    steps(optimizer, made, 3)
    optimizer.load_state({"steps": 9, "counts": {made[0][0]: 3}, "arrays": {}})
    before = made[1][1].value.copy()
    steps(optimizer, made)
    np.testing.assert_allclose(np.abs(made[1][1].value - before), 0.01, rtol=1e-5)
    assert optimizer.counts == {made[0][0]: 4, made[1][0]: 1}


@pytest.mark.parametrize("counts", [{}, {"counts": None}], ids=["missing", "none"])
def test_a_state_without_counts(counts):
    """As in older files: what has moments was updated in all steps, and anything else never."""
    optimizer = Adam(0.01)
    arrays = {f"block.conv1.weight/{slot}": np.ones(3) for slot in Adam.slots}
    optimizer.load_state({"steps": 5, "arrays": arrays, **counts})
    assert optimizer.counts == {"block.conv1.weight": 5}


@pytest.mark.parametrize("name", ["plain SGD", "SGD", "nesterov"])
def test_sgd_does_not_depend_on_the_counts(name):
    found = []
    for ahead in (0, 5):
        made, optimizer = parameters(), OPTIMISERS[name]()
        optimizer.counts = {made[0][0]: ahead}
        for k in range(3):
            for j, (_, p) in enumerate(made):
                p.grad[...] = np.random.default_rng([k, j]).normal(0, 1, 3)
            optimizer.step(reference, made)
        found.append(values(made))
    assert all(np.array_equal(value, found[1][key]) for key, value in found[0].items())


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(0.0), "SGD: lr must be positive; got 0.0"),
        (lambda: AdamW("fast"), "AdamW: lr must be a finite number; got 'fast'"),
        (lambda: Adam(math.nan), "Adam: lr must be a finite number; got nan"),
        (lambda: SGD(weight_decay=-0.1), "SGD: weight_decay must be at least 0; got -0.1"),
        (lambda: SGD(momentum=1.0), "SGD: momentum must lie in [0, 1); got 1.0"),
        (lambda: SGD(nesterov=1), "SGD: nesterov must be True or False; got 1"),
        (lambda: SGD(momentum=0, nesterov=True), "SGD: nesterov needs a momentum greater than 0; got 0"),
        (lambda: Adam(betas=(0.9, 1.0)), "Adam: betas must lie in [0, 1); got 1.0"),
        (lambda: AdamW(betas=(-0.1, 0.9)), "AdamW: betas must lie in [0, 1); got -0.1"),
        (lambda: Adam(eps=0), "Adam: eps must be positive; got 0"),
        (
            lambda: SGD(groups={"bias": {"momentum": 0.5}}),
            "SGD: group 'bias' takes no key 'momentum'; it takes lr, weight_decay",
        ),
        (lambda: SGD(groups={"bias": {"lr": -1}}), "SGD: lr of group 'bias' must be at least 0; got -1"),
        (
            lambda: SGD(groups={"bias": {"weight_decay": None}}),
            "SGD: weight_decay of group 'bias' must be a finite number; got None",
        ),
    ],
)
def test_settings_that_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize("betas", [(0.9,), (0.9, 0.99, 0.999), 0.9])
def test_betas_are_a_pair(betas):
    """Refused when it is made, not at the first step of training."""
    with pytest.raises(ValueError, match=r"^Adam: betas must be "):
        Adam(betas=betas)


def test_groups_are_not_shared_between_optimisers():
    first, second = SGD(), SGD()
    first.groups["bias"] = {"lr": 0.5}
    assert second.groups == {}


class UnwrittenOptimizer(Optimizer):
    """Writes nothing of what an optimiser has to write."""


def test_what_an_optimiser_has_to_write():
    with pytest.raises(TypeError, match=r"^UnwrittenOptimizer has no update\(kernels, flat, memory, "):
        UnwrittenOptimizer(0.1).step(reference, parameters())
