"""A small real task and helpers that compare runs array by array."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.models import from_string


@pytest.fixture(scope="session")
def digits():
    """300 training and 100 test digits: enough to learn something in two epochs."""
    train, test = snn.data.load("digits")
    return train.select(range(300)), test.select(range(100))


@pytest.fixture
def small_trainer():
    """A function that makes equal trainers: PSG, PDA with its divergence, dropout, batch normalisation, a residual."""

    def make(out=None, seed=3, architecture="8c3-p2-8r3-d0.3", **options):
        neuron = snn.LIF(pda=snn.PDA(divergence=0.01), learn_tau=True)
        net = from_string(architecture, (8, 8, 1), 10, steps=3, neuron=neuron)
        return snn.Trainer(net, out=out, seed=seed, **options)

    return make


def checkpoint_arrays(path):
    """Return every array of a checkpoint by its name in the file."""
    import h5py

    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


@pytest.fixture
def assert_same_checkpoint():
    def check(first, second):
        a, b = checkpoint_arrays(first), checkpoint_arrays(second)
        assert a.keys() == b.keys() and len(a) > 20
        different = [name for name in a if not np.array_equal(a[name], b[name])]
        assert not different

    return check


@pytest.fixture
def assert_same_arrays():
    def check(first, second):
        assert first.keys() == second.keys() and first
        assert not [name for name in first if not np.array_equal(first[name], second[name])]

    return check
