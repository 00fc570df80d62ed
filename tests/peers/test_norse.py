"""Neurons and surrogates against Norse: LIF, LIFBox, IAF, LIFRecurrent.

Norse's feed-forward LIF has a synaptic current and a resting potential. With a = dt tau_mem_inv and c = dt tau_syn_inv
it computes

    i = i[t-1] + x[t]        u[t] = v[t-1] + a ((v_leak - v[t-1]) + i)        i[t] = (1 - c) i
    s[t] = H(u[t] - v_th)    v[t] = (1 - s[t]) u[t] + s[t] v_reset            from v = v_leak, i = 0

Its i, before the decay, is the j[t] = gamma j[t-1] + x[t] of numsnn's CubaLIF with gamma = 1 - c. Its u, measured from
v_leak, is numsnn's with beta = 1 - a and decay_input=True; the threshold is then v_th - v_leak, and the reset v_reset -
v_leak. With c = 1 the current has no memory, and the neuron is numsnn's LIF. LIFBox has no synaptic current. IAF has
neither a leak nor a factor for its input.

The reset is attached, except in LIFRecurrent. Norse's neurons fire for u > v_th, numsnn's for u >= v_threshold. Norse
has no flags for what is learned, but its parameters may be tensors with gradients. The gradients of the logits of beta
and gamma follow from those of tau_mem_inv and tau_syn_inv by the chain rule.
"""

import warnings

import numpy as np
import pytest

