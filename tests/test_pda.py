"""PDA: values tracked per step and channel, the correction, and the divergence objective."""

import re

import numpy as np
import pytest

import numsnn as snn
from numsnn import pda
from numsnn.layers import TRAINING

T, N, C = 4, 50, 3

CLOSE = 1e-12
"""Means of 200 numbers of order 1, in float64: 200 roundings of 1e-16, and a dozen passes that build on each other."""


def neurons(device="reference", dtype="float64", **options):
    return snn.LIF(record=("u",), **options).to(device, dtype)


def currents(seed=0, steps=T):
    return np.random.default_rng(seed).normal(0.3, 1, (steps, N, C))


def potentials(i, d, beta=0.5, theta=1.0, v_reset=0.0, gain=1.0):
    """u [T, N, C] of docs/method.md, N1, with the correction d [T, C] taken off."""
    u, v = np.empty_like(i), np.zeros(i.shape[1:])
    for t in range(len(i)):
        u[t] = beta * v + gain * i[t] - d[t]
        fired = u[t] >= theta
        v = np.where(fired, u[t] - theta if v_reset is None else v_reset, u[t])
    return u


def track(batches, momentum, target=None, **neuron):
    """d [T, C] after all batches, and the potentials of each (docs/method.md, D3). d grows with the longest batch."""
    d, seen = np.zeros((0, C)), []
    for i in batches:
        while len(d) < len(i):
            d = np.concatenate([d, d[-1:] if len(d) else np.zeros((1, C))])
        u = potentials(i, d, **neuron)
        seen.append(u)
        wanted = i.mean((0, 1)) if target is None else target
        d[: len(i)] += momentum * (u.mean(1) - wanted)
    return d, seen


def train(layer, batches):
    """Potentials of every training pass."""
    seen = []
    for i in batches:
        layer.forward(i.astype(layer.dtype), TRAINING)
        seen.append(layer.recorded["u"])
    return seen


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=CLOSE)


# --- the tracked correction -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pda", "options", "by_hand"),
    [
        ({}, {}, {"momentum": 0.1}),
        ({"momentum": 0.4}, {}, {"momentum": 0.4}),
        ({"momentum": 1.0}, {"v_reset": -0.3}, {"momentum": 1.0, "v_reset": -0.3}),
        ({"momentum": 0.4}, {"v_reset": None, "tau": 4.0}, {"momentum": 0.4, "v_reset": None, "beta": 0.75}),
        ({"momentum": 0.4, "target": 0.25}, {}, {"momentum": 0.4, "target": 0.25}),
        ({"momentum": 0.4, "target": 0.0, "divergence": 0.5}, {}, {"momentum": 0.4, "target": 0.0}),
        ({"momentum": 0.4}, {"decay_input": True}, {"momentum": 0.4, "gain": 0.5}),
    ],
    ids=str,
)
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_correction_is_the_method_s(device, pda, options, by_hand):
    batches = [currents(seed) for seed in range(6)]
    layer = neurons(device, pda=snn.PDA(**pda), **options)
    seen = train(layer, batches)
    d, want = track(batches, **by_hand)
    for u, expected in zip(seen, want, strict=True):
        close(u, expected)
    close(layer.tracker.correction, d)
    assert np.abs(d).min() > 1e-4
    assert 0.05 < layer.output.mean() < 0.60
    assert layer.tracker.batches == [6]


def test_target_follows_the_input_current():
    """The first batch sets mean and variance, later ones move them by the momentum; a fixed mean stays."""
    batches = [currents(seed) * (1 + seed) + seed for seed in range(4)]
    for target in (None, 0.25):
        layer = neurons(pda=snn.PDA(momentum=0.3, target=target))
        train(layer, batches[:1])
        close(layer.tracker.target[1], batches[0].var((0, 1)))
        train(layer, batches[1:])
        mean, var = batches[0].mean((0, 1)), batches[0].var((0, 1))
        for i in batches[1:]:
            mean, var = 0.7 * mean + 0.3 * i.mean((0, 1)), 0.7 * var + 0.3 * i.var((0, 1))
        close(layer.tracker.target[0], mean if target is None else 0.25)
        close(layer.tracker.target[1], var)


