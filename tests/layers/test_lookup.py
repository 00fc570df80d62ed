"""Layers of a network by name and number, and slices of networks."""

import numpy as np
import pytest

import numsnn as snn

SHAPE = (3, 2, 4)


@pytest.fixture
def net():
    return snn.Sequential(
        snn.Linear(4, 4, name="first"),
        snn.LIF(),
        snn.Residual(snn.Linear(4, 4), snn.LIF(), name="block"),
        snn.Linear(4, 2),
        name="net",
    ).to("reference")


def test_by_full_name(net):
    for name, layer in net.named()[1:]:
        assert net[name] is layer and name in net and layer in net
    assert net["block.branch.lif1"] is net[2].branch[1]
    assert net["block"]["branch.lif1"] is net["block.branch.lif1"]
    assert "net" not in net and net not in net and "lif2" not in net and snn.LIF() not in net and 0 not in net


def test_by_number(net):
    assert list(net) == [net[0], net[1], net[np.int64(2)], net[-1]] == list(net.layers)
    assert len(net) == 4 and bool(snn.Repeat(3))


def test_a_slice_shares_its_layers(net):
    net.build(SHAPE)
    front = net[:2]
    assert type(front) is snn.Sequential and list(front) == list(net.layers[:2])
    x = np.random.default_rng(0).normal(1, 1, SHAPE).astype(np.float32)
    whole, part = net(x), front(x)
    assert np.array_equal(net[2:](part), whole) and np.array_equal(net(x), whole)
    net["first"].weight.value = np.zeros((4, 4))
    assert not front["first"].weight.value.any()


def test_slice_of_a_repeat():
    net = snn.Repeat(3, snn.Linear(4, 2), snn.BatchNorm(2))
    assert type(net[:1]) is snn.Sequential and net[:1].layers == net.layers[:1]


def test_copy(net):
    net.build(SHAPE)
    x = np.random.default_rng(0).normal(1, 1, SHAPE).astype(np.float32)
    want, copy = net(x), net.copy()
    assert copy.built and copy is not net and copy["first"] is not net["first"]
    net["first"].weight.value = np.zeros((4, 4))
    assert np.array_equal(copy(x), want) and not np.array_equal(net(x), want)
    assert not snn.LIF().copy().built


REFUSED = [
    ("blok", KeyError, "net has no layer 'blok'. Did you mean 'block'?"),
    ("lif2", KeyError, "net has no layer 'lif2'. Did you mean 'lif1'?"),
    ("xyz", KeyError, "net has no layer 'xyz'; it has first, lif1, block, linear2"),
    (4, IndexError, "net has no layer 4; it has 4 layers"),
    (-5, IndexError, "net has no layer -5; it has 4 layers"),
    (1.0, TypeError, "net: a layer is found by its full name; got 1.0"),
    (True, TypeError, "net: a layer is found by its full name; got True"),
    (slice(4, None), ValueError, "net: there are no layers in [4:]; it has 4"),
    (slice(2, 1, 1), ValueError, "net: there are no layers in [2:1:1]; it has 4"),
]


@pytest.mark.parametrize(("key", "error", "message"), REFUSED, ids=[str(key) for key, _, _ in REFUSED])
def test_refused(net, key, error, message):
    with pytest.raises(error) as caught:
        net[key]
    assert caught.value.args == (message,)


def test_a_long_network_is_not_listed_as_a_whole():
    net = snn.Sequential(*(snn.IF() for _ in range(20)), name="net")
    with pytest.raises(KeyError) as caught:
        net["x"]
    assert caught.value.args == ("net has no layer 'x'; it has if1, if2, if3, if4, if5, if6, if7, if8, ...",)


def test_a_single_layer_contains_nothing():
    layer = snn.LIF()
    with pytest.raises(KeyError) as caught:
        layer["lif1"]
    assert caught.value.args == ("lif has no layer 'lif1'; it contains no layers",)
    with pytest.raises(TypeError, match=r"^lif: a layer is found by its full name; got 0$"):
        list(layer)
