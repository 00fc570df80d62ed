"""Every peer that is installed here agrees with numsnn on every workload, in tiny shapes."""

from dataclasses import replace

import numpy as np
import pytest
from installed import SIDES, side_of

from benchmarks.peers.agreement import TOLERANCE, compare_gradients, compare_spikes
from numsnn.measure import network, passes
from numsnn.measure.workloads import workloads

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("surrogate", ["arctan", "triangle"])
@pytest.mark.parametrize("workload", workloads(quick=True))
@pytest.mark.parametrize("name", SIDES)
def test_same_spikes_and_gradients(name, workload, surrogate):
    module = side_of(name)
    workload = workloads(quick=True)[workload]
    workload, arrays = network.prepare(replace(workload, surrogate=surrogate))
    ours, theirs = network.Network(workload, arrays), module.Side(workload.to_dict(), arrays)
    g = np.random.default_rng(0).standard_normal((*workload.shape[:2], workload.classes), np.float32)
    for training in (False, True):
        if training and module.Side.cannot(workload.to_dict(), "train"):
            continue
        mine, other = ours.outcome(training, g), theirs.outcome(training, g)
        assert sum(compare_spikes(mine, other)[0]) == 0 and any(mine[key].any() for key in mine if key[0] == "s")
        assert max(compare_gradients(mine, other).values(), default=0.0) <= TOLERANCE
    theirs.infer()
    if module.Side.cannot(workload.to_dict(), "train") is None:
        theirs.train()


def test_what_peers_cannot_do_is_said():
    arctan, triangle = ({"surrogate": s, "detach": True, "layers": []} for s in ("arctan", "triangle"))
    assert side_of("spikingjelly").Side.cannot(triangle, "train") is None
    assert side_of("snntorch").Side.cannot(triangle, "train") == "has no triangle surrogate"
    assert side_of("snntorch").Side.cannot(triangle, "infer") is None
    norse = side_of("norse").Side
    assert norse.cannot(arctan, "train") == "has no arctan surrogate"
    assert norse.cannot(triangle, "train") == "has no detached reset for such neurons"
    assert norse.cannot(triangle | {"detach": False}, "train") is None


@pytest.mark.parametrize("case", passes.cases(quick=True), ids=lambda case: case.name)
def test_dense_layers(case):
    pytest.importorskip("torch", reason="PyTorch is missing: pip install torch")
    from benchmarks.peers.sides.pytorch import Passes

    arrays = passes.draw(case)
    mine, other = passes.Passes(case, arrays).outcome(), Passes(case.to_dict(), arrays).outcome()
    for name in passes.PASSES:
        assert compare_gradients({"p0": mine[name]}, {"p0": other[name].reshape(mine[name].shape)})["p0"] <= 1e-5
