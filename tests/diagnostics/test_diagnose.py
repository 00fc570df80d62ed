"""`diagnose` and `record_spikes`: numbers that are worked out by hand, an unchanged network, plain data and text."""

import json

import numpy as np
import pytest
from diagnosed import by_hand, current_net, targets, trained

from numsnn.diagnostics import Diagnosis, diagnose, record_spikes
from numsnn.errors import ShapeError
from numsnn.layers import (
    LIF,
    TRAINING,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    Mode,
    Repeat,
    Residual,
    Sequential,
    set_route,
)
from numsnn.losses import TET, RateCrossEntropy
from numsnn.pda import PDA
from numsnn.psg import PSG, Surrogate


def picture_net(**lif):
    """A network with Repeat, Residual, normalisation, dropout, learned values and PDA, its input and labels."""
    psg = PSG("triangle", per="channel")
    lif = {"v_threshold": 0.5, "learn_tau": True, "learn_threshold": True, "pda": True, "surrogate": psg, **lif}
    net = Sequential(
        Repeat(3, Conv2d(1, 4, 3, padding=1), BatchNorm(4), LIF(name="once")),
        LIF(**lif),
        Dropout(0.3),
        Residual(Conv2d(4, 4, 3, padding=1), BatchNorm(4), LIF(**lif)),
        LIF(**lif, record=("u", "v", "s")),
        AvgPool2d(2),
        Flatten(),
        Linear(16, 5),
    )
    x = np.random.default_rng(0).random((6, 4, 4, 1), np.float32)
    return net, x, np.arange(6) % 5


# --- exact numbers ---------------------------------------------------------------------------------------------


@targets
def test_numbers_worked_out_by_hand(device, dtype):
    (row,) = diagnose(*by_hand(device, dtype)).layers
    # The currents of the three neurons are 0; 8, 4 | 2, 8; 1, 0.5 | 0.25, 1, where | separates the steps. The threshold
    # is 1, and the surrogate sees potentials from 0.5 to 1.5.
    assert (row.name, row.steps, row.samples, row.units) == ("lif1", 2, 2, 3)
    assert row.rate == 6 / 12
    assert row.silent == row.saturated == 1 / 3
    u = np.array([0, 0, 0, 0, 8, 4, 2, 8, 1, 0.5, 0.25, 1])
    assert row.mean == u.mean()
    assert row.std == pytest.approx(u.std(), rel=1e-15)
    assert row.undesired == (4 / 6, 5 / 6)  # 0.5 lies on the rectangle's edge, which belongs to it
    assert row.undesired_share == 9 / 12
    assert row.shift == pytest.approx((3 * 0.0625, -3 * 0.0625), abs=1e-15)
    assert (row.width, row.threshold, row.leak) == ((1.0,), (1.0,), (0.0,))
    assert (row.family, row.reach, row.width_bounds, row.pda) == ("rectangle", 0.5, None, False)
    assert row.gradient is row.gradient_steps is row.shift_uncorrected is None
    assert row.nonfinite == 0


def test_at_rest_a_triangle_sees_nothing():
    """Neurons at rest lie one width below the threshold, where the density of a triangle becomes 0."""
    net = Sequential(LIF(surrogate=Surrogate("triangle")))
    (row,) = diagnose(net, np.zeros((2, 3, 4), np.float32)).layers
    assert row.undesired == (1.0, 1.0)


def test_units_are_channels_times_positions():
    net = Sequential(Conv2d(1, 2, 1), LIF(beta=0.0))
    net.build((3, 2, 4, 5, 1))
    net.layers[0].weight.value[...] = [1, 0]
    x = np.zeros((3, 2, 4, 5, 1), np.float32)
    x[:, :, 0] = 1  # five positions are always active
    x[0, 1, 1, 0] = 1  # one position is active in one sample and step
    (row,) = diagnose(net, x).layers
    assert row.units == 40
    assert row.saturated == 5 / 40
    assert row.silent == 34 / 40
    assert row.rate == (5 * 6 + 1) / 240


