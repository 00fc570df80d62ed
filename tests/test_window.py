"""PSG with the rule "window": what is measured when, the width that follows from it, and what keeps it."""

import copy

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

import numsnn as snn
from numsnn import window
from numsnn.layers import TRAINING, Mode
from numsnn.psg import FAMILIES

T, N, C = 3, 40, 4

CLOSE = 1e-6
"""Relative difference of widths: the moments of 480 numbers in float64, and 40 halvings."""


def neurons(device="reference", dtype="float64", kind=snn.LIF, psg=None, **options):
    psg = {"rule": "window"} | (psg or {})
    return kind(surrogate=snn.PSG(**psg), record=("u",), **options).build((T, N, C)).to(device, dtype)


def currents(seed=0, spread=1.0, steps=T):
    return np.random.default_rng(seed).normal(0.3, spread, (steps, N, C))


def width_for(mean, var, theta=1.0, share=0.5, reach=1.0):
    """alpha of docs/method.md, P4, by another solver and another normal distribution."""

    def excess(alpha):
        return norm.cdf(theta + reach * alpha, mean, var**0.5) - norm.cdf(theta - reach * alpha, mean, var**0.5) - share

    return brentq(excess, 1e-6, 1e3, xtol=1e-12, rtol=1e-12)


def train(layer, passes, first=0):
    """The width that every training pass has used, and the potentials of each."""
    widths, seen = [], []
    for k in range(first, first + passes):
        layer.forward(currents(k, 1 + 0.1 * k).astype(layer.dtype), TRAINING)
        widths.append(layer.kernels.to_host(layer.width.natural).copy())
        seen.append(layer.recorded["u"])
    return widths, seen


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_the_width_is_the_method_s(device, family):
    layer = neurons(device, psg={"family": family, "width": 3.0, "share": 0.4})
    widths, seen = train(layer, 13)
    reach, first, second = FAMILIES[family].reach, seen[0], seen[window.OFTEN]
    assert widths[0] == pytest.approx([3.0] * C)
    wanted = width_for(first.mean(), first.var(), share=0.4, reach=reach)
    for used in widths[1 : window.OFTEN + 1]:
        np.testing.assert_allclose(used, wanted, rtol=CLOSE)
    old, new = 1 - window.SHARE, window.SHARE
    tracked = (old * getattr(first, what)() + new * getattr(second, what)() for what in ("mean", "var"))
    wanted = width_for(*tracked, share=0.4, reach=reach)
    for used in widths[window.OFTEN + 1 :]:
        np.testing.assert_allclose(used, wanted, rtol=CLOSE)


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("kind", [snn.LIF, snn.ALIF, snn.RecurrentLIF])
def test_one_width_per_channel(device, kind):
    theta = np.array([0.5, 0.8, 1.0, 1.5])
    psg = {"per": "channel", "bounds": (0.01, 100.0)}
    layer = neurons(device, kind=kind, psg=psg, v_threshold=tuple(theta))
    (_, used), (u, _) = train(layer, 2)
    wanted = [width_for(u[..., c].mean(), u[..., c].var(), theta[c]) for c in range(C)]
    np.testing.assert_allclose(used, wanted, rtol=CLOSE)


def test_one_width_takes_the_mean_threshold():
    layer = neurons(v_threshold=(0.5, 0.8, 1.0, 1.5))
    (_, used), (u, _) = train(layer, 2)
    np.testing.assert_allclose(used, width_for(u.mean(), u.var(), 0.95), rtol=CLOSE)


def test_the_start_does_not_matter():
    ends = [train(neurons(psg={"width": width}), 3)[0][-1] for width in (0.2, 1.0, 15.0)]
    assert np.array_equal(ends[0], ends[1]) and np.array_equal(ends[0], ends[2])


def test_the_surrogate_sees_the_share():
    """Without leak and reset the potentials of one step are the currents, which are normally distributed."""
    layer = neurons("cpu", psg={"share": 0.3})
    x = np.random.default_rng(1).normal(0.2, 1.3, (1, 20_000, C))
    for _ in range(2):
        layer.forward(x, TRAINING)
    row = snn.diagnose(layer, x).layers[0]
    assert row.window_share == pytest.approx(0.3, abs=0.01)
    assert row.window_normal_share == pytest.approx(0.3, abs=0.005)
    assert row.width_bounds is None


@pytest.mark.parametrize(("spread", "bound"), [(0.0, 0.1), (1e6, 20.0)])
def test_bounds(spread, bound):
    """Potentials that all lie at the threshold ask for no width, and potentials far apart for a very large one."""
    layer = neurons("cpu")
    x = np.full((T, N, C), 1.0) if not spread else currents(0, spread)
    for _ in range(2):
        layer.forward(x, TRAINING)
    np.testing.assert_allclose(layer.width.natural, bound, rtol=1e-3)


