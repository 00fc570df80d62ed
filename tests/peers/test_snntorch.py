"""Neurons against snnTorch: Leaky, Synaptic, RLeaky. Surrogates are in test_snntorch_surrogates.py.

snnTorch's neurons take one step at a time. With m for the potential and R = H(m - threshold), which is always detached,
Leaky computes

    "zero"        R = H(m[t-1] - th)    m[t] = beta (1 - R) m[t-1] + x[t]             s[t] = H(m[t] - th)
    "subtract"    R = H(m[t-1] - th)    m[t] = beta m[t-1] + x[t] - R th              s[t] = H(m[t] - th)

This is the meaning of `reset_delay=True`, the default: a spike's reset is made at the beginning of the next step. m[t]
is numsnn's u[t], and spikes are not delayed at all.

- "zero" is numsnn's hard reset to 0, detached.
- "subtract" subtracts the threshold *after* the leak. This is numsnn's delayed reset, v_reset="delayed", detached. It
  is not numsnn's soft reset, which acts before the leak (beta (u - th) = beta u - beta th): snnTorch's potential falls
  by (1 - beta) th more per spike. The two are the same only without a leak. An additional input of -(1 - beta) th
  s[t-1] makes the potential with a soft reset the same; as R is detached, gradients agree as well.
- `reset_delay=False` resets at once, by the attached spike. "zero" is then numsnn's hard reset, attached. "subtract" is
  numsnn's soft reset, attached, as long as no potential reaches twice the threshold. A potential that is still above
  the threshold after its reset is reset a second time before the next comparison, and this second reset is taken back
  after the comparison.

All of snnTorch's neurons fire for u > threshold, numsnn's for u >= threshold. This shows only if the two are exactly
equal.

The reset of Synaptic and RLeaky removes the input too: for "zero" with `reset_delay=True` the potential is 0 at the
step after a spike, whatever comes in. With "subtract" and `reset_delay=True`, their default, they are numsnn's CubaLIF
and RecurrentLIF with v_reset="delayed"; with `reset_delay=False` they are those with the other resets.
"""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the parity tests need PyTorch: pip install torch")
pytest.importorskip("snntorch", reason="snnTorch is missing: pip install snntorch")

import parity as p
import snntorch
import torch
from parity import assert_agree, difference, draw
from snntorch import surrogate
from snntorch_neurons import ALPHA, Theirs, every_delay, leaky, lif

import numsnn as snn
from numsnn.layers import TRAINING

pytestmark = pytest.mark.peers

STEPS = (1, 5, 20)


def small(steps):
    """Settings of currents that make neurons of threshold 0.9 fire, but keep potentials below twice that threshold."""
    return {"gain": 0.15, "offset": 0.8 if steps == 1 else 0.35}


every_length = pytest.mark.parametrize("steps", STEPS, ids=[f"T={steps}" for steps in STEPS])


class SpikesOnly(Theirs):
    """RLeaky, whose state begins with the spikes themselves."""

    def __call__(self, current):
        s, m = torch.zeros_like(current[0]), torch.zeros_like(current[0])
        spikes = []
        for i in current:
            s, m = self.neuron(i, s, m)
            spikes.append(s)
        return torch.stack(spikes)


# --- Leaky -----------------------------------------------------------------------------------------------------------


@every_length
@every_delay
def test_leaky_reset_to_zero(parity, delay, steps):
    """A delayed reset, which is snnTorch's default, is detached; a reset at once is attached."""
    parity(draw(steps), lambda: lif(0.0, delay), lambda: Theirs(leaky("zero", delay)))


@every_length
def test_leaky_reset_by_subtraction_at_once(parity, steps):
    parity(
        draw(steps, **small(steps)),
        lambda: lif(None, False),
        lambda: Theirs(leaky("subtract", False)),
        ceiling=2 * 0.9,
    )


@every_length
@every_delay
def test_leaky_without_a_leak(parity, delay, steps):
    """Without a leak (beta = 1) there is no difference between a subtraction after the leak and one before it."""
    quiet = {"gain": 0.1, "offset": 0.8 if steps == 1 else 0.25}
    parity(
        draw(steps) if delay else draw(steps, **quiet),
        lambda: lif(None, delay, beta=1.0, learn=False),
        lambda: Theirs(leaky("subtract", delay, 1.0, learn=False)),
        ceiling=np.inf if delay else 2 * 0.9,
    )


