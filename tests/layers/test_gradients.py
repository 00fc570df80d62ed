"""Every hand-written backward pass against finite differences (docs/method.md, R2): layers, losses, neurons, PDA."""

from math import prod

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING
from numsnn.losses import TET, RateCrossEntropy, SpikeCountMSE

T, N, K = 3, 4, 3
FEATURES = (T, N, 6)
PICTURES = (T, N, 5, 6, 2)

FAMILIES = ("rectangle", "triangle", "logistic", "arctan", "gaussian", "laplace", "fast_sigmoid", "parabola")

WIDTHS = {
    "fixed": lambda family: snn.Surrogate(family, 0.8),
    "layer": lambda family: snn.PSG(family, 0.8),
    "channel": lambda family: snn.PSG(family, 0.8, per="channel"),
}


def network(*layers):
    return snn.Sequential(*layers).to("reference")


def lif(**options):
    """Neurons whose surrogate has no kinks, so that no check depends on where potentials happen to lie."""
    return snn.LIF(**{"surrogate": snn.PSG("logistic"), **options})


def perceptron(neurons, hidden=8):
    return network(snn.Linear(6, hidden), neurons, snn.Linear(hidden, K))


def draw(shape, seed=0):
    return np.random.default_rng(seed).normal(0.2, 1, shape).astype(np.float32)


def labels(samples=N):
    return np.arange(samples) % K


def assert_bites(net, x, loss):
    """The check says something about this input: neurons fire, but not all of them, and no gradient is zero."""
    net.forward(x, snn.Mode(training=True, store=True))
    for layer in net.walk():
        if isinstance(layer, snn.LIF):
            rate = layer.output.mean()
            assert layer.output.dtype == np.uint8 and 0.05 < rate < 0.60, f"{layer.path} fires at {rate:.2f}"
    z = net.forward(x, snn.Mode(training=True, store=True, relaxed=True))
    _, dz = loss(z, labels(z.shape[1]), net.kernels)
    gradients = {"input": net.backward(dz)} | {name: p.grad for name, p in net.parameters()}
    for name, gradient in gradients.items():
        assert np.abs(gradient).max() > 1e-5, f"{name} has no gradient"


def assert_agrees(net, x, loss=None, device="reference"):
    """check_gradients passes, and has looked at every array."""
    loss = loss or RateCrossEntropy()
    if not net.built:
        net.build(x.shape)
    assert_bites(net, x, loss)
    report = snn.check_gradients(net, x, labels(net.output_shape[1]), loss, device=device)
    assert report.ok, f"\n{report}"
    assert [row.name for row in report.rows] == [*dict(net.parameters()), "input"]
    for row in report.rows:
        assert row.checked == min(5, prod(row.shape)), f"\n{report}"
    return report


# --- layers ---------------------------------------------------------------------------------------------------------

