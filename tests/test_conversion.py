"""Spiking networks from trained networks of rectified linear units."""

import inspect
import re

import numpy as np
import pytest

import numsnn as snn
from numsnn.models.conversion import _Largest

KNOWS_V_INIT = pytest.mark.skipif("v_init" not in inspect.signature(snn.IF).parameters, reason="IF starts from rest")


def random_weights(net, seed=0):
    """Give all parameters and running statistics random values, and return the network."""
    rng = np.random.default_rng(seed)
    for _, p in net.parameters():
        p.value[...] = rng.normal(0.2, 0.6, p.value.shape)
    for layer in net.walk():
        if isinstance(layer, snn.BatchNorm):
            layer.set_statistic("mean", rng.normal(0, 0.5, layer.running["mean"].shape))
            layer.set_statistic("var", rng.uniform(0.5, 2, layer.running["var"].shape))
    return net


def pictures(seed=1, samples=6):
    return np.random.default_rng(seed).random((samples, 6, 5, 2), np.float32)


def convolutional():
    """Every kind of layer that is taken, in a network for pictures."""
    return random_weights(
        snn.Sequential(
            snn.Repeat(1, snn.Conv2d(2, 4, 3, padding="same"), snn.BatchNorm(4)),
            snn.ReLU(),
            snn.Sequential(snn.AvgPool2d(2, padding=1), snn.Conv2d(4, 5, 2, bias=True), snn.BatchNorm(5), snn.ReLU()),
            snn.SumPool2d((1, 2), stride=1),
            snn.ConvTranspose2d(5, 3, 2),
            snn.ReLU(name="third"),
            snn.Flatten(),
            snn.Dropout(0.5),
            snn.Linear(24, 7, bias=False),
            snn.BatchNorm(7),
            snn.ReLU(),
            snn.Linear(7, 3),
        ).build((6, 6, 5, 2))
    )


@pytest.mark.parametrize("percentile", [100.0, 60.0])
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_a_firing_rate_is_the_activation_in_thresholds(device, percentile):
    """For a constant current a, T steps give floor(T a / threshold) spikes, and at most T."""
    net = random_weights(snn.Sequential(snn.Linear(4, 9), snn.ReLU()).build((1, 20, 4)).to(device))
    x = np.random.default_rng(2).normal(size=(1, 20, 4)).astype(np.float32)
    steps = 400
    spiking = snn.convert(net, x, steps=steps, percentile=percentile)
    assert spiking.device == device and spiking.takes_pictures
    activation = net(x)[0]
    threshold = spiking.layers[1].v_threshold
    assert threshold == pytest.approx(np.percentile(activation[activation > 0], percentile), rel=1e-6)
    spikes = spiking(x[0])
    assert spikes.dtype == np.uint8 and spikes.shape == (steps, 20, 9)
    rate, want = spikes.mean(0), np.clip(activation / threshold, 0, 1)
    assert np.abs(rate - want).max() < 1.01 / steps
    assert (want == 1).sum() == (1 if percentile == 100 else round(0.4 * (activation > 0).sum()))


def test_the_mean_readout_approaches_the_output():
    net, x = convolutional(), pictures()
    want = net(x)[0]
    spiking = snn.convert(net, x, steps=1600, percentile=100)
    mean = np.cumsum(spiking(x), 0) / np.arange(1, 1601)[:, None, None]
    errors = [np.abs(mean[steps - 1] - want).max() / np.abs(want).max() for steps in (100, 400, 1600)]
    assert errors[2] < errors[1] < errors[0] and errors[2] < 0.01
    assert [type(layer).__name__ for layer in spiking.walk() if not isinstance(layer, snn.IF)] == [
        *("Conv2d", "AvgPool2d", "Conv2d", "SumPool2d", "ConvTranspose2d", "Flatten", "Dropout", "Linear", "Linear")
    ]
    assert sum(isinstance(layer, snn.IF) and layer.v_reset is None for layer in spiking.walk()) == 4
    assert "third" in [name for name, _ in spiking.named()]


def test_weights_may_follow_weights():
    net = random_weights(
        snn.Sequential(*(layer for n in (4, 5) for layer in (snn.Linear(3, n), snn.ReLU(), snn.Linear(n, 3)))).build(
            (1, 8, 3)
        )
    )
    x = np.random.default_rng(6).random((1, 8, 3), np.float32)
    mean = snn.convert(net, x, steps=1000, percentile=100)(x[0]).mean(0)
    np.testing.assert_allclose(mean, net(x)[0], rtol=0, atol=0.01 * np.abs(net(x)).max())