@every_length
def test_leaky_without_a_reset(parity, steps):
    parity(
        draw(steps),
        lambda: lif("none", False),
        lambda: Theirs(leaky("none", True)),
        firing=(0.05, 0.8),
    )


@every_length
@pytest.mark.parametrize("beta", [0.2, 0.6, 0.95])
def test_leaky_reset_by_subtraction_delayed(parity, beta, steps):
    """snnTorch's default is numsnn's delayed reset, detached."""
    mine, _ = parity(
        draw(steps),
        lambda: lif("delayed", True, beta=beta),
        lambda: Theirs(leaky("subtract", True, beta=beta)),
    )
    if steps > 1:
        s, u = mine.spikes[0], mine.layers[0].recorded["u"]
        assert (s[1:] * s[:-1]).any() and u.min() < -0.9  # spikes follow one another, and potentials are subtracted


def test_the_delayed_reset_for_many_neurons(parity):
    parity(
        draw(50, samples=400),
        lambda: lif("delayed", True, learn=False),
        lambda: Theirs(leaky("subtract", True, learn=False)),
        judged=20,
    )


@every_length
def test_an_initial_potential(parity, steps):
    """snnTorch takes the first potential as an argument of the first step."""
    start = torch.linspace(-0.5, 0.8, 14)

    class Started(Theirs):
        def __call__(self, current):
            self.start = start.clone().requires_grad_()
            state, spikes = self.start.expand(current[0].shape), []
            for i in current:
                s, state = self.neuron(i, state)
                spikes.append(s)
            return torch.stack(spikes)

        def gradients(self):
            return super().gradients() | {"v_init": self.start.grad.numpy()}

    for v_reset, reset in (("delayed", "subtract"), (0.0, "zero")):
        parity(
            draw(steps, sizes=(10, 14)),
            lambda v_reset=v_reset: lif(v_reset, True, v_init=tuple(start.tolist()), learn_v_init="channel"),
            lambda reset=reset: Started(leaky(reset, True)),
        )


@every_length
def test_leaky_reset_by_subtraction_delayed_as_another_input(report, steps):
    """The currents i[t] = x[t] - (1 - beta) th s[t-1], with the spikes that were fired, make numsnn's neuron the same
    as snnTorch's default neuron. The gradients follow by the chain rule, in which the spikes in i are constants."""
    beta, theta = 0.6, 0.9
    mine = lif(None, True, beta, theta)
    net = snn.Sequential(mine)
    for seed in range(20):  # until no potential lies near the threshold
        problem = draw(steps, sizes=(16,), seed=seed)
        x, g = 0.9 * problem.x + np.float32(0.3), problem.g
        theirs = Theirs(leaky("subtract", True, beta, theta))
        there = torch.tensor(x, requires_grad=True)
        spikes = theirs(there)
        s = spikes.detach().numpy()
        before = np.concatenate([np.zeros_like(s[:1]), s[:-1]])
        got = net.forward(x - np.float32((1 - beta) * theta) * before, TRAINING)
        if np.abs(mine.recorded["u"] - theta).min() > 2e-5:
            break
    assert np.abs(mine.recorded["u"] - theta).min() > 2e-5
    assert 0.05 < s.mean() < 0.7
    np.testing.assert_array_equal(got, s)
    spikes.backward(torch.tensor(g))
    dx = np.array(net.backward(g))
    gradient = {name: value.grad for name, value in net.parameters()}
    added = {"logit_beta": theta * beta * (1 - beta), "log_threshold": -(1 - beta) * theta}
    differences = {"x": difference(dx, there.grad.numpy())}
    for name, slope in added.items():
        mapped = gradient[f"lif1.{name}"] + slope * (dx.astype(np.float64) * before).sum()
        differences[name] = difference(mapped, theirs.gradients()[name])
    report(differences, potentials=s.size)
    assert_agree(differences)


def test_a_million_potentials(parity):
    """Of so many potentials a few are nearer to the threshold than rounding can tell; see test_spikingjelly.py."""
    parity(
        draw(20, samples=1500),
        lambda: lif(0.0, True, learn=False),
        lambda: Theirs(leaky("zero", True, learn=False)),
        judged=50,
    )