LAYERS = {
    "linear": lambda: (FEATURES, perceptron(lif())),
    "linear without bias": lambda: (
        FEATURES,
        network(snn.Linear(6, 8, bias=False), lif(), snn.Linear(8, K, bias=False)),
    ),
    "convolution": lambda: (
        PICTURES,
        network(
            snn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), groups=2, bias=True),
            lif(),
            snn.Conv2d(4, 4, 3, stride=2),
            lif(),
            snn.Flatten(),
            snn.Linear(8, K),
        ),
    ),
    "batch normalisation": lambda: (
        FEATURES,
        network(snn.Linear(6, 8, bias=False), snn.BatchNorm(8), lif(), snn.Linear(8, K)),
    ),
    "threshold-dependent normalisation": lambda: (
        PICTURES,
        network(
            snn.Conv2d(2, 4, 3),
            snn.BatchNorm(4, v_threshold=0.7),
            lif(v_threshold=0.7),
            snn.Flatten(),
            snn.Linear(48, K),
        ),
    ),
    "normalisation without affine": lambda: (
        PICTURES,
        network(snn.BatchNorm(2, affine=False), lif(), snn.Flatten(), snn.Linear(60, K)),
    ),
    "average pooling": lambda: (
        PICTURES,
        network(
            snn.AvgPool2d(2, stride=1, padding=1),
            snn.BatchNorm(2),
            lif(),
            snn.AvgPool2d((3, 2)),
            snn.Flatten(),
            snn.Linear(12, K),
        ),
    ),
    "max pooling": lambda: (
        PICTURES,
        network(
            snn.MaxPool2d(3, stride=1, padding=1),
            snn.BatchNorm(2),
            lif(),
            snn.MaxPool2d((3, 2)),
            snn.Flatten(),
            snn.Linear(6, K),
        ),
    ),
    "global average pooling": lambda: (
        PICTURES,
        network(snn.Conv2d(2, 8, 3), lif(), snn.GlobalAvgPool2d(), snn.Linear(8, K)),
    ),
    "flatten": lambda: (PICTURES, network(snn.Flatten(), snn.Linear(60, 8), lif(), snn.Linear(8, K))),
    "dropout": lambda: (
        FEATURES,
        network(snn.Dropout(0.2), snn.Linear(6, 8), lif(), snn.Dropout(0.5), snn.Linear(8, K)),
    ),
    "neurons first": lambda: (FEATURES, network(lif(), snn.Linear(6, K))),
    "neurons last": lambda: (
        FEATURES,
        network(snn.Linear(6, 8), lif(v_threshold=0.5), snn.Linear(8, K), lif(v_threshold=0.4)),
    ),
    "repeat": lambda: (FEATURES[1:], network(snn.Repeat(T), snn.Linear(6, 8), lif(), snn.Linear(8, K))),
    "repeat around layers": lambda: (
        FEATURES[1:],
        network(
            snn.Repeat(T, snn.Linear(6, 8, bias=False), snn.BatchNorm(8)),
            lif(),
            snn.Linear(8, K),
            lif(tau=4.0),
        ),
    ),
    "residual": lambda: (FEATURES, network(snn.Residual(lif(), snn.Linear(6, 6)), lif(), snn.Linear(6, K))),
    "residual with shortcut": lambda: (
        FEATURES,
        network(
            snn.Residual(snn.Linear(6, 8), lif(), snn.Linear(8, 5), shortcut=snn.Linear(6, 5)),
            lif(),
            snn.Linear(5, K),
        ),
    ),
    "nested residual": lambda: (
        FEATURES,
        network(
            snn.Residual(
                snn.Residual(lif(), snn.Linear(6, 6)),
                lif(),
                snn.Linear(6, 5),
                shortcut=snn.Sequential(snn.Linear(6, 5, bias=False), snn.BatchNorm(5)),
            ),
            lif(),
            snn.Sequential(snn.Linear(5, K)),
        ),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    shape, net = LAYERS[name]()
    assert_agrees(net, draw(shape))


@pytest.mark.parametrize("name", ["convolution", "average pooling", "max pooling", "nested residual", "dropout"])
def test_layers_on_cpu(name):
    shape, net = LAYERS[name]()
    assert_agrees(net, draw(shape), device="cpu")


def test_one_sample_and_one_step():
    net = network(snn.Linear(6, 20), lif(v_threshold=0.5), snn.Linear(20, K))
    assert_agrees(net, draw((1, 1, 6)))


def test_spikes_as_input_are_numbers():
    spikes = (np.random.default_rng(3).random(FEATURES) < 0.4).astype(np.uint8)
    net = perceptron(lif())
    from_spikes = assert_agrees(net, spikes)
    from_numbers = snn.check_gradients(net, spikes.astype(np.float32), labels(), device="reference")
    assert from_spikes == from_numbers


# --- losses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [
        RateCrossEntropy(),
        RateCrossEntropy(label_smoothing=0.2),
        TET(),
        TET(label_smoothing=0.1, regulariser=0.4, target=0.5),
        TET(regulariser=0.0),
        TET(regulariser=1.0),
        SpikeCountMSE(),
        SpikeCountMSE(correct_rate=0.6, incorrect_rate=0.2),
    ],
    ids=repr,
)
@pytest.mark.parametrize("readout", ["potentials", "spikes"])
def test_losses(loss, readout):
    last = [lif(v_threshold=0.4)] if readout == "spikes" else []
    assert_agrees(network(snn.Linear(6, 8), lif(v_threshold=0.5), snn.Linear(8, K), *last), draw(FEATURES), loss)


