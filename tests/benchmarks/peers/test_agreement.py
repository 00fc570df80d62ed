"""What counts as the same computation: ties are told from errors, gradients are judged."""

import numpy as np
import pytest

from benchmarks.peers.agreement import (
    TOLERANCE,
    Disagreement,
    allowed,
    compare_gradients,
    compare_spikes,
    farthest_from_tie,
    first_differences,
    judge,
    names,
    relative,
    rungs,
)


def test_relative():
    want = np.array([3.0, 4.0])
    assert relative(want, want) == 0 and relative(want + np.array([0.5, 0]), want) == pytest.approx(0.1)
    assert relative(np.zeros(2), np.zeros(2)) == 0 and relative(want, np.zeros(2)) == np.inf
    assert relative([np.nan, 1], want) == np.inf
    with pytest.raises(Disagreement, match=r"shapes differ: \(2,\) and \(3,\)"):
        relative(want, np.zeros(3))


def test_names_are_ordered_by_number():
    assert names({"s10": 0, "s2": 0, "p1": 0, "z": 0}, "s") == ["s2", "s10"]


def test_spikes_are_counted_layer_by_layer():
    ours = {"s0": np.zeros((2, 1, 3), np.uint8), "s1": np.ones((2, 1, 2), np.uint8)}
    theirs = {"s0": ours["s0"].copy(), "s1": ours["s1"] * 0}
    assert compare_spikes(ours, theirs) == ([0, 4], 10)
    with pytest.raises(Disagreement, match="layers of neurons: 2 and 1"):
        compare_spikes(ours, {"s0": theirs["s0"]})
    with pytest.raises(Disagreement, match="spikes s1: shapes"):
        compare_spikes(ours, theirs | {"s1": np.zeros((2, 1, 3), np.uint8)})


def test_first_differences_of_neurons_and_of_samples():
    mine = np.zeros((3, 1, 2), np.uint8)
    other = mine.copy()
    other[1, 0, 0] = other[2, 0, 0] = other[2, 0, 1] = 1
    assert np.argwhere(first_differences(mine, other, False)).tolist() == [[1, 0, 0], [2, 0, 1]]
    assert np.argwhere(first_differences(mine, other, True)).tolist() == [[1, 0, 0]]


def test_only_the_first_difference_has_to_be_a_tie():
    mine = np.zeros((3, 1, 2), np.uint8)
    other = mine.copy()
    other[1, 0, 0] = other[2, 0, 0] = 1
    u = np.zeros((3, 2), np.float32).reshape(3, 1, 2)
    u[1, 0, 0] = 1 - 2e-7
    assert farthest_from_tie(mine, other, u, 1.0, False) == pytest.approx(2e-7, rel=0.5)
    u[1, 0, 0] = 0.5
    assert farthest_from_tie(mine, other, u, 1.0, False) == 0.5


def test_gradients_are_judged_by_the_worst():
    ours = {"p0": np.ones(4), "p1": np.ones(4), "z": np.zeros(1)}
    found = compare_gradients(ours, {"p0": np.ones(4), "p1": np.full(4, 1.25)})
    assert found == {"p0": 0.0, "p1": pytest.approx(0.2)}
    assert judge(found, 0.3, "here") == pytest.approx(0.2)
    with pytest.raises(Disagreement, match=r"the gradient of p1 differs by 2.0e-01 here; at most 0.1 is allowed"):
        judge(found, 0.1, "here")
    with pytest.raises(Disagreement):
        judge({"p0": float("nan")}, 1e9, "here")


def test_allowance_grows_with_the_share_of_spikes_that_differ():
    assert allowed([0, 0], [100, 100]) == TOLERANCE
    assert allowed([0, 1], [100, 100]) == pytest.approx(TOLERANCE + 0.2)
    assert allowed([0], [0]) == TOLERANCE


def test_rungs_reach_one_step_of_one_sample():
    assert rungs(500, 16) == [(500, 2), (125, 2), (62, 1), (1, 2), (1, 1)]
    for steps, samples in ((10, 16), (4, 8), (500, 16), (2, 2)):
        found = rungs(steps, samples)
        assert (1, 1) in found and (steps, samples) not in found and len(set(found)) == len(found)
    assert rungs(1, 1) == []