def by_hand(neuron, x):
    """Return the spikes and potentials of one of snnTorch's neurons for the currents x."""
    m, spikes, potentials = torch.zeros(1), [], []
    for i in x:
        s, m = neuron(torch.tensor([float(i)]), m)
        spikes.append(int(s.item()))
        potentials.append(m.item())
    return spikes, potentials


def test_delayed_subtraction_by_hand():
    """1.5 fires, and then 0.5 (1.5) - 1 remains; beta = 1/2 and the threshold is 1."""
    mine = snn.LIF(beta=0.5, v_reset="delayed", record="u")
    assert mine(np.array([1.5, 0.0, 2.0], np.float32).reshape(3, 1, 1)).ravel().tolist() == [1, 0, 1]
    assert mine.recorded["u"].ravel().tolist() == [1.5, -0.25, 1.875]
    assert by_hand(leaky("subtract", True, 0.5, 1.0), [1.5, 0.0, 2.0]) == ([1, 0, 1], [1.5, -0.25, 1.875])


def test_subtraction_is_not_a_soft_reset():
    """The two resets differ in numbers worked out by hand, for beta = 1/2 and a threshold of 1.

    Delayed: 1.5 fires; then snnTorch has 0.75 - 1, numsnn (1.5 - 1)/2. At once: 2.5 fires and leaves 1.5 in both; then
    numsnn compares 0.75 + 0.5 with the threshold, and snnTorch 0.75 + 0.5 - 1, although 1.25 remains.
    """
    mine = snn.LIF(beta=0.5, v_reset=None, record=("u", "v"))

    def numsnn(x):
        s = mine(np.array(x, np.float32).reshape(-1, 1, 1))
        return s.ravel().tolist()

    x = [1.5, 0.0]
    assert by_hand(leaky("subtract", True, 0.5, 1.0), x) == ([1, 0], [1.5, -0.25])
    assert numsnn(x) == [1, 0]
    assert mine.recorded["u"].ravel().tolist() == [1.5, 0.25]

    x = [2.5, 0.5]
    assert by_hand(leaky("subtract", False, 0.5, 1.0), x) == ([1, 0], [1.5, 1.25])
    assert numsnn(x) == [1, 1]
    assert mine.recorded["v"].ravel().tolist() == [1.5, 0.25]


def test_the_threshold_itself_fires_in_numsnn_alone():
    theta = np.float32(0.7)
    x = [np.nextafter(theta, np.float32(0)), theta, np.nextafter(theta, np.float32(1))]
    neuron = leaky("zero", True, 0.0, float(theta))
    assert by_hand(neuron, x)[0] == [0, 0, 1]
    mine = snn.LIF(beta=0.0, v_threshold=float(theta))
    assert mine(np.array(x).reshape(3, 1, 1)).ravel().tolist() == [0, 1, 1]
    above = snn.LIF(beta=0.0, v_threshold=float(np.nextafter(theta, np.float32(1))))
    assert above(np.array(x).reshape(3, 1, 1)).ravel().tolist() == [0, 0, 1]


def test_ties_are_found_and_left_out(parity):
    """The comparison itself is tested. One potential is put onto the threshold, where numsnn fires and snnTorch does
    not. This is one tie; its sample is left out, and all others agree."""
    problem = draw(5, samples=12)
    (w, b), outer = problem.weights
    x, b = problem.x.copy(), b.copy()
    x[0, 3], b[4] = 0.0, np.float32(0.9)
    problem = p.replace(problem, x=x, weights=((w, b), outer))
    mine, theirs = parity(
        problem, lambda: lif(0.0, True, learn=False), lambda: Theirs(leaky("zero", True, learn=False))
    )
    assert mine.spikes[0][0, 3, 4] == 1 and theirs.spikes[0][0, 3, 4] == 0
    ties = p.find_ties(problem, mine, theirs)
    assert ties.near >= 1 and ties.flipped >= 1
    assert ties.spoilt.tolist() == [n == 3 for n in range(12)]
    assert not theirs.gradients["x"][:, 3].any()
    theirs.spikes[1][2, 7, 5] = 1 - theirs.spikes[1][2, 7, 5]
    with pytest.raises(AssertionError, match="sample 7, step 2, layer 2: a spike differs and is not a tie"):
        p.find_ties(problem, mine, theirs)


