"""Neurons and surrogates against SpikingJelly: LIFNode, IFNode, ParametricLIFNode, CUBALIFNode.

With 1/tau = 1 - beta and r for v_reset (0 for a soft reset), SpikingJelly's neurons charge by

    h[t] = v[t-1] - (v[t-1] - r)/tau + x[t]          decay_input=False
    h[t] = v[t-1] + (x[t] - (v[t-1] - r))/tau        decay_input=True, the default

and start from v = r: r is their resting potential too. numsnn's neurons leak towards 0 and start from 0, whatever they
are reset to. Measured from r, SpikingJelly's equations are numsnn's with the threshold v_threshold - r and the reset 0.
The other way round, a neuron of numsnn with v_reset = r is one of SpikingJelly that is started from 0 and gets an
additional current of -(1 - beta) r, or of -r with decay_input. Both are tested. For r = 0 and for soft resets the
equations are the same without any change.

ParametricLIFNode trains w with 1/tau = sigmoid(w), so logit beta is -w.
"""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the parity tests need PyTorch: pip install torch")
pytest.importorskip("spikingjelly.activation_based", reason="SpikingJelly is missing: pip install spikingjelly")

import torch
from parity import OwnSurrogate, assert_agree, difference, draw
from spikingjelly.activation_based import functional, neuron, surrogate

import numsnn as snn

pytestmark = pytest.mark.peers

ALPHA = 2.0
WIDTH = 2 / (np.pi * ALPHA)
"""SpikingJelly's ATan(alpha), of density alpha / 2 / (1 + (pi alpha x / 2)^2), is numsnn's arctan of this width."""

RESETS = {"to zero": 0.0, "below": -0.4, "above": 0.25, "soft": None}
STEPS = (1, 5, 20)

every_neuron = pytest.mark.parametrize("reset", RESETS)
every_detach = pytest.mark.parametrize("detach", [False, True], ids=["attached", "detached"])
every_decay = pytest.mark.parametrize("decay", [False, True], ids=["undecayed input", "decayed input"])
every_length = pytest.mark.parametrize("steps", STEPS, ids=[f"T={steps}" for steps in STEPS])


class Theirs:
    """One of SpikingJelly's neurons.

    Args:
        node: the neuron.
        shift: function of the node; what it returns is added to the current.
        start: potential to start from. Default None: the node's own.
        learned: function of the node that returns the gradients of what it learns, in numsnn's parametrisation.
    """

    def __init__(self, node, shift=None, start=None, learned=lambda node: {}):
        functional.reset_net(node)
        self.node, self.shift, self.learned = node, shift, learned
        if start is not None:
            node.v = start

    def __call__(self, current):
        return self.node(current if self.shift is None else current + self.shift(self.node))

    def gradients(self):
        return self.learned(self.node)


def arctan(width=WIDTH):
    return snn.Surrogate("arctan", width)


def numbers(tensor):
    return np.atleast_1d(tensor.detach().numpy())


def current_size(tau, decay):
    return tau if decay else 1.0


# --- LIF -------------------------------------------------------------------------------------------------------------


@every_length
@every_decay
@every_detach
@every_neuron
def test_lif(parity, reset, detach, decay, steps):
    """SpikingJelly's neuron is numsnn's if potentials are measured from its resting potential."""
    tau, theta, r = 1.7, 0.9, RESETS[reset]
    rest = r or 0.0
    parity(
        draw(steps, current_size(tau, decay)),
        lambda: snn.LIF(
            tau=tau,
            v_threshold=theta - rest,
            v_reset=None if r is None else 0.0,
            detach_reset=detach,
            decay_input=decay,
            surrogate=arctan(),
            record=("u", "v", "s"),
        ),
        lambda: Theirs(neuron.LIFNode(tau, decay, theta, r, surrogate.ATan(ALPHA), detach, step_mode="m")),
        extra=abs(rest),
    )


@every_length
@every_decay
@every_detach
@pytest.mark.parametrize("r", [-0.4, 0.25])
def test_lif_that_rests_at_zero(parity, r, detach, decay, steps):
    """SpikingJelly computes numsnn's neuron, which is reset to r and rests at 0."""
    tau, theta = 1.7, 0.9
    parity(
        draw(steps, current_size(tau, decay)),
        lambda: snn.LIF(
            tau=tau,
            v_threshold=theta,
            v_reset=r,
            detach_reset=detach,
            decay_input=decay,
            surrogate=arctan(),
            record=("u", "v", "s"),
        ),
        lambda: Theirs(
            neuron.LIFNode(tau, decay, theta, r, surrogate.ATan(ALPHA), detach, step_mode="m"),
            shift=lambda node: -r if decay else -r / tau,
            start=0.0,
        ),
        extra=abs(r),
    )