@targets
@pytest.mark.parametrize("v_reset", [0.0, -0.3, None])
@pytest.mark.parametrize("decay_input", [False, True])
@pytest.mark.parametrize("pda", [None, PDA(), PDA(target=0.5)])
def test_shift_is_the_potentials_mean_less_the_currents(device, dtype, v_reset, decay_input, pda):
    options = {"v_reset": v_reset, "decay_input": decay_input, "pda": pda, "record": "u"}
    net, x = current_net(**options, tau=[1.5, 2, 3, 4, 5, 6], v_threshold=0.4)
    x = x.astype(dtype)
    net.to(device, dtype).build(x.shape)
    if pda is not None:
        net.layers[0].set_statistic("correction", np.random.default_rng(2).normal(0, 0.1, (4, 6)))
    net(x)
    u = net.layers[0].recorded["u"].astype(np.float64)
    target = x.mean((0, 1), dtype=np.float64) if pda is None or pda.target is None else pda.target
    (row,) = diagnose(net, x).layers
    assert 0.05 < row.rate < 0.6
    # Every term adds a rounding of eps to u, with |u| < 4, and decay_input divides the sum by a gain of at least 1/6.
    assert row.shift == pytest.approx((u.mean(1) - target).mean(1), abs=100 * float(np.finfo(dtype).eps))
    if pda is not None and pda.target is None and not decay_input:
        assert row.shift[0] == pytest.approx(
            (x[0].mean(0) - x.mean((0, 1)) - net.layers[0].tracker.correction[0]).mean(), abs=1e-6
        )


def test_shift_without_the_correction():
    net, x = current_net((4, 16, 6), pda=PDA(momentum=0.5))
    plain, _ = current_net()
    untracked = diagnose(net, x).layers[0]
    assert untracked.pda and untracked.shift_uncorrected is None
    for _ in range(40):
        net.forward(x, TRAINING)
    (row,) = diagnose(net, x).layers
    (bare,) = diagnose(plain, x).layers
    assert row.shift_uncorrected == bare.shift
    assert np.abs(row.shift).max() < 1e-3 < 0.02 < np.abs(bare.shift).max()
    assert bare.shift_uncorrected is None


def test_divergence_alone_has_nothing_to_take_out():
    net, x = current_net(pda=PDA(correct=False, divergence=0.1))
    net.forward(x, TRAINING)
    (row,) = diagnose(net, x).layers
    assert row.shift_uncorrected is None
    assert not row.pda


@targets
def test_gradients_and_loss_are_those_of_the_backward_pass(device, dtype):
    net, x, y = picture_net()
    x = x.astype(dtype)
    net.to(device, dtype).build(x.shape)
    loss = TET()
    report = diagnose(net, x, y, loss)
    z = net.forward(net.admit(x), Mode(store=True, inspect=True))
    losses, dz = loss(z, y, net.kernels)
    net.backward(dz)
    tolerance = 1e-12 if dtype == "float64" else 1e-6
    assert report.loss == pytest.approx(losses.mean(dtype=np.float64), rel=tolerance)
    layers = {layer.path: layer for layer in net.walk() if isinstance(layer, LIF)}
    assert [row.name for row in report.layers] == list(layers)
    for row in report.layers:
        gradient = layers[row.name].input_gradient.astype(np.float64)
        steps = [np.linalg.norm(g) for g in gradient]
        assert row.gradient_steps == pytest.approx(steps, rel=tolerance)
        assert row.gradient == pytest.approx(np.linalg.norm(steps), rel=tolerance)
        assert row.gradient > 0
    for row, (name, p) in zip(report.parameters, net.parameters(), strict=True):
        assert (row.name, row.shape) == (name, p.value.shape)
        assert row.norm == pytest.approx(np.linalg.norm(p.value), rel=1e-5)
        assert row.gradient == pytest.approx(np.linalg.norm(p.grad), rel=1e-5)
        assert (row.nonfinite, row.gradient_nonfinite) == (0, 0)


def test_loss_includes_the_divergence_objective():
    net, x, y = picture_net(pda=PDA(divergence=0.1))
    trained(net.to("reference"), x, y)
    with_objective = diagnose(net, x, y).loss
    z = net.forward(net.admit(x), Mode(store=True))
    plain = RateCrossEntropy()(z, y)[0].mean()
    objective = sum(layer.penalty for layer in net.walk() if isinstance(layer, LIF))
    assert objective > 1e-3
    assert with_objective == pytest.approx(plain + objective, rel=1e-6)


def test_without_labels_there_are_no_gradients():
    net, x, _ = picture_net()
    report = diagnose(net, x)
    assert report.loss is None
    assert all(row.gradient is None and row.gradient_nonfinite is None for row in report.parameters)
    assert "gradient" not in str(report).splitlines()[0]


def test_one_step_and_one_sample():
    net = Sequential(Repeat(1), LIF(), Linear(6, 2))
    x = np.linspace(0, 2, 6, dtype=np.float32)[None]
    report = diagnose(net, x, np.array([1]))
    (row,) = report.layers
    assert (row.steps, row.samples, row.units, row.rate) == (1, 1, 6, 0.5)
    assert row.shift == pytest.approx((0.0,), abs=1e-7)
    assert len(row.undesired) == len(row.gradient_steps) == 1