# --- a synaptic current, lateral weights ------------------------------------------------------------------------------


@every_length
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_synaptic(parity, reset, steps):
    """Synaptic with reset_delay=False is numsnn's CubaLIF; its alpha is gamma."""
    v_reset = {"zero": 0.0, "subtract": None, "none": "none"}[reset]
    alpha, beta, theta = 0.4, 0.6, 0.9
    size = {"gain": 0.1, "offset": 0.25 if steps > 1 else 0.8} if reset == "subtract" else {"gain": 0.8}
    parity(
        draw(steps, **size),
        lambda: lif(v_reset, False, kind=snn.CubaLIF, gamma_synapse=alpha, learn_tau_synapse=True),
        lambda: Theirs(
            snntorch.Synaptic(
                alpha,
                beta,
                theta,
                surrogate.atan(ALPHA),
                learn_alpha=True,
                learn_beta=True,
                learn_threshold=True,
                reset_mechanism=reset,
                reset_delay=False,
            ),
            states=2,
        ),
        firing=(0.05, 0.85),
        ceiling=2 * theta if reset == "subtract" else np.inf,
    )


@every_length
def test_synaptic_reset_by_subtraction_delayed(parity, steps):
    parity(
        draw(steps, gain=0.8),
        lambda: lif("delayed", True, kind=snn.CubaLIF, gamma_synapse=0.4, learn_tau_synapse=True),
        lambda: Theirs(
            snntorch.Synaptic(
                0.4,
                0.6,
                0.9,
                surrogate.atan(ALPHA),
                learn_alpha=True,
                learn_beta=True,
                learn_threshold=True,
            ),
            states=2,
        ),
        firing=(0.05, 0.85),
    )


def test_synaptic_reset_to_zero_delayed_loses_the_input():
    """snnTorch's potential is 0 at the step after a spike, numsnn's is the current; beta = gamma = 1/2."""
    neuron = snntorch.Synaptic(0.5, 0.5, reset_mechanism="zero")
    j, m, found = torch.zeros(1), torch.zeros(1), []
    for i in (1.5, 0.5, 0.0):
        _, j, m = neuron(torch.tensor([i]), j, m)
        found.append(m.item())
    assert found == [1.5, 0.0, 0.625]
    mine = snn.CubaLIF(gamma_synapse=0.5, beta=0.5, record="u")
    mine(np.array([1.5, 0.5, 0.0], np.float32).reshape(3, 1, 1))
    assert mine.recorded["u"].ravel().tolist() == [1.5, 1.25, 0.625]


def test_rleaky_reset_to_zero_delayed_loses_the_input():
    """The potential is 0 at the step after a spike: the input is lost, and so is the lateral current."""
    neuron = snntorch.RLeaky(0.5, all_to_all=False, V=0.25, reset_mechanism="zero")
    s, m, found = torch.zeros(1), torch.zeros(1), []
    for i in (1.5, 0.5, 0.25):
        s, m = neuron(torch.tensor([i]), s, m)
        found.append(m.item())
    assert found == [1.5, 0.0, 0.25]


@every_length
@pytest.mark.parametrize("reset", ["zero", "none", "subtract"])
def test_rleaky(parity, reset, steps):
    """RLeaky with all_to_all and reset_delay=False is numsnn's RecurrentLIF, and with its default, which subtracts one
    step later, RecurrentLIF with a delayed reset. Its weights are the lateral weights, transposed, and its bias is set
    to 0."""
    problem = draw(steps, sizes=(10, 14), lateral=0.2)

    def theirs():
        neuron = snntorch.RLeaky(
            0.6,
            linear_features=14,
            threshold=0.9,
            spike_grad=surrogate.atan(ALPHA),
            learn_beta=True,
            learn_threshold=True,
            reset_mechanism=reset,
            reset_delay=reset == "subtract",
        )
        with torch.no_grad():
            neuron.recurrent.weight.copy_(torch.tensor(problem.lateral.T))
            neuron.recurrent.bias.zero_()
        return SpikesOnly(neuron)

    v_reset = {"zero": 0.0, "none": "none", "subtract": "delayed"}[reset]
    detach = reset == "subtract"
    parity(problem, lambda: lif(v_reset, detach, kind=snn.RecurrentLIF), theirs, firing=(0.05, 0.8))
