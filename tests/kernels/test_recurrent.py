"""Neurons with lateral weights, a synaptic current, an adapting threshold, a refractory time; the leaky integrator.

The reference is compared with plain loops over scalars, and the compiled kernels with the reference. Finite differences
on whole layers, in tests/layers, show that the backward passes compute the gradients.
"""

import itertools

import numpy as np
import pytest
from neurons import leaky_backward, leaky_forward
from targets import ALL, COMPILED, TWIN, cpu, reference

from numsnn.kernels.types import Direct, Extensions, Firing, Reset, Stored, Wanted

STEPS, ROWS, CHANNELS = 7, 19, 5
PARTS = list(itertools.product([False, True], repeat=4))  # lateral, synapse, adaptation, refractory
RESETS = [0.0, -0.2, None, "none"]
WITH_RESETS = [(parts, v_reset) for parts in PARTS for v_reset in RESETS]
DELAYED = [(parts, "delayed") for parts in PARTS if not parts[3]]
CUDA = pytest.param(*TWIN.values, None, marks=TWIN.marks, id="cuda-None")


def rows_for(k):
    """Rows for a target: of CUDA blocks, which take one each, a few are enough."""
    return 5 if k.name == "cuda" else ROWS


class Neuron:
    """One random neuron layer with the parts that are asked for, its input, and every array its kernels need."""

    def __init__(self, parts, seed, dtype=np.float64, carried=False, relaxed=None, rows=ROWS):
        lateral, synapse, adaptation, refractory = parts
        rng = np.random.default_rng(seed)
        self.shape = STEPS, rows, CHANNELS

        def vector(low, high):
            return rng.uniform(low, high, CHANNELS).astype(dtype)

        self.i = rng.normal(0.5, 1.0, self.shape).astype(dtype)
        self.i[:, 0] = -5  # a silent row
        self.w = rng.normal(0, 0.3, (CHANNELS, CHANNELS)).astype(dtype) if lateral else None
        self.beta, self.theta, self.alpha = vector(0.3, 0.9), vector(0.6, 1.2), vector(0.5, 2)
        self.gamma = vector(0.2, 0.6) if synapse else None
        self.rho, self.kappa = (vector(0.5, 0.9), vector(0.2, 0.8)) if adaptation else (None, None)
        self.d = rng.normal(0, 0.1, (STEPS, CHANNELS)).astype(dtype)
        self.refractory = 2 if refractory else 0
        self.relaxed = relaxed
        self.start = None
        if carried:
            v, j, a = rng.normal(0, 0.5, (3, rows, CHANNELS))
            fired = rng.random((rows, CHANNELS)) < 0.2
            rest = self.refractory * fired
            self.start = np.stack([v, j * synapse, np.abs(a) * adaptation, fired, rest]).astype(dtype)
        self.ds = rng.normal(size=self.shape).astype(dtype)
        self.dtype = dtype

    @property
    def extensions(self):
        return Extensions(self.w, self.gamma, self.rho, self.kappa, self.refractory)

    def forward(self, k, v_reset, decay_input):
        u, j, a = np.full((3, *self.shape), np.nan, self.dtype)
        s = np.zeros(self.shape, self.dtype if self.relaxed else np.uint8)
        held = np.zeros(self.shape, np.uint8)
        optional = (
            j if self.gamma is not None else None,
            a if self.kappa is not None else None,
            held if self.refractory else None,
        )
        carried = None if self.start is None else self.start.copy()
        k.recurrent_forward(
            self.i,
            self.beta,
            self.extensions,
            Firing(self.theta, self.alpha, self.relaxed or "arctan"),
            Reset(v_reset),
            self.d,
            decay_input,
            self.relaxed is not None,
            Stored(u, s, *optional),
            carried,
        )
        return u, s, *optional, carried

    def backward(self, k, stored, v_reset, detach, decay_input, direct):
        u, s, j, a, held, _ = stored
        di = np.full(self.shape, np.nan, self.dtype)
        dw = None if self.w is None else np.full_like(self.w, np.nan)
        dbeta, dgamma, drho, dkappa, dtheta, dalpha = np.full((6, CHANNELS), np.nan, self.dtype)
        optional = None if self.gamma is None else dgamma, *((None, None) if self.rho is None else (drho, dkappa))
        dstart = None if self.start is None else np.full(self.shape[1:], np.nan, self.dtype)
        k.recurrent_backward(
            self.ds,
            Stored(u, s, j, a, held),
            self.beta,
            self.extensions,
            Firing(self.theta, self.alpha, "arctan"),
            Reset(v_reset, detach),
            self.d,
            decay_input,
            Direct(self.theta, self.alpha, self.beta) if direct else None,
            di,
            dw,
            Wanted((dbeta, *optional), dtheta, dalpha),
            self.start,
            dstart,
        )
        return [x for x in (di, dw, dbeta, *optional, dtheta, dalpha, dstart) if x is not None]


