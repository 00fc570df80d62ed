"""The names and keyword arguments that type checkers and editors see are those that exist."""

import ast
import inspect
import os
import subprocess
import sys
from importlib import import_module, util
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import numsnn as snn

ROOT = Path(__file__).parents[1]
STUB = Path(snn.__file__).with_suffix(".pyi")
NEURONS = (
    snn.IF,
    snn.LIF,
    snn.PLIF,
    snn.ALIF,
    snn.CubaLIF,
    snn.RecurrentLIF,
    snn.RecurrentALIF,
    snn.RecurrentCubaLIF,
)

USES = """
import numpy as np
import numsnn as snn

snn.LIF(tau=2.0, v_reset=None, surrogate=snn.PSG("arctan"))
snn.LIF(taau=2.0)  # wrong: taau
snn.LIF(tau=[2.0, 3.0], v_threshold=np.ones(2), v_reset="none", learn_tau="channel", record=("u", "s"), pda=True)
snn.LIF(learn_tau="chanel")  # wrong: learn_tau
snn.IF(refractory=2, record="u")
snn.IF(tau=2.0)  # wrong: tau
snn.PLIF(tau=3.0, name="hidden")
snn.PLIF(beta=0.5)  # wrong: beta
snn.PLIF(v_treshold=1.0)  # wrong: v_treshold
snn.ALIF(strength=2.0, tau=3.0, v_reset=None)
snn.ALIF(strengh=2.0)  # wrong: strengh
snn.CubaLIF(tau_synapse=3.0, beta=0.5)
snn.CubaLIF(tau_synapsis=3.0)  # wrong: tau_synapsis
snn.RecurrentLIF(tau=2.0, name="hidden")
snn.RecurrentLIF(nme="hidden")  # wrong: nme
snn.RecurrentALIF(tau_adaptation=10.0, refractory=1)
snn.RecurrentALIF(tau_adaption=10.0)  # wrong: tau_adaption
snn.RecurrentCubaLIF(gamma_synapse=0.5, pda=snn.PDA())
snn.RecurrentCubaLIF(gamma=0.5)  # wrong: gamma
snn.Lif()  # wrong: Lif
snn.losses.TET(label_smoothing=0.1)
snn.losses.TET(smoothing=0.1)  # wrong: smoothing
snn.optim.Adam(lr=1e-3)
snn.optim.Adam(lrr=1e-3)  # wrong: lrr
train, test = snn.data.load("digits")
train.batch([0, 1])
train.batches([0, 1])  # wrong: batches
net = snn.Sequential(snn.Linear(64, 10), snn.LIF())
net.to("cpu").layers
snn.Trainer(net, snn.losses.TET(), out="runs/digits", on_epoch=lambda trainer, metrics: None)
snn.Trainer(net, optimiser=None)  # wrong: optimiser
"""


def typed_names():
    """Name -> module of the package that it is imported from; "" for one that is a module itself or the version."""
    names = {}
    for statement in ast.parse(STUB.read_text(encoding="utf-8")).body[1:]:
        assert isinstance(statement, ast.ImportFrom) and statement.level == 1
        for name in statement.names:
            assert name.asname == name.name  # another form is not exported to users
            names[name.name] = statement.module or ""
    return names


def test_the_typed_names_are_those_that_are_loaded():
    typed = typed_names()
    assert sorted(typed) == sorted(snn.__all__)
    for name, module in typed.items():
        value = getattr(import_module(f"numsnn.{module}"), name) if module else import_module(f"numsnn.{name}")
        assert getattr(snn, name) is value


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: neuron.__name__)
def test_neurons_say_which_keyword_arguments_they_pass_on(neuron):
    """The arguments that a type checker knows are those that the constructor takes."""
    definer = next(base for base in neuron.__mro__ if "__init__" in vars(base))
    own = [p for p in list(inspect.signature(definer.__init__).parameters.values())[1:] if p.kind is not p.VAR_KEYWORD]
    (passed_on,) = get_args(get_type_hints(definer.__init__, include_extras=True)["options"])
    known = [*(parameter.name for parameter in own), *get_type_hints(passed_on)]
    assert sorted(known) == sorted(inspect.signature(neuron).parameters)


def test_help_shows_every_keyword_argument():
    for name in ("tau", "v_reset", "surrogate", "record"):
        assert name in inspect.signature(snn.LIF).parameters


@pytest.mark.skipif(util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_tells_right_uses_from_wrong_ones(tmp_path):
    file = tmp_path / "uses.py"
    file.write_text(USES)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary"]
    command += ["--hide-error-context", "--cache-dir", str(tmp_path / "cache"), str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | {"MYPYPATH": str(ROOT)}, cwd=tmp_path
    )
    found = {}
    for line in done.stdout.splitlines():
        place, kind, message = line.split(": ", 2)
        if kind == "error":
            found[int(place.split(":")[-1])] = message
    wrong = {k: line.split("# wrong: ")[1] for k, line in enumerate(USES.splitlines(), 1) if "# wrong: " in line}
    assert found.keys() == wrong.keys(), done.stdout + done.stderr
    assert all(f'"{name}"' in found[k] for k, name in wrong.items()), done.stdout
