"""`check_gradients`: it finds wrong gradients, avoids kinks, leaves the network alone, and names what it refuses.

tests/layers/test_gradients.py proves layer by layer that the gradients are right.
"""

import numpy as np
import pytest

import numsnn as snn
from numsnn.diagnostics import gradients
from numsnn.layers import TRAINING

T, N, K = 3, 4, 3
FEATURES = (T, N, 6)


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


# --- the check can fail ---------------------------------------------------------------------------------------------


class SkewedInput(snn.Linear):
    """Wrong on purpose: dL/dx is 0.1 % too large."""

    def propagate(self, dy, need_dx):
        return super().propagate(dy, need_dx) * 1.001


class SkewedWeight(snn.Linear):
    """Wrong on purpose: dL/dw is 0.1 % too large."""

    def propagate(self, dy, need_dx):
        dx = super().propagate(dy, need_dx)
        self.weight.grad *= 1.001
        return dx


class ForgottenBias(snn.Linear):
    """Wrong on purpose: one bias gets no gradient."""

    def propagate(self, dy, need_dx):
        dx = super().propagate(dy, need_dx)
        self.offset.grad[1] = 0
        return dx


class SkewedWidth(snn.LIF):
    """Wrong on purpose: dL/d log alpha is 0.1 % too large."""

    def propagate(self, dy, need_dx):
        dx = super().propagate(dy, need_dx)
        for p in self.own_parameters():
            p.grad *= 1.001
        return dx


class ForgottenPast(snn.LIF):
    """Wrong on purpose: the first step gets no gradient."""

    def propagate(self, dy, need_dx):
        dx = super().propagate(dy, need_dx)
        dx[0] = 0
        return dx


BELOW = {"linear1.weight", "linear1.bias", "input"}

