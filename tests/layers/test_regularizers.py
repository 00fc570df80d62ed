"""Penalties as layers: they return their input, add a penalty, and their gradients have the right sign."""

import json
import re

import numpy as np
import pytest

import numsnn as snn
from numsnn import config, experiment
from numsnn.layers import INFERENCE, TRAINING

FEATURES, PICTURES = (3, 4, 6), (2, 3, 4, 5, 2)

REGULARIZERS = {
    "band": lambda: snn.RateBand(0.3, 0.5, 2.0),
    "band per channel": lambda: snn.RateBand(0.45, 0.55, 2.0, per="channel"),
    "l1": lambda: snn.SpikePenalty(0.7),
    "l2": lambda: snn.SpikePenalty(0.7, "l2"),
    "l2 per channel": lambda: snn.SpikePenalty(0.7, "l2", per="channel"),
    "divergence": lambda: snn.Divergence(0.6),
    "divergence from something": lambda: snn.Divergence(0.6, target_mean=-0.4, target_var=0.3, eps=0.1),
}


@pytest.fixture(params=REGULARIZERS.values(), ids=REGULARIZERS)
def make(request):
    return request.param


@pytest.fixture(params=[FEATURES, PICTURES], ids=["features", "pictures"])
def shape(request):
    return request.param


def on_spikes(layer):
    return not isinstance(layer, snn.Divergence)


def signal(layer, shape, seed=0):
    """Spikes at rates from 0 to 1, or a current."""
    rng = np.random.default_rng(seed)
    if on_spikes(layer):
        return (rng.random(shape) < np.linspace(0, 1, shape[-1])).astype(np.uint8)
    return rng.normal(0.3, 1.2, shape).astype(np.float32)


def units(x, layer):
    """One column for everything a mean is taken over: ``[M, units]``."""
    whole = getattr(layer, "per", "channel") == "neuron"
    return x.reshape(x.shape[0] * x.shape[1], -1) if whole else x.reshape(-1, x.shape[-1])


def penalty(layer, x):
    """The documented formula, in float64."""
    x = units(x.astype(np.float64), layer)
    if isinstance(layer, snn.Divergence):
        v, w = x.var(0) + layer.eps, layer.target_var + layer.eps
        gap = (x.mean(0) - layer.target_mean) ** 2
        return layer.weight * (((v + gap) / w + (w + gap) / v) / 2 - 1).mean()
    rate = x.mean(0)
    if isinstance(layer, snn.RateBand):
        return layer.weight * (np.maximum(layer.low - rate, 0) ** 2 + np.maximum(rate - layer.high, 0) ** 2).mean()
    return layer.weight * (rate if layer.norm == "l1" else rate**2).mean()


def test_the_signal_passes_as_it_is(make, shape, device):
    """Spikes stay spikes: nothing behind the layer computes anything else."""
    layer = make().to(device)
    x = signal(layer, shape)
    for mode in (INFERENCE, TRAINING):
        y = layer.forward(x, mode)
        assert y is x and y.dtype == x.dtype
    np.testing.assert_array_equal(x, signal(layer, shape))
    assert layer.output_shape == shape and not layer.parameters() and not layer.statistics()


def test_penalty(make, shape, device):
    layer = make().to(device)
    x = signal(layer, shape)
    assert layer.penalty == 0.0
    layer.forward(x, TRAINING)
    want = penalty(layer, x)
    assert want > 1e-3
    assert layer.penalty == pytest.approx(want, rel=1e-5)


def test_inference_measures_nothing(make, device):
    """The penalty stays that of the last pass that stored what a backward pass needs, as for PDA's objective."""
    layer = make().to(device)
    layer.forward(signal(layer, FEATURES), TRAINING)
    before = layer.penalty
    layer.forward(signal(layer, FEATURES, seed=1), INFERENCE)
    assert layer.penalty == before
    layer.forward(signal(layer, FEATURES, seed=1), snn.Mode(store=True))
    assert layer.penalty != before


def test_gradient(make, shape, device):
    """What comes from above, plus the penalty's derivative by every number, measured by central differences."""
    layer = make().to(device, "float64")
    x = np.random.default_rng(3).uniform(0.05, 0.95, shape) * np.linspace(0.4, 1.6, shape[-1])
    dy = np.random.default_rng(4).normal(size=shape)
    layer.forward(x, TRAINING)
    dx = layer.backward(dy) - dy
    step, measured = 1e-5, np.empty(shape)
    for at in np.ndindex(shape):
        moved = []
        for move in (step, -step):
            near = x.copy()
            near[at] += move
            moved.append(penalty(layer, near))
        measured[at] = (moved[0] - moved[1]) / (2 * step)
    assert np.abs(measured).max() > 1e-5
    np.testing.assert_allclose(dx, measured, rtol=0, atol=1e-6 * np.abs(measured).max())


