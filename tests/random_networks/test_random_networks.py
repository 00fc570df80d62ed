"""Random networks: other ones every day, or those of the seed in NUMSNN_RANDOM_SEED. `run.py` looks at many more.

All of them are compared with finite differences on the reference, where nothing has to be compiled. Networks with few
kinds of neurons and losses, which need few compiled kernels, are compared with the CPU and with the CUDA kernels in the
simulator.
"""

import os
from dataclasses import replace

import pytest
from random_networks import checks, run
from random_networks.checks import failures
from random_networks.networks import Case, draw, read
from random_networks.shrink import fails_alike, shrink

import numsnn as snn

FIRST = int(os.environ["NUMSNN_RANDOM_SEED"])
ON_REFERENCE, ON_CPU, ON_CUDA = 100, 25, 6


def need(case, chosen, few=False):
    """Fail if a check of this case does, with all that is needed to see it again."""
    wrong = failures(case, chosen)
    if wrong:
        again = f"python tests/random_networks/run.py --seed {case.seed} --count 1 --shrink{' --few --cpu' * few}"
        told = "\n".join(f"{name}: {text}" for name, text in wrong.items())
        pytest.fail(f"seed {case.seed}\n{told}\nagain: {again}\n{case}", pytrace=False)


@pytest.mark.parametrize("number", range(ON_REFERENCE))
def test_on_the_reference(number):
    need(draw(FIRST + number), checks.ON_REFERENCE)


@pytest.mark.parametrize("number", range(ON_CPU))
def test_on_the_cpu(number):
    chosen = {
        "targets": lambda case: checks.targets_agree(case, relaxed=False),
        "recomputed": checks.COMPILED["recomputed"],
    }
    need(draw(FIRST + number, few=True), chosen, few=True)


@pytest.mark.usefixtures("quick_simulator")
@pytest.mark.parametrize("number", range(ON_CUDA))
def test_on_cuda(number):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    case = draw(FIRST + number, few=True, longest=2, largest=40)
    need(case, {"targets": lambda case: checks.targets_agree(case, "cuda", relaxed=False)}, few=True)


# --- the networks themselves ------------------------------------------------------------------------------------------


def test_a_seed_describes_a_network():
    for few in (False, True):
        first, again = draw(7, few), draw(7, few)
        assert repr(first) == repr(again) == repr(read(repr(first))) and first.seed == 7
    assert repr(draw(7)) != repr(draw(8))


def test_everything_occurs():
    """All layers and losses, also in the shapes and combinations in which mistakes hide."""
    cases = [draw(seed) for seed in range(250)]
    inside = [layer for case in cases for layer in case.net.tree()]
    layers = {type(layer).__name__ for layer in inside}
    known = [getattr(snn.layers, name) for name in snn.layers.__all__]
    public = {kind.__name__ for kind in known if isinstance(kind, type) and issubclass(kind, snn.Layer)}
    assert public - layers == {"CustomNeuron", "Layer", "Neuron", "Routed"} and {"QIF", "KLIF"} <= layers
    losses = {type(case.loss).__name__ for case in cases}
    assert set(snn.losses.__all__) - losses == {"Loss", "Pointwise", "balanced"} and "SmoothDistance" in losses
    neurons = [layer for layer in inside if isinstance(layer, snn.Neuron)]
    assert {str(neuron.v_reset) for neuron in neurons} >= {"0.0", "None", "delayed", "none"}
    assert any(neuron.refractory and neuron.pda and neuron.pda.divergence for neuron in neurons)
    assert any(layer.further_uses for layer in inside) and any(case.net.input_names for case in cases)
    sequences = [case.shape for case in cases if not isinstance(case.shape, dict) and not case.net.takes_pictures]
    assert {shape[:2] for shape in sequences} >= {(1, 1), (1, 2), (2, 1)} and {len(s) for s in sequences} == {3, 4, 5}
    assert {case.data for case in cases} == {"numbers", "sparse", "spikes", "latency", "still"}
    assert any(case.lengths for case in cases) and any(case.frozen for case in cases)


def test_most_arrays_are_compared():
    """Kinks leave few gradients without a comparison."""
    unknown, known = map(sum, zip(*(checks.unchecked(draw(seed)) for seed in range(6)), strict=True))
    assert known > 40 and unknown < 0.1 * known


# --- mistakes are found and made small --------------------------------------------------------------------------------


def planted(monkeypatch):
    """Make the input gradient of group normalisation one tenth of a percent too large."""
    right = snn.GroupNorm.propagate

    def wrong(self, dy, need_dx):
        dx = right(self, dy, need_dx)
        return None if dx is None else 1.001 * dx

    monkeypatch.setattr(snn.GroupNorm, "propagate", wrong)


def test_a_planted_mistake_is_found_and_shrunk(monkeypatch):
    planted(monkeypatch)
    with_norm = (case for case in map(draw, range(200)) if "GroupNorm(" in repr(case) and not case.frozen)
    case = next(case for case in with_norm if failures(case, {"gradients": checks.gradients}))
    assert "input" in failures(case, checks.ON_REFERENCE)["gradients"] or case.net.input_names
    small = shrink(case, fails_alike(case, {"gradients": checks.gradients}), seconds=60)
    kinds = [type(layer).__name__ for layer in small.net.walk()]
    assert "GroupNorm" in kinds and len(kinds) <= 4 and len(repr(small)) < len(repr(case)) / 2
    monkeypatch.undo()
    assert failures(small, checks.ON_REFERENCE) == {}


def test_an_error_is_a_failure():
    case = Case(snn.Sequential(snn.Linear(3, 2)), (2, 2, 4))
    assert "ShapeError: linear1 (Linear): input must be" in failures(case, checks.ON_REFERENCE)["gradients"]
    with pytest.raises(pytest.fail.Exception, match=r"seed 5\ncopies: .*\nagain: python tests/random_networks/run.py"):
        need(replace(case, seed=5), {"copies": checks.copies})


def test_the_command(capsys):
    assert run.main(["--count", "2", "--seed", "3", "--workers", "1"]) == 0
    assert "2 networks from seed 3 in" in capsys.readouterr().out
