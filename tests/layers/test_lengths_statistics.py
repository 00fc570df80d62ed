"""What layers measure of a batch with padding, against NumPy over the real rows."""

from dataclasses import replace

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING, Mode

STEPS, LENGTHS = 4, np.array([2, 3, 1])
REAL = np.arange(STEPS)[:, None] < LENGTHS  # no sample is real at the last step
SHAPE = STEPS, len(LENGTHS), 2, 3, 5
PADDED = replace(TRAINING, lengths=LENGTHS)
CLOSE = 1e-12


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=CLOSE * max(1, np.abs(want).max()))


def draw(seed=0, shape=SHAPE):
    """Return an input with large numbers in its padding, and dL/dy with zeros there."""
    rng = np.random.default_rng(seed)
    real = REAL.reshape(*REAL.shape, *(1,) * (len(shape) - 2))
    return np.where(real, rng.normal(0.5, 2, shape), 1e6), np.where(real, rng.normal(size=shape), 0)


def layer_on(layer, device, shape=SHAPE):
    """Return the layer, built, with affine numbers that are not one and zero."""
    layer = layer.build(shape).to(device, "float64")
    rng = np.random.default_rng(3)
    for _, p in layer.parameters():
        if p.group == "norm":
            p.value[...] = rng.uniform(0.5, 1.5, p.value.shape)
    return layer


class Normalised:
    """Batch normalisation of rows [M, C], and its gradients (docs/method.md, B1 to B7)."""

    def __init__(self, rows, gamma, beta, scale=1.0, eps=1e-5):
        self.mean, self.var = rows.mean(0), rows.var(0)
        self.factor = scale * gamma / np.sqrt(self.var + eps)
        self.xn, self.scale = (rows - self.mean) / np.sqrt(self.var + eps), scale
        self.y = scale * gamma * self.xn + beta

    def back(self, dy):
        """Return dx, dgamma and dbeta."""
        dx = self.factor * (dy - dy.mean(0) - self.xn * (dy * self.xn).mean(0))
        return dx, self.scale * (dy * self.xn).sum(0), dy.sum(0)


# --- normalisations ---------------------------------------------------------------------------------------------------


def check_rows(y, dx, mask, want_y, want_dx):
    """Check output and input gradient at the real rows of the steps in mask; the padding is zero."""
    close(y[mask].reshape(-1, SHAPE[-1]), want_y)
    close(dx[mask].reshape(-1, SHAPE[-1]), want_dx)


@pytest.mark.parametrize("options", [{}, {"v_threshold": 0.5, "momentum": 0.3}, {"affine": False}])
def test_batchnorm(device, options):
    layer = layer_on(snn.BatchNorm(5, **options), device)
    x, dy = draw()
    y, dx = np.array(layer.forward(x, PADDED)), layer.backward(dy)
    want = Normalised(x[REAL].reshape(-1, 5), layer.gamma.value, layer.beta.value, options.get("v_threshold", 1.0))
    want_dx, dgamma, dbeta = want.back(dy[REAL].reshape(-1, 5))
    check_rows(y, dx, REAL, want.y, want_dx)
    assert not y[~REAL].any() and not dx[~REAL].any()
    if layer.affine:
        close(layer.gamma.grad, dgamma)
        close(layer.beta.grad, dbeta)
    share = options.get("momentum", 0.1)
    close(layer.running["mean"], share * want.mean)
    close(layer.running["var"], 1 - share + share * want.var)


def test_batchnorm_without_the_gradient_of_its_input(device):
    layer = layer_on(snn.BatchNorm(5), device)
    x, dy = draw()
    layer.forward(x, PADDED)
    layer.backward(dy)
    want = layer.gamma.grad.copy()
    layer.forward(x, PADDED)
    assert layer.backward(dy, need_dx=False) is None
    close(layer.gamma.grad, want)


def test_batchnorm_takes_spikes(device):
    layer = layer_on(snn.BatchNorm(5), device)
    spikes = (np.random.default_rng(4).random(SHAPE) < 0.4).astype(np.uint8)
    y = layer.forward(spikes, PADDED)
    close(y[REAL].reshape(-1, 5), Normalised(spikes[REAL].reshape(-1, 5), layer.gamma.value, layer.beta.value).y)


def test_one_sample_of_one_step(device):
    """The variance of a single row is zero."""
    x = np.array([[[3.0, -1.0]], [[7.0, 7.0]]])
    mode = replace(TRAINING, lengths=np.array([1]))
    for layer in (snn.BatchNorm(2), snn.BNTT(2, 2), snn.TEBN(2, 2)):
        layer.build(x.shape).to(device, "float64")
        y = np.array(layer.forward(x, mode))
        dx = layer.backward(np.array([[[1.0, 2.0]], [[0.0, 0.0]]]))
        assert not y.any() and not dx.any()
        mean = layer.running["mean"]
        close(mean if mean.ndim == 1 else mean[0], [0.3, -0.1])