def test_training_uses_the_batchs_statistics():
    net = Sequential(BatchNorm(6), LIF())
    x = np.random.default_rng(0).normal(50, 3, (2, 64, 6)).astype(np.float32)
    assert diagnose(net, x).layers[0].rate == 1
    (row,) = diagnose(net, x, training=True).layers
    assert row.shift[0] == pytest.approx(0, abs=0.1)
    assert 0.1 < row.rate < 0.4


def test_widths_and_thresholds_a_channel():
    net, x = current_net(surrogate=PSG("triangle", per="channel"), v_threshold=[1, 2, 3, 4, 5, 6])
    net.build(x.shape)
    net.layers[0].width.parameter.value[...] = np.log([1, 1, 1, 2, 2, 2])
    (row,) = diagnose(net, x).layers
    assert row.width == pytest.approx((1, 1, 1, 2, 2, 2), rel=1e-6)
    assert row.threshold == (1, 2, 3, 4, 5, 6)
    net.layers[0].width.parameter.value[...] = 0
    assert diagnose(net, x).layers[0].width == (1.0,)


def test_histogram_leaves_out_the_tails():
    net, x = current_net((10, 50, 40), beta=0.0)
    x[0, 0, 0] = 1e6
    (row,) = diagnose(net, x).layers
    assert len(row.counts) == 60
    assert len(row.edges) == 61
    assert row.edges[-1] < 5
    assert sum(row.counts) == pytest.approx(0.998 * x.size, abs=2)
    inside = x[(x >= row.edges[10]) & (x < row.edges[11])]
    assert row.counts[10] == pytest.approx(inside.size, abs=1)


@pytest.mark.parametrize("value", [0.0, 0.3, -1e30, 3e38])
def test_histogram_of_equal_potentials(value):
    net = Sequential(LIF(beta=0.0))
    (row,) = diagnose(net, np.full((2, 3, 4), value, np.float32)).layers
    assert sum(row.counts) == 24
    assert row.edges[0] < value < row.edges[-1]
    assert np.all(np.diff(row.edges) > 0)


# --- nothing is touched ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_the_network_is_left_as_it_was(device):
    net, x, y = picture_net()
    trained(net.to(device), x, y)
    state, grads = net.state(), [p.grad.copy() for _, p in net.parameters()]
    layers = list(net.tree())
    kept = [layer.kept for layer in layers]
    buffers = [{key: (id(b), b.copy()) for key, b in layer._buffers.items()} for layer in layers]
    recorded = [{key: a.copy() for key, a in getattr(layer, "recorded", {}).items()} for layer in layers]
    shapes = [layer.input_shape for layer in layers]

    diagnose(net, x[:4], y[:4])
    record_spikes(net, x[:4])
    with pytest.raises(ShapeError):
        diagnose(net, x[:4], y)

    after = net.state()
    assert list(after) == list(state)
    assert all(after[name].tobytes() == state[name].tobytes() for name in state)
    assert all(p.grad.tobytes() == g.tobytes() for (_, p), g in zip(net.parameters(), grads, strict=True))
    assert all(layer.kept is k for layer, k in zip(layers, kept, strict=True))
    assert [layer.input_shape for layer in layers] == shapes
    for layer, before, record in zip(layers, buffers, recorded, strict=True):
        now = {key: (id(b), b) for key, b in layer._buffers.items()}
        assert {key: i for key, (i, _) in now.items()} == {key: i for key, (i, _) in before.items()}
        assert all(now[key][1].tobytes() == b.tobytes() for key, (_, b) in before.items())
        assert all((layer.recorded[key] == a).all() for key, a in record.items())


def test_twice_the_same():
    net, x, y = picture_net()
    trained(net, x, y)
    assert diagnose(net, x, y) == diagnose(net, x, y)


def test_an_unbuilt_network_is_built():
    net, x, _ = picture_net()
    diagnose(net, x)
    assert net.built
    assert net.input_shape == x.shape


def test_names_of_a_part_are_its_own():
    net, x, y = picture_net()
    trained(net, x, y)
    block = net.layers[3]
    report = diagnose(block, np.ones(block.input_shape, np.float32))
    assert [row.name for row in report.layers] == ["branch.lif1"]
    assert report.parameters[0].name == "branch.conv2d1.weight"


def test_refusals():
    net, x, y = picture_net()
    with pytest.raises(ValueError, match="a loss needs labels; got y=None"):
        diagnose(net, x, loss=TET())
    with pytest.raises(ShapeError, match="labels must be 6 whole numbers"):
        diagnose(net, x, y[:3])
    with pytest.raises(ShapeError, match="must be float32 or uint8; got float64"):
        diagnose(net, x.astype(np.float64))
    with pytest.raises(ValueError, match="every number must be finite"):
        diagnose(net, np.full_like(x, np.nan))


# --- spikes of one sample --------------------------------------------------------------------------------------


