"""Encoders: the content of every step, and spikes of a sample that do not depend on its batch."""

import json
import math
import re

import numpy as np
import pytest

import numsnn as snn
from numsnn import encode

DEVICES = ["reference", "cpu"]


def pictures(n=5, dtype=np.float32):
    """Values from 0 to 1, both among them."""
    x = np.random.default_rng(1).random((n, 4, 3, 2)).astype(dtype)
    x[0, 0, 0] = 0, 1
    return x


ENCODERS = {
    "direct": lambda x, **_: encode.direct(x, 4),
    "poisson": lambda x, **o: encode.poisson(x, 4, seed=2, **o),
    "latency": lambda x, **_: encode.latency(x, 4, normalize=True),
    "linear latency": lambda x, **_: encode.latency(x, 4, linear=True, tau=3.0),
    "population of rates": lambda x, **o: encode.population(x, 4, 5, seed=2, **o),
    "population of latencies": lambda x, **_: encode.population(x, 4, 5, code="latency"),
}


@pytest.fixture(params=ENCODERS.values(), ids=ENCODERS)
def encoder(request):
    return request.param


# --- what all share -------------------------------------------------------------------------------------------------


def test_time_comes_first(encoder):
    x = pictures()
    s = encoder(x)
    assert s.shape[:-1] == (4, *x.shape[:-1]) and s.shape[-1] % x.shape[-1] == 0
    assert s.dtype == np.uint8 or encoder is ENCODERS["direct"]
    assert s.flags.c_contiguous
    np.testing.assert_array_equal(x, pictures())


def test_a_sample_is_encoded_alike_in_any_batch(encoder):
    x = pictures()
    whole = encoder(x)
    chosen = [3, 0]
    np.testing.assert_array_equal(encoder(x[chosen], indices=chosen), whole[:, chosen])


def test_what_goes_in_may_have_any_rank_and_real_type(encoder):
    for shape, dtype in (((2, 3), np.float64), ((2, 3), np.uint8), ((2, 3), bool), ((2, 2, 2, 2, 3), np.float16)):
        assert encoder(np.ones(shape, dtype)).shape[1] == 2


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "direct"])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array([[0.5, 0.5], [0.5, 1.5]]), "x must lie in [0, 1]; got 1.5 at index (1, 1). Scale it first"),
        (np.array([-0.25]), "x must lie in [0, 1]; got -0.25 at index (0,). Scale it first"),
        (np.array([[17, 0]], np.uint8), "x must lie in [0, 1]; got 17 at index (0, 0). Scale it first"),
        (np.array([np.nan]), "x must be finite; it holds NaN or inf"),
        (np.array(["a"]), "x must be an array of real numbers, samples first; got <U1 of shape (1,)"),
        (np.zeros((0, 3)), "x is empty: shape (0, 3)"),
        (0.5, "x must be an array of real numbers, samples first; got float64 of shape ()"),
    ],
)
def test_values_that_are_refused(name, x, message):
    with pytest.raises(ValueError, match=f"^[a-z_]+: {re.escape(message)}$"):
        ENCODERS[name](x)


def test_encode_is_part_of_the_package():
    assert snn.encode is encode


# --- direct and rate ------------------------------------------------------------------------------------------------


def test_direct_repeats():
    x = 7 * pictures(dtype=np.float64) - 3
    s = encode.direct(x, 3)
    assert s.dtype == x.dtype
    np.testing.assert_array_equal(s, [x, x, x])


def test_poisson_rates():
    """Five standard deviations of the mean over 20,000 draws."""
    p = np.repeat([[0.0, 0.2, 0.7, 1.0]], 1000, axis=0)
    rates = encode.poisson(p, 20, seed=1).mean((0, 1))
    assert rates[0] == 0 and rates[3] == 1
    for rate, want in zip(rates[1:3], p[0, 1:3], strict=True):
        assert abs(rate - want) < 5 * math.sqrt(want * (1 - want) / 20_000)


def test_poisson_is_a_function_of_the_seed():
    x = pictures()
    first = encode.poisson(x, 6, seed=1)
    np.testing.assert_array_equal(encode.poisson(x, 6, seed=1), first)
    np.testing.assert_array_equal(encode.poisson(x, 6, seed=1, device="reference"), first)
    np.testing.assert_array_equal(encode.poisson(x, 3, seed=1), first[:3])
    assert not np.array_equal(encode.poisson(x, 6, seed=2), first)
    assert not np.array_equal(encode.poisson(x, 6, seed=1, indices=range(1, 6)), first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1; got 0"),
        ({"steps": 2, "seed": -1}, "seed must be a whole number of at least 0; got -1"),
        ({"steps": 2, "indices": [1]}, "indices must be 2 whole numbers, one per sample; got int64 of shape (1,)"),
        ({"steps": 2, "indices": [0.0]}, "indices must be 2 whole numbers, one per sample; got float64 of shape (1,)"),
        ({"steps": 2, "indices": [0, -3]}, "indices must lie in 0..16777215; got -3..0"),
        ({"steps": 2, "indices": [0, 2**24]}, "indices must lie in 0..16777215; got 0..16777216"),
    ],
)
def test_poisson_refuses(options, message):
    with pytest.raises(ValueError, match=f"^poisson: {re.escape(message)}$"):
        encode.poisson(np.zeros((2, 3)), **options)