def block(kind, relu):
    """Two convolutions along sequences or over pictures, or two linear layers, with or without a ReLU at the end."""
    make = {3: lambda: snn.Linear(4, 4), 4: lambda: snn.Conv1d(4, 4, 3, padding="same"), 5: lambda: snn.Conv2d(4, 4, 1)}
    return [make[kind](), snn.BatchNorm(4), snn.ReLU(), make[kind](), *([snn.ReLU()] if relu else [])]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("rank", [3, 4, 5])
def test_paths_side_by_side(rank, relu):
    """A path of spikes is multiplied by what a spike stands for, so that the paths fit together."""
    shape = (1, 6, *[3] * (rank - 3), 4)
    net = random_weights(
        snn.Sequential(
            snn.ReLU(),
            snn.Residual(*block(rank, relu)),
            snn.ReLU(),
            snn.Concat(None, snn.Sequential(*block(rank, relu))),
            *([snn.ReLU()] if relu else []),
            *([] if rank == 3 else [snn.Flatten()]),
            snn.Linear(8 * 3 ** (rank - 3), 2),
        ).build(shape)
    )
    x = np.random.default_rng(7).random(shape, np.float32)
    mean = snn.convert(net, x, percentile=100)(np.repeat(x, 1500, 0)).mean(0)
    want = net(x)[0]
    np.testing.assert_allclose(mean, want, rtol=0, atol=0.01 * np.abs(want).max())


def test_a_residual_network_of_the_collection():
    net = snn.models.resnet19(channels=1, classes=3, steps=1, neuron=snn.ReLU(), widths=(4, 6, 8)).build((5, 8, 8, 1))
    x = np.random.default_rng(8).random((5, 8, 8, 1), np.float32)
    net.forward(x, snn.Mode(training=True, track=True))
    want = net(x)[0]
    mean = snn.convert(net, x, steps=2000, percentile=100)(x).mean(0)
    np.testing.assert_allclose(mean, want, rtol=0, atol=0.05 * np.abs(want).max())


def test_the_network_itself_stays_and_the_new_one_can_be_saved_and_trained():
    net, x = convolutional().to(dtype="float64"), pictures()
    snn.layers.set_route(net, "dense")
    before = net.state()
    spiking = snn.convert(net, x.astype(np.float64), steps=4)
    assert all(np.array_equal(before[name], value) for name, value in net.state().items())
    assert spiking.dtype == np.float64
    assert {layer.way.route for layer in spiking.walk() if hasattr(layer, "way")} == {"dense"}
    again = snn.Layer.from_description(spiking.description()).to(dtype="float64").build(x.shape)
    again.load_state(spiking.state())
    np.testing.assert_array_equal(again(x.astype(np.float64)), spiking(x.astype(np.float64)))
    for layer in spiking.walk():
        if isinstance(layer, snn.IF):
            layer.surrogate = snn.PSG("logistic")
    report = snn.check_gradients(spiking, x[:2].astype(np.float64), np.array([0, 2]), entries=2)
    assert report.ok, str(report)


def test_inputs_with_a_time_axis_keep_it():
    """A network that took one step takes any number of them, for example spikes of an encoder."""
    net = random_weights(snn.Sequential(snn.Linear(3, 8), snn.ReLU(), snn.Linear(8, 2)).build((1, 5, 3)))
    x = np.random.default_rng(4).random((1, 5, 3), np.float32)
    spiking = snn.convert(net, x)
    assert not spiking.takes_pictures
    repeated = spiking(np.repeat(x, 30, 0))
    np.testing.assert_array_equal(repeated, snn.convert(net, x, steps=30)(x[0]))


def test_percentiles_over_batches():
    """They are those of all positive numbers at once, though only the largest numbers are kept."""
    rng = np.random.default_rng(5)
    numbers = rng.normal(size=(7, 500))
    for percentile in (100, 99.9, 97, 50, 0.1):
        largest = _Largest(percentile, numbers.size)
        for batch in numbers:
            largest.add(batch)
        assert largest.value() == pytest.approx(np.percentile(numbers[numbers > 0], percentile), rel=1e-12)
    assert _Largest(97, 3500).room < 110 and _Largest(50, 10).value() == 0