def test_more_steps_than_were_tracked_take_the_last_one_s_correction():
    layer, batches = neurons(pda=snn.PDA(momentum=0.5)), [currents(seed) for seed in range(3)]
    train(layer, batches)
    d, _ = track(batches, 0.5)
    i = currents(9, steps=T + 3)
    layer.forward(i)
    close(layer.recorded["u"], potentials(i, np.concatenate([d, d[-1:], d[-1:], d[-1:]])))
    close(layer.tracker.correction, d)


def test_fewer_steps_than_were_tracked_take_the_first_ones():
    layer, batches = neurons(pda=snn.PDA(momentum=0.5)), [currents(seed) for seed in range(3)]
    train(layer, batches)
    d, _ = track(batches, 0.5)
    i = currents(9, steps=2)
    layer.forward(i)
    close(layer.recorded["u"], potentials(i, d[:2]))


def test_training_with_other_numbers_of_steps():
    """Fewer leave the later corrections alone, more go on from the last one's."""
    batches = [currents(seed, steps) for seed, steps in enumerate((2, T, 1, T + 2, 3))]
    layer = neurons(pda=snn.PDA(momentum=0.5))
    seen = train(layer, batches)
    d, want = track(batches, 0.5)
    for u, expected in zip(seen, want, strict=True):
        close(u, expected)
    assert layer.tracker.correction.shape == (T + 2, C)
    close(layer.tracker.correction, d)


def test_frozen_at_inference_and_where_nothing_is_tracked():
    layer = neurons(pda=snn.PDA(momentum=0.5, divergence=0.1))
    train(layer, [currents()])
    before = layer.state()
    layer(currents(1))
    layer(currents(1), training=True)
    layer.forward(currents(1), snn.Mode(training=True, store=True))
    after = layer.state()
    assert all(np.array_equal(after[name], value) for name, value in before.items())


def test_without_correction_potentials_are_as_without_pda():
    batches = [currents(seed) for seed in range(3)]
    plain, watched = (train(neurons(pda=pda), batches) for pda in (None, snn.PDA(correct=False)))
    for u, expected in zip(watched, plain, strict=True):
        np.testing.assert_array_equal(u, expected)
    layer = neurons(pda=snn.PDA(correct=False))
    train(layer, batches)
    assert layer.tracker.correction.shape == (0, C)
    assert layer.tracker.batches == [3]


def test_before_any_training_nothing_is_corrected():
    i = currents()
    np.testing.assert_array_equal(neurons(pda=True)(i), neurons()(i))


@pytest.mark.parametrize("target", [None, 0.2])
def test_shift_shrinks(target):
    """A normalised input, hard reset: the potentials' mean slides below the input's, and comes back with PDA. In the
    first step, where nothing was reset yet, what is left after k passes is (1 - momentum)^k of the shift."""
    i = np.random.default_rng(0).normal(0, 1, (T, 2000, C))
    i = (i - i.mean((0, 1))) / i.std((0, 1))
    wanted = 0.0 if target is None else target

    def shifts(pda):
        return [np.abs(u.mean(1) - wanted) for u in train(neurons(pda=pda), [i] * 31)]

    without, with_pda = shifts(None), shifts(snn.PDA(momentum=0.2, target=target))
    np.testing.assert_array_equal(without[-1], without[0])
    assert (without[0][1:] > 0.05).all()
    np.testing.assert_array_equal(with_pda[0], without[0])
    for k in (1, 10, 30):
        np.testing.assert_allclose(with_pda[k][0], 0.8**k * with_pda[0][0], rtol=0, atol=1e-11)
    means = [shift[1:].mean() for shift in with_pda]
    assert means[0] > 1.1 * means[1] > 2 * means[5] > 4 * means[10]
    assert (with_pda[-1] < 0.01).all()


def test_default_is_pda_with_its_defaults():
    assert snn.LIF(pda=True).pda.description() == snn.PDA().description()
    assert snn.LIF(pda=False).pda is snn.LIF(pda=None).pda is snn.LIF().pda is None


# --- the divergence objective ---------------------------------------------------------------------------------------