# --- latency --------------------------------------------------------------------------------------------------------


def times(s):
    """The step of every feature's spike, or None; at most one each."""
    assert (s.sum(0) <= 1).all()
    return [int(train.argmax()) if train.any() else None for train in s.reshape(len(s), -1).T]


def test_linear_latency():
    """What snnTorch's documentation shows for these values."""
    s = encode.latency(np.array([0.02, 0.5, 1.0]), 5, linear=True, normalize=True)
    np.testing.assert_array_equal(s, [[0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]])


def test_linear_latency_in_units_of_tau():
    """t = tau (1 - x); what comes after the last step does not come."""
    x = np.array([1.0, 0.75, 0.5, 0.25, 0.0])
    assert times(encode.latency(x, 7, tau=8.0, linear=True)) == [0, 2, 4, 6, None]


@pytest.mark.parametrize("tau", [1.0, 2.5])
def test_logarithmic_latency_is_the_time_a_membrane_takes(tau):
    """v' = (x - v) / tau from 0 reaches the threshold at tau ln(x / (x - threshold))."""
    x, threshold = np.array([1.0, 0.6, 0.45, 0.41]), 0.4
    s = encode.latency(x, 12, tau=tau, threshold=threshold)
    want = [tau * math.log(value / (value - threshold)) for value in x]
    assert times(s) == [round(t) for t in want]
    assert all(abs(x[k] * (1 - math.exp(-t / tau)) - threshold) < 1e-12 for k, t in enumerate(want))


def test_values_below_the_threshold_come_last_or_not_at_all():
    x = np.array([0.0, 0.3, 0.4, 0.9])
    for linear in (False, True):
        at_the_end = times(encode.latency(x, 9, threshold=0.4, linear=linear, normalize=True))
        assert at_the_end[0] == at_the_end[1] == at_the_end[2] == (5 if linear else 8) > at_the_end[3]
        clipped = times(encode.latency(x, 9, threshold=0.4, linear=linear, normalize=True, clip=True))
        assert clipped == [None, None, *at_the_end[2:]]
    assert times(encode.latency(x, 9, tau=1.0, threshold=0.4)) == [None, None, None, 1]


@pytest.mark.parametrize("linear", [False, True])
def test_normalized_latency_does_not_depend_on_tau(linear):
    x = pictures()
    one, other = (encode.latency(x, 6, tau=tau, linear=linear, normalize=True) for tau in (1.0, 30.0))
    np.testing.assert_array_equal(one, other)
    assert one[0].any() and one[-1].any()


def test_larger_values_never_come_later():
    x = np.linspace(0.3, 1, 101)
    for linear in (False, True):
        found = times(encode.latency(x, 20, tau=9.0, threshold=0.2, linear=linear))
        assert found == sorted(found, reverse=True) and len(set(found)) > 5


def test_one_step_of_latency():
    assert times(encode.latency(np.array([0.0, 0.5, 1.0]), 1, normalize=True)) == [0, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": 0}, "tau must be positive; got 0"),
        ({"threshold": 0.0}, "threshold must lie in (0, 1); got 0.0"),
        ({"threshold": 1.0}, "threshold must lie in (0, 1); got 1.0"),
        ({"linear": 1}, "linear must be True or False; got 1"),
        ({"normalize": None}, "normalize must be True or False; got None"),
        ({"clip": "yes"}, "clip must be True or False; got 'yes'"),
    ],
)
def test_latency_refuses(options, message):
    with pytest.raises(ValueError, match=f"^latency: {re.escape(message)}$"):
        encode.latency(np.zeros((2, 3)), 4, **options)


# --- change ---------------------------------------------------------------------------------------------------------

SEQUENCE = np.array([1.0, 2.0, 0.0, 2.0, 2.5])[:, None, None]


@pytest.mark.parametrize(("padding", "first"), [(False, 1), (True, 0)])
def test_delta(padding, first):
    s = encode.delta(SEQUENCE, threshold=1.0, padding=padding)
    assert s.dtype == np.uint8 and s.ravel().tolist() == [first, 1, 0, 1, 0]
    signed = encode.delta(SEQUENCE, threshold=1.0, padding=padding, off_spikes="sign")
    assert signed.dtype == np.float32 and signed.ravel().tolist() == [first, 1, -1, 1, 0]
    both = encode.delta(SEQUENCE, threshold=1.0, padding=padding, off_spikes="channels")
    assert both.dtype == np.uint8 and both.shape == (5, 1, 2)
    assert both[:, 0].T.tolist() == [[first, 1, 0, 1, 0], [0, 0, 1, 0, 0]]


