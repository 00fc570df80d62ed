"""Layers that are each broken in one way are found by the check of that fault, and only by checks that it concerns."""

import re
import unittest

import numpy as np
import pytest
from broken_layers import BROKEN, Accumulates, Count, HoldsFunction, PlainScale, TakesEverything, WrongGradient

import numsnn as snn
from numsnn.testing import CheckFailed, LayerReport, check_layer, layer_checks
from numsnn.testing.checking import CHECKS

SHAPE = (4, 3, 5)


@pytest.mark.parametrize("layer", BROKEN, ids=lambda layer: layer.__name__)
def test_a_broken_layer_is_found(layer):
    with pytest.raises(CheckFailed) as error:
        check_layer(layer, SHAPE)
    report = error.value.report
    assert set(report.failed) == set(BROKEN[layer]) and not report.ok
    told = report.failed[BROKEN[layer][0]]
    assert told.startswith(f"{layer.__name__}: {BROKEN[layer][0]}: ") and "\n" not in told
    assert all(message in str(error.value) for message in report.failed.values())


def test_every_check_finds_a_fault():
    assert {names[0] for names in BROKEN.values()} == set(CHECKS)


@pytest.mark.parametrize("layer", [PlainScale, Count, PlainScale(), Count().build(SHAPE)], ids=repr)
def test_a_layer_that_keeps_the_contract(layer):
    report = check_layer(layer, SHAPE, output_shape=SHAPE)
    assert report.ok and report.results == dict.fromkeys(CHECKS, "passed")


def test_the_layer_itself_does_not_change():
    layer = Count().build(SHAPE)
    before = layer.state()
    check_layer(layer, SHAPE, devices="reference")
    assert all(np.array_equal(value, before[name]) for name, value in layer.state().items())
    fresh = PlainScale()
    check_layer(fresh, SHAPE, devices="reference")
    assert not fresh.built


def test_checks_are_parameters_of_a_test():
    checks = layer_checks(WrongGradient, SHAPE, devices="reference", skip=["copies", "moving"])
    assert list(checks) == [name for name in CHECKS if name not in ("copies", "moving", "targets", "threads")]
    for name, check in checks.items():
        if name != "gradients":
            check()
    with pytest.raises(CheckFailed, match=r"^WrongGradient: gradients: these gradients differ .* input by 1\.0e-03"):
        checks["gradients"]()


def test_checks_within_unittest():
    class Case(unittest.TestCase):
        def runTest(self):
            for name, check in layer_checks(Accumulates, SHAPE, devices="reference").items():
                with self.subTest(name):
                    check()

    result = unittest.TestResult()
    Case().run(result)
    assert len(result.failures) == 1 and "carries = True" in result.failures[0][1] and not result.errors


def test_what_is_not_run_is_said():
    report = check_layer(snn.Repeat(3, snn.Linear(4, 2)), (5, 4), devices="reference", skip="freeze")
    reasons = {name: told for name, told in report.results.items() if told != "passed"}
    assert reasons == {
        "targets": "not run: there is one device only",
        "threads": "not run: the cpu is not among the devices",
        "one_step": "not run: the layer takes pictures without a time axis",
        "lengths": "not run: the layer takes pictures without a time axis",
        "freeze": "not run: it is in skip",
    }
    report = check_layer(snn.BNTT(5, 4), SHAPE, devices="reference")
    assert report.results["one_step"] == "not run: the layer has parameters for a fixed number of steps"
    report = check_layer(PlainScale, (1, 1, 5), devices="reference")
    assert report.results["lengths"] == "not run: the shape has one step or one sample only"


def test_reports_print_as_tables():
    report = check_layer(PlainScale, SHAPE, devices="reference")
    assert repr(report) == "LayerReport(PlainScale: all 20 checks passed)"
    lines = str(report).splitlines()
    assert lines[0].split() == ["check", "result"] and re.match(r"gradients +passed$", lines[7])
    assert lines[-1] == "PlainScale: all 20 checks passed" and "<table" in report._repr_html_()
    report = LayerReport(
        "PlainScale", {"stream": "passed", "freeze": "PlainScale: freeze: no", "state": "not run: why"}
    )
    assert report.failed == {"freeze": "PlainScale: freeze: no"}
    assert repr(report) == "LayerReport(PlainScale: 1 check failed: freeze)"


