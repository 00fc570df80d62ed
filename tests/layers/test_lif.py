"""LIF compared with the equations of the method, for every neuron and step."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING

T, N, C = 5, 7, 4

NEURONS = {
    "default": ({}, 0.5, 1.0),
    "tau": ({"tau": 4.0}, 0.75, 1.0),
    "beta": ({"beta": 0.25, "v_threshold": 1.5}, 0.25, 1.5),
    "no leak": ({"beta": 1.0}, 1.0, 1.0),
    "no memory": ({"tau": 1.0}, 0.0, 1.0),
    "reset below": ({"v_reset": -0.5}, 0.5, 1.0),
    "reset above": ({"v_reset": 0.25, "tau": 4}, 0.75, 1.0),
    "soft reset": ({"v_reset": None}, 0.5, 1.0),
    "soft reset, no leak": ({"v_reset": None, "beta": 1, "v_threshold": 0.5}, 1.0, 0.5),
    "decay_input": ({"decay_input": True, "v_threshold": 0.5}, 0.5, 0.5),
    "one per channel": (
        {"tau": (1.0, 2.0, 4.0, 2.0), "v_threshold": (0.5, 1.0, 1.5, 2.0), "v_reset": None},
        (0.0, 0.5, 0.75, 0.5),
        (0.5, 1.0, 1.5, 2.0),
    ),
}
"""Options, and the beta and threshold they stand for: all binary fractions, so that float32 rounds nothing."""


def per_channel(value):
    return np.broadcast_to(np.asarray(value, np.float64), (C,))


def by_hand(i, beta, theta, v_reset, decay_input):
    """u, v and s for currents [T, N, C]; plain numbers, one neuron after
    the other."""
    u, v, s = np.empty((3, *i.shape))
    for n, c in np.ndindex(i.shape[1:]):
        before = 0.0
        for t in range(len(i)):
            u[t, n, c] = beta[c] * before + (1 - beta[c] if decay_input else 1.0) * float(i[t, n, c])
            s[t, n, c] = 1.0 if u[t, n, c] >= theta[c] else 0.0
            if v_reset is None:
                before = u[t, n, c] - theta[c] if s[t, n, c] else u[t, n, c]
            else:
                before = v_reset if s[t, n, c] else u[t, n, c]
            v[t, n, c] = before
    return u, v, s


@pytest.mark.parametrize("name", NEURONS)
def test_forward_is_the_equations(grid, device, name):
    options, beta, theta = NEURONS[name]
    layer = snn.LIF(record=("u", "v", "s"), **options).to(device)
    i = grid((T, N, C))
    s = layer(i)
    want = by_hand(i, per_channel(beta), per_channel(theta), layer.v_reset, layer.decay_input)
    assert s.dtype == np.uint8
    assert 0.05 < s.mean() < 0.60
    for key, expected in zip("uvs", want, strict=True):
        np.testing.assert_array_equal(layer.recorded[key], expected, err_msg=key)
    np.testing.assert_array_equal(s, want[2])


def test_pictures_are_channels_last(grid, device):
    """Every position is a neuron of its own; what belongs to a channel stands on the last axis."""
    layer = snn.LIF(**NEURONS["one per channel"][0]).to(device)
    i = grid((T, 2, 3, 5, C))
    pictures = layer(i)
    rows = layer(i.reshape(T, -1, C))
    np.testing.assert_array_equal(pictures.reshape(rows.shape), rows)


@pytest.mark.parametrize("size", [None, 3])
def test_one_value_per_neuron(grid, device, size):
    """Behind a linear layer, and behind a convolution with a `Flatten` in between, every neuron is a channel: each of
    them computes, and learns, as a layer of this neuron alone does."""
    front = [snn.Linear(4, 6, bias=False)] if size is None else [snn.Conv2d(4, 2, 1), snn.Flatten()]
    tau, theta = (1.5, 2.0, 3.0, 1.25, 4.0, 1.0 + 1 / 8), (0.5, 1.0, 0.75, 1.5, 0.25, 1.25)
    options = {"v_reset": None, "learn_tau": "channel", "learn_threshold": "channel"}
    surrogate = {"surrogate": snn.PSG("triangle", width=2.0, per="channel")}
    net = snn.Sequential(*front, snn.LIF(tau=tau, v_threshold=theta, **options, **surrogate)).to(device)
    x = grid((T, N, 4)) if size is None else grid((T, N, 1, size, 4))
    net.build(x.shape)
    net.layers[0].weight.value[...] = grid(net.layers[0].weight.value.shape, 3)
    s = np.array(net.forward(x, TRAINING))
    i = np.array(net.layers[-2].output)
    dy = grid((T, N, 6), 4)
    net.backward(dy)
    learned = {name.split(".")[-1]: p for name, p in net.parameters() if name.startswith("lif")}
    assert {name: p.value.shape for name, p in learned.items()} == {
        "logit_beta": (6,),
        "log_threshold": (6,),
        "log_width": (6,),
    }
    assert 0.05 < s.mean() < 0.6
    for c in range(6):
        alone = snn.LIF(tau=tau[c], v_threshold=theta[c], **options, **surrogate).to(device)
        only = [np.ascontiguousarray(array[..., c : c + 1]) for array in (i, dy)]
        np.testing.assert_array_equal(alone.forward(only[0], TRAINING), s[..., c : c + 1])
        alone.backward(only[1])
        for p in alone.own_parameters():
            np.testing.assert_allclose(learned[p.name].grad[c], p.grad[0], rtol=1e-5, atol=1e-6, err_msg=p.name)


def test_threshold_itself_fires(device):
    layer = snn.LIF(beta=0.0, v_threshold=0.7).to(device)
    theta = np.float32(0.7)
    i = np.array([np.nextafter(theta, np.float32(0)), theta, np.nextafter(theta, np.float32(1))], np.float32)
    np.testing.assert_array_equal(layer(i[:, None, None]).ravel(), [0, 1, 1])


def test_integrate_and_fire(device):
    """A quarter of the threshold a step: every fourth step, whichever the reset. 3/8: the soft reset keeps the rest."""
    quarter, more = (np.full((12, 1, 1), value, np.float32) for value in (0.25, 0.375))
    for v_reset in (0.0, None):
        layer = snn.LIF(beta=1.0, v_reset=v_reset).to(device)
        np.testing.assert_array_equal(layer(quarter).ravel(), [0, 0, 0, 1] * 3)
        want = [0, 0, 1] * 4 if v_reset == 0 else [0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0]
        np.testing.assert_array_equal(layer(more).ravel(), want)


def test_every_pass_starts_from_rest(grid, device):
    layer, i = snn.LIF(beta=1.0).to(device), np.abs(grid((T, N, C))) / 4
    first = layer(i)
    assert first.any()
    np.testing.assert_array_equal(layer(i), first)


def test_neurons_do_not_see_each_other(grid, device):
    layer, i = snn.LIF().to(device), grid((T, N, C))
    order = np.random.default_rng(0).permutation(N)
    np.testing.assert_array_equal(layer(i[:, order]), layer(i)[:, order])


# --- recording ------------------------------------------------------------------------------------------------------


def test_what_is_not_asked_for_is_not_recorded(grid):
    layer = snn.LIF().to("reference")
    layer(grid((T, N, C)))
    assert layer.recorded == {}


@pytest.mark.parametrize("record", ["u", "v", "s", ("v", "u"), ["s", "u"]])
def test_recorded_are_copies_of_what_is_asked_for(grid, record):
    layer = snn.LIF(record=record).to("reference")
    shape = (T, 2, 3, 2, C)
    i = grid(shape)
    layer(i)
    first = layer.recorded
    assert list(first) == list(record)
    kept = {key: value.copy() for key, value in first.items()}
    layer.forward(-i, TRAINING)
    for key, value in first.items():
        assert value.shape == shape and value.dtype == (np.uint8 if key == "s" else np.float32)
        np.testing.assert_array_equal(value, kept[key])
        assert not np.array_equal(layer.recorded[key], value)


# --- backward -------------------------------------------------------------------------------------------------------


def triangle(x, alpha):
    return max(0.0, 1 - abs(x / alpha)) / alpha


def gradients_by_hand(layer, i, g, beta, theta, alpha):
    """dL/di, and dL/d beta, d theta, d alpha per channel (docs/method.md, N9, N10, N11, P1), one neuron after
    the other."""
    u, v, s = by_hand(i, beta, theta, layer.v_reset, False)
    di, (dbeta, dtheta, dalpha) = np.empty_like(i), np.zeros((3, C))
    soft = layer.v_reset is None
    for n, c in np.ndindex(N, C):
        e = 0.0
        for t in reversed(range(T)):
            x = u[t, n, c] - theta[c]
            phi = triangle(x, alpha[c])
            q = g[t, n, c]
            if not layer.detach_reset:
                q += -e * theta[c] if soft else e * (layer.v_reset - u[t, n, c])
            delta = q * phi + (e if soft else e * (1 - s[t, n, c]))
            di[t, n, c] = delta
            dbeta[c] += delta * (v[t - 1, n, c] if t else 0.0)
            dtheta[c] -= q * phi + (e * s[t, n, c] if soft else 0.0)
            dalpha[c] -= q * phi * x / alpha[c]
            e = beta[c] * delta
    return di, dbeta, dtheta, dalpha


@pytest.mark.parametrize("granularity", ["layer", "channel"])
@pytest.mark.parametrize("detach_reset", [False, True], ids=["attached", "detached"])
@pytest.mark.parametrize("v_reset", [0.0, -0.3, None])
def test_backward_is_the_equations(step, v_reset, detach_reset, granularity):
    """The equations take the fired spikes and lead to gradients of logit beta, log theta and log alpha."""
    beta, theta, alpha = 1 - 1 / 1.7, 0.9, 1.3
    layer = snn.LIF(
        tau=1.7,
        v_threshold=theta,
        v_reset=v_reset,
        detach_reset=detach_reset,
        learn_tau=granularity,
        learn_threshold=granularity,
        surrogate=snn.PSG("triangle", alpha, per=granularity),
    ).to("reference", "float64")
    rng = np.random.default_rng(1)
    i, g = rng.normal(0.2, 1, (T, N, C)), rng.normal(0, 1, (T, N, C))
    found = step(layer, i, g)
    assert 0.05 < found["y"].mean() < 0.60
    di, *natural = gradients_by_hand(layer, i, g, *map(per_channel, (beta, theta, alpha)))
    chain = beta * (1 - beta), theta, alpha
    want = {"dx": di}
    for name, gradient, factor in zip(("logit_beta", "log_threshold", "log_width"), natural, chain, strict=True):
        total = gradient * factor
        want[f"d lif.{name}"] = total.sum(keepdims=True) if granularity == "layer" else total
    for name, expected in want.items():
        assert np.abs(expected).max() > 1e-2
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-10 * np.abs(expected).max(), err_msg=name)


@pytest.mark.parametrize("v_reset", [0.0, None])
def test_detaching_the_reset_changes_the_gradient_and_nothing_else(grid, device, step, v_reset):
    i, g = grid((T, N, C)), grid((T, N, C), 1)
    attached, detached = (
        step(snn.LIF(v_reset=v_reset, detach_reset=detach).to(device), i, g) for detach in (False, True)
    )
    np.testing.assert_array_equal(attached["y"], detached["y"])
    np.testing.assert_array_equal(attached["dx"][-1], detached["dx"][-1])
    assert np.abs(attached["dx"] - detached["dx"]).max() > 0.1


def test_no_gradient_passes_where_the_surrogate_sees_nothing(step):
    """A triangle of width 1/2 around the threshold 1: of the last step's potentials only those in (1/2, 3/2) count."""
    i = np.array([[[0.25, 0.5, 0.625, 1.0, 1.25, 1.5, 3.0]]], np.float32)
    layer = snn.LIF(surrogate=snn.Surrogate("triangle", 0.5)).to("reference")
    found = step(layer, i, np.ones_like(i))
    np.testing.assert_array_equal(found["dx"], [[[0, 0, 0.5, 2, 1, 0, 0]]])