def test_delta_of_sequences_of_different_length():
    """The fall to the padding is not a change."""
    x = np.concatenate([SEQUENCE, SEQUENCE], axis=1)
    x[2:, 1] = 9
    for off_spikes in (None, "channels", "sign"):
        s = encode.delta(x, 1.0, off_spikes=off_spikes, lengths=[5, 2])
        assert np.array_equal(s[:, :1], encode.delta(SEQUENCE, 1.0, off_spikes=off_spikes))
        assert np.array_equal(s[:2, 1:], encode.delta(SEQUENCE[:2], 1.0, off_spikes=off_spikes))
        assert not s[2:, 1].any()


def test_delta_of_pictures():
    """The last axis holds first the on channels and then the off channels; bytes do not wrap around."""
    x = np.random.default_rng(3).integers(0, 256, (6, 2, 4, 3, 2)).astype(np.uint8)
    s = encode.delta(x, threshold=20, padding=True, off_spikes="channels")
    change = np.diff(x.astype(int), axis=0)
    assert not s[0].any()
    np.testing.assert_array_equal(s[1:, ..., :2], change >= 20)
    np.testing.assert_array_equal(s[1:, ..., 2:], change <= -20)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (SEQUENCE, {"threshold": 0}, "threshold must be positive; got 0"),
        (SEQUENCE, {"padding": 1}, "padding must be True or False; got 1"),
        (SEQUENCE, {"off_spikes": True}, "off_spikes must be one of None, 'channels', 'sign'; got True"),
        (
            SEQUENCE[..., 0],
            {"off_spikes": "channels"},
            "off_spikes='channels' needs x as [T, N, ..., C]; got shape (5, 1)",
        ),
        (np.where(SEQUENCE == 0, np.inf, SEQUENCE), {}, "x must be finite; it holds NaN or inf"),
        (
            SEQUENCE,
            {"lengths": [1, 2]},
            "lengths must be whole numbers, one per sample of x [T, N, ...] with shape (5, 1, 1); got int64 of shape "
            "(2,)",
        ),
        (SEQUENCE, {"lengths": [6]}, "lengths must lie in 1..5; got 6..6"),
    ],
)
def test_delta_refuses(x, options, message):
    with pytest.raises(ValueError, match=f"^delta: {re.escape(message)}$"):
        encode.delta(x, **options)


# --- populations ----------------------------------------------------------------------------------------------------


def test_receptive_fields():
    """Number by number; the neurons of a feature lie side by side."""
    x, m, beta = np.array([[0.0, 0.3], [0.5, 1.0]]), 5, 1.5
    r = encode.receptive_fields(x, m, beta)
    assert r.shape == (2, 2 * m) and r.dtype == x.dtype
    for n, c, i in np.ndindex(2, 2, m):
        centre, sigma = (2 * (i + 1) - 3) / (2 * (m - 2)), 1 / (beta * (m - 2))
        want = math.exp(-((x[n, c] - centre) ** 2) / (2 * sigma**2))
        assert abs(r[n, c * m + i] - want) < 1e-14
    assert encode.receptive_fields(x.astype(np.float32)).dtype == np.float32


def test_a_population_covers_its_range():
    """Some neuron answers well to every value, and the centres are symmetric about 1/2."""
    x = np.linspace(0, 1, 51)[:, None]
    r = encode.receptive_fields(x, 6)
    assert (r.max(1) > 0.7).all()
    assert set(r[1:-1].argmax(1)) == {1, 2, 3, 4}
    np.testing.assert_allclose(r[::-1, ::-1], r, rtol=1e-12)