@pytest.mark.parametrize("loss", [TET(0.1), SpikeCountMSE()], ids=repr)
def test_losses_on_cpu(loss):
    assert_agrees(perceptron(lif()), draw(FEATURES), loss, device="cpu")


# --- neurons --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, width):
    assert_agrees(perceptron(lif(surrogate=WIDTHS[width](family))), draw(FEATURES))


@pytest.mark.parametrize("family", ["rectangle", "gaussian", "fast_sigmoid", "parabola"])
def test_families_on_cpu(family):
    assert_agrees(perceptron(lif(surrogate=snn.PSG(family, per="channel"))), draw(FEATURES), device="cpu")


@pytest.mark.parametrize("decay_input", [False, True], ids=["", "decay_input"])
@pytest.mark.parametrize("learn", [False, "layer", "channel"], ids=["fixed", "layer", "channel"])
@pytest.mark.parametrize("v_reset", [0.0, 0.3, -0.4, None])
def test_neurons(v_reset, learn, decay_input):
    neurons = lif(v_reset=v_reset, learn_tau=learn, learn_threshold=learn, decay_input=decay_input, tau=1.5)
    assert_agrees(perceptron(neurons), draw((5, *FEATURES[1:])))


def test_one_value_a_channel():
    tau, threshold = (1.0, 1.5, 2.0, 4.0), (0.5, 0.8, 1.0, 1.3)
    assert_agrees(perceptron(lif(tau=tau, v_threshold=threshold), hidden=4), draw(FEATURES))
    neurons = lif(tau=tau[1:], v_threshold=threshold[1:], learn_tau="channel", learn_threshold="channel")
    assert_agrees(perceptron(neurons, hidden=3), draw((T, 9, 6)))


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_neurons_that_forget_everything_or_nothing(beta):
    assert_agrees(perceptron(lif(beta=beta)), draw(FEATURES))


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_learned_soft_neurons_on_both_devices(device):
    neurons = lif(v_reset=None, learn_tau="channel", learn_threshold=True, decay_input=True, tau=1.5)
    assert_agrees(perceptron(neurons), draw(FEATURES), device=device)


# --- PDA ------------------------------------------------------------------------------------------------------------

ADJUSTMENTS = {
    "tracked target": snn.PDA(momentum=0.5),
    "fixed target": snn.PDA(momentum=0.5, target=0.3),
    "divergence": snn.PDA(momentum=0.5, divergence=0.7),
    "divergence alone": snn.PDA(correct=False, divergence=0.7),
    "divergence from a fixed target": snn.PDA(momentum=0.5, target=0.3, divergence=0.7, eps=0.1),
}


def adjusted(pda, **options):
    """A network whose PDA has seen a few batches, so that corrections and targets are numbers of their own."""
    net = perceptron(lif(pda=pda, **options)).to("reference")
    for seed in range(3):
        net.forward(draw(FEATURES, seed), TRAINING)
    state = net.state()
    assert state["lif1.batches"] == [3]
    assert state["lif1.correction"].shape == (T if pda.corrects(recurrent=False) else 0, 8)
    assert (np.abs(state["lif1.correction"]) > 1e-4).all()
    assert (state["lif1.target"][0] != 0).all() and (state["lif1.target"][1] != 1).all()
    return net


@pytest.mark.parametrize("options", [{}, {"v_reset": None}, {"decay_input": True, "learn_tau": True}], ids=str)
@pytest.mark.parametrize("pda", ADJUSTMENTS.values(), ids=ADJUSTMENTS)
def test_pda(pda, options):
    assert_agrees(adjusted(pda, **options), draw(FEATURES, seed=9))


