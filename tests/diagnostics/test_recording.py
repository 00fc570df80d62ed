"""`record`: right arrays of any layer, a network that stays as it was, streams that go on, and errors of one line."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING


def draw(*shape):
    return np.random.default_rng(0).normal(0.5, 1.5, shape).astype(np.float32)


def network(record=()):
    net = snn.Sequential(
        snn.Linear(6, 8),
        snn.BatchNorm(8),
        snn.LIF(tau=3.0, pda=True, record=record, name="first"),
        snn.Residual(snn.Linear(8, 8), snn.CubaLIF(v_reset=None)),
        snn.Linear(8, 4),
        snn.LI(tau=4.0),
    )
    net.build((7, 3, 6))
    for _ in range(2):
        net.forward(draw(7, 3, 6), TRAINING)
    return net


def test_arrays_are_those_of_the_pass():
    net, x = network(("u", "v", "s")), draw(7, 3, 6)
    y = net(x)
    rec = snn.record(net, x, what=("s", "v", "u", "i", "j"))
    assert list(rec) == ["first", "residual1.branch.cubalif1", "li1"]
    assert np.array_equal(rec.output, y)
    for key, array in net.layers[2].recorded.items():
        assert np.array_equal(rec["first"][key], array) and rec["first"][key].dtype == array.dtype
    assert 0.05 < rec["first"].s.mean() < 0.9 and rec["first"].s.dtype == np.uint8
    beta, c = 1 - 1 / 3, net.layers[2].tracker.correction_for(7, 0)
    v = np.zeros((3, 8))
    for t in range(7):
        np.testing.assert_allclose(rec["first"].u[t], beta * v + rec["first"].i[t] - c[t], atol=1e-5)
        v = rec["first"].v[t]
    cuba = rec["residual1.branch.cubalif1"]
    np.testing.assert_allclose(cuba.v, cuba.u - cuba.s, atol=1e-6)
    np.testing.assert_allclose(cuba.j[1:], 0.5 * cuba.j[:-1] + cuba.i[1:], atol=1e-5)
    assert list(rec["li1"]) == ["v", "u"] and np.array_equal(rec["li1"].v, y)


def test_any_layer_by_its_full_name_or_itself():
    net, x = network(), draw(7, 3, 6)
    rec = snn.record(net, x, ("linear1", "batchnorm1", net.layers[3].branch[0], "residual1"), "y")
    assert list(rec) == ["linear1", "batchnorm1", "residual1.branch.linear1", "residual1"]
    linear = net.layers[0]
    np.testing.assert_allclose(rec["linear1"].y, x @ linear.weight.value + linear.offset.value, atol=1e-5)
    np.testing.assert_allclose(rec["batchnorm1"].y, snn.record(net, x, what="i")["first"].i, atol=1e-5)
    inner = rec["residual1.branch.linear1"].y
    np.testing.assert_allclose(inner, snn.record(net, x, what="i")["residual1.branch.cubalif1"].i, atol=1e-6)
    assert rec["linear1"].threshold is None


def test_a_soft_reset_by_an_adapting_threshold():
    net = snn.Sequential(snn.ALIF(v_reset=None, tau_adaptation=4.0, strength=0.7))
    x = draw(6, 2, 5) + 0.5
    rec = snn.record(net, x, what=("v", "a", "s"))["alif1"]
    v = a = np.zeros((2, 5))
    for t in range(6):
        theta, u = 1 + 0.7 * a, 0.5 * v + x[t]
        s = u >= theta
        v, a = u - s * theta, 0.75 * a + 0.25 * s
        assert np.array_equal(rec.s[t], s)
        np.testing.assert_allclose(rec.v[t], v, atol=1e-5)
        np.testing.assert_allclose(rec.a[t], a, atol=1e-6)


def test_pictures_and_folded_networks():
    net = snn.Sequential(
        snn.Repeat(4, snn.Conv2d(1, 3, 3), snn.BatchNorm(3), snn.LIF(name="once")), snn.IF(), snn.Flatten()
    )
    x = draw(2, 5, 5, 1)
    rec = snn.record(net, x)
    assert rec["repeat1.once"].s.shape == (1, 2, 3, 3, 3) and rec["if1"].v.shape == (4, 2, 3, 3, 3)
    assert np.array_equal(rec["if1"].s.reshape(4, 2, -1), net(x))
    folded = net.fold()
    assert np.array_equal(snn.record(folded, x)["if1"].s.reshape(4, 2, -1), folded(x))


def test_the_network_stays_as_it_was():
    net, x = network("s"), draw(7, 3, 6)
    y = net.forward(x, TRAINING)
    state, output, recorded = net.state(), y.copy(), net.layers[2].recorded
    snn.record(net, draw(4, 2, 6), what=("s", "v", "i", "y"))
    assert net.output is y and np.array_equal(y, output)
    assert net.layers[2].recorded is recorded and net.layers[2].record == ("s",)
    assert all(np.array_equal(value, net.state()[name]) for name, value in state.items())
    net.backward(np.ones_like(y))  # what the pass stored is still there
    assert np.abs(net.layers[0].weight.grad).max() > 0


def test_a_stream_goes_on():
    net, x = network(), draw(7, 3, 6)
    whole = snn.record(net, x, what=("s", "u"))
    stream, other = net.stream(), net.stream()
    stream.feed(x[:3])
    other.feed(x[:3])
    rec = snn.record(stream, x[3:6], what=("s", "u"))
    assert stream.steps == 6
    for name in rec:
        np.testing.assert_allclose(rec[name].u, whole[name].u[3:6], atol=1e-5)
    assert np.array_equal(rec["first"].s, whole["first"].s[3:6])
    assert np.array_equal(rec.output, other.feed(x[3:6]))
    assert np.array_equal(stream.step(x[6]), other.step(x[6]))


def test_numbers_that_are_not_finite_are_recorded():
    net, x = network(), draw(7, 3, 6)
    net.layers[0].weight.value[0, 0] = np.nan
    assert np.isnan(snn.record(net, x)["first"].v).any()


def test_names_of_what_was_not_recorded():
    rec = snn.record(network(), draw(7, 3, 6), what="s")
    assert repr(rec) == "Recording(2 layers, 3 samples: 's')"
    assert repr(rec["first"]) == "first (LIF): s (7, 3, 8)" and {"s", "name"} <= set(dir(rec["first"]))
    with pytest.raises(KeyError, match=r"'frist' was not recorded, only 'first', .*Did you mean 'first'\?"):
        rec["frist"]
    with pytest.raises(AttributeError, match=r"first \(LIF\): 'v' was not recorded, only 's'"):
        _ = rec["first"].v
    with pytest.raises(IndexError, match="Recording: sample must be less than 3, the samples of x; got 3"):
        rec.of_sample("s", 3)
    with pytest.raises(ValueError, match="Recording: what must be one of 's'; got 'v'"):
        rec.of_sample("v")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("frist",), ValueError, r"record: the network has no layer 'frist'\. Did you mean 'first'\?"),
        (("q1",), ValueError, "no layer 'q1'; its neurons are 'first', 'residual1.branch.cubalif1', 'li1'"),
        (("linear1",), ValueError, r"record: linear1 \(Linear\) has no 's' and no 'v'; it has 'y'"),
        ((("first", 3),), TypeError, "record: layers must be names or layers of the network; got 3"),
        (((),), ValueError, "record: layers names nothing"),
        ((None, "w"), ValueError, "record: what must be one of 's', 'v', 'u', 'i', 'y', 'j'; got 'w'"),
        ((None, ()), ValueError, "record: what names nothing"),
        ((None, 3), TypeError, "record: what must be names; got 3"),
        ((snn.LIF(),), ValueError, r"record: LIF\(.*\) is not a layer of the network"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        snn.record(network(), draw(7, 3, 6), *arguments)


def test_errors_of_networks():
    with pytest.raises(TypeError, match=r"record: net must be a network, such as .*; got int"):
        snn.record(3, draw(7, 3, 6))
    plain = snn.Sequential(snn.Linear(6, 2))
    with pytest.raises(ValueError, match="record: the network has no spiking neuron and no LI; name layers"):
        snn.record(plain, draw(7, 3, 6))
    with pytest.raises(ValueError, match="record: no layer of the network has 's'"):
        snn.record(snn.Sequential(snn.LI()), draw(7, 3, 6), what="s")
    with pytest.raises(snn.ShapeError, match="the input must be float32 or uint8; got float64"):
        snn.record(plain, draw(7, 3, 6).astype(float))


def test_plot_and_table(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    rec = snn.record(network(), draw(7, 3, 6))
    shown = {axes.get_title("left"): axes for axes in rec.plot(1).axes if axes.get_visible()}
    rate = 100 * rec["first"].s[:, 1].mean()
    assert list(shown) == [
        f"first: rate {rate:.1f} %, all 8 units",
        "first: v, all 8 units",
        next(title for title in shown if title.startswith("…branch.cubalif1: rate ")),
        "…branch.cubalif1: v, all 8 units",
        "li1: v, all 4 units",
    ]
    lines = shown["first: v, all 8 units"].lines
    assert len(lines) == 9 and np.array_equal(lines[2].get_ydata(), rec["first"].v[:, 1, 2])
    assert lines[8].get_label() == "threshold" and list(lines[8].get_ydata()) == [1, 1]
    assert np.array_equal(shown[f"first: rate {rate:.1f} %, all 8 units"].images[0].get_array(), rec["first"].s[:, 1].T)
    assert rec.plot(path=tmp_path / "r.png") == tmp_path / "r.png"
    assert "<td" in rec._repr_html_() and str(rec).splitlines()[1].split()[:4] == ["first", "LIF", "s", "7"]