def test_population_codes():
    x = pictures()
    r = encode.receptive_fields(x, 4, 2.0)
    np.testing.assert_array_equal(encode.population(x, 7, 4, 2.0, seed=3), encode.poisson(r, 7, seed=3))
    s = encode.population(x, 7, 4, 2.0, code="latency")
    assert [t is None for t in times(s)] == (r < encode.SMALLEST_RESPONSE).ravel().tolist()
    strong = r > 0.95
    assert strong.any() and s[0][strong].all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neurons": 2}, "receptive_fields: neurons must be a whole number of at least 3; got 2"),
        ({"beta": 0}, "receptive_fields: beta must be positive; got 0"),
        ({"code": "phase"}, "population: code must be one of 'rate', 'latency'; got 'phase'"),
    ],
)
def test_population_refuses(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        encode.population(np.zeros((2, 3)), 4, **options)


# --- the layer ------------------------------------------------------------------------------------------------------

TRAINING = snn.Mode(training=True, store=True, seed=11)


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


def test_poisson_layer_at_inference(device):
    """Fixed, and a function of the sample alone: the noise of `encode.poisson` for sample 0."""
    x = pictures()
    layer = snn.Poisson(6, seed=4).to(device)
    s = layer(x)
    assert s.shape == (6, *x.shape) and s.dtype == np.uint8 and 0.05 < s.mean() < 0.6
    np.testing.assert_array_equal(s, encode.poisson(x, 6, seed=4, indices=[0] * len(x)))
    np.testing.assert_array_equal(layer(x), s)
    np.testing.assert_array_equal(layer(x[3:4]), s[:, 3:4])
    assert not np.array_equal(snn.Poisson(6, seed=5).to(device)(x), s)


def test_poisson_layer_in_training(device):
    """New noise with every seed of a pass, and of its own for every sample and layer."""
    x = np.full((5, 40), 0.5, np.float32)
    layer = snn.Poisson(6).to(device)
    first = layer.forward(x, TRAINING).copy()
    np.testing.assert_array_equal(layer.forward(x, TRAINING), first)
    assert not np.array_equal(layer.forward(x, snn.Mode(training=True, seed=12)), first)
    assert len({train.tobytes() for train in first.transpose(1, 0, 2)}) == 5
    named = snn.Poisson(6, name="retina").to(device)
    assert not np.array_equal(named.forward(x, TRAINING), first)
    assert not np.array_equal(layer(x), first)


def test_poisson_layer_is_the_same_on_both_devices():
    x = pictures()
    found = [snn.Poisson(6).to(device).forward(x, TRAINING) for device in DEVICES]
    np.testing.assert_array_equal(*found)


def test_no_gradient_passes_the_poisson_layer(device):
    layer, x = snn.Poisson(3).to(device), pictures()
    layer.forward(x, TRAINING)
    dx = layer.backward(np.ones((3, *x.shape), np.float32))
    assert dx.shape == x.shape and dx.dtype == np.float32 and not dx.any()
    assert layer.backward(np.ones((3, *x.shape), np.float32), need_dx=False) is None


def test_poisson_layer_takes_spikes_as_numbers(device):
    x = np.array([[0, 1, 1]], np.uint8)
    np.testing.assert_array_equal(snn.Poisson(2).to(device)(x), [x, x])


def test_poisson_layer_describes_itself():
    layer = snn.Poisson(3, seed=7)
    assert repr(layer) == "Poisson(3, seed=7)"
    again = snn.Layer.from_description(json.loads(json.dumps(layer.description())))
    assert again.description() == layer.description()
    for make, message in (
        (lambda: snn.Poisson(0), "Poisson: steps must be a whole number of at least 1; got 0"),
        (lambda: snn.Poisson(2, seed=-1), "Poisson: seed must be a whole number of at least 0; got -1"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            make()
    with pytest.raises(snn.ShapeError, match=r"^poisson \(Poisson\): input must be a picture .*; got \(2, 3, 4\)$"):
        layer(np.zeros((2, 3, 4), np.float32))


def network(steps=4):
    return snn.Sequential(
        snn.Poisson(steps), snn.Flatten(), snn.Linear(24, 8), snn.LIF(surrogate=snn.PSG("logistic")), snn.Linear(8, 3)
    )


def test_gradients_behind_the_poisson_layer(device):
    """The noise of a pass is fixed, so that differences are those of one function."""
    report = snn.check_gradients(network(), pictures(), [0, 1, 2, 0, 1], device=device)
    assert report.ok, f"\n{report}"
    assert report.rows[0].worst < 1e-6


def test_a_stream_of_poisson_spikes():
    """A step at a time, what the network does with all steps at once."""
    x, net = pictures(), network(5)
    whole = net(x)
    stream = net.stream()
    np.testing.assert_array_equal([stream.step(x) for _ in range(5)], whole)
    stream.reset()
    np.testing.assert_array_equal(stream.step(x), whole[0])


def test_a_network_learns_from_poisson_spikes(tmp_path):
    """Two classes of pictures, told apart by which half is bright; the checkpoint answers alike."""
    rng = np.random.default_rng(0)
    y = np.arange(64) % 2
    x = rng.uniform(0, 0.3, (64, 4, 3, 2)).astype(np.float32)
    x[y == 0, :2] += 0.6
    x[y == 1, 2:] += 0.6
    trainer = snn.Trainer(network(8), optimizer=snn.optim.Adam(1e-2), batch_size=16)
    trainer.fit((x, y), epochs=8, progress=False)
    assert trainer.evaluate((x, y)).accuracy > 0.95
    trainer.save(tmp_path / "net.h5")
    np.testing.assert_array_equal(snn.load(tmp_path / "net.h5")(x), trainer.net(x))
