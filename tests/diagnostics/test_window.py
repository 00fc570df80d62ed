"""The window share of `diagnose` beside that of normal distributions: exact numbers, where they agree and differ."""

import json

import numpy as np
import pytest
from diagnosed import by_hand, current_net, targets
from scipy.stats import norm

from numsnn.diagnostics import Diagnosis, diagnose
from numsnn.diagnostics.window import window_shares
from numsnn.layers import ALIF, LIF, Linear, Sequential
from numsnn.psg import FAMILIES, PSG, Surrogate


def normal_share(x, half):
    """What D10 states, with the distribution function of scipy, for the distances x ``[T, M, C]`` from the threshold
    and half the window ``[C]``."""
    normal = norm(x.mean(1, dtype=np.float64), x.std(1, dtype=np.float64))
    return (normal.cdf(half) - normal.cdf(-half)).mean(1)


def sampling_error(share, count):
    """Four standard deviations of a share that is measured in this number of potentials."""
    return 4 * np.sqrt(share * (1 - share) / count)


# --- exact numbers ---------------------------------------------------------------------------------------------


@targets
def test_numbers_worked_out_by_hand(device, dtype):
    (row,) = diagnose(*by_hand(device, dtype)).layers
    # The threshold is 1 and half the window 0.5. In both steps the first neuron is at rest. The potentials of the
    # others are 8, 4 | 2, 8 and 1, 0.5 | 0.25, 1, with | between the steps.
    first = norm.cdf(-2.25) - norm.cdf(-2.75) + norm.cdf(3) - norm.cdf(-1)
    second = norm.cdf(-3.5 / 3) - norm.cdf(-4.5 / 3) + norm.cdf(0.875 / 0.375) - norm.cdf(-0.125 / 0.375)
    assert row.window_normal == pytest.approx((first / 3, second / 3), rel=1e-12)
    assert row.window_normal_share == pytest.approx((first + second) / 6, rel=1e-12)
    assert row.window == pytest.approx((2 / 6, 1 / 6), rel=1e-12)
    assert row.window_share == pytest.approx(3 / 12, rel=1e-12)


@targets
@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("v_reset", [0.0, None])
def test_every_channel_has_its_own_mean_threshold_and_width(device, dtype, family, v_reset):
    theta, width = np.array([0.4, 0.5, 0.7, 0.8, 1, 2]), np.array([0.05, 0.1, 0.2, 0.5, 1, 2])
    net, x = current_net(
        (4, 50, 6), v_threshold=theta, v_reset=v_reset, surrogate=PSG(family, per="channel"), record="u"
    )
    x = x.astype(dtype)
    net.to(device, dtype).build(x.shape)
    net.layers[0].width.parameter.value[...] = np.log(width)
    (row,) = diagnose(net, x).layers
    net(x)
    x = net.layers[0].recorded["u"].astype(np.float64) - theta
    half = FAMILIES[family].reach * width
    tolerance = 100 * float(np.finfo(dtype).eps)
    assert row.window == pytest.approx((np.abs(x) <= half).mean((1, 2)), abs=1e-12)
    assert row.window_normal == pytest.approx(normal_share(x, half), abs=tolerance)


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_thresholds_that_adapt(device):
    x = np.random.default_rng(1).normal(0.5, 0.8, (5, 40, 6)).astype(np.float32)
    net = Sequential(ALIF(record=("u", "s"), surrogate=Surrogate("rectangle", 1.5))).to(device)
    (row,) = diagnose(net, x).layers
    net(x)
    alif, theta = net.layers[0], np.ones_like(x)
    rho, kappa = (alif.own_values[name].natural for name in ("rho", "kappa"))
    a = np.zeros_like(x[0])
    for t in range(len(x)):
        theta[t] += kappa * a
        a = rho * a + (1 - rho) * alif.recorded["s"][t]
    half = np.full(6, 0.75)
    assert row.window_normal == pytest.approx(normal_share(alif.recorded["u"] - theta, half), abs=1e-5)
    assert np.abs(normal_share(alif.recorded["u"] - 1, half) - row.window_normal).max() > 1e-3


def test_far_from_the_threshold_no_digits_are_lost():
    u = np.random.default_rng(0).normal(size=(1, 500, 2))
    u = (u - u.mean(1)) / u.std(1) + np.array([21, -19])  # 20 deviations on both sides of a threshold of 1
    theta, width = np.ones(2), np.ones(2)
    _, share = window_shares(u, theta, width, Surrogate("triangle"))
    assert share == pytest.approx(norm.sf(19) - norm.sf(21), rel=1e-9, abs=0)
    assert 0 < share[0] < 1e-75


# --- where both agree, and where they do not -------------------------------------------------------------------