pytest.importorskip("torch", reason="the parity tests need PyTorch: pip install torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # warnings of torch.jit, which Norse calls at import
    pytest.importorskip("norse.torch", reason="Norse is missing: pip install norse")

import torch
from norse.torch.functional import threshold as their_surrogates
from norse.torch.functional.iaf import IAFFeedForwardState, IAFParameters, iaf_feed_forward_step
from norse.torch.functional.lif import LIFParameters
from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step
from norse.torch.functional.reset import reset_subtract, reset_value
from norse.torch.module.lif import LIF, LIFRecurrent
from parity import assert_agree, difference, draw

import numsnn as snn

pytestmark = pytest.mark.peers

DT = 0.001
STEPS = (1, 5, 20)
GAIN = 3.0
"""The factor of the currents, which makes up for the small factor a."""

EXACT = {
    "logistic": ("tanh", 2.0, 0.25),
    "gaussian": ("heavi_erfc", 2.0, 1 / np.sqrt(8)),
    "triangle": ("triangle", 1.0, 1.0),
}
"""By family: Norse's method and its alpha, and numsnn's width, if Norse's surrogate is a density too."""

every_length = pytest.mark.parametrize("steps", STEPS, ids=[f"T={steps}" for steps in STEPS])
every_reset = pytest.mark.parametrize(
    ("v_leak", "v_reset"),
    [(0.0, 0.0), (0.0, -0.4), (0.0, 0.25), (-0.3, -0.5)],
    ids=["to zero", "below", "above", "resting below zero"],
)


def learned(**values):
    """Return the values as tensors with gradients."""
    return {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}


class Theirs:
    """One of Norse's layers for all time steps.

    Args:
        layer: function of the currents that returns (spikes, state).
        parameters: tensors with gradients: tau_mem_inv, tau_syn_inv, v_th.
        threshold: v_th - v_leak.
        lateral: Norse's recurrent weights. Default None: there are none.
    """

    def __init__(self, layer, parameters, threshold, lateral=None):
        self.layer, self.parameters, self.threshold, self.lateral = layer, parameters, threshold, lateral

    def __call__(self, current):
        return self.layer(current)[0]

    def gradients(self):
        """Convert gradients: beta = 1 - dt tau_mem_inv, gamma = 1 - dt tau_syn_inv, and thresholds count from rest."""
        found = {}
        for name, ours in (("tau_mem_inv", "logit_beta"), ("tau_syn_inv", "logit_gamma")):
            if name in self.parameters:
                value = self.parameters[name]
                decay = 1 - DT * value.item()
                gradient = torch.zeros(1) if value.grad is None else value.grad  # in one step nothing decays
                found[ours] = np.atleast_1d(gradient.numpy()) * np.float32(-decay * (1 - decay) / DT)
        if "v_th" in self.parameters:
            found["log_threshold"] = np.atleast_1d(self.parameters["v_th"].grad.numpy()) * np.float32(self.threshold)
        if self.lateral is not None:
            found["lateral"] = self.lateral.grad.numpy().T
        return found


def lif(beta, v_threshold, v_reset, family, width, kind=snn.LIF, decay_input=True, learn=True, **options):
    return kind(
        beta=beta,
        v_threshold=v_threshold,
        v_reset=v_reset,
        decay_input=decay_input,
        learn_tau=learn,
        learn_threshold=learn,
        surrogate=snn.Surrogate(family, width),
        record=("u", "v", "s"),
        **options,
    )


# --- LIF -------------------------------------------------------------------------------------------------------------


@every_length
@every_reset
@pytest.mark.parametrize("family", EXACT)
def test_lif_without_synaptic_memory(parity, family, v_leak, v_reset, steps):
    """The synaptic current has no memory, because tau_syn_inv = 1/dt."""
    method, alpha, width = EXACT[family]
    a, v_th = 0.4, 0.9

    def theirs():
        parameters = learned(tau_mem_inv=a / DT, v_th=v_th)
        p = LIFParameters(tau_syn_inv=1 / DT, v_leak=v_leak, v_reset=v_reset, method=method, alpha=alpha, **parameters)
        return Theirs(LIF(p, dt=DT), parameters, v_th - v_leak)

    parity(
        draw(steps, GAIN),
        lambda: lif(1 - a, v_th - v_leak, v_reset - v_leak, family, width),
        theirs,
        extra=abs(v_leak) + abs(v_reset),
    )


@every_length
@every_reset
def test_lif(parity, v_leak, v_reset, steps):
    """Norse's LIF with its synaptic current is numsnn's CubaLIF."""
    a, c, v_th = 0.4, 0.7, 0.9
    method, alpha, width = EXACT["logistic"]

    def theirs():
        parameters = learned(tau_mem_inv=a / DT, tau_syn_inv=c / DT, v_th=v_th)
        p = LIFParameters(v_leak=v_leak, v_reset=v_reset, method=method, alpha=alpha, **parameters)
        return Theirs(LIF(p, dt=DT), parameters, v_th - v_leak)

    parity(
        draw(steps, GAIN),
        lambda: lif(
            1 - a,
            v_th - v_leak,
            v_reset - v_leak,
            "logistic",
            width,
            kind=snn.CubaLIF,
            gamma_synapse=1 - c,
            learn_tau_synapse=True,
        ),
        theirs,
        extra=abs(v_leak) + abs(v_reset),
    )


def test_a_million_potentials(parity):
    """Of so many potentials a few are nearer to the threshold than rounding can tell; see test_spikingjelly.py."""
    a, c = 0.4, 0.7
    method, alpha, width = EXACT["logistic"]
    p = LIFParameters(tau_mem_inv=a / DT, tau_syn_inv=c / DT, v_leak=0.0, v_th=1.0, method=method, alpha=alpha)
    parity(
        draw(20, GAIN, samples=1500),
        lambda: lif(1 - a, 1.0, 0.0, "logistic", width, kind=snn.CubaLIF, gamma_synapse=1 - c, learn=False),
        lambda: Theirs(LIF(p, dt=DT), {}, 1.0),
        judged=50,
    )


def test_default_time_constants():
    """Norse's 1/(10 ms) and 1/(5 ms) at steps of 1 ms are tau = 10 and tau_synapse = 5: beta = 0.9 and gamma = 0.8."""
    p = LIFParameters()
    assert DT * float(p.tau_mem_inv) == pytest.approx(0.1)
    assert DT * float(p.tau_syn_inv) == pytest.approx(0.2)
    x = np.random.default_rng(0).normal(1.5, 3, (40, 8, 16)).astype(np.float32)
    mine = snn.CubaLIF(tau=10.0, tau_synapse=5.0, decay_input=True, record="u")
    s = mine(x)
    assert np.abs(mine.recorded["u"] - 1).min() > 1e-5
    assert 0.02 < s.mean() < 0.5
    np.testing.assert_array_equal(s, LIF()(torch.tensor(x))[0].detach().numpy())


@every_length
def test_lif_recurrent(parity, steps):
    """Norse's LIFRecurrent, whose reset is detached, is numsnn's RecurrentCubaLIF. By default (autapses=False) Norse
    keeps the weights from a neuron to itself at 0."""
    a, c, v_th = 0.4, 0.7, 0.9
    method, alpha, width = EXACT["logistic"]
    problem = draw(steps, GAIN, sizes=(10, 14), lateral=0.6)

    def theirs():
        parameters = learned(tau_mem_inv=a / DT, tau_syn_inv=c / DT, v_th=v_th)
        p = LIFParameters(v_leak=0.0, v_reset=0.0, method=method, alpha=alpha, **parameters)
        weights = torch.tensor(np.ascontiguousarray(problem.lateral.T), requires_grad=True)
        layer = LIFRecurrent(14, 14, p, input_weights=torch.eye(14), recurrent_weights=weights, autapses=True, dt=DT)
        return Theirs(layer, parameters, v_th, weights)

    parity(
        problem,
        lambda: lif(
            1 - a,
            v_th,
            0.0,
            "logistic",
            width,
            kind=snn.RecurrentCubaLIF,
            gamma_synapse=1 - c,
            learn_tau_synapse=True,
            detach_reset=True,
        ),
        theirs,
    )


# --- LIFBox, IAF ------------------------------------------------------------------------------------------------------


def stepwise(step, start, p):
    """Make a layer for all time steps from one of Norse's functions for one step."""

    def layer(current):
        state, spikes = start(current[0]), []
        for i in current:
            s, state = step(i, state, p, DT)
            spikes.append(s)
        return torch.stack(spikes), state

    return layer


@every_length
@every_reset
def test_lif_box(parity, v_leak, v_reset, steps):
    a, v_th = 0.4, 0.9
    method, alpha, width = EXACT["triangle"]

    def theirs():
        parameters = learned(tau_mem_inv=a / DT, v_th=v_th)
        p = LIFBoxParameters(
            v_leak=v_leak, v_reset=v_reset, method=method, alpha=alpha, reset_method=reset_value, **parameters
        )
        start = lambda x: LIFBoxFeedForwardState(v=torch.full_like(x, v_leak))  # noqa: E731
        return Theirs(stepwise(lif_box_feed_forward_step, start, p), parameters, v_th - v_leak)

    parity(
        draw(steps, GAIN),
        lambda: lif(1 - a, v_th - v_leak, v_reset - v_leak, "triangle", width),
        theirs,
        extra=abs(v_leak) + abs(v_reset),
    )


@every_length
def test_lif_box_reset_by_subtraction(parity, steps):
    """Norse's reset_subtract is numsnn's soft reset, attached. It subtracts v_th itself, so with another resting
    potential it would be something else."""
    a, v_th = 0.4, 0.9
    method, alpha, width = EXACT["triangle"]

    def theirs():
        parameters = learned(tau_mem_inv=a / DT, v_th=v_th)
        p = LIFBoxParameters(
            v_leak=0.0, v_reset=0.0, method=method, alpha=alpha, reset_method=reset_subtract, **parameters
        )
        start = lambda x: LIFBoxFeedForwardState(v=torch.zeros_like(x))  # noqa: E731
        return Theirs(stepwise(lif_box_feed_forward_step, start, p), parameters, v_th)

    parity(draw(steps, GAIN), lambda: lif(1 - a, v_th, None, "triangle", width), theirs)


@every_length
def test_iaf(parity, steps):
    """beta = 1, and currents are not scaled. Norse's neuron starts from 0; its default would be v_reset."""
    method, alpha, width = EXACT["triangle"]
    v_th, v_reset = 0.9, -0.2

    def theirs():
        p = IAFParameters(v_th=v_th, v_reset=v_reset, method=method, alpha=alpha)
        start = lambda x: IAFFeedForwardState(v=torch.zeros_like(x))  # noqa: E731
        return Theirs(stepwise(iaf_feed_forward_step, start, p), {}, v_th)

    parity(
        draw(steps, 0.8),
        lambda: lif(1.0, v_th, v_reset, "triangle", width, decay_input=False, learn=False),
        theirs,
        extra=abs(v_reset),
    )


def test_the_threshold_itself_fires_in_numsnn_alone():
    theta = np.float32(0.7)
    x = np.array([np.nextafter(theta, np.float32(0)), theta, np.nextafter(theta, np.float32(1))], np.float32)
    p = IAFParameters(v_th=torch.tensor(theta))
    s, _ = iaf_feed_forward_step(torch.tensor(x), IAFFeedForwardState(v=torch.zeros(3)), p)
    assert s.tolist() == [0, 0, 1]
    assert snn.LIF(beta=0.0, v_threshold=float(theta))(x[None, None]).ravel().tolist() == [0, 1, 1]


# --- surrogates ------------------------------------------------------------------------------------------------------

MAPPED = {
    "tanh": ("logistic", lambda k: 1 / (2 * k), lambda k: 2 / k),
    "heavi_erfc": ("gaussian", lambda k: 1 / (np.sqrt(2) * k), lambda k: 2 / k),
    "triangle": ("triangle", lambda k: 1.0, lambda k: k),
    "super": ("fast_sigmoid", lambda k: 1.0, lambda k: 2.0),
}
"""By Norse's method: the family, and its width and a factor as functions of Norse's alpha. Only tanh and heavi_erfc
take alpha as a steepness; triangle scales by it, and super ignores it."""


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.0, 100.0])
@pytest.mark.parametrize("method", MAPPED)
def test_densities(report, method, alpha):
    family, width, factor = MAPPED[method]
    width = width(alpha)
    x = np.linspace(-3 * width, 3 * width, 1001, dtype=np.float32)
    mine = snn.LIF(beta=0.0, v_threshold=8.0, surrogate=snn.Surrogate(family, width))
    u = x + np.float32(8)
    mine.forward(u[None, None], snn.Mode(store=True))
    here = np.array(mine.backward(np.ones((1, 1, len(x)), np.float32))).ravel()
    there = torch.tensor(u - np.float32(8), requires_grad=True)
    their_surrogates.threshold(there, method, alpha).sum().backward()
    differences = {"density": difference(here * np.float32(factor(alpha)), there.grad.numpy())}
    report(differences)
    assert_agree(differences)


@pytest.mark.parametrize("alpha", [1.0, 100.0])
def test_their_default_surrogate(parity, alpha):
    """Norse's default, super, ignores alpha and is twice numsnn's fast sigmoid of width 1, at every layer that a
    gradient passes. There is one step only: the reset is attached, and through it the factor would come in once
    more."""
    a, v_th = 0.4, 0.9

    def theirs():
        parameters = learned(tau_mem_inv=a / DT, v_th=v_th)
        p = LIFParameters(tau_syn_inv=1 / DT, v_leak=0.0, v_reset=0.0, alpha=alpha, **parameters)
        return Theirs(LIF(p, dt=DT), parameters, v_th)

    parity(draw(1, GAIN), lambda: lif(1 - a, v_th, 0.0, "fast_sigmoid", 1.0), theirs, factors=(2.0, 2.0))