def test_resting_potentials_differ():
    """This is why the two mappings above are needed. Without input and with a reset to -1, SpikingJelly's neuron starts
    and stays at -1, numsnn's at 0. After a spike SpikingJelly's stays at -1, and numsnn's comes back: 0 -> 2 (fires) ->
    -1 -> -1/2 -> -1/4."""
    x = np.array([0, 2, 0, 0], np.float32).reshape(4, 1, 1)
    node = neuron.LIFNode(2.0, False, 1.0, -1.0, step_mode="m", store_v_seq=True)
    node(torch.tensor(x + np.array([0, 1, 0, 0], np.float32).reshape(4, 1, 1)))
    assert node.v_seq.flatten().tolist() == [-1, -1, -1, -1]
    mine = snn.LIF(tau=2.0, v_reset=-1.0, record="v")
    mine(x)
    assert mine.recorded["v"].ravel().tolist() == [0, -1, -0.5, -0.25]


@every_length
@every_detach
@pytest.mark.parametrize("r", [0.0, None], ids=["hard", "soft"])
def test_integrate_and_fire(parity, r, detach, steps):
    parity(
        draw(steps, 0.8),
        lambda: snn.LIF(beta=1.0, v_reset=r, detach_reset=detach, surrogate=arctan(), record=("u", "v", "s")),
        lambda: Theirs(neuron.IFNode(1.0, r, surrogate.ATan(ALPHA), detach, step_mode="m")),
    )


@pytest.mark.parametrize("learn", [False, True], ids=["LIFNode()", "ParametricLIFNode()"])
def test_their_defaults(parity, learn):
    """SpikingJelly's defaults in numsnn's words: tau = 2, decayed input, hard reset to 0, attached, Sigmoid(4)."""
    kind = snn.PLIF if learn else snn.LIF
    node = neuron.ParametricLIFNode if learn else neuron.LIFNode
    parity(
        draw(5, 2.0),
        lambda: kind(tau=2.0, decay_input=True, surrogate=snn.Surrogate("logistic", 0.25), record=("u", "v", "s")),
        lambda: Theirs(node(step_mode="m"), learned=logit_beta if learn else lambda node: {}),
    )


def test_the_threshold_itself_fires_in_both():
    theta = np.float32(0.7)
    x = np.array([np.nextafter(theta, np.float32(0)), theta, np.nextafter(theta, np.float32(1))], np.float32)
    node = neuron.IFNode(float(theta), step_mode="m")
    mine = snn.LIF(beta=1.0, v_threshold=float(theta))
    assert node(torch.tensor(x[None, None])).flatten().tolist() == [0, 1, 1]
    assert mine(x[None, None]).ravel().tolist() == [0, 1, 1]


@pytest.mark.parametrize("r", [0.0, None], ids=["hard", "soft"])
def test_a_million_potentials(parity, r):
    """Of so many potentials a few are nearer to the threshold than rounding can tell. Gradients are summed over some
    samples only: where tens of thousands of terms cancel, float32 has no four digits left in either program."""
    parity(
        draw(20, samples=1500),
        lambda: snn.LIF(tau=1.7, v_reset=r, surrogate=arctan(), record=("u", "v", "s")),
        lambda: Theirs(neuron.LIFNode(1.7, False, 1.0, r, surrogate.ATan(ALPHA), step_mode="m")),
        judged=50,
    )


# --- learned: time constant, threshold, width -------------------------------------------------------------------------


def logit_beta(node):
    """Return the gradient of logit beta, which is -w because 1/tau = sigmoid(w) = 1 - beta."""
    return {"logit_beta": -numbers(node.w.grad)}


@every_length
@every_decay
@every_detach
@every_neuron
def test_plif(parity, reset, detach, decay, steps):
    tau, theta, r = 2.4, 0.9, RESETS[reset]
    rest = r or 0.0
    parity(
        draw(steps, current_size(tau, decay)),
        lambda: snn.LIF(
            tau=tau,
            learn_tau=True,
            v_threshold=theta - rest,
            v_reset=None if r is None else 0.0,
            detach_reset=detach,
            decay_input=decay,
            surrogate=arctan(),
            record=("u", "v", "s"),
        ),
        lambda: Theirs(
            neuron.ParametricLIFNode(tau, decay, theta, r, surrogate.ATan(ALPHA), detach, step_mode="m"),
            learned=logit_beta,
        ),
        extra=abs(rest),
    )


@every_decay
@pytest.mark.parametrize("r", [-0.4, 0.25])
def test_plif_that_rests_at_zero(parity, r, decay):
    """The current that stands for numsnn's resting potential depends on the learned leak; autograd sees that."""
    tau, theta = 2.4, 0.9
    parity(
        draw(5, current_size(tau, decay)),
        lambda: snn.LIF(
            tau=tau,
            learn_tau=True,
            v_threshold=theta,
            v_reset=r,
            decay_input=decay,
            surrogate=arctan(),
            record=("u", "v", "s"),
        ),
        lambda: Theirs(
            neuron.ParametricLIFNode(tau, decay, theta, r, surrogate.ATan(ALPHA), step_mode="m"),
            shift=lambda node: -r if decay else -r * node.w.sigmoid(),
            start=0.0,
            learned=logit_beta,
        ),
        extra=abs(r),
    )