@targets
def test_normal_potentials_are_seen_as_often_as_a_normal_distribution_says(device, dtype):
    rng, rows = np.random.default_rng(0), 4000
    means, devs = np.array([-4, -2, -1, 1, 3, 4]), np.array([0.5, 1, 0.5, 1, 0.5, 1])
    x = rng.normal(means, devs, (3, rows, 6)).astype(dtype)
    net = Sequential(LIF(beta=0.0, surrogate=Surrogate("triangle", 0.7))).to(device, dtype)
    (row,) = diagnose(net, x).layers
    true = norm.cdf(1.7, means, devs) - norm.cdf(0.3, means, devs)
    error = sampling_error(true.mean(), 6 * rows)
    assert row.window_normal == pytest.approx(np.full(3, true.mean()), abs=error)
    assert row.window == pytest.approx(row.window_normal, abs=error)
    # The mixture of the channels is not normally distributed.
    pooled = normal_share(x.reshape(3, -1, 1) - 1, np.array([0.7]))
    assert np.abs(np.array(row.window) - pooled).min() > 5 * error


@targets
def test_after_a_hard_reset_potentials_are_not_normally_distributed(device, dtype):
    """The first step begins at rest with normal currents. Later ones mix potentials that were reset and others, which
    lie around 1 and 2, so that their mean is where few of them are."""
    rows = 4000
    x = np.random.default_rng(0).normal(1, 0.1, (5, rows, 4)).astype(dtype)
    net = Sequential(LIF(beta=0.95, surrogate=Surrogate("triangle", 0.2))).to(device, dtype)
    (row,) = diagnose(net, x).layers
    differences = np.array(row.window) - row.window_normal
    assert abs(differences[0]) < sampling_error(row.window[0], 4 * rows)
    assert differences[1:].min() > 0.2


def test_neurons_at_rest_are_not_normally_distributed():
    """Half of the rows receive nothing and lie just inside the window; the others lie around the threshold."""
    x = np.random.default_rng(0).normal(1, 2, (2, 2000, 3)).astype(np.float32)
    x[:, ::2] = 0
    (row,) = diagnose(Sequential(LIF(beta=0.0, surrogate=Surrogate("triangle", 1.1))), x).layers
    assert min(np.array(row.window) - row.window_normal) > 0.1


# --- potentials without a spread, and numbers that are not finite ----------------------------------------------


@targets
@pytest.mark.parametrize(
    ("value", "width", "seen"), [(0.3, 0.5, 0.0), (0.3, 1.0, 1.0), (0.0, 0.9, 0.0), (3e38, 1, 0.0)]
)
def test_equal_potentials_are_seen_or_not(device, dtype, value, width, seen):
    """Also exactly at the edge of a triangle, which sees nothing there."""
    net = Sequential(LIF(beta=0.0, v_threshold=0.9, surrogate=Surrogate("triangle", width))).to(device, dtype)
    (row,) = diagnose(net, np.full((2, 7, 3), value, dtype)).layers
    assert row.window == row.window_normal == (seen, seen)


def test_a_single_row_is_what_it_is():
    net, x = current_net((3, 1, 40))
    (row,) = diagnose(net, x).layers
    assert row.window_normal == pytest.approx(row.window, abs=1e-12)


@targets
def test_steps_that_are_not_finite_have_none(device, dtype):
    net = Sequential(Linear(1, 3, bias=False), LIF()).to(device, dtype)
    x = np.zeros((3, 4, 1), dtype)
    x[0] = [[0.1], [0.5], [0.7], [0.9]]
    x[2, 0] = 100
    net.build(x.shape)
    net.layers[0].weight.value[...] = 1, 1, np.finfo(dtype).max / 10
    report = diagnose(net, x)
    (row,) = report.layers
    assert row.nonfinite == 1 / 36
    assert None not in row.window and row.window_normal[2] is None and row.window_normal_share is None
    assert all(0 <= share <= 1 for share in row.window_normal[:2])
    header, line = (text.split() for text in str(report).splitlines()[:2])
    assert line[-4] == "-" and header[-5:-3] == ["if", "normal"]
    net.layers[0].weight.value[0, 1] = np.nan
    assert diagnose(net, x).layers[0].window_normal == (None, None, None)


def test_a_width_that_is_not_finite():
    net, x = current_net(surrogate=PSG("triangle", per="channel"))
    net.build(x.shape)
    net.layers[0].width.parameter.value[0] = np.nan
    assert diagnose(net, x).layers[0].window_normal == (None,) * 4


# --- plain data and text ---------------------------------------------------------------------------------------


def test_a_diagnosis_of_an_earlier_version_is_read():
    report = diagnose(*by_hand())
    data = json.loads(json.dumps(report.to_dict()))
    assert len(data["layers"][0]["window_normal"]) == 2
    assert Diagnosis.from_dict(data) == report
    del data["layers"][0]["window_normal"]
    earlier = Diagnosis.from_dict(data)
    (row,) = earlier.layers
    assert row.window_normal is row.window_normal_share is None
    assert row.window == report.layers[0].window
    assert "if normal" in str(earlier) and " - " in str(earlier).splitlines()[1]
    del data["layers"][0]["undesired"]
    with pytest.raises(ValueError, match="LayerRow: 'undesired' is missing"):
        Diagnosis.from_dict(data)


def test_the_tables_show_both_shares():
    report = diagnose(*by_hand())
    header, line = str(report).splitlines()[:2]
    share = f"{100 * (1 - report.layers[0].window_normal_share):.1f} %"
    end = header.index("if normal") + len("if normal")
    assert line[:end].endswith(f"75.0 %{share:>{2 + len('if normal')}}")
    page = report._repr_html_()
    assert ">if normal</th>" in page and f">{share}</td>" in page
