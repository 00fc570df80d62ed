"""Definitions of workloads: they are plain data and complete, and have the shapes and densities that they promise."""

import json

import numpy as np
import pytest

from numsnn.measure import workloads as w

QUICK = w.workloads(quick=True)


def test_names():
    full = w.workloads()
    assert list(full) == list(QUICK) == [workload.name for workload in full.values()]
    assert {"vgg", "vgg-20%", "vgg-one-sample", "resnet", "small", "fc", "recurrent"} <= set(full)


def test_the_shapes_that_are_promised():
    full = w.workloads()
    assert full["vgg"].shape == (10, 16, 32, 32, 2) and full["vgg-one-sample"].shape[1] == 1
    assert full["resnet"].shape == (4, 8, 32, 32, 3) and full["small"].shape == (8, 64, 28, 28, 1)
    assert full["fc"].shape == (500, 16, 1024) and full["recurrent"].shape == (100, 64, 700)
    assert full["recurrent"].classes == 20 and full["fc"].classes == 1024


def test_resnet19_has_the_parameters_of_the_literature():
    """The number is the one in the docstring of `models.resnet19`; no convolution has a bias."""
    arrays = w.draw(w.workloads()["resnet"])
    assert sum(value.size for name, value in arrays.items() if name[0] == "p") == 12_697_994


@pytest.mark.parametrize("name", QUICK)
def test_json_and_back(name):
    assert w.Workload.from_dict(json.loads(json.dumps(QUICK[name].to_dict()))) == QUICK[name]


@pytest.mark.parametrize("name", QUICK)
def test_drawn_numbers(name):
    workload = QUICK[name]
    arrays, again, other = w.draw(workload, 1), w.draw(workload, 1), w.draw(workload, 2)
    for key, value in arrays.items():
        np.testing.assert_array_equal(value, again[key])
        assert value.dtype in (np.uint8, np.float32, np.int64)
    assert not np.array_equal(arrays["x"], other["x"])
    shape = workload.shape[1:] if workload.encoding == "picture" else workload.shape
    assert arrays["x"].shape == shape and arrays["y"].shape == (workload.shape[1],)
    assert arrays["y"].max() < workload.classes


def test_density_of_spikes():
    x = w.draw(w.vgg(steps=4, samples=8))["x"]
    assert x.dtype == np.uint8 and set(np.unique(x)) == {0, 1}
    assert abs(x.mean() - 0.05) < 5 * (0.05 / x.size) ** 0.5


def test_thresholds_are_put_in_order_also_into_branches():
    workload = QUICK["resnet"]
    kinds = ("lif", "recurrent")
    count = sum(layer[0] in kinds for layer in w.leaves(workload.layers))
    values = [1 + k / 10 for k in range(count)]
    changed = w.with_thresholds(workload, values)
    assert [layer[-1] for layer in w.leaves(changed.layers) if layer[0] in kinds] == values
    assert w.with_thresholds(changed, [1.0] * count) == workload


def test_a_part_of_a_batch():
    assert QUICK["vgg"].cut(1, 1).shape == (1, 1, 8, 8, 2) and QUICK["vgg"].cut(1, 1).layers == QUICK["vgg"].layers


@pytest.mark.parametrize("quick", [True, False])
def test_series_vary_what_they_are_named_for(quick):
    for name, members in w.scaling(quick).items():
        assert len(members) > 1, name
        for key, workload in members.items():
            if name.endswith(" T"):
                assert workload.shape[0] == int(key)
            if name.endswith(" N"):
                assert workload.shape[1] == int(key)