def test_bntt(device):
    """The last step has no real sample: it changes no statistic, its gradients are zero, and nothing is NaN."""
    layer = layer_on(snn.BNTT(5, STEPS, bias=True), device)
    layer.set_statistic("mean", np.full((STEPS, 5), 7.0))
    for p in (layer.gamma, layer.beta):
        p.grad[...] = 9
    x, dy = draw(1)
    y, dx = np.array(layer.forward(x, PADDED)), layer.backward(dy)
    for t in range(STEPS - 1):
        mask = REAL & (np.arange(STEPS)[:, None] == t)
        want = Normalised(x[mask].reshape(-1, 5), layer.gamma.value[t], layer.beta.value[t])
        want_dx, dgamma, dbeta = want.back(dy[mask].reshape(-1, 5))
        check_rows(y, dx, mask, want.y, want_dx)
        close(layer.gamma.grad[t], dgamma)
        close(layer.beta.grad[t], dbeta)
        close(layer.running["mean"][t], 0.9 * 7 + 0.1 * want.mean)
        close(layer.running["var"][t], 0.9 + 0.1 * want.var)
    assert not y[~REAL].any() and not dx[~REAL].any()
    assert not layer.gamma.grad[-1].any() and not layer.beta.grad[-1].any()
    assert (layer.running["mean"][-1] == 7).all() and (layer.running["var"][-1] == 1).all()


def test_tebn(device):
    layer = layer_on(snn.TEBN(5, STEPS), device)
    x, dy = draw(2)
    y, dx = np.array(layer.forward(x, PADDED)), layer.backward(dy)
    p = np.broadcast_to(layer.p.value[:, None], REAL.shape)[REAL].repeat(6)[:, None]  # of every row
    step = np.broadcast_to(np.arange(STEPS)[:, None], REAL.shape)[REAL].repeat(6)
    rows, slopes = x[REAL].reshape(-1, 5), dy[REAL].reshape(-1, 5)
    want = Normalised(rows, layer.gamma.value, layer.beta.value)
    want_dx, dgamma, dbeta = want.back(p * slopes)
    check_rows(y, dx, REAL, p * want.y, want_dx)
    close(layer.gamma.grad, dgamma)
    close(layer.beta.grad, dbeta)
    close(layer.p.grad, [(slopes * want.y)[step == t].sum() for t in range(STEPS)])
    close(layer.running["var"], 0.9 + 0.1 * want.var)


# --- penalties --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per", ["neuron", "channel"])
def test_rate_penalties(device, per):
    spikes = (np.random.default_rng(5).random(SHAPE) < 0.4).astype(np.uint8)
    spikes[~REAL] = 1
    _, dy = draw()
    units = 30 if per == "neuron" else 5
    rate = spikes[REAL].reshape(-1, units).mean(0)
    count = spikes[REAL].size // units
    below, above = np.maximum(0.3 - rate, 0), np.maximum(rate - 0.5, 0)
    cases = [
        (snn.RateBand(0.3, 0.5, 0.7, per), 0.7 * (below**2 + above**2), 1.4 * (above - below)),
        (snn.SpikePenalty(0.6, "l2", per), 0.6 * rate**2, 1.2 * rate),
        (snn.SpikePenalty(0.6, "l1", per), 0.6 * rate, np.full(units, 0.6)),
    ]
    for layer, value, slope in cases:
        layer.build(SHAPE).to(device, "float64").forward(spikes, PADDED)
        dx = layer.backward(dy)
        close(layer.penalty, value.mean())
        close(dx[REAL].reshape(-1, units), dy[REAL].reshape(-1, units) + slope / units / count)
        assert not dx[~REAL].any()


def test_divergence(device):
    layer = snn.Divergence(0.7, target_mean=0.2, target_var=2.0, eps=0.01).build(SHAPE).to(device, "float64")
    x, dy = draw(6)
    layer.forward(x, PADDED)
    dx = layer.backward(dy)
    rows = x[REAL].reshape(-1, 5)

    def penalty(rows):
        gap, v, w = rows.mean(0) - 0.2, rows.var(0) + 0.01, 2.01
        return 0.7 * (((v + gap**2) / w + (w + gap**2) / v) / 2 - 1).mean()

    close(layer.penalty, penalty(rows))
    h, (m, c) = 1e-6, (4, 2)
    change = np.zeros_like(rows)
    change[m, c] = h
    numeric = (penalty(rows + change) - penalty(rows - change)) / (2 * h)
    assert abs(numeric) > 1e-4
    assert abs((dx - dy)[REAL].reshape(-1, 5)[m, c] - numeric) < 1e-8
    assert not dx[~REAL].any()


