"""Every two options of neurons, norms, penalties, readouts, losses and passes meet in a gradient check.

`neuron_options` holds the options, and `neuron_rows` the rows of a covering array. All rows are checked against
differences on the reference. The text of the CPU's kernels is interpreted and compared with the reference for most of
them, the kernels of CUDA run in the simulator for some, and two rows are compiled.
"""

import inspect
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import covering
import numpy as np
import pytest
from neuron_case import Case, difference
from neuron_options import ABSENT, ARGUMENTS, KINDS, OPTIONS, PASS
from neuron_rows import ARRAYS, array, completed, pairs, possible, rows
from tables import known_family

import numsnn as snn
from numsnn.kernels import for_device
from numsnn.kernels.reference import neuron, recurrent

TESTS = Path(covering.__file__).parent
PARTS_OF_ROWS = 6

WITHOUT_OPTIONS = {
    "name": "it is shown and has no other effect",
    "channels": "every row has three",
    "surrogate.lr": "optimisers use it",
    "surrogate.bounds": "optimisers use it",
    "surrogate.rule": "within a pass, the width of the rule 'window' is fixed as that of a Surrogate; see test_window",
    "surrogate.share": "it acts on tracked passes alone",
    "neuron.surrogate": "a part of its own",
    "neuron.pda": "a part of its own",
    "norm.steps": "the number of steps of the pass",
}
"""Arguments that are no options -> why."""

SETTINGS = {
    "training": "gradients are those of training",
    "store": "a backward pass needs it",
    "track": "a check tracks nothing",
    "relaxed": "differences need it",
    "resets": "the check of a detached reset needs it",
    "recompute": "relaxed passes drop nothing; test_recompute and the random networks compare the others bit for bit",
    "seed": "no part draws random numbers",
}
"""Settings of a pass that are no options -> why."""

PROMISE = 1e-11
"""Largest difference between devices in float64, relative to the largest entry."""


@pytest.fixture(autouse=True)
def own_surrogate():
    with known_family():
        yield


def shown(row):
    """A row as text, without what is not given."""
    return {name: value for name, value in row.items() if value not in (ABSENT, False) and value is not None}


# --- the array ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARRAYS)
def test_rows_hold_every_pair_that_constructors_accept(name):
    for row in array(name):
        assert row.keys() == OPTIONS.keys() and possible(row), shown(row)
    held = set().union(*map(covering.pairs_of, array(name)))
    assert len(pairs(name)) > 3000
    assert pairs(name) - held == set()


def test_what_is_refused_has_no_pair():
    """The constructors are asked: these pairs are examples of what they refuse, and of what they take."""
    assert completed({"neuron.v_reset": "delayed", "neuron.refractory": 1}) is None
    assert completed({"neuron.learn_threshold": "layer", "neuron.v_threshold": (0.5, 0.7, 1.1)}) is None
    assert completed({"neuron": "IF", "neuron.tau": 1.5}) is None
    assert completed({"readout": "LI", "loss": "TimeToFirstSpike"}) is None
    assert completed({"neuron": "RecurrentLIF", "places": (2, 1)}) is None
    assert completed({"norm": "BNTT", "carried": True}) is None
    assert completed({"neuron.strength": 0.7, "neuron.v_reset": "delayed"})["neuron"] == "ALIF"
    assert completed({"loss.temperature": 2.0, "frozen": "norm"})["loss"] == "TimeToFirstSpike"


@pytest.mark.parametrize("part", KINDS)
def test_every_argument_of_a_constructor_is_an_option(part):
    for kind in filter(None, KINDS[part].values()):
        for name in inspect.signature(kind).parameters:
            known = f"{part}.{name}" in ARGUMENTS or {name, f"{part}.{name}"} & WITHOUT_OPTIONS.keys()
            assert known, f"{kind.__name__} has an argument {name}, which no row of the covering array gives"


def test_every_class_and_family_is_an_option():
    """A new neuron, loss, norm or surrogate family enters the array."""

    def exported(base, module=snn):
        named = (getattr(module, name) for name in module.__all__)
        found = (value for value in named if inspect.isclass(value) and issubclass(value, base))
        return {kind.__name__ for kind in found}

    assert exported(snn.layers.neuron.Neuron) - KINDS["neuron"].keys() == {"CustomNeuron", "Neuron"}  # the bases
    assert exported(snn.Surrogate) == set(KINDS["surrogate"])
    assert exported(snn.layers.norm.AffineNorm) | exported(snn.layers.norm.Tracked) <= set(KINDS["norm"])
    assert exported(snn.layers.regularizer._Penalty) <= set(KINDS["penalty"])
    losses = exported(snn.losses.Loss, snn.losses) - KINDS["loss"].keys()
    assert losses == {"Loss", "Pointwise", "LossSum"}  # of the last two, the options have a subclass
    families = {*ARGUMENTS["surrogate.family"]} - {ABSENT} | {snn.Surrogate().family}
    assert families == set(snn.psg.FAMILIES)