def divergence(u, target, eps):
    """Section 3: mean over channels of J for potentials u and target [2, C], eps added to both variances."""
    mean, v = u.mean((0, 1)), u.var((0, 1)) + eps
    wanted, w = target[0], target[1] + eps
    gap = (mean - wanted) ** 2
    return (0.5 * ((v + gap) / w + (w + gap) / v) - 1).mean()


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("target", [None, 0.4])
def test_penalty_is_the_symmetric_divergence(device, target):
    layer = neurons(device, pda=snn.PDA(momentum=0.5, divergence=0.7, target=target, eps=0.01))
    train(layer, [currents(seed) for seed in range(3)])
    target = layer.tracker.target
    want = 0.7 * divergence(layer.recorded["u"], target, 0.01)
    assert want > 1e-3
    assert layer.penalty == pytest.approx(want, abs=CLOSE)
    layer.forward(currents(5), snn.Mode(store=True))
    assert layer.penalty == pytest.approx(0.7 * divergence(layer.recorded["u"], target, 0.01), abs=CLOSE)


def test_penalty_is_zero_where_the_potentials_are_the_target_s():
    """No spikes, no memory: potentials are the currents."""
    layer = neurons(beta=0.0, v_threshold=100.0, pda=snn.PDA(correct=False, divergence=1.0))
    train(layer, [currents()])
    assert layer.penalty == pytest.approx(0, abs=CLOSE)
    assert not layer.output.any()
    assert np.abs(layer.backward(np.zeros((T, N, C)))).max() < CLOSE


def test_penalty_acts_on_the_potentials():
    """There is no memory and no gradient from above: dL/di is the objective's gradient, compared with differences."""
    pda = snn.PDA(correct=False, divergence=0.7, target=0.5, eps=0.1)
    layer = neurons(beta=0.0, v_threshold=100.0, pda=pda)
    i = currents()
    train(layer, [i])
    layer.tracker.target[...] = [[0.5] * C, [0.3, 1.0, 2.0]]
    mode = snn.Mode(store=True)
    layer.forward(i, mode)
    di = layer.backward(np.zeros((T, N, C))).copy()
    rng = np.random.default_rng(1)
    for _ in range(5):
        direction = rng.normal(size=i.shape)
        values = []
        for step in (1e-4, -1e-4):
            layer.forward(i + step * direction, mode)
            values.append(layer.penalty)
        assert (di * direction).sum() == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-6)


def test_a_silent_channel_stays_finite():
    """All potentials equal: without eps the variance would be 0."""
    layer = neurons(dtype="float32", pda=snn.PDA(divergence=1.0))
    i = np.zeros((T, N, C))
    train(layer, [i, i])
    assert np.isfinite(layer.penalty)
    assert np.isfinite(layer.backward(np.zeros((T, N, C), np.float32))).all()


@pytest.mark.usefixtures("quick_simulator")
@pytest.mark.parametrize("k", ["reference", "cpu", "cuda"])
@pytest.mark.parametrize("level", [0.3, 100.3])
@pytest.mark.parametrize("inside", [True, False], ids=["PDA", "Divergence"])
def test_equal_potentials_keep_their_gradient_in_single_precision(k, level, inside):
    """The variance of a channel of equal potentials is 0, and the slope of the gradient is (w + gap^2) / eps^2: times a
    potential, it would leave nothing of a float32. The gradient is gap (1 / w + 1 / eps) / n."""
    if k == "cuda":
        pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    target, variance, eps, shape = level - 0.25, 0.5, 1e-3, (2, 3, 2)
    if inside:
        pda = snn.PDA(correct=False, divergence=1.0, target=target, eps=eps)
        layer = snn.LIF(beta=0.0, v_threshold=200.0, pda=pda).to(k).build(shape)
        layer.set_statistic("target", np.array([[target] * 2, [variance] * 2]))
    else:
        layer = snn.Divergence(1.0, target, variance, eps).to(k).build(shape)
    i = layer.kernels.from_host(np.full(shape, level), np.float32)
    layer.forward(i, snn.Mode(store=True))
    di = layer.kernels.to_host(layer.backward(layer.kernels.zeros(shape, np.float32)))
    gap = np.float64(np.float32(level)) - np.float32(target)
    wanted = gap * (1 / (variance + eps) + 1 / eps) / i.size
    np.testing.assert_allclose(di, wanted, rtol=1e-6)