@every_detach
@pytest.mark.parametrize("r", [0.0, -0.4, None], ids=["to zero", "below", "soft"])
@pytest.mark.parametrize("family", ["arctan", "triangle"])
def test_learned_threshold_and_width(parity, family, r, detach):
    """SpikingJelly learns neither. But a threshold that is a tensor and a user's own surrogate go through its plain
    torch path, where autograd finds the gradients. numsnn trains the logarithms."""
    tau, theta, width = 1.7, 0.9, 0.8
    rest = r or 0.0

    def theirs():
        threshold = torch.tensor(theta - rest, requires_grad=True)
        spike = OwnSurrogate(family, width)
        node = neuron.LIFNode(tau, False, 1.0, r, spike, detach, step_mode="m")
        node.v_threshold = threshold + rest
        return Theirs(
            node,
            learned=lambda node: {"log_threshold": numbers(threshold.grad) * (theta - rest)} | spike.gradients(),
        )

    parity(
        draw(5),
        lambda: snn.LIF(
            tau=tau,
            v_threshold=theta - rest,
            v_reset=None if r is None else 0.0,
            detach_reset=detach,
            learn_threshold=True,
            surrogate=snn.PSG(family, width, per="channel"),
            record=("u", "v", "s"),
        ),
        theirs,
        extra=abs(rest),
    )


# --- surrogates ------------------------------------------------------------------------------------------------------

MAPPED = {
    "arctan": (lambda width: surrogate.ATan(2 / (np.pi * width)), 0.5),
    "logistic": (lambda width: surrogate.Sigmoid(1 / width), 0.25),
    "triangle": (lambda width: surrogate.PiecewiseQuadratic(1 / width), 0.8),
    "laplace": (lambda width: surrogate.PiecewiseExp(1 / width), 0.6),
    "fast_sigmoid": (lambda width: surrogate.SoftSign(1 / width), 0.5),
    "gaussian": (lambda width: surrogate.Erf(1 / (np.sqrt(2) * width)), 0.5),
    "rectangle": (lambda width: surrogate.Rect(1 / width), 1.3),
}
"""By family: SpikingJelly's surrogate as a function of the width, and a width."""


@every_detach
@pytest.mark.parametrize("family", MAPPED)
def test_surrogates(parity, family, detach):
    make, width = MAPPED[family]
    parity(
        draw(5),
        lambda: snn.LIF(detach_reset=detach, surrogate=snn.Surrogate(family, width), record=("u", "v", "s")),
        lambda: Theirs(neuron.LIFNode(2.0, False, surrogate_function=make(width), detach_reset=detach, step_mode="m")),
    )


@pytest.mark.parametrize("family", MAPPED)
def test_densities(family, report):
    """SpikingJelly's surrogate alone, on a line, shows the factor and the width of every mapping. Its rectangle is open
    at the ends and numsnn's is closed, so the two ends are left out."""
    make, width = MAPPED[family]
    x = np.linspace(-3, 3, 1001, dtype=np.float32)
    there = torch.tensor(x, requires_grad=True)
    make(width)(there).sum().backward()
    mine = snn.LIF(beta=0.0, v_threshold=10.0, surrogate=snn.Surrogate(family, width))
    mine.forward(x[None, None] + 10, snn.Mode(store=True))
    here = np.array(mine.backward(np.ones((1, 1, len(x)), np.float32))).ravel()
    inside = np.abs(np.abs(x / width) - 0.5) > 1e-4 if family == "rectangle" else np.ones(len(x), bool)
    differences = {"density": difference(here[inside], there.grad.numpy()[inside])}
    report(differences)
    assert_agree(differences)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_super_spike_is_a_fast_sigmoid_of_width_one(parity, alpha):
    """SpikingJelly's SuperSpike(alpha) has the density alpha / (1 + |x|)^2: alpha scales it and is not a width. It is 2
    alpha times numsnn's fast sigmoid of width 1. With the reset detached a gradient gets that factor at every layer
    that it passes."""
    parity(
        draw(5),
        lambda: snn.LIF(detach_reset=True, surrogate=snn.Surrogate("fast_sigmoid", 1.0), record=("u", "v", "s")),
        lambda: Theirs(
            neuron.LIFNode(2.0, False, surrogate_function=surrogate.SuperSpike(alpha), detach_reset=True, step_mode="m")
        ),
        factors=(2 * alpha, 2 * alpha),
    )


# --- a synaptic current -----------------------------------------------------------------------------------------------


@every_length
@every_detach
@pytest.mark.parametrize("r", [0.0, None], ids=["hard", "soft"])
def test_cuba_lif(parity, r, detach, steps):
    """CUBALIFNode computes c[t] = c_decay c[t-1] + x[t] and v[t] = v_decay v[t-1] + c[t], and resets like the other
    neurons. It has no resting potential but starts from v_reset; for v_reset = 0 the equations are numsnn's."""

    def theirs():
        node = neuron.CUBALIFNode(0.4, 0.7, 1.0, r, surrogate.ATan(ALPHA))
        node.detach_reset, node.step_mode = detach, "m"
        return Theirs(node)

    parity(
        draw(steps, 0.8),
        lambda: snn.CubaLIF(
            gamma_synapse=0.4, beta=0.7, v_reset=r, detach_reset=detach, surrogate=arctan(), record=("u", "v", "s")
        ),
        theirs,
    )