# --- PDA and PSG ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [None, 0.4])
@pytest.mark.parametrize("kind", [snn.LIF, snn.ALIF], ids=["rule", "extended"])
def test_pda(device, kind, target):
    """Correction per step, tracked target, number of batches and objective, over two passes."""
    options = {"pda": snn.PDA(momentum=0.2, target=target, divergence=0.3, eps=0.01), "record": "u"}
    neuron = kind(**options).build(SHAPE).to(device, "float64")
    correction, aim = np.zeros((3, 5)), None
    for seed in (7, 8):
        x, dy = draw(seed)
        neuron.forward(x, PADDED)
        neuron.backward(dy)
        u, current = neuron.recorded["u"], x[REAL].reshape(-1, 5)
        mean = np.full(5, target) if target is not None else current.mean(0)
        now = np.stack([mean, current.var(0)])
        aim = now if aim is None else 0.8 * aim + 0.2 * now
        measured = np.stack([u[t, REAL[t]].reshape(-1, 5).mean(0) for t in range(3)])
        correction = correction + 0.2 * (measured - mean)
        found = neuron.statistics()
        name = neuron.path
        close(found[f"{name}.correction"], correction)
        close(found[f"{name}.target"], aim)
        gap, v = u[REAL].reshape(-1, 5).mean(0) - aim[0], u[REAL].reshape(-1, 5).var(0) + 0.01
        w = aim[1] + 0.01
        close(neuron.penalty, 0.3 * (((v + gap**2) / w + (w + gap**2) / v) / 2 - 1).mean())
    assert found[f"{name}.batches"] == 2


def test_the_correction_of_later_steps_is_not_tracked(device):
    """A shorter batch leaves what a longer one has tracked."""
    neuron = snn.LIF(pda=True).build(SHAPE).to(device, "float64")
    x, _ = draw(9)
    neuron.forward(x, TRAINING)
    before = neuron.statistics()[f"{neuron.path}.correction"]
    neuron.forward(x, PADDED)
    after = neuron.statistics()[f"{neuron.path}.correction"]
    assert np.array_equal(after[3], before[3])
    assert (after[:3] != before[:3]).all()


def test_width_gradient_and_visible_share(device):
    """The width takes nothing from potentials without a gradient, and the share counts real potentials only."""
    options = {"surrogate": snn.PSG("triangle", per="channel")}
    found = []
    for filling in (1.0, 1e6):  # at the threshold, in the middle of the surrogate's window; and far beyond it
        neuron = snn.LIF(**options).build(SHAPE).to(device, "float64")
        neuron.want_visible = True
        x, dy = draw(10)
        x[~REAL] = filling
        neuron.forward(x, PADDED)
        neuron.backward(dy)
        visible = neuron.visible()
        np.testing.assert_allclose(neuron.visible_share, visible[REAL].mean(), rtol=1e-12)
        found.append((neuron.width.parameter.grad.copy(), neuron.visible_share, visible.mean()))
    assert np.array_equal(found[0][0], found[1][0]) and found[0][0].all()
    assert found[0][1] == found[1][1]
    assert found[0][2] != found[1][2]


# --- CUDA -------------------------------------------------------------------------------------------------------------


def small():
    return snn.Sequential(
        snn.Linear(3, 4),
        snn.BatchNorm(4),
        snn.LIF(pda=snn.PDA(divergence=0.2), learn_tau=True),
        snn.RateBand(0.4, 0.6),
        snn.Linear(4, 3),
        snn.BNTT(3, STEPS, bias=True),
        snn.RecurrentALIF(pda=snn.PDA(correct=True, divergence=0.1), learn_adaptation=True, v_threshold=0.5),
        snn.SpikePenalty(0.2),
        snn.Linear(3, 3),
        snn.TEBN(3, STEPS),
        snn.ALIF(pda=snn.PDA(divergence=0.1), learn_adaptation=True, v_threshold=0.5),
        snn.Linear(3, 2),
        snn.Divergence(0.1),
    )


@pytest.mark.usefixtures("quick_simulator")
def test_cuda_is_the_reference():
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    shape = STEPS, 3, 3
    x, _ = draw(11, shape)
    dz = draw(12, (STEPS, 3, 2))[1]
    found = []
    for device in ("reference", "cuda"):
        net = small().build(shape, seed=2).to("reference", "float64").to(device)
        net.layers[2].want_visible = True
        for _ in range(2):
            y = net.forward(net.admit(x), Mode(training=True, store=True, track=True, lengths=LENGTHS))
            dx = net.backward(net.kernels.from_host(dz, np.float64))
        host = net.kernels.to_host
        found.append(
            {"y": host(y)[REAL], "dx": host(dx), "penalty": np.array(net.total_penalty())}
            | {"share": np.array(net.layers[2].visible_share)}
            | {name: host(p.grad) for name, p in net.parameters()}
            | net.statistics()
        )
    want, got = found
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-9 * max(1, np.abs(value).max()), err_msg=name)
    assert not got["dx"][~REAL].any() and want["penalty"] > 0.01