def test_a_dataset_gives_the_thresholds_of_its_array():
    net, x = convolutional(), pictures(samples=11)
    data = snn.data.Dataset(x, np.arange(11) % 3)
    assert snn.convert(convolutional().to(dtype="float64"), data, 2).dtype == np.float64
    found = [
        [
            layer.v_threshold
            for layer in snn.convert(net, given, 2, 98, batch_size=4).walk()
            if isinstance(layer, snn.IF)
        ]
        for given in (x, data)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@KNOWS_V_INIT
def test_half_a_threshold_rounds_to_the_nearest_number_of_spikes():
    net = random_weights(snn.Sequential(snn.Linear(4, 9), snn.ReLU()).build((1, 20, 4)))
    x = np.random.default_rng(2).normal(size=(1, 20, 4)).astype(np.float32)
    spiking = snn.convert(net, x, steps=16, percentile=100, v_init=0.5)
    want = 16 * np.clip(net(x)[0] / spiking.layers[1].v_threshold, 0, 1)
    clear = np.abs(want % 1 - 0.5) > 1e-4
    assert np.array_equal(spiking(x[0]).sum(0)[clear], np.round(want)[clear])


def test_digits():
    """Within 2 % of the trained network after 32 steps, and better with more steps."""
    train, test = snn.data.load("digits")
    net = snn.models.from_string("16c3-p2-32c3-p2-64", (8, 8, 1), 10, steps=1, neuron=snn.ReLU())
    snn.Trainer(net, snn.losses.RateCrossEntropy(), snn.optim.AdamW(3e-3)).fit(train, epochs=5, progress=False)
    x, y = test.batch(range(len(test)))
    trained = (net(x)[0].argmax(-1) == y).mean()
    assert trained > 0.93
    spiking = snn.convert(net, train, steps=32)
    correct = (np.cumsum(spiking(x), 0).argmax(-1) == y).mean(-1)
    assert correct[31] > trained - 0.02
    assert correct[1] + 0.2 < correct[7] and correct[7] + 0.02 < correct[31]


def built(*layers):
    return snn.Sequential(*layers).build((1, 2, 6, 6, 2))


X = np.ones((1, 2, 6, 6, 2), np.float32)
TAKEN = (
    "convert takes convolutions, Linear, ReLU, sum and average pooling, Flatten, Dropout, and BatchNorm behind "
    "weights, also in Sequential, Residual and Concat"
)


@pytest.mark.parametrize(
    ("error", "make", "message"),
    [
        (
            ValueError,
            lambda: snn.convert(built(snn.Conv2d(2, 3, 3), snn.ReLU(), snn.MaxPool2d(2)), X),
            "convert: maxpool2d1 (MaxPool2d) cannot be converted: the largest of several firing rates is not a rate of "
            "spikes; train the network with AvgPool2d",
        ),
        (
            ValueError,
            lambda: snn.convert(built(snn.Conv2d(2, 3, 3), snn.LIF()), X),
            "convert: lif1 (LIF) cannot be converted: it spikes already",
        ),
        (
            ValueError,
            lambda: snn.convert(built(snn.BatchNorm(2), snn.ReLU()), X),
            f"convert: batchnorm1 (BatchNorm) cannot be converted: {TAKEN}",
        ),
        (
            ValueError,
            lambda: snn.convert(built(snn.Residual(snn.Conv2d(2, 2, 1), join="iand"), snn.ReLU()), X),
            "convert: residual1 (Residual) cannot be converted: the join 'iand' is one of spikes; convert takes 'add'",
        ),
        (
            ValueError,
            lambda: snn.convert(built(snn.Conv2d(2, 3, 3)), X),
            "convert: the network has no ReLU to convert",
        ),
        (
            ValueError,
            lambda: snn.convert(built(snn.ReLU()), -X),
            "convert: the samples activate no unit of relu1 (ReLU), so it has no threshold",
        ),
        (
            ValueError,
            lambda: snn.convert(snn.Sequential(snn.Repeat(1), snn.ReLU()).build((2, 6, 6, 2)), X[0]),
            "convert: give steps, because the network takes inputs without a time axis",
        ),
        (
            ValueError,
            lambda: snn.convert(built(snn.ReLU()), X, 0),
            "convert: steps must be a whole number of at least 1; got 0",
        ),
        (
            ValueError,
            lambda: snn.convert(built(snn.ReLU()), X, percentile=0),
            "convert: percentile must lie in (0, 100]; got 0",
        ),
        (ValueError, lambda: snn.convert(built(snn.ReLU()), X, v_init=2), "convert: v_init must lie in [0, 1]; got 2"),
        (
            TypeError,
            lambda: snn.convert(built(snn.ReLU()), (X, None)),
            "convert: data must be a dataset or an array of inputs; got tuple",
        ),
        (
            snn.ShapeError,
            lambda: snn.convert(built(snn.Conv2d(2, 3, 3), snn.ReLU()), X[..., :1]),
            "conv2d1 (Conv2d): input must be [T, N, H, W, 2]; got (1, 2, 6, 6, 1)",
        ),
        (
            RuntimeError,
            lambda: snn.convert(snn.Sequential(snn.ReLU()), X),
            "sequential.fold: build the network first",
        ),
    ],
)
def test_refusals(error, make, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()