def naive_spikes(neuron, v_reset, decay_input):
    """Potentials and spikes by loops over scalars, from the equations of docs/method.md, group X."""
    n = neuron
    u, s = np.zeros(n.shape), np.zeros(n.shape, np.uint8)
    for m in range(ROWS):
        state = np.zeros((5, CHANNELS)) if n.start is None else n.start[:, m].copy()
        v, j, a, fired, rest = state
        owed = np.zeros(CHANNELS)
        for t in range(STEPS):
            arriving = [n.i[t, m, c] for c in range(CHANNELS)]
            if n.w is not None:
                for c, k in itertools.product(range(CHANNELS), repeat=2):
                    arriving[c] += fired[k] * n.w[k, c]
            spikes = np.zeros(CHANNELS)
            for c in range(CHANNELS):
                j[c] = arriving[c] if n.gamma is None else n.gamma[c] * j[c] + arriving[c]
                theta = n.theta[c] if n.kappa is None else n.theta[c] + n.kappa[c] * a[c]
                if rest[c] > 0:
                    rest[c] -= 1
                else:
                    v[c] = n.beta[c] * v[c] + (1 - n.beta[c] if decay_input else 1) * j[c] - n.d[t, c] - owed[c]
                    spikes[c] = float(v[c] >= theta)
                    rest[c] = n.refractory * spikes[c]
                u[t, m, c], s[t, m, c] = v[c], spikes[c]
                owed[c] = theta * spikes[c] if v_reset == "delayed" else 0
                if spikes[c] and v_reset not in ("none", "delayed"):
                    v[c] = v[c] - theta if v_reset is None else v_reset
                if n.rho is not None:
                    a[c] = n.rho[c] * a[c] + (1 - n.rho[c]) * spikes[c]
            fired = spikes
    return u, s


@pytest.mark.parametrize(("parts", "v_reset"), WITH_RESETS + DELAYED)
def test_reference_is_what_the_equations_say(parts, v_reset):
    carried = sum(parts) % 2 == 0
    decay_input = parts[1] != parts[2]
    neuron = Neuron(parts, seed=1, carried=carried)
    u, s, *_ = neuron.forward(reference, v_reset, decay_input)
    expected_u, expected_s = naive_spikes(neuron, v_reset, decay_input)
    assert 0.02 < s.mean() < 0.6 and not s[:, 0, :].all()
    np.testing.assert_array_equal(s, expected_s)
    np.testing.assert_allclose(u, expected_u, rtol=0, atol=1e-13)


@COMPILED
def test_without_any_part_it_is_the_plain_neuron(k):
    neuron = Neuron((False,) * 4, seed=3)
    u, s, *_ = neuron.forward(k, 0.0, True)
    plain_u, plain_s = np.empty_like(u), np.empty_like(s)
    leaky_forward(k, neuron.i, neuron.beta, neuron.theta, neuron.d, 0.0, True, None, neuron.alpha, plain_u, plain_s)
    np.testing.assert_array_equal(s, plain_s)
    np.testing.assert_allclose(u, plain_u, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("k", "v_reset"), [*((reference, v_reset) for v_reset in RESETS), (cpu, None), CUDA])
@pytest.mark.parametrize("cut", [1, 3])
def test_two_passes_with_carried_state_are_one(k, v_reset, cut):
    neuron = Neuron((True, True, True, True), seed=4)
    whole = neuron.forward(k, v_reset, False)
    state = np.zeros((5, ROWS, CHANNELS))
    pieces = []
    for part in (slice(0, cut), slice(cut, STEPS)):
        piece = Neuron((True, True, True, True), seed=4)
        piece.i, piece.d, piece.start = piece.i[part], piece.d[part], state
        piece.shape = piece.i.shape
        pieces.append(piece.forward(k, v_reset, False))
        state = pieces[-1][-1]
    for number, name in enumerate(("u", "s", "j", "a", "held")):
        joined = np.concatenate([piece[number] for piece in pieces])
        np.testing.assert_array_equal(joined, whole[number], err_msg=name)