def test_default_bounds_of_recurrent_neurons_are_narrow():
    psg = snn.PSG("arctan", rule="window")
    peak = FAMILIES["arctan"].peak
    assert psg.bounds_at(2.0) == pytest.approx((0.2 * peak, 40.0))
    assert psg.bounds_at(2.0, recurrent=True) == pytest.approx((peak, 2 * peak))
    assert snn.PSG(rule="window", bounds=(0.5, 3.0)).bounds_at(2.0, recurrent=True) == (0.5, 3.0)


@pytest.mark.parametrize("mode", [Mode(), Mode(training=True, store=True), Mode(store=True)])
def test_passes_that_do_not_track_change_nothing(mode):
    layer = neurons()
    train(layer, 1)
    before = layer.state()
    layer.forward(currents(5, 3.0), mode)
    assert before.keys() == layer.state().keys()
    assert all(np.array_equal(before[name], value) for name, value in layer.state().items())


def test_forward_and_backward_pass_have_one_width():
    """The new width begins with the next pass: the gradient of a pass is that of a fixed width."""
    layer, fixed = neurons(psg={"width": 0.7}), snn.LIF(surrogate=snn.Surrogate(width=0.7)).build((T, N, C))
    fixed = fixed.to("reference", "float64")
    dy = currents(9)
    for own in (layer, fixed):
        own.forward(currents(0), TRAINING)
    assert np.array_equal(layer.backward(dy.copy()), fixed.backward(dy.copy()))


def test_padding_does_not_count():
    lengths = np.random.default_rng(3).integers(1, T + 1, N)
    real = np.arange(T)[:, None] < lengths
    x, mode = currents(2), Mode(training=True, store=True, track=True, lengths=lengths)
    x[~real] = 1e6
    layer = neurons("cpu")
    layer.forward(x, mode)
    u = layer.recorded["u"][real]
    layer.forward(x, mode)
    np.testing.assert_allclose(layer.width.natural, width_for(u.mean(), u.var()), rtol=CLOSE)


@pytest.mark.parametrize("per", ["layer", "channel"])
def test_copies_files_and_other_devices_go_on_alike(tmp_path, per):
    layer = neurons(psg={"per": per})
    train(layer, 4)
    names = {f"{layer.path}.{name}" for name in ("width", "potentials", "passes")}
    assert layer.statistics().keys() == names
    snn.save(layer, tmp_path / "net.h5")
    others = [copy.deepcopy(layer), snn.load(tmp_path / "net.h5"), copy.deepcopy(layer).to("cpu")]
    wanted = train(layer, 12, first=4)[0]
    for other in others:
        other.record = ("u",)
        np.testing.assert_allclose(train(other, 12, first=4)[0], wanted, rtol=CLOSE)


def test_a_trainer_shows_resumes_and_keeps_widths(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(64, 6)).astype(np.float32), rng.integers(0, 3, 64)

    def trainer(epochs, **options):
        surrogate = snn.PSG(rule="window", per="channel")
        net = snn.Sequential(snn.Repeat(2), snn.Linear(6, 5), snn.LIF(surrogate=surrogate), snn.Linear(5, 3))
        made = snn.Trainer(net, device="reference", batch_size=8, **options)
        made.fit(data, epochs=epochs, progress=False, resume="out" in options)
        return made

    whole = trainer(3)
    assert len(whole.widths()["lif1"]) == 5
    stopped = snn.Trainer(copy.deepcopy(trainer(1).net), device="reference")
    assert stopped.widths() == trainer(1).widths()
    interrupted = []

    def stop(trainer):
        if (trainer.epoch, trainer.batch) == (1, 3) and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(3, out=tmp_path / "run", on_batch=stop, save_every=0)
    resumed = trainer(3, out=tmp_path / "run", save_every=0)
    assert resumed.history[-1]["widths"] == whole.history[-1]["widths"]
    assert all(np.array_equal(value, resumed.net.state()[name]) for name, value in whole.net.state().items())


def test_a_frozen_layer_keeps_its_width():
    neuron = snn.LIF(surrogate=snn.PSG(rule="window"))
    net = snn.Sequential(neuron, snn.Linear(C, 2)).build((T, N, C)).to("reference", "float64")
    net["lif1"].freeze()
    before = net["lif1"].state()
    for k in range(3):
        net.forward(currents(k), TRAINING)
    assert all(np.array_equal(before[name], value) for name, value in net["lif1"].state().items())