# --- what is learned ------------------------------------------------------------------------------------------------


def test_learned_values_start_where_they_are_told_to():
    tau, threshold = (1.25, 2.0, 4.0, 8.0), (0.5, 1.0, 1.5, 2.0)
    layer = snn.LIF(tau=tau, v_threshold=threshold, learn_tau="channel", learn_threshold="channel")
    layer.to("reference", "float64").build((1, 1, C))
    values = {p.name: p.value for _, p in layer.parameters()}
    beta = 1 - 1 / np.array(tau)
    np.testing.assert_allclose(values["logit_beta"], np.log(beta / (1 - beta)), rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(values["log_threshold"], np.log(threshold))
    np.testing.assert_array_equal(values["log_width"], [0.0])
    np.testing.assert_allclose(layer.leak.refresh(), beta, rtol=1e-14)
    np.testing.assert_allclose(layer.threshold.refresh(), threshold, rtol=1e-14)


def test_learned_values_are_used(grid):
    """Moved from beta = 1/2, theta = 1 to 3/4 and 1/2: the layer fires like one that was made so."""
    layer = snn.LIF(learn_tau=True, learn_threshold=True).to("reference", "float64").build((T, N, C))
    values = {p.name: p.value for _, p in layer.parameters()}
    values["logit_beta"][...], values["log_threshold"][...] = np.log(3), np.log(0.5)
    i = grid((T, N, C), dtype=np.float64) + 0.01  # off the threshold, where rounding would decide
    want = snn.LIF(beta=0.75, v_threshold=0.5).to("reference", "float64")(i)
    np.testing.assert_array_equal(layer(i), want)
    assert not np.array_equal(want, snn.LIF().to("reference", "float64")(i))


@pytest.mark.parametrize("raw", [-30.0, 30.0])
def test_learned_values_stay_in_range(raw):
    layer = snn.LIF(learn_tau=True, learn_threshold=True).to("reference", "float64").build((T, N, C))
    for _, p in layer.parameters():
        p.value[...] = raw
    assert ((layer.leak.refresh() > 0) & (layer.leak.refresh() < 1)).all()
    assert (layer.threshold.refresh() > 0).all() and (layer.width.refresh() > 0).all()


def test_what_is_not_learned_is_no_parameter():
    assert snn.LIF(surrogate="triangle").build((1, 1, 3)).parameters() == []
    assert [name for name, _ in snn.LIF().build((1, 1, 3)).parameters()] == ["lif.log_width"]


@pytest.mark.parametrize(
    ("given", "kept"), [(False, False), (True, "layer"), ("layer", "layer"), ("channel", "channel")]
)
def test_granularity(given, kept):
    layer = snn.LIF(learn_tau=given, learn_threshold=given).build((1, 1, 3))
    assert layer.learn_tau == layer.learn_threshold == kept
    sizes = {p.name: p.value.size for _, p in layer.parameters()}
    size = {False: None, "layer": 1, "channel": 3}[kept]
    assert sizes.get("logit_beta") == sizes.get("log_threshold") == size


# --- relaxed mode ---------------------------------------------------------------------------------------------------


def test_relaxed_spikes_are_the_distribution_function(device):
    """A relaxed spike is Phi((u - theta) / alpha) of the triangle, between 0 and 1, and the reset takes that share."""
    layer = snn.LIF(v_threshold=0.75, surrogate=snn.PSG("triangle", 0.5), record=("u", "v")).to(device, "float64")
    i = np.random.default_rng(0).normal(0.5, 0.5, (T, N, C))
    s = layer.forward(i, snn.Mode(relaxed=True))
    assert s.dtype == np.float64
    z = (layer.recorded["u"] - 0.75) / 0.5
    inside = np.clip(1 - np.abs(z), 0, 1) ** 2 / 2
    want = np.where(z < 0, inside, 1 - inside)
    assert ((want > 0) & (want < 1)).mean() > 0.3
    np.testing.assert_allclose(s, want, rtol=0, atol=8 * np.finfo(float).eps)
    v = layer.recorded["u"] * (1 - s)
    np.testing.assert_allclose(layer.recorded["v"], v, rtol=0, atol=8 * np.finfo(float).eps * np.abs(i).max())
    np.testing.assert_allclose(layer.recorded["u"][1:], 0.5 * v[:-1] + i[1:], rtol=0, atol=1e-14)


def test_penalty_without_pda_is_zero(grid):
    layer = snn.LIF().to("reference")
    layer.forward(grid((T, N, C)), TRAINING)
    assert layer.penalty == 0.0
