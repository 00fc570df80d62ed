"""Every peer that is installed here agrees with numsnn on every workload, in tiny shapes."""

from dataclasses import replace

import numpy as np
import pytest
from installed import SIDES, side_of

from benchmarks.peers.agreement import TOLERANCE, compare_gradients, compare_spikes
from numsnn.measure import network, passes
from numsnn.measure.workloads import workloads

pytestmark = pytest.mark.peers


CASES = workloads(quick=True)
CASES |= {f"{name}-attached": replace(CASES[name], detach=False) for name in ("vgg", "small", "recurrent")}


@pytest.mark.parametrize("surrogate", ["arctan", "triangle"])
@pytest.mark.parametrize("workload", [pytest.param(case, id=name) for name, case in CASES.items()])
@pytest.mark.parametrize("name", SIDES)
def test_same_spikes_and_gradients(name, workload, surrogate):
    module = side_of(name)
    workload = replace(workload, surrogate=surrogate)
    reasons = {what: module.Side.cannot(workload.to_dict(), what) for what in ("infer", "train")}
    able = [what for what, reason in reasons.items() if reason is None]
    if not able:
        pytest.skip(f"{name} {reasons['infer']}")
    workload, arrays = network.prepare(workload)
    ours, theirs = network.Network(workload, arrays), module.Side(workload.to_dict(), arrays)
    g = np.random.default_rng(0).standard_normal((*workload.shape[:2], workload.classes), np.float32)
    for what in able:
        training = what == "train"
        mine, other = ours.outcome(training, g), theirs.outcome(training, g)
        assert sum(compare_spikes(mine, other)[0]) == 0 and any(mine[key].any() for key in mine if key[0] == "s")
        assert max(compare_gradients(mine, other).values(), default=0.0) <= TOLERANCE
        np.testing.assert_allclose(mine["z"], other["z"], rtol=1e-3, atol=1e-4)
        getattr(theirs, what)()


def test_what_peers_cannot_do_is_said():
    arctan, triangle = ({"surrogate": s, "detach": True, "layers": []} for s in ("arctan", "triangle"))
    assert side_of("spikingjelly").Side.cannot(triangle, "train") is None
    assert side_of("snntorch").Side.cannot(triangle, "train") == "has no triangle surrogate"
    assert side_of("snntorch").Side.cannot(triangle, "infer") is None
    norse = side_of("norse").Side
    assert norse.cannot(arctan, "train") == "has no arctan surrogate"
    assert norse.cannot(triangle, "train") == "has no detached reset for such neurons"
    assert norse.cannot(triangle | {"detach": False}, "train") is None


def test_what_jaxpike_cannot_do_is_said():
    side = side_of("jaxpike").Side
    conv = {"detach": False, "layers": [["conv", 2, 4, 3, 1, 1]]}
    assert side.cannot(conv, "train") is None and side.cannot(conv | {"detach": True}, "infer") is None
    assert side.cannot(conv | {"detach": True}, "train") == "has no detached reset"
    assert "strided" in side.cannot(conv | {"layers": [["conv", 2, 4, 3, 2, 1]]}, "infer")
    assert side.cannot(conv | {"layers": [["conv", 2, 4, 1, 2, 0]]}, "infer") is None
    assert "branches" in side.cannot(workloads(quick=True)["resnet"].to_dict(), "infer")


@pytest.mark.parametrize("case", passes.cases(quick=True), ids=lambda case: case.name)
def test_dense_layers(case):
    pytest.importorskip("torch", reason="PyTorch is missing: pip install torch")
    from benchmarks.peers.sides.pytorch import Passes

    arrays = passes.draw(case)
    mine, other = passes.Passes(case, arrays).outcome(), Passes(case.to_dict(), arrays).outcome()
    for name in passes.PASSES:
        assert compare_gradients({"p0": mine[name]}, {"p0": other[name].reshape(mine[name].shape)})["p0"] <= 1e-5