def test_penalty_of_a_pass_that_stored_nothing_is_the_last_one_s():
    layer = neurons(pda=snn.PDA(divergence=1.0))
    train(layer, [currents()])
    before = layer.penalty
    layer(currents(1))
    assert layer.penalty == before > 0


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 0.0}, "PDA: momentum must lie in (0, 1]; got 0.0"),
        ({"momentum": 1.5}, "PDA: momentum must lie in (0, 1]; got 1.5"),
        ({"momentum": None}, "PDA: momentum must be a finite number; got None"),
        ({"correct": 1}, "PDA: correct must be True or False; got 1"),
        ({"target": "mean"}, "PDA: target must be a finite number; got 'mean'"),
        ({"target": float("nan")}, "PDA: target must be a finite number; got nan"),
        ({"divergence": -0.1}, "PDA: divergence must be at least 0; got -0.1"),
        ({"divergence": float("inf")}, "PDA: divergence must be a finite number; got inf"),
        ({"eps": 0.0}, "PDA: eps must be positive; got 0.0"),
    ],
)
def test_settings_that_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        snn.PDA(**options)


def test_repr_and_description():
    pda = snn.PDA(momentum=0.3, target=0.5)
    assert repr(pda) == "PDA(momentum=0.3, target=0.5)"
    assert pda.description() == {
        "type": "PDA",
        "momentum": 0.3,
        "correct": None,
        "target": 0.5,
        "divergence": 0.0,
        "eps": 1e-3,
    }


@pytest.mark.parametrize("kind", [snn.RecurrentLIF, snn.RecurrentALIF, snn.RecurrentCubaLIF])
def test_recurrent_neurons_are_corrected_only_if_asked_for(kind):
    """They compute with the shift; to subtract it cost accuracy (benchmarks/RESULTS.md)."""
    found = {}
    for correct in (None, False, True):
        layer = kind(pda=snn.PDA(correct=correct)).build((T, N, C)).to("reference", "float64")
        for seed in range(3):
            layer.forward(currents(seed), TRAINING)
        found[correct] = layer.statistics()[f"{layer.path}.correction"]
    assert found[None].size == found[False].size == 0
    assert found[True].shape == (T, C) and found[True].all()
    assert not snn.diagnose(kind(pda=True), currents().astype(np.float32)).layers[0].pda


def test_no_advice_to_correct_what_a_recurrent_layer_computes_with():
    x = (currents() - 2).astype(np.float32)
    hints = {kind: " ".join(snn.diagnose(kind(v_reset=-3.0), x).hints) for kind in (snn.LIF, snn.RecurrentLIF)}
    rows = [snn.diagnose(kind(v_reset=-3.0), x).layers[0] for kind in hints]
    assert [row.recurrent for row in rows] == [False, True]
    assert "mean input current" not in hints[snn.RecurrentLIF]


def test_after_a_while_the_shift_is_measured_now_and_then():
    """In every pass of the first 50, and then in every fifth; what is tracked stays as it is in between."""
    layer = neurons(pda=snn.PDA(momentum=0.3, divergence=0.2))
    changed = []
    for seed in range(pda.SETTLING + 2 * pda.OFTEN + 2):
        before = layer.statistics() if seed else {}
        layer.forward(currents(seed).astype(layer.dtype), TRAINING)
        after = layer.statistics()
        assert after[f"{layer.path}.batches"] == seed + 1
        assert layer.penalty > 0  # the objective acts in every pass
        for name in (f"{layer.path}.correction", f"{layer.path}.target"):
            changed.append(name not in before or not np.array_equal(before[name], after[name]))
    passes = range(pda.SETTLING + 2 * pda.OFTEN + 2)
    assert changed[::2] == changed[1::2] == [k < pda.SETTLING or k % pda.OFTEN == 0 for k in passes]


def test_what_a_layer_does_anyway_is_not_said():
    """Files of version 0.1 say ``correct`` always, and describe the same networks as the default."""
    told, plain = (snn.LIF(pda=snn.PDA(0.3, correct=correct)) for correct in (True, None))
    assert told.description() == plain.description() and repr(told) == repr(plain)
    assert snn.LIF(pda=snn.PDA(correct=False)).pda.correct is False
    assert snn.RecurrentLIF(pda=snn.PDA(correct=True)).pda.correct is True