def test_the_penalty_does_not_depend_on_sizes(make, device):
    """Samples, steps and channels twice."""
    layer = make().to(device)
    x = signal(layer, PICTURES)
    layer.forward(x, TRAINING)
    once = layer.penalty
    for axis in (0, 1, 4):
        layer.forward(np.repeat(x, 2, axis=axis), TRAINING)
        assert layer.penalty == pytest.approx(once, rel=1e-5)


def test_the_weight_is_a_factor(make, device):
    layer = make().to(device)
    x = signal(layer, FEATURES)
    layer.forward(x, TRAINING)
    once, pull = layer.penalty, layer.backward(np.zeros(FEATURES, np.float32)).copy()
    layer.weight *= 3
    layer.forward(x, TRAINING)
    assert layer.penalty == pytest.approx(3 * once, rel=1e-5)
    np.testing.assert_allclose(layer.backward(np.zeros(FEATURES, np.float32)), 3 * pull, rtol=1e-5, atol=1e-9)


def test_memory_is_reused_and_gradients_are_optional(make, device):
    layer = make().to(device)
    x, dy = signal(layer, PICTURES), np.ones(PICTURES, np.float32)
    layer.forward(x, TRAINING)
    first = layer.backward(dy)
    layer.forward(x, TRAINING)
    assert layer.backward(dy).ctypes.data == first.ctypes.data
    np.testing.assert_array_equal(dy, 1)
    layer.forward(x, TRAINING)
    assert layer.backward(dy, need_dx=False) is None
    layer.forward(x, INFERENCE)
    with pytest.raises(RuntimeError, match=r"backward: needs a forward pass with Mode\(store=True\) before it$"):
        layer.backward(dy)


def test_description(make):
    layer = make()
    again = snn.Layer.from_description(json.loads(json.dumps(layer.description())))
    assert type(again) is type(layer) and again.description() == layer.description()
    assert eval(repr(layer), {name: getattr(snn, name) for name in dir(snn)}).description() == layer.description()


# --- in a network ---------------------------------------------------------------------------------------------------


def neurons(**options):
    return snn.LIF(surrogate=snn.PSG("logistic"), **options)


def perceptron(layer):
    """Return a network with the layer behind the neurons, or in front of them if the layer wants currents."""
    inside = [neurons(v_threshold=0.5), layer] if on_spikes(layer) else [layer, neurons(v_threshold=0.5)]
    return snn.Sequential(snn.Linear(6, 8), *inside, snn.Linear(8, 3))


def test_gradients_of_a_network(make, device):
    x = np.random.default_rng(0).normal(0.2, 1, FEATURES).astype(np.float32)
    net = perceptron(make())
    report = snn.check_gradients(net, x, [0, 1, 2, 0], device=device)
    assert report.ok, f"\n{report}"
    assert all(row.checked for row in report.rows)
    bare = perceptron(make())
    for layer in bare.walk():
        if hasattr(layer, "weight") and hasattr(layer, "penalty"):
            layer.weight = 0.0
    bare.build(FEATURES).load_state(net.state())
    assert snn.check_gradients(bare, x, [0, 1, 2, 0], device=device).loss < report.loss


def test_gradients_of_a_residual_network():
    """Penalties inside branches, on pictures, all kinds at once."""
    net = snn.Sequential(
        snn.Conv2d(2, 4, 3, padding=1),
        snn.Divergence(0.3),
        neurons(),
        snn.RateBand(0.1, 0.2, per="channel"),
        snn.Residual(snn.Conv2d(4, 4, 3, padding=1), neurons(), snn.SpikePenalty(0.5, "l2")),
        snn.Flatten(),
        snn.Linear(80, 3),
    )
    x = np.random.default_rng(0).normal(0.2, 1, PICTURES).astype(np.float32)
    report = snn.check_gradients(net, x, [0, 1, 2], device="reference")
    assert report.ok, f"\n{report}"


def test_the_check_sees_the_borders_of_a_band():
    """A rate that lies on the border within a step of differences: the second derivative jumps there."""
    layer = snn.RateBand(0.25, 0.5).to("reference", "float64")
    layer.forward(np.full((1, 1, 3), [0.1, 0.4, 0.9]), TRAINING)
    assert layer.pieces().tolist() == [-1, 0, 1]


def rates_after_training(*penalties, epochs=30):
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.3, 1, (64, 6)).astype(np.float32), np.arange(64) % 3
    net = snn.Sequential(snn.Repeat(4, snn.Linear(6, 16)), snn.LIF(v_threshold=1.5), *penalties, snn.Linear(16, 3))
    trainer = snn.Trainer(net, optimizer=snn.optim.Adam(2e-2), batch_size=32)
    history = trainer.fit((x, y), epochs=epochs, progress=False)
    net(x)
    return net.layers[1].output.mean((0, 1)), history


def test_a_band_holds_the_rates():
    """Without the band some neurons hardly fire and others are busy. A band brings all near it, and training goes
    on."""
    free, _ = rates_after_training()
    held, history = rates_after_training(snn.RateBand(0.15, 0.25, 100.0))
    assert free.min() < 0.1 and free.max() > 0.4
    assert held.min() > 0.12 and held.max() < 0.28
    assert history[0]["train_loss"] > history[-1]["train_loss"]