def test_record_spikes_is_what_the_layers_fired():
    net, x, y = picture_net()
    trained(net, x, y)
    net(x)
    expected = net.layers[4].recorded["s"].reshape(3, 6, -1)
    assert 0.1 < expected.mean() < 0.5
    for sample in range(6):
        spikes = record_spikes(net, x, sample)
        assert list(spikes) == ["repeat1.once", "lif1", "residual1.branch.lif1", "lif2"]
        assert spikes["repeat1.once"].shape == (1, 64)
        assert spikes["lif2"].dtype == np.uint8
        assert (spikes["lif2"] == expected[:, sample]).all()
    with pytest.raises(IndexError, match="sample must be less than 6, the samples of x; got 6"):
        record_spikes(net, x, 6)
    with pytest.raises(ValueError, match="sample must be a whole number"):
        record_spikes(net, x, -1)


# --- plain data and text ---------------------------------------------------------------------------------------


def test_round_trip_through_json():
    net, x, y = picture_net()
    trained(net, x, y)
    report = diagnose(net, x, y)
    again = Diagnosis.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False)))
    assert again == report
    assert str(again) == str(report)


def test_how_products_were_computed():
    """The diagnosis and its text tell how each product was computed; those of earlier versions did not."""
    net, x, y = picture_net()
    set_route(net, "dense")
    report = diagnose(net, x, y)
    names = [layer.path for layer in net.walk() if isinstance(layer, Conv2d | Linear)]
    assert [row.name for row in report.products] == names and len(names) == 3
    first, *others = [(row.forward, row.weight, row.input) for row in report.products]
    assert first == ("dense", "dense", None)  # the gradient of pictures is not computed, as in training
    assert set(others) == {("dense",) * 3}
    assert all(0 < row.density <= 1 for row in report.products)
    (line,) = (line for line in str(report).splitlines() if line.startswith(f"{names[-1]} ") and "dense" in line)
    assert line.split()[-3:] == ["dense"] * 3
    assert diagnose(net, x).products[0].weight is None
    earlier = {key: value for key, value in report.to_dict().items() if key != "products"}
    assert Diagnosis.from_dict(earlier).products == ()


def test_from_dict_names_what_is_wrong():
    data = diagnose(*by_hand()).to_dict()
    with pytest.raises(ValueError, match="Diagnosis: 'loss' is missing"):
        Diagnosis.from_dict({key: value for key, value in data.items() if key != "loss"})
    data["layers"][0]["colour"] = 1
    with pytest.raises(ValueError, match="LayerRow: 'colour' is unknown"):
        Diagnosis.from_dict(data)


def test_text_is_aligned_and_complete():
    net, x, y = picture_net()
    trained(net, x, y)
    text = str(diagnose(net, x, y))
    layers, parameters, *_ = text.split("\n\n")
    for table in (layers, parameters):
        assert len({len(line) for line in table.splitlines()}) == 1
    assert layers.split("\n")[0].split()[:3] == ["layer", "rate", "silent"]
    for name in ("uncorrected", "gradient", "lif2"):
        assert name in layers
    assert "linear1.weight" in parameters
    assert "loss " in text


def test_text_of_a_network_without_neurons():
    report = diagnose(Sequential(Linear(3, 2)), np.ones((1, 2, 3), np.float32), np.array([0, 1]))
    assert report.layers == ()
    assert report.hints == ()
    assert str(report).startswith("parameter")
    assert str(report).endswith("Nothing looks wrong.")


def test_an_interactive_session_shows_one_line_and_a_notebook_tables():
    net, x, y = picture_net()
    report = diagnose(net, x, y)
    assert repr(report) == f"Diagnosis(4 neuron layers, loss {report.loss:.4g}, {len(report.hints)} hints)"
    row = report.layers[1]
    assert repr(row).startswith(f"LayerRow(lif1: rate {100 * row.rate:.1f} %, silent ") and len(repr(row)) < 80
    page = report._repr_html_()
    assert page.count("<table>") == 3 and page.count("<tr>") == 3 + 4 + len(report.parameters) + len(report.products)
    assert all(f"<p>{hint}" in page for hint in (f"loss {report.loss:.4g}", *(h.split("<")[0] for h in report.hints)))


def test_other_objects_are_refused():
    net, x, y = picture_net()
    with pytest.raises(TypeError, match=r"diagnose: net must be a network, such as .*; got int"):
        diagnose(3, x)
    with pytest.raises(TypeError, match=r"diagnose: loss must be a Loss, such as .*; got 'ce'"):
        diagnose(net, x, y, "ce")
    with pytest.raises(ValueError, match="diagnose: training must be True or False; got 2"):
        diagnose(net, x, y, training=2)
