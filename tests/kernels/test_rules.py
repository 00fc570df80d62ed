"""Neurons of every rule of the package and of two user-defined rules. The reference is compared with loops over scalars
and with differences, compiled kernels with the reference and with the kernels of neurons with extensions."""

from types import SimpleNamespace

import numpy as np
import pytest
from bounds import is_gradient
from naive import CDF
from outside_rules import ADAPTING, QUADRATIC
from targets import ALL, reference

from numsnn import machine_code
from numsnn.kernels.cpu import neuron as cpu_neuron
from numsnn.kernels.rules import LEAKY, SCALED_SYNAPTIC, SYNAPTIC, Rule
from numsnn.kernels.types import Direct, Extensions, Firing, Moments, Norm, Reset, Stored, Wanted

SHAPE = 9, 7, 8
"""Four channels go together in float32 on CUDA; segments of time are more than two."""

RULES = {rule.name: rule for rule in (SYNAPTIC, SCALED_SYNAPTIC, QUADRATIC, ADAPTING)}

RANGES = {"beta": (0.3, 0.9), "gamma": (0.2, 0.6), "a": (0.1, 0.3), "strength": (0.2, 0.8)}
"""Name of a value -> what it is drawn from."""


def draw(rule, real, seed=1, shape=SHAPE):
    """A layer of neurons, its input, and all that its kernels may be given."""
    rng = np.random.default_rng(seed)
    steps, rows, channels = shape
    drawn = [rng.uniform(*RANGES[name], channels) for name in rule.values]
    values = np.array(drawn, real).reshape(-1, channels)
    gain = 1 - values[0] if rule is SCALED_SYNAPTIC else 1
    case = SimpleNamespace(
        rule=rule,
        values=values,
        i=(rng.normal(0.2, 0.7, shape) / gain).astype(real),
        theta=rng.uniform(0.8, 1.2, channels).astype(real),
        alpha=rng.uniform(0.6, 1.5, channels).astype(real),
        d=rng.normal(0, 0.05, (steps, channels)).astype(real),
        start=rng.normal(0, 0.3, (1 + len(rule.states), rows, channels)).astype(real),
        norm=Norm(*(rng.uniform(*ends, channels).astype(real) for ends in ((-0.1, 0.1), (0.8, 1.2), (-0.1, 0.1)))),
        direct=Direct(*rng.normal(size=(3, channels)).astype(real)),
        ds=rng.normal(size=shape).astype(real),
    )
    case.i[:, 0] = -2  # a silent row
    return case


def forward(k, case, reset, family="arctan", *, relaxed=False, store=True, carry=False, norm=False, measure=False):
    """Everything that the forward pass leaves, by name."""
    shape, real = case.i.shape, case.i.dtype
    u, states = np.full(shape, np.nan, real), np.full((len(case.rule.states), *shape), np.nan, real)
    s, visible = np.full(shape, 7, real if relaxed else np.uint8), np.full(shape, 7, np.uint8)
    carried, moments = case.start.copy(), Moments(*np.full((2, shape[0], shape[2]), np.nan, real))
    share = k.neuron_forward(
        case.rule,
        case.i,
        case.values,
        Firing(case.theta, case.alpha, family, 0.5),
        Reset(reset),
        case.d,
        relaxed,
        u if store else None,
        s,
        states if store and len(states) else None,
        carried if carry else None,
        case.norm if norm else None,
        moments if measure else None,
        visible if measure else None,
    )
    found = {"s": s}
    if store:
        found |= {"u": u} | ({"states": states} if len(states) else {})
    if carry:
        found["carried"] = carried
    if measure:
        found |= {"mean": moments.mean, "var": moments.var, "visible": visible, "share": np.array(share)}
    return found


def backward(k, case, s, reset, family="arctan", *, detached=False, direct=False, carry=False, norm=False, skip=()):
    """Everything that the backward pass leaves, by name. skip: names of values that are not learned."""
    di, dnorm = np.full_like(case.i, np.nan), np.full((2, case.i.shape[2]), np.nan, case.i.dtype)
    dstart = np.full_like(case.i[0], np.nan)
    gradients = np.full((len(case.values) + 2, case.i.shape[2]), np.nan, case.i.dtype)
    names = (*case.rule.values, "theta", "alpha")
    wanted = [None if name in skip else gradient for name, gradient in zip(names, gradients, strict=True)]
    k.neuron_backward(
        case.rule,
        case.ds,
        case.i,
        s,
        case.values,
        Firing(case.theta, case.alpha, family),
        Reset(reset, detached),
        case.d,
        case.direct if direct else None,
        di,
        Wanted(tuple(wanted[:-2]), *wanted[-2:]),
        case.start if carry else None,
        case.norm if norm else None,
        dnorm if norm else None,
        dstart if carry else None,
    )
    found = {"di": di} | ({"dstart": dstart} if carry else {})
    found |= {name: gradient for name, gradient in zip(names, wanted, strict=True) if gradient is not None}
    return found | ({"dnorm": dnorm} if norm else {})


# --- the reference against loops over scalars and differences ---------------------------------------------------------