@ALL
@pytest.mark.parametrize("carried", [False, True])
def test_one_step_has_no_spikes_before_it_but_those_it_is_carried_on_from(k, carried):
    neuron = Neuron((True, False, False, False), seed=4, carried=carried, rows=rows_for(k))
    neuron.i, neuron.d, neuron.ds = neuron.i[:1], neuron.d[:1], neuron.ds[:1]
    neuron.shape = neuron.i.shape
    di, dw, *_ = neuron.backward(k, neuron.forward(k, 0.0, False), 0.0, False, False, False)
    want = neuron.start[3].T @ di[0] if carried else np.zeros_like(neuron.w)
    np.testing.assert_allclose(dw, want, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("k", "v_reset"), [*((reference, v_reset) for v_reset in RESETS), (cpu, 0.0), (cpu, "none"), CUDA]
)
def test_plain_neuron_carries_its_potential(k, v_reset):
    neuron = Neuron((False,) * 4, seed=5)
    values = neuron.beta, neuron.theta
    u, s = np.empty(neuron.shape), np.empty(neuron.shape, np.uint8)
    leaky_forward(k, neuron.i, *values, neuron.d, v_reset, False, None, neuron.alpha, u, s)
    state = np.zeros((ROWS, CHANNELS))
    for t in range(STEPS):
        one_u, one_s = np.empty((1, ROWS, CHANNELS)), np.empty((1, ROWS, CHANNELS), np.uint8)
        leaky_forward(
            k,
            neuron.i[t : t + 1],
            *values,
            neuron.d[t : t + 1],
            v_reset,
            False,
            None,
            neuron.alpha,
            one_u,
            one_s,
            state,
        )
        np.testing.assert_array_equal(one_u[0], u[t])
        np.testing.assert_array_equal(one_s[0], s[t])


@ALL
def test_backward_of_a_carried_pass_sees_the_start(k):
    """A pass from rest with the same potentials differs in dL/d beta alone, by what the start contributes to it."""
    neuron = Neuron((False,) * 4, seed=6)
    values = neuron.beta, neuron.theta
    start = np.random.default_rng(0).normal(size=(ROWS, CHANNELS))
    u, s = np.empty(neuron.shape), np.empty(neuron.shape, np.uint8)
    leaky_forward(k, neuron.i, *values, neuron.d, 0.0, False, None, neuron.alpha, u, s, start.copy())
    di, gradients = np.empty(neuron.shape), np.empty((3, CHANNELS))
    leaky_backward(
        k,
        neuron.ds,
        neuron.i,
        s,
        *values,
        neuron.d,
        0.0,
        False,
        False,
        "arctan",
        neuron.alpha,
        None,
        di,
        *gradients,
        start,
    )
    without, from_rest = np.empty((3, CHANNELS)), neuron.i.copy()
    from_rest[0] += neuron.beta * start
    leaky_backward(
        k,
        neuron.ds,
        from_rest,
        s,
        *values,
        neuron.d,
        0.0,
        False,
        False,
        "arctan",
        neuron.alpha,
        None,
        di,
        *without,
    )
    np.testing.assert_allclose(gradients[0] - without[0], (di[0] * start).sum(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradients[1:], without[1:], rtol=1e-12, atol=1e-12)


@COMPILED
@pytest.mark.parametrize("decay_input", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_integrator(small_tiles, k, decay_input, dtype):
    rng = np.random.default_rng(7)
    i, du = rng.normal(size=(2, STEPS, ROWS, CHANNELS)).astype(dtype)
    beta, start = rng.uniform(0.2, 0.9, CHANNELS).astype(dtype), rng.normal(size=(ROWS, CHANNELS)).astype(dtype)
    bound = STEPS * 4 * np.finfo(dtype).eps * 10
    results = {}
    for target in (reference, k):
        u, di, dbeta, state = np.empty_like(i), np.empty_like(i), np.empty_like(beta), start.copy()
        dstart = np.full_like(start, np.nan)
        target.integrator_forward(i, beta, decay_input, u, state)
        target.integrator_backward(du, i, u, beta, decay_input, di, dbeta, start, dstart)
        results[target.name] = u, di, dbeta
        powers = beta.astype(np.float64) ** np.arange(1, STEPS + 1)[:, None, None]
        np.testing.assert_allclose(dstart, (powers * du).sum(0), rtol=0, atol=bound)
        np.testing.assert_array_equal(state, u[-1])
    for a, b in zip(results["reference"], results[k.name], strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=bound * (ROWS if a.ndim == 1 else 1))
    u, di, dbeta = (x.astype(np.float64) for x in results[k.name])
    gain = 1 - beta.astype(np.float64) if decay_input else 1.0
    expected = np.zeros_like(u)
    for t in range(STEPS):  # u[t] = beta^(t+1) start + sum of gain beta^(t-k) i[k]
        expected[t] = beta.astype(np.float64) ** (t + 1) * start
        for k in range(t + 1):
            expected[t] += gain * beta.astype(np.float64) ** (t - k) * i[k]
    np.testing.assert_allclose(u, expected, rtol=0, atol=bound)
    np.testing.assert_allclose((di * i).sum(), (du * (expected - expected_start(beta, start))).sum(), rtol=bound * 100)


def expected_start(beta, start):
    """What the start alone leaves in the potentials."""
    return np.stack([beta.astype(np.float64) ** (t + 1) * start for t in range(STEPS)])
