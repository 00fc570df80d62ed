"""Routes and precisions of layers: requests, reports, and equal results for every route."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.kernels.cpu.route import ROUTES
from numsnn.kernels.types import PRECISIONS
from numsnn.layers import INFERENCE, TRAINING


def network():
    """Two convolutions (the second of stride 2) and a linear layer, on sparse input."""
    return snn.Sequential(
        snn.Conv2d(3, 16, 3, padding=1),
        snn.BatchNorm(16),
        snn.LIF(surrogate=snn.Surrogate("arctan")),
        snn.Conv2d(16, 20, 3, stride=2, padding=1),
        snn.BatchNorm(20),
        snn.LIF(surrogate=snn.Surrogate("arctan")),
        snn.Flatten(),
        snn.Linear(20 * 16, 5),
    )


def spikes(seed=0):
    return (np.random.default_rng(seed).random((3, 2, 8, 8, 3)) < 0.1).astype(np.uint8)


def step(net, x):
    """Output and gradients of one pass."""
    z = net.forward(x, TRAINING).copy()
    dx = net.backward(np.random.default_rng(1).normal(size=z.shape).astype(net.dtype)).copy()
    return [z, dx, *(p.grad.copy() for _, p in net.parameters())]


def test_every_way_gives_the_same():
    found = {}
    for asked in ROUTES:
        net = network().build((3, 2, 8, 8, 3), seed=3).to(dtype="float64")
        assert snn.set_route(net, asked) is net
        found[asked] = step(net, spikes())
    for asked, arrays in found.items():
        for array, want in zip(arrays, found["dense"], strict=True):
            assert np.abs(array - want).max() < 1e-10 * max(1, np.abs(want).max()), asked


def test_what_was_done_is_told():
    net = network().build((3, 2, 8, 8, 3))
    first, second, linear = net.layers[0], net.layers[3], net.layers[7]
    assert first.routes == {} and first.density is None
    x = spikes()
    step(net, x)
    assert first.density == pytest.approx(x.mean())
    few = np.zeros_like(x)
    few[0, 0, 3, 4] = 1
    step(net, few)
    assert first.routes["weight"] == "events" and first.routes["forward"] in ROUTES
    snn.set_route(net, "winograd")
    step(net, x)
    assert first.routes == {"forward": "winograd", "weight": "winograd", "input": "winograd"}
    assert second.routes == {"forward": "dense", "weight": "dense", "input": "dense"}  # its stride is 2
    assert set(linear.routes.values()) == {"dense"}
    net.to("reference")
    step(net, x)
    assert set(first.routes.values()) == {"reference"} and first.density is None


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match=r"set_route: route must be .*'auto'.*; got 'fast'"):
        snn.set_route(network(), "fast")
    with pytest.raises(ValueError, match=r"set_precision: precision must be .*'tf32'.*; got 'half'"):
        snn.set_precision(network(), "half")
    for precision in PRECISIONS:
        message = f"^set_route: '{precision}' is a precision, not a route; use set_precision\\(net, '{precision}'\\)$"
        with pytest.raises(ValueError, match=message):
            snn.set_route(network(), precision)


def ways(net):
    return {layer.way for layer in net.walk() if hasattr(layer, "routes")}


def test_what_a_device_lacks_is_refused_and_changes_nothing():
    net = snn.set_route(network(), "winograd")
    with pytest.raises(ValueError, match=r"^set_route: conv2d1: device 'cpu' has no route 'library', only 'auto', "):
        snn.set_route(net, "library")
    with pytest.raises(ValueError, match=r"^set_precision: conv2d1: device 'cpu' has precision 'float32' only$"):
        snn.set_precision(net, "tf32")
    assert ways(net) == {("winograd", "float32")}
    assert snn.set_precision(net, "float32") is net
    assert ways(net) == {("winograd", "float32")}


def test_route_and_precision_are_asked_for_apart(monkeypatch):
    """A network on a CUDA device is asked for both; when it moves, it forgets what the new device does not have."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    from numsnn.kernels.cuda.ways import library

    monkeypatch.setattr(library, "_load", lambda: (object(), None))
    net = network().to("cuda")
    assert ways(snn.set_precision(net, "tf32")) == {("auto", "tf32")}
    assert ways(snn.set_route(net, "library")) == {("library", "tf32")}
    with pytest.raises(ValueError, match=r"^set_route: conv2d1: route 'dense' of device 'cuda' has precision"):
        snn.set_route(net, "dense")
    with pytest.raises(ValueError, match=r"^set_route: conv2d1: device 'cuda' has no route 'events', only 'auto', "):
        snn.set_route(net, "events")
    assert ways(net.to(dtype="float64")) == {("auto", "float32")}
    assert ways(snn.set_route(net, "dense").to("cpu")) == {("dense", "float32")}
    monkeypatch.setattr(library, "_load", lambda: (None, "nvmath-python is not installed"))
    with pytest.raises(ValueError, match=r"conv2d1: precision 'tf32' needs .* nvmath-python is not installed$"):
        snn.set_precision(snn.set_route(net.to("cuda", "float32"), "auto"), "tf32")


def test_density_decides_anew_at_every_pass():
    net = snn.Sequential(snn.Conv2d(64, 64, 3, padding=1))
    sparse = np.zeros((1, 16, 8, 8, 64), np.float32)
    sparse[0, 0, 3, 4, 5] = 0.25
    net.forward(sparse, INFERENCE)
    assert net.layers[0].routes["forward"] == "events"
    net.forward(np.ones_like(sparse), INFERENCE)
    assert net.layers[0].routes["forward"] == "winograd"


@pytest.mark.parametrize("asked", ["events", "winograd", "dense"])
def test_frozen_weights_are_prepared_once(monkeypatch, asked):
    """A folded network keeps what it makes of its weights; new weights, training or another dtype end that."""
    from numsnn.kernels.cpu.ways import events, winograd

    net = network().build((3, 2, 8, 8, 3), seed=3)
    step(net, spikes())
    folded = snn.set_route(net.fold(), asked)
    want = folded.forward(spikes(), INFERENCE).copy()
    made = []
    for module, name in ((events, "_pack_blocks"), (winograd, "_weight_panels")):
        kernel = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, kernel=kernel: made.append(kernel) or kernel(*a))
    assert np.array_equal(folded.forward(spikes(), INFERENCE), want)
    assert not made
    folded.load_state({name: 2 * value for name, value in folded.state().items()})
    assert not np.array_equal(folded.forward(spikes(), INFERENCE), want)
    folded.forward(spikes(), TRAINING)
    for _, parameter in folded.parameters():
        parameter.value *= 3
    trained = folded.forward(spikes(), INFERENCE).copy()
    again = folded.to("cpu")  # forgets everything
    assert np.array_equal(again.forward(spikes(), INFERENCE), trained)