def charged(name, i, v, states, values):
    """What a neuron's potential is charged to, from the equations: docs/method.md, N1 and X4, and `outside_rules`."""
    if name in (SYNAPTIC.name, SCALED_SYNAPTIC.name):
        beta, gamma = values
        j = gamma * states[0] + i
        return beta * v + (j if name == SYNAPTIC.name else (1 - beta) * j), [j]
    if name == QUADRATIC.name:
        return v + values[0] * (v - 0.1) * (v - 0.7 if v > 0.1 else -0.6) + i, []
    j, w = values[0] * states[0] + i, 0.8 * states[1] + 0.2 * values[1] * v
    return 0.9 * v + j - w, [j, w]


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_reference_is_the_equations(name, relaxed):
    case = draw(RULES[name], np.float64)
    found = forward(reference, case, -0.2, relaxed=relaxed, carry=True)
    steps, rows, channels = SHAPE
    for m in range(rows):
        for c in range(channels):
            v, *states = map(float, case.start[:, m, c])
            for t in range(steps):
                u, states = charged(name, float(case.i[t, m, c]), v, states, case.values[:, c])
                u -= case.d[t, c]
                s = CDF["arctan"]((u - case.theta[c]) / case.alpha[c]) if relaxed else float(u >= case.theta[c])
                v = u - s * (u + 0.2)
                got = found["u"][t, m, c], found["s"][t, m, c], *(x[t, m, c] for x in found.get("states", ()))
                np.testing.assert_allclose(got, (u, s, *states), rtol=0, atol=1e-13)
            np.testing.assert_allclose(found["carried"][:, m, c], (v, *states), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "reset"), [*((name, 0.0) for name in RULES), (SYNAPTIC.name, "delayed"), (SCALED_SYNAPTIC.name, "delayed")]
)
def test_gradients_of_the_relaxed_neuron(name, reset):
    """The loss reads spikes and potentials; the gradients are those by currents, values, threshold and width, and by
    the potential that the pass starts from."""
    case = draw(RULES[name], np.float64, shape=(4, 3, 2))

    def loss():
        found = forward(reference, case, reset, relaxed=True, carry=True)
        u = found["u"]
        centre, offset, slope, _ = case.direct
        return (case.ds * found["s"] + offset * u + slope * np.square(u - centre) / 2).sum()

    s = forward(reference, case, reset, relaxed=True, carry=True)["s"]
    got = backward(reference, case, s, reset, direct=True, carry=True)
    is_gradient(got["di"], loss, case.i)
    is_gradient(got["dstart"], loss, case.start[0])
    is_gradient(got["theta"], loss, case.theta)
    is_gradient(got["alpha"], loss, case.alpha)
    for n, value in enumerate(case.rule.values):
        is_gradient(got[value], loss, case.values[n])


# --- compiled kernels against the reference ---------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize(("rule", "scaled"), [(SYNAPTIC, False), (SCALED_SYNAPTIC, True)])
def test_neurons_with_a_synapse_are_those_of_the_extended_kernels(k, rule, scaled):
    case, real = draw(rule, np.float64, seed=5), np.float64
    found = forward(k, case, None, carry=True, store=True)
    u, j, di = np.full((3, *SHAPE), np.nan, real)
    s, carried = np.full(SHAPE, 7, np.uint8), np.zeros((5, *SHAPE[1:]))
    carried[:2] = case.start
    start = carried.copy()
    beta, gamma = case.values
    shared = beta, Extensions(gamma=gamma), Firing(case.theta, case.alpha, "arctan"), Reset(None), case.d, scaled
    k.recurrent_forward(case.i, *shared, False, Stored(u, s, j), carried)
    assert 0.05 < s.mean() < 0.6
    np.testing.assert_array_equal(found["s"], s)
    for got, want in ((found["u"], u), (found["states"][0], j), (found["carried"], carried[:2])):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)
    gradients = dict(zip(("beta", "gamma", "theta", "alpha"), np.full((4, SHAPE[2]), np.nan), strict=True))
    wanted = Wanted((gradients["beta"], gradients["gamma"], None, None), gradients["theta"], gradients["alpha"])
    k.recurrent_backward(case.ds, Stored(u, s, j), *shared, case.direct, di, None, wanted, start)
    found = backward(k, case, s, None, direct=True, carry=True)
    for name, want in (gradients | {"di": di}).items():
        np.testing.assert_allclose(found[name], want, rtol=1e-11, atol=1e-11)


# --- rules that change ------------------------------------------------------------------------------------------------


def leaky_by(leak):
    """Rules of one name, of one text, and of different functions."""

    def step(i, v, states, values):
        return leak * v + i, states

    def step_back(du, dstates, i, v, states, values):
        return du, leak * du, dstates, ()

    return Rule("constant leak", (), (), step, step_back)


@ALL
def test_another_rule_of_the_same_name_is_another_neuron(k):
    """Rules that have no values, too."""
    leaky = draw(LEAKY, np.float64)
    for leak in (0.5, 0.75):
        leaky.values[...] = leak
        case = draw(leaky_by(leak), np.float64)
        case.i, case.theta, case.d, case.ds, case.alpha = leaky.i, leaky.theta, leaky.d, leaky.ds, leaky.alpha
        want, got = forward(k, leaky, 0.0), forward(k, case, 0.0)
        np.testing.assert_array_equal(got["s"], want["s"])
        np.testing.assert_allclose(got["u"], want["u"], rtol=0, atol=1e-13)
        want, got = backward(k, leaky, want["s"], 0.0), backward(k, case, want["s"], 0.0)
        np.testing.assert_allclose(got["di"], want["di"], rtol=0, atol=1e-12)


def test_machine_code_is_found_by_what_a_rule_computes():
    """The key on disk: equal for equal functions, made again as in another process; another for others."""

    def keys(rule):
        options = np.float64, None, "hard", False, False
        forward_kernel = cpu_neuron._forward_kernel(rule, *options)
        learned = (*(True for _ in rule.values), True, True)
        options = np.float64, cpu_neuron.eq.DENSITY["triangle"], "hard", True, False, learned, False, False
        return [machine_code.digest(x.py_func) for x in (forward_kernel, cpu_neuron._backward_kernel(rule, *options))]

    assert keys(leaky_by(0.5)) == keys(leaky_by(0.5))
    assert not set(keys(leaky_by(0.5))) & set(keys(leaky_by(0.75)))