def test_every_setting_of_a_pass_is_an_option():
    modes = {field.name for field in fields(snn.Mode)}
    assert modes - PASS.keys() == SETTINGS.keys()
    call = set(inspect.signature(snn.losses.Loss.__call__).parameters)
    assert call - PASS.keys() == {"self", "z", "y", "kernels", "dtype"}


# --- the gradients --------------------------------------------------------------------------------------------------


def wrong(row):
    """What disagrees with differences. Arrays of which every direction met a kink are looked at with other numbers."""
    found = {}
    for seed in range(6):
        for name, value in Case.of(row, "reference", seed).disagreements().items():
            found[name] = np.fmax(found.get(name, np.nan), value)
        if not np.isnan(list(found.values())).any():
            break
    return {name: value for name, value in found.items() if not value <= 1e-6}


@pytest.mark.parametrize("part", range(PARTS_OF_ROWS))
def test_gradients_are_differences(part):
    found = [(shown(row), wrong(row)) for row in rows()[part::PARTS_OF_ROWS]]
    assert [pair for pair in found if pair[1]] == []


def test_the_rows_bite():
    """Neurons fire in training, but not all of them; and few gradients are zero, such as those through the mean of one
    row."""
    rates, gradients = [], []
    for row in rows()[::4]:
        case = Case.of(row, "reference")
        found = case.gradients()
        gradients += [np.abs(array).max() for name, array in found.items() if name != "losses"]
        spikes = next(layer for layer in case.net.walk() if layer.fires)
        case.net.forward(case.x, snn.Mode(training=True, store=True))
        rates.append(spikes.spikes().mean())
    assert 0.15 < np.mean(rates) < 0.6
    assert np.mean(np.array(gradients) > 1e-4) > 0.8


HELD = "(1 - active) * (e + p)"
MISTAKES = {
    "a held potential forgets the loss on it": (recurrent, HELD, "(1 - active) * e"),
    "a loss on the charge of a held neuron": (recurrent, "else e) + p)", "else e)) + p"),
    "the leak in a delayed reset": (neuron, "values[0] ** 2", "values[0]"),
    "the leak in a delayed reset, with extensions": (recurrent, "beta**2", "beta"),
    "the threshold before an adaptation": (recurrent, "a[t - 2] if t > 1", "a[t - 1] if t > 1"),
    "a strength where a pass goes on": (recurrent, "a[t - 1] if t else a_start", "a[t - 1] if t else zero"),
    "a threshold with a detached reset": (neuron, "if soft:", "if soft and not reset.detached:"),
    "an initial potential": (neuron, "dstart[...] = e", "dstart[...] = 0.99 * e"),
    "gradients that are added to those of the pass before": (recurrent, "total[...] = 0", "pass"),
    "the sums for a fused normalisation": (neuron, "(x[t] - norm.centre)", "x[t]"),
}
"""What is wrong -> the module, the text that is replaced, and what takes its place."""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(monkeypatch, mistake):
    module, right, planted = MISTAKES[mistake]
    kernel = "by rule" if module is neuron else "with extensions"
    name = f"{module.__name__.rpartition('.')[2]}_backward"
    source = inspect.getsource(getattr(module, name))
    assert source.count(right) == 1
    names = dict(vars(module))
    exec(source.replace(right, planted), names)
    monkeypatch.setattr(for_device("reference"), name, names[name])
    assert any(wrong(row) for row in array(f"neurons {kernel}"))


# --- the devices ----------------------------------------------------------------------------------------------------


def test_the_text_of_the_cpu_s_kernels(tmp_path):
    """All rows in which neurons of one kernel meet, and a third of the others."""
    file, some = tmp_path / "rows.txt", rows()[2 * len(array("all")) // 3 :]
    file.write_text(repr(some))
    path = os.pathsep.join([str(TESTS), str(TESTS / "kernels"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(TESTS / "interpreted.py"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=1200)
    assert done.returncode == 0, done.stderr
    found = np.array(eval(done.stdout))
    assert len(found) == len(some)
    assert found.max() < PROMISE, shown(some[found.argmax()])


@pytest.mark.usefixtures("quick_simulator")
def test_cuda():
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    for row in rows()[::8]:
        assert difference(row, "cuda") < PROMISE, shown(row)


@pytest.mark.parametrize(("kind", "kernel"), [("ALIF", "with extensions"), ("WithAdaptation", "by rule")])
def test_compiled(kind, kernel):
    """The row of a neuron alone with most options."""
    alone = [row for row in array(f"neurons {kernel}") if row["neuron"] == kind and row["norm"] == ABSENT]
    row = max(alone, key=lambda row: len(shown(row)))
    assert difference(row, "cpu") < PROMISE, shown(row)