def test_a_price_on_spikes_makes_them_rare():
    free, _ = rates_after_training()
    for norm, weight in (("l1", 3.0), ("l2", 10.0)):
        priced, _ = rates_after_training(snn.SpikePenalty(weight, norm))
        assert priced.mean() < free.mean() / 2


def test_the_penalty_is_part_of_the_training_loss():
    """Zero epochs of progress: the same network, with and without."""
    losses = [rates_after_training(*p, epochs=1)[1][0]["train_loss"] for p in ((), (snn.SpikePenalty(1.0),))]
    assert losses[1] > losses[0] + 0.05


# --- from a configuration -------------------------------------------------------------------------------------------

TEXT = """
[model]
architecture = "4c3-p2-4r3-8"
[training]
loss = "{loss}"
rate_low = 0.1
rate_high = 0.3
rate_weight = {weight}
"""


@pytest.mark.parametrize("loss", ["rate", "spike_count"])
def test_bands_of_a_configuration(loss):
    """One behind every hidden neuron layer, also within blocks; none at the readout."""
    net = experiment.prepare(config.parse(TEXT.format(loss=loss, weight=2.0))).trainer.net
    layers = list(net.walk())
    behind = [type(b) for a, b in zip(layers, [*layers[1:], None], strict=True) if isinstance(a, snn.LIF)]
    assert behind == [snn.RateBand] * 4 + ([type(None)] if loss == "spike_count" else [])
    band = next(layer for layer in layers if isinstance(layer, snn.RateBand))
    assert (band.low, band.high, band.weight) == (0.1, 0.3, 2.0)
    assert band.path == "rateband1"


def test_no_band_without_a_weight():
    layers = experiment.prepare(config.parse(TEXT.format(loss="rate", weight=0.0))).trainer.net.walk()
    assert not any(isinstance(layer, snn.RateBand) for layer in layers)


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make_layer", "message"),
    [
        (lambda: snn.RateBand(-0.1, 0.5), "RateBand: low must lie in [0, 1]; got -0.1"),
        (lambda: snn.RateBand(0.1, 1.5), "RateBand: high must lie in [0, 1]; got 1.5"),
        (lambda: snn.RateBand(0.5, 0.1), "RateBand: low must not exceed high; got low=0.5, high=0.1"),
        (lambda: snn.RateBand(0.1, 0.5, -1), "RateBand: weight must be at least 0; got -1"),
        (lambda: snn.RateBand(0.1, 0.5, per="layer"), "RateBand: per must be one of 'neuron', 'channel'; got 'layer'"),
        (lambda: snn.SpikePenalty(None), "SpikePenalty: weight must be a finite number; got None"),
        (lambda: snn.SpikePenalty(1.0, "l0"), "SpikePenalty: norm must be one of 'l1', 'l2'; got 'l0'"),
        (lambda: snn.Divergence(-1.0), "Divergence: weight must be at least 0; got -1.0"),
        (lambda: snn.Divergence(1.0, target_mean="0"), "Divergence: target_mean must be a finite number; got '0'"),
        (lambda: snn.Divergence(1.0, target_var=0), "Divergence: target_var must be positive; got 0"),
        (lambda: snn.Divergence(1.0, eps=0.0), "Divergence: eps must be positive; got 0.0"),
    ],
)
def test_settings_that_are_refused(make_layer, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_layer()


def test_a_signal_without_time(make):
    layer = make()
    kind = type(layer).__name__
    message = f"{kind.lower()} ({kind}): input must be [T, N, C] or [T, N, H, W, C]; got (4, 6)"
    with pytest.raises(snn.ShapeError, match=f"^{re.escape(message)}$"):
        layer(np.zeros((4, 6), np.float32))


def test_a_divergence_of_spikes():
    message = "divergence (Divergence): input must be float32, a current or potential; got uint8"
    with pytest.raises(snn.ShapeError, match=f"^{re.escape(message)}$"):
        snn.Divergence(1.0)(np.zeros(FEATURES, np.uint8))


def test_the_total_penalty_is_the_sum_over_all_layers():
    """A penalty as a layer and the objective of PDA; all other layers have a penalty of 0."""
    net = snn.Sequential(
        snn.Linear(4, 3), snn.LIF(pda=snn.PDA(divergence=0.5)), snn.SpikePenalty(0.1), snn.Linear(3, 2)
    ).to("reference")
    assert net.total_penalty() == 0
    net.forward(np.random.default_rng(0).normal(1, 1, (3, 2, 4)).astype(np.float32), snn.Mode(store=True))
    _, neuron, penalty, readout = net.layers
    assert neuron.penalty > 0 and penalty.penalty > 0 and readout.penalty == 0
    assert net.total_penalty() == neuron.penalty + penalty.penalty