WRONG = {
    "input": (lif(), SkewedInput(8, K, name="wrong"), BELOW | {"lif1.log_width"}),
    "weight": (lif(), SkewedWeight(8, K, name="wrong"), {"wrong.weight"}),
    "bias": (lif(), ForgottenBias(8, K, name="wrong"), {"wrong.bias"}),
    "width": (
        SkewedWidth(surrogate=snn.PSG("logistic"), name="lif1"),
        snn.Linear(8, K, name="wrong"),
        {"lif1.log_width"},
    ),
    "past": (
        ForgottenPast(surrogate=snn.PSG("logistic"), name="lif1"),
        snn.Linear(8, K, name="wrong"),
        BELOW,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_gradient_is_found_and_named(name):
    neurons, readout, wrong = WRONG[name]
    net = network(snn.Linear(6, 8), neurons, readout)
    report = snn.check_gradients(net, draw(FEATURES), labels())
    assert not report.ok
    assert report.worst > 1e-4
    assert {row.name for row in report.rows if not max(row.worst, row.direction) <= report.tolerance} == wrong
    marked = {line.split()[0] for line in str(report).splitlines() if line.endswith("<-- disagrees")}
    assert marked == wrong
    assert str(report).splitlines()[-1].startswith("gradients DISAGREE: worst relative difference ")


def test_tolerance_decides():
    """A tolerance below what rounding leaves visible neither refuses a right gradient nor passes a wrong one."""
    wrong = network(snn.Linear(6, 8), lif(), SkewedInput(8, K))
    verdicts = [snn.check_gradients(wrong, draw(FEATURES), labels(), tolerance=10.0**-k).ok for k in (2, 6, 12)]
    assert verdicts == [True, False, False]
    right = perceptron(lif())
    verdicts = [snn.check_gradients(right, draw(FEATURES), labels(), tolerance=10.0**-k).ok for k in (2, 6, 12)]
    assert verdicts == [True, True, True]


# --- kinks ----------------------------------------------------------------------------------------------------------


def at_the_kink(share):
    """Check neurons without memory; a share of their potentials lies exactly on the edge of the rectangle."""
    x = np.random.default_rng(5).uniform(0.8, 1.2, FEATURES).astype(np.float32)
    close = np.random.default_rng(6).random(FEATURES) < share
    x[close] = 0.5
    net = network(snn.LIF(beta=0.0, surrogate=snn.PSG("rectangle", 1.0)), snn.Linear(6, K))
    return close, snn.check_gradients(net, x, labels(), entries=8)


def test_all_potentials_on_a_kink():
    _, report = at_the_kink(1.0)
    rows = {row.name: row for row in report.rows}
    assert rows["input"].checked == 0 and rows["input"].redrawn == 4 * 8
    assert np.isnan([rows["input"].worst, rows["input"].direction]).all()
    assert rows["lif1.log_width"].checked == 0 and rows["lif1.log_width"].redrawn == 1
    assert rows["linear1.weight"].redrawn == 0 and rows["linear1.weight"].worst < 1e-6
    assert np.isnan(report.worst)
    assert not report.ok
    assert report.unchecked == ("lif1.log_width", "input")
    *_, last, verdict = str(report).splitlines()
    assert last.split()[-4:] == ["not", "checked", "not", "checked"]
    assert verdict.startswith("gradients agree where they were checked: worst relative difference ")
    assert "; NOT CHECKED in full: lif1.log_width, input; there, every increment crosses a kink" in verdict
    assert "nan" not in str(report)


def test_some_potentials_on_a_kink():
    """The check gives up entries on a kink for others. Those agree, and so does a direction through them alone. The
    width moves all potentials, so that it cannot be checked."""
    close, report = at_the_kink(0.4)
    row = report.rows[-1]
    assert row.name == "input"
    assert row.checked == 8 and 0 < row.redrawn < close.sum()
    assert row.worst < 1e-6 and row.direction < 1e-6
    width = next(row for row in report.rows if row.name == "lif1.log_width")
    assert width.checked == 0 and np.isnan(width.direction)
    assert not report.ok


def test_nothing_could_be_checked_or_something_disagrees():
    row = gradients.GradientRow("input", (2,), 0, np.nan, np.nan, 8)
    assert str(gradients.GradientReport((row,), 1e-6, 1.0)).splitlines()[-1].startswith("NOT CHECKED in full: input;")
    wrong = gradients.GradientRow("w", (2,), 2, 0.5, np.nan, 0)
    report = gradients.GradientReport((row, wrong), 1e-6, 1.0)
    assert not report.ok and str(report).splitlines()[2].endswith("not checked  <-- disagrees")
    assert "gradients DISAGREE where they were checked: worst relative difference 5.0e-01" in str(report)


def test_no_potential_on_a_kink():
    _, report = at_the_kink(0.0)
    assert report.ok and all(row.redrawn == 0 for row in report.rows)


def test_step_shrinks_near_a_kink():
    """One potential lies 5e-5 from the edge: the first step crosses the edge, and a tenth of that step does not."""
    x = np.random.default_rng(5).uniform(0.8, 1.2, FEATURES).astype(np.float32)
    x[0, 0, 0] = np.float32(0.5 + 5e-5)
    net = network(snn.LIF(beta=0.0, surrogate=snn.PSG("rectangle", 1.0)), snn.Linear(6, K))
    report = snn.check_gradients(net, x, labels(), entries=x.size)
    assert report.ok and all(row.redrawn == 0 for row in report.rows)


def test_ties_of_a_maximum():
    x = np.zeros((T, N, 4, 4, 2), np.float32)
    net = network(snn.MaxPool2d(2), snn.Flatten(), snn.Linear(8, K))
    report = snn.check_gradients(net, x, labels())
    assert report.rows[-1].redrawn > 0 and not report.ok


# --- what it leaves alone, what it says, what it refuses ------------------------------------------------------------


def test_network_is_not_touched():
    net = network(
        snn.Repeat(T, snn.Conv2d(1, 4, 3), snn.BatchNorm(4)),
        snn.Residual(lif(pda=snn.PDA(divergence=0.1)), snn.Conv2d(4, 4, 1)),
        lif(learn_tau=True),
        snn.Dropout(0.2),
        snn.Flatten(),
        snn.Linear(64, K),
    )
    x = draw((N, 6, 6, 1))
    z = net.forward(x, TRAINING)
    net.backward(np.ones_like(z))
    state, output = net.state(), z.copy()
    gradients = {name: p.grad.copy() for name, p in net.parameters()}
    arrays = {name: p.value for name, p in net.parameters()}

    assert snn.check_gradients(net, x, labels(), device="cpu").ok
    assert net.device == "reference" and net.dtype == np.float32
    assert all(layer.device == "reference" and layer.dtype == np.float32 for layer in net.tree())
    after = net.state()
    assert after.keys() == state.keys()
    for name, value in state.items():
        assert value.dtype == after[name].dtype
        np.testing.assert_array_equal(after[name], value, err_msg=name)
    for name, p in net.parameters():
        assert p.value is arrays[name]
        np.testing.assert_array_equal(p.grad, gradients[name], err_msg=name)
    assert net.output is z
    np.testing.assert_array_equal(z, output)


def test_unbuilt_network_is_built():
    net = perceptron(lif())
    assert not net.built
    assert snn.check_gradients(net, draw(FEATURES), labels()).ok
    assert net.built and net.input_shape == FEATURES
    same = perceptron(lif()).build(FEATURES)
    for name, value in same.state().items():
        np.testing.assert_array_equal(net.state()[name], value)


def test_repeats_itself():
    net, x = perceptron(lif()), draw(FEATURES)
    first, second = (snn.check_gradients(net, x, labels(), seed=4) for _ in range(2))
    assert first == second
    assert snn.check_gradients(net, x, labels(), seed=5) != first


def test_entries():
    net, x = perceptron(lif()), draw(FEATURES)
    report = snn.check_gradients(net, x, labels(), entries=11)
    assert [row.checked for row in report.rows] == [11, 8, 1, 11, 3, 11]
    assert [row.shape for row in report.rows] == [(6, 8), (8,), (1,), (8, K), (K,), FEATURES]


def test_report_is_a_table():
    report = snn.check_gradients(perceptron(lif()), draw(FEATURES), labels())
    title, *rows, verdict = str(report).splitlines()
    assert title.split() == ["parameter", "shape", "entries", "redrawn", "worst", "direction"]
    assert [row.split()[0] for row in rows] == [row.name for row in report.rows]
    assert all(str(row.shape) in line for row, line in zip(report.rows, rows, strict=True))
    assert verdict == f"gradients agree: worst relative difference {report.worst:.1e}, tolerance 1e-06"
    assert isinstance(report, snn.GradientReport)
    assert repr(report) == f"GradientReport(6 arrays, {verdict})"
    page = report._repr_html_()
    assert page.count("<tr>") == 7 and f"<p>{verdict}</p>" in page


def test_network_that_is_checked_is_the_one_that_is_given():
    """The check keeps weights and corrections: its loss is the cross-entropy of the relaxed readout."""
    net = perceptron(lif(pda=snn.PDA(momentum=0.5))).to(dtype="float64").build(FEATURES, seed=3)
    x = draw(FEATURES).astype(np.float64)
    for _ in range(3):
        net.forward(x, TRAINING)
    report = snn.check_gradients(net, x, labels())
    z = net.forward(x, snn.Mode(training=True, store=True, relaxed=True)).mean(0)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    assert report.loss == pytest.approx(-log_p[np.arange(N), labels()].mean(), rel=1e-13)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"entries": 0}, "check_gradients: entries must be a whole number of at least 1; got 0"),
        ({"step": 0.0}, "check_gradients: step must be positive; got 0.0"),
        ({"tolerance": 0.0}, "check_gradients: tolerance must be positive; got 0.0"),
        ({"seed": -1}, "check_gradients: seed must be a whole number of at least 0; got -1"),
        ({"device": "abacus"}, "check_gradients: device must be one of 'cpu', 'reference'; got 'abacus'"),
        ({"device": "cuda"}, "check_gradients: device must be one of 'cpu', 'reference'; got 'cuda'"),
    ],
)
def test_options_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        snn.check_gradients(perceptron(lif()), draw(FEATURES), labels(), **options)


def test_input_and_labels_that_are_refused():
    net, x = perceptron(lif()), draw(FEATURES)
    with pytest.raises(snn.ShapeError, match="sequential: the input must be float32 or uint8; got float64"):
        snn.check_gradients(net, x.astype(np.float64), labels())
    with pytest.raises(snn.ShapeError, match=r"linear1 \(Linear\): input must be \[T, N, 6\]; got \(3, 4, 5\)"):
        snn.check_gradients(net, x[..., :5].copy(), labels())
    with pytest.raises(snn.ShapeError, match="RateCrossEntropy: labels must be 4 whole numbers"):
        snn.check_gradients(net, x, labels()[:2])
    with pytest.raises(ValueError, match=r"the input holds nan at index \(1, 2, 3\)"):
        x[1, 2, 3] = np.nan
        snn.check_gradients(net, x, labels())


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"check_gradients: net must be a network, such as .*; got list"):
        snn.check_gradients([lif()], draw(FEATURES), labels())
    with pytest.raises(TypeError, match=r"check_gradients: loss must be a Loss, such as .*; got 'ce'"):
        snn.check_gradients(perceptron(lif()), draw(FEATURES), labels(), "ce")