def test_pda_with_more_steps_than_were_tracked():
    assert_agrees(adjusted(ADJUSTMENTS["divergence"]), draw((T + 2, *FEATURES[1:]), seed=9))


def test_pda_on_cpu():
    assert_agrees(adjusted(ADJUSTMENTS["divergence"]), draw(FEATURES, seed=9), device="cpu")


@pytest.mark.parametrize("v_reset", [0.0, -0.4, None, "none"])
@pytest.mark.parametrize(
    ("neuron", "device"),
    [(snn.LIF, "reference"), (snn.CubaLIF, "reference"), (snn.ALIF, "reference"), (snn.LIF, "cpu")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_divergence_of_potentials_that_are_held(neuron, device, v_reset):
    """A held neuron carries its potential on unchanged, and the divergence acts on that potential too (X15)."""
    smooth = snn.PSG("logistic")
    neurons = neuron(pda=snn.PDA(momentum=0.5, divergence=0.7), refractory=2, v_reset=v_reset, surrogate=smooth)
    net, shape = perceptron(neurons).to(device), (6, *FEATURES[1:])
    for seed in range(3):
        net.forward(draw(shape, seed), TRAINING)
    x = draw(shape, seed=9)
    assert_agrees(net, x, device=device)
    held = neurons.kept.parts["held"]
    assert 0.05 < held.mean() < 0.9 and (held[:-1] & (1 - held[1:])).any(), "no neuron wakes up again"


def test_the_divergence_objective_is_part_of_the_loss():
    x = draw(FEATURES, seed=9)
    values = []
    for weight in (0.0, 1.0, 2.0):
        net = perceptron(lif(pda=snn.PDA(correct=False, divergence=weight))).build(FEATURES)
        values.append(snn.check_gradients(net, x, labels(), device="reference").loss)
    base, once, twice = values
    assert once > base
    assert twice - base == pytest.approx(2 * (once - base), rel=1e-12)


# --- whole networks -------------------------------------------------------------------------------------------------


def residual_network(family="logistic"):
    """All that a real network has, small: direct encoding, PSG, PDA, residual blocks, pooling, dropout, a readout."""

    def neurons(**options):
        return snn.LIF(surrogate=snn.PSG(family, per="channel"), pda=snn.PDA(divergence=0.1), **options)

    return network(
        snn.Repeat(T, snn.Conv2d(1, 4, 3, padding=1), snn.BatchNorm(4)),
        neurons(learn_tau=True),
        snn.Residual(snn.Conv2d(4, 4, 3, padding=1), snn.BatchNorm(4), neurons(v_reset=None)),
        snn.Residual(
            snn.Conv2d(4, 6, 3, stride=2, padding=1),
            snn.BatchNorm(6),
            neurons(learn_threshold="channel"),
            snn.Conv2d(6, 6, 3, padding=1),
            snn.BatchNorm(6),
            shortcut=snn.Sequential(snn.Conv2d(4, 6, 1, stride=2), snn.BatchNorm(6)),
        ),
        neurons(decay_input=True, tau=1.3, learn_tau="channel"),
        snn.MaxPool2d(2),
        snn.Dropout(0.2),
        snn.Flatten(),
        snn.Linear(24, K),
    )


@pytest.mark.parametrize(("device", "family"), [("reference", "laplace"), ("reference", "arctan"), ("cpu", "logistic")])
def test_whole_network(device, family):
    """The reference makes the state from which the device's gradients are checked, in float64."""
    net = residual_network(family)
    shape = (N, 8, 8, 1)
    for seed in range(2):
        net.forward(draw(shape, seed), TRAINING)
    assert all(np.abs(value).max() > 1e-4 for name, value in net.state().items() if name.endswith("correction"))
    assert_agrees(net, draw(shape, seed=9), TET(label_smoothing=0.1), device=device)