def test_an_expected_output_shape():
    with pytest.raises(CheckFailed, match=r"output_shape: infer gives \(4, 3, 5\) for the input \(4, 3, 5\); expected"):
        layer_checks(PlainScale, SHAPE, output_shape=(4, 3, 6))["output_shape"]()


def test_inputs_are_drawn_as_wanted():
    """A layer whose gradient is wrong for negative numbers only."""

    class Half(PlainScale):
        def propagate(self, dy, need_dx):
            return super().propagate(dy, need_dx) * np.where(self.kept < 0, 1.1, 1)

    def check(draw):
        layer_checks(Half, SHAPE, devices="reference", draw=draw)["gradients"]()

    check(lambda rng, shape: rng.random(shape))
    with pytest.raises(CheckFailed, match="gradients"):
        check(None)


def test_several_inputs():
    nodes = {"a": (snn.Linear(3, 4), "x"), "b": (snn.Sequential(snn.Flatten(), snn.Linear(4, 4)), "y")}
    graph = snn.Graph(("x", "y"), nodes | {"sum": ("add", "a", "b"), "out": (snn.LIF(surrogate="logistic"), "sum")})
    report = check_layer(graph, {"x": (4, 3, 3), "y": (4, 3, 2, 2)}, devices="reference")
    assert report.results["wrong_shape"] == "not run: it is for layers with one input"


def test_neurons_of_one_s_own():
    class Wrong(snn.CustomNeuron):
        values = {"beta": snn.Value(0.5, "unit", learn=True)}

        def step(i, v, states, values):
            return values[0] * v + i, ()

        def step_back(du, dstates, i, v, states, values):
            return du, values[0] * du, (), (-du * v,)

    with pytest.raises(CheckFailed) as error:
        check_layer(lambda: Wrong(surrogate="logistic"), SHAPE, devices="reference", skip=["copies"])
    assert list(error.value.report.failed) == ["gradients"]
    assert "wrong.logit_beta by 2.0e+00" in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, SHAPE), TypeError, "check_layer: layer must be a layer, or a function that makes one; got 3"),
        ((dict, SHAPE), TypeError, "check_layer: layer must make a layer; it returned dict"),
        (
            (PlainScale, SHAPE, "gpu"),
            ValueError,
            "check_layer: devices must be one of 'reference', 'cpu', 'cuda'; got 'gpu'",
        ),
        ((PlainScale, SHAPE, ()), ValueError, "check_layer: devices must name at least one target; got ()"),
        ((PlainScale, SHAPE, "cpu", "gradient"), ValueError, "got 'gradient'. Did you mean 'gradients'?"),
        ((snn.Linear(4, 2), SHAPE), snn.ShapeError, "linear (Linear): input must be [T, N, 4]; got (4, 3, 5)"),
        ((PlainScale, (4, 0, 5)), ValueError, "scale.build: every extent of shape (4, 0, 5) must be a whole number"),
    ],
)
def test_errors(arguments, error, message):
    options = dict(zip(("devices", "skip"), arguments[2:], strict=False))
    with pytest.raises(error, match=re.escape(message)):
        check_layer(*arguments[:2], **options)


def test_a_layer_that_cannot_be_copied_is_made_from_its_description():
    """Only the check of copies fails."""

    class Locked(HoldsFunction):
        def __deepcopy__(self, memory):
            raise TypeError("cannot be copied")

    checks = layer_checks(Locked(), SHAPE, devices="reference")
    checks["repeatable"]()
    with pytest.raises(CheckFailed, match=r"copies: copy\.deepcopy raised TypeError: cannot be copied"):
        checks["copies"]()


def test_messages_say_what_to_change():
    with pytest.raises(CheckFailed) as error:
        check_layer(TakesEverything, SHAPE, devices="reference")
    assert "raises ValueError: operands could not be broadcast" in str(error.value)
    assert 'Refuse what does not fit in infer: self.refuse(shape, "[T, N, C]")' in str(error.value)
