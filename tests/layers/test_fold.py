"""Folding: potentials and spikes stay the same with fewer layers, and the original network is not changed."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING

PICTURES = (4, 9, 8, 2)


def neuron():
    return snn.LIF(surrogate=snn.PSG("triangle", per="channel"), pda=True, record=("u", "s"))


def network():
    """Every place a normalisation may stand in: those called kept have nothing before them to be folded into."""
    return snn.Sequential(
        snn.Repeat(3, snn.Conv2d(2, 8, 3, padding=1), snn.BatchNorm(8, v_threshold=0.7)),
        neuron(),
        snn.Residual(
            snn.Conv2d(8, 8, 3, padding=1, groups=8),
            snn.BatchNorm(8, affine=False),
            snn.Conv2d(8, 8, 1, bias=True),
            snn.BatchNorm(8),
            neuron(),
            shortcut=snn.Sequential(snn.Conv2d(8, 8, 1), snn.BatchNorm(8), neuron()),
            join="iand",
        ),
        snn.Concat(None, snn.Sequential(snn.BatchNorm(8, name="kept"), snn.Conv2d(8, 4, 3, padding=1), neuron())),
        snn.BatchNorm(12, name="kept"),
        neuron(),
        snn.Dropout(0.5),
        snn.Flatten(),
        snn.Linear(9 * 8 * 12, 10, bias=False),
        snn.BatchNorm(10),
        neuron(),
        snn.Linear(10, 3),
        name="net",
    )


def trained(make=network, shape=PICTURES, device="reference", dtype="float64"):
    """Built, with statistics and parameters that are numbers of their own."""
    net = make().to(device, dtype).build(shape, seed=1)
    rng = np.random.default_rng(0)
    for _, p in net.parameters():
        if p.group in ("norm", "bias"):
            p.value += rng.normal(0, 0.2, p.value.shape)
    for _ in range(5):
        net.forward(rng.normal(0.3, 1, shape).astype(dtype), TRAINING)
    return net


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_container_without_layers_stays_on_its_device(dtype):
    """A `Repeat` without layers has no layer to take device and dtype from."""
    net = snn.Sequential(snn.Repeat(2), snn.Linear(3, 4), snn.BatchNorm(4)).to("reference", dtype).build((5, 3))
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(dtype)
    folded = net.fold()
    assert kinds(folded) == ["Linear"] and {layer.device for layer in folded.tree()} == {"reference"}
    assert {layer.dtype for layer in folded.tree()} == {np.dtype(dtype)}
    np.testing.assert_allclose(folded(x), net(x), rtol=1e-6, atol=1e-6)


def kinds(net):
    return [type(layer).__name__ for layer in net.walk()]


def recorded(net, x):
    """Potentials and spikes of all neurons, and the output."""
    y = net(x)
    neurons = [layer.recorded for layer in net.walk() if isinstance(layer, snn.LIF)]
    return [record["u"] for record in neurons], [record["s"] for record in neurons], y


def test_same_potentials_and_spikes(device):
    """Rounding in float64 is far smaller than the distance of any potential here from its threshold."""
    net = trained(device=device)
    folded = net.fold()
    x = np.random.default_rng(7).normal(0.3, 1, PICTURES)
    (potentials, spikes, y), (want_potentials, want_spikes, want) = recorded(folded, x), recorded(net, x)
    assert len(spikes) == 6
    for u, s, want_u, want_s in zip(potentials, spikes, want_potentials, want_spikes, strict=True):
        assert 0.02 < want_s.mean() < 0.6 and np.abs(want_u - 1).min() > 1e-9
        np.testing.assert_allclose(u, want_u, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(s, want_s)
    np.testing.assert_allclose(y, want, rtol=0, atol=1e-10)


def test_spikes_differ_only_where_rounding_decides(device):
    """A layer in float32 that gets the same input may fire differently only within rounding of the threshold."""
    shape = (6, 4, 9, 8, 2)
    net = trained(
        lambda: snn.Sequential(snn.Conv2d(2, 16, 3, padding=1), snn.BatchNorm(16), neuron()), shape, device, "float32"
    )
    x = np.random.default_rng(7).normal(0.3, 1, shape).astype(np.float32)
    ((u,), (s,), _), ((want_u,), (want_s,), _) = recorded(net.fold(), x), recorded(net, x)
    weights, norm = net.layers[0].weight.value, net.layers[1]
    factor = np.abs(norm.gamma.value) / np.sqrt(norm.running["var"])
    current = np.abs(x).max() * np.abs(weights).sum((0, 1, 2)) + np.abs(norm.running["mean"])
    scale = (factor * current + np.abs(norm.beta.value)).max() + 1
    bound = 2 * (18 + 12) * float(np.finfo(np.float32).eps) * scale  # 18 taps; leak 1/2 doubles what accumulates
    same = np.logical_and.accumulate(s == want_s, axis=0)  # what fired otherwise once has another reset
    same_before = np.concatenate([np.ones_like(same[:1]), same[:-1]])
    assert np.abs(u - want_u)[same_before].max() <= bound
    different = same_before & (s != want_s)
    assert (np.abs(want_u[different] - 1) <= bound).all()
    assert different.sum() <= (np.abs(want_u - 1) <= bound).sum() < 0.001 * s.size


def test_what_is_left(device):
    folded = trained(device=device).fold()
    assert kinds(folded) == [
        "Conv2d",
        "LIF",
        "Conv2d",
        "Conv2d",
        "LIF",
        "Conv2d",
        "LIF",
        "BatchNorm",
        "Conv2d",
        "LIF",
        "BatchNorm",
        "LIF",
        "Dropout",
        "Flatten",
        "Linear",
        "LIF",
        "Linear",
    ]
    assert [layer.name for layer in folded.walk() if isinstance(layer, snn.BatchNorm)] == ["kept", "kept"]
    convolutions = [layer for layer in folded.walk() if isinstance(layer, snn.Conv2d | snn.Linear)]
    assert [layer.bias for layer in convolutions] == [True, True, True, True, False, True, True]
    assert folded.path == "net" and folded.device == device and folded.dtype == np.float64
    assert folded.layers[2].join == "iand"


def test_the_network_is_left_alone(device):
    net = trained(device=device)
    state, description = net.state(), net.description()
    folded = net.fold()
    for p in (p for _, p in folded.parameters()):
        p.value[...] = np.nan
    for layer in folded.walk():
        for value in layer.own_statistics().values():
            value[...] = 9
    assert net.description() == description
    assert all(np.array_equal(value, state[name]) for name, value in net.state().items())


def test_a_folded_network_is_a_network():
    """It can be described, saved, and folded again, to nothing new."""
    folded = trained().fold()
    again = snn.Layer.from_description(folded.description()).to("reference", "float64").build(PICTURES)
    again.load_state(folded.state())
    x = np.random.default_rng(7).normal(0.3, 1, PICTURES)
    want = folded(x)
    np.testing.assert_array_equal(again(x), want)
    np.testing.assert_array_equal(folded.fold()(x), want)


def test_sequences_and_other_layers(device):
    """Conv1d folds; what is no batch normalisation, or follows something else, stays and is copied."""

    def make():
        return snn.Sequential(
            snn.Conv1d(3, 8, 3, padding=1),
            snn.BatchNorm(8),
            neuron(),
            snn.Conv1d(8, 8, 3),
            snn.GroupNorm(2, 8),
            neuron(),
            snn.Conv1d(8, 4, 1),
            snn.TEBN(4, 3),
            snn.Delay(1),
            snn.Conv1d(4, 4, 1),
            snn.BNTT(4, 3, bias=True),
            neuron(),
            snn.Flatten(),
            snn.Linear(20, 2),
        )

    shape = (3, 4, 7, 3)
    net = trained(make, shape, device)
    folded = net.fold()
    assert len(kinds(folded)) == len(kinds(net)) - 1
    x = np.random.default_rng(7).normal(0.3, 1, shape)
    np.testing.assert_allclose(folded(x), net(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("make", [lambda: snn.Linear(3, 2), lambda: snn.Residual(snn.Linear(3, 3), snn.BatchNorm(3))])
def test_a_single_layer_or_block(make):
    net = trained(make, (2, 4, 3))
    x = np.random.default_rng(7).normal(0, 1, (2, 4, 3))
    np.testing.assert_allclose(net.fold()(x), net(x), rtol=0, atol=1e-12)


def test_requested_routes_stay():
    net = snn.set_route(trained(), "dense")
    asked = [layer.way.route for layer in net.fold().walk() if isinstance(layer, snn.layers.Routed)]
    assert set(asked) == {"dense"}


def test_an_unbuilt_network_is_refused():
    with pytest.raises(RuntimeError, match=r"^net\.fold: build the network first$"):
        network().fold()
