"""State of a network: initial values, saved and loaded state, and an unchanged state after a refused one."""

import json
import re

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING

SHAPE = (3, 4, 8, 8, 1)


def network(**options):
    """All kinds of parameters and statistics."""
    return snn.Sequential(
        snn.Conv2d(1, 4, 3, padding=1, bias=True),
        snn.BatchNorm(4),
        snn.LIF(learn_tau="channel", learn_threshold=True, surrogate=snn.PSG("gaussian", per="channel"), pda=True),
        snn.Residual(snn.Conv2d(4, 4, 3, padding=1), snn.BatchNorm(4, affine=False)),
        snn.LIF(surrogate="arctan", pda=snn.PDA(correct=False)),
        snn.Flatten(),
        snn.Linear(256, 3, name="readout"),
        **options,
    ).to("reference")


NAMES = {
    "conv2d1.weight": (3, 3, 1, 4),
    "conv2d1.bias": (4,),
    "batchnorm1.gamma": (4,),
    "batchnorm1.beta": (4,),
    "lif1.logit_beta": (4,),
    "lif1.log_threshold": (1,),
    "lif1.log_width": (4,),
    "residual1.branch.conv2d1.weight": (3, 3, 4, 4),
    "readout.weight": (256, 3),
    "readout.bias": (3,),
    "batchnorm1.mean": (4,),
    "batchnorm1.var": (4,),
    "lif1.correction": (3, 4),
    "lif1.target": (2, 4),
    "lif1.batches": (1,),
    "residual1.branch.batchnorm1.mean": (4,),
    "residual1.branch.batchnorm1.var": (4,),
    "lif2.correction": (0, 4),
    "lif2.target": (2, 4),
    "lif2.batches": (1,),
}


def trained(seed=0):
    """A built network whose statistics have seen two batches."""
    net = network().build(SHAPE, seed)
    rng = np.random.default_rng(seed)
    for _ in range(2):
        net.forward(rng.normal(0, 1, SHAPE).astype(np.float32), TRAINING)
    return net


def assert_equal(state, other):
    assert state.keys() == other.keys()
    for name, value in other.items():
        assert state[name].dtype == value.dtype, name
        np.testing.assert_array_equal(state[name], value, err_msg=name)


def test_names_and_shapes():
    state = trained().state()
    assert {name: value.shape for name, value in state.items()} == NAMES
    assert all(value.dtype == (np.int64 if "batches" in name else np.float32) for name, value in state.items())
    assert state["lif1.batches"] == 2


def test_state_is_a_copy():
    net = trained()
    state, again = net.state(), net.state()
    for value in state.values():
        value[...] = 0
    assert_equal(net.state(), again)


def test_load_state_copies():
    net, state = network().build(SHAPE), trained(1).state()
    net.load_state(state)
    before = net.state()
    assert_equal(before, state)
    for value in state.values():
        value[...] = 0
    assert_equal(net.state(), before)


def test_loaded_network_goes_on_like_the_one_it_came_from():
    """Both networks are also alike in a training pass, because everything that is tracked was loaded."""
    net, other = trained(1), network().build(SHAPE)
    other.load_state(net.state())
    x = np.random.default_rng(9).normal(0, 1, SHAPE).astype(np.float32)
    assert np.array_equal(net(x), other(x))
    assert np.array_equal(net.forward(x, TRAINING), other.forward(x, TRAINING))
    assert_equal(other.state(), net.state())


def test_float64_state_into_a_float32_network():
    net = network().build(SHAPE)
    net.load_state(trained(1).to(dtype="float64").state())
    assert_equal(net.state(), trained(1).state())


def without(name):
    return lambda state: state.pop(name)


def instead(name, value):
    return lambda state: state.update({name: value})


BROKEN = [
    (without("readout.bias"), "net.load_state: 'readout.bias' is missing"),
    (without("batchnorm1.var"), "net.load_state: 'batchnorm1.var' is missing"),
    (without("lif1.correction"), "net.load_state: 'lif1.correction' is missing"),
    (instead("linear1.weight", np.zeros(3)), "net.load_state: 'linear1.weight' is not part of this network"),
    (
        instead("readout.weight", np.zeros((3, 256))),
        "net.load_state: 'readout.weight' must have shape (256, 3); got (3, 256)",
    ),
    (
        instead("readout.bias", [[1.0], [2.0, 3.0]]),
        "net.load_state: 'readout.bias' must be an array of real numbers; got list",
    ),
    (
        instead("readout.bias", np.array(["a", "b", "c"])),
        "net.load_state: 'readout.bias' must be an array of real numbers; got ndarray",
    ),
    (instead("readout.bias", [0.0, np.nan, 1.0]), "net.load_state: 'readout.bias' must be finite; got nan at (1,)"),
    (
        instead("lif1.log_width", np.zeros(1)),
        "net.load_state: 'lif1.log_width' must have shape (4,); got (1,)",
    ),
]


@pytest.mark.parametrize(("damage", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_state_that_does_not_fit_changes_nothing(damage, message):
    net = network(name="net").build(SHAPE)
    state, before = trained(1).state(), net.state()
    damage(state)
    if "must be" not in message:
        message += ". To load only what fits: load_state(state, strict=False)"
    with pytest.raises(ValueError if "finite" in message else snn.ShapeError, match=f"^{re.escape(message)}$"):
        net.load_state(state)
    assert_equal(net.state(), before)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("batchnorm1.mean", (7,)),
        ("residual1.branch.batchnorm1.var", (1,)),
        ("lif1.target", (2, 3)),
        ("lif1.target", (4,)),
        ("lif1.correction", (3, 5)),
        ("lif1.correction", (4,)),
        ("lif2.batches", (2,)),
    ],
)
def test_statistics_that_do_not_fit_change_nothing(name, shape):
    """Kernels read as many channels as there are: an array that is too short would be read beyond its end."""
    net = network().build(SHAPE)
    state, before = trained(1).state(), net.state()
    state[name] = np.zeros(shape, state[name].dtype)
    with pytest.raises(snn.ShapeError, match=f"{name!r} must have shape"):
        net.load_state(state)
    assert_equal(net.state(), before)


def test_load_what_fits():
    net = network().build(SHAPE)
    state, before = trained(1).state(), net.state()
    state["readout.weight"], state["readout.bias"] = np.zeros((256, 5)), np.zeros(5)
    del state["lif2.target"]
    state["old.weight"] = np.zeros(2)
    report = net.load_state(state, strict=False)
    kept = {"readout.weight", "readout.bias", "lif2.target"}
    assert_equal(net.state(), {name: (before if name in kept else state)[name] for name in before})
    assert report.taken == tuple(name for name in net.state() if name not in kept)
    assert report.missing == ("lif2.target",) and report.unknown == ("old.weight",)
    assert report.shapes == {"readout.weight": ((256, 3), (256, 5)), "readout.bias": ((3,), (5,))}
    assert str(report).splitlines() == [
        "17 of 20 arrays taken",
        "missing: lif2.target",
        "unknown: old.weight",
        "another shape: readout.weight, (256, 3) here; got (256, 5)",
        "another shape: readout.bias, (3,) here; got (5,)",
    ]


def test_report_of_a_whole_state():
    net = network().build(SHAPE)
    assert str(net.load_state(trained(1).state())) == "20 of 20 arrays taken"


def test_nothing_fits():
    net = snn.Linear(2, 3).build((1, 1, 2))
    before = net.state()
    for state in ({"fc.weight": np.zeros((2, 3))}, {"linear.weight": np.zeros((3, 2))}):
        message = f"linear.load_state: none of the arrays fits; the first one is {next(iter(state))!r}, and here "
        with pytest.raises(snn.ShapeError, match=f"^{re.escape(message)}'linear.weight'$"):
            net.load_state(state, strict=False)
    with pytest.raises(TypeError, match=r"^linear\.load_state: state must be a mapping from names to arrays; got str$"):
        net.load_state("run.h5")
    assert_equal(net.state(), before)


def test_corrections_of_any_number_of_steps_fit():
    net = network().build(SHAPE)
    state = trained(1).state()
    for steps in (1, 5):
        state["lif1.correction"] = np.full((steps, 4), 0.25, np.float32)
        net.load_state(state)
        assert_equal(net.state(), state)
        assert np.isfinite(net(np.ones(SHAPE, np.float32))).all()


def test_unbuilt_network_has_no_state():
    net = network()
    assert net.state() == {} and net.parameters() == []
    message = "sequential.load_state: build the network first: net.build(shape), or run it once"
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        net.load_state(trained().state())
    assert not net.built


def test_parameters_know_their_group():
    groups = {name: p.group for name, p in trained().parameters()}
    assert groups == {
        "conv2d1.weight": "weight",
        "conv2d1.bias": "bias",
        "batchnorm1.gamma": "norm",
        "batchnorm1.beta": "norm",
        "lif1.logit_beta": "leak",
        "lif1.log_threshold": "threshold",
        "lif1.log_width": "width",
        "residual1.branch.conv2d1.weight": "weight",
        "readout.weight": "weight",
        "readout.bias": "bias",
    }
    p = dict(trained().parameters())["conv2d1.weight"]
    assert repr(p) == "Parameter('weight', shape=(3, 3, 1, 4), group='weight')"
    assert p.grad.shape == p.value.shape and not p.grad.any()


# --- building -------------------------------------------------------------------------------------------------------


def test_seed_decides_the_weights():
    first, same, other = (network().build(SHAPE, seed).state() for seed in (3, 3, 4))
    assert_equal(first, same)
    assert not np.array_equal(first["conv2d1.weight"], other["conv2d1.weight"])
    assert not np.array_equal(first["readout.weight"], other["readout.weight"])


def test_shape_of_time_and_batch_does_not():
    assert_equal(network().build((1, 1, 8, 8, 1)).state(), network().build((5, 9, 8, 8, 1)).state())


def test_first_call_builds_with_seed_0():
    net = network()
    net(np.ones(SHAPE, np.float32))
    assert_equal(net.state(), network().build(SHAPE, seed=0).state())


def test_device_and_dtype_do_not_change_the_weights():
    state = network().build(SHAPE).state()
    assert_equal(network().to("cpu").build(SHAPE).state(), state)
    for name, value in network().to(dtype="float64").build(SHAPE).state().items():
        np.testing.assert_array_equal(value.astype(np.float32), state[name])


def test_building_twice_keeps_the_weights():
    net = trained()
    before = net.state()
    net.build((2, 5, 8, 8, 1), seed=8)
    assert net.input_shape == (2, 5, 8, 8, 1) and net.output_shape == (2, 5, 3)
    assert_equal(net.state(), before)


def test_a_refused_shape_builds_nothing():
    """Half a network would keep its weights, and take other ones for the rest, when it is built again."""
    net = network()
    with pytest.raises(snn.ShapeError, match=r"readout \(Linear\): input must be \[T, N, 256\]; got \(3, 4, 320\)"):
        net.build((3, 4, 8, 10, 1))
    assert not any(layer.built for layer in net.tree())
    assert_equal(net.build(SHAPE).state(), network().build(SHAPE).state())


# --- description ----------------------------------------------------------------------------------------------------


def everything():
    """Every layer, every option away from its default."""
    return snn.Sequential(
        snn.Repeat(3, snn.Conv2d(1, 4, (3, 5), stride=(1, 2), padding=(1, 2), groups=1, bias=True), name="encoder"),
        snn.BatchNorm(4, v_threshold=0.5, eps=1e-3, momentum=0.2, affine=False),
        snn.LIF(
            tau=(1.5, 2, 3, 4),
            v_threshold=[0.5, 1, 1, 2],
            v_reset=-0.25,
            detach_reset=True,
            decay_input=True,
            learn_tau="channel",
            learn_threshold="channel",
            surrogate=snn.PSG("laplace", 0.5, per="channel", lr=0.1, bounds=(0.1, 5)),
            pda=snn.PDA(momentum=0.3, correct=False, target=0.1, divergence=0.2, eps=1e-2),
            record=("u", "v"),
        ),
        snn.Residual(
            snn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2),
            snn.BatchNorm(8),
            shortcut=snn.Sequential(snn.AvgPool2d(3, stride=2, padding=1), snn.Conv2d(4, 8, 1)),
            name="block",
        ),
        snn.LIF(beta=np.float64(0.75), v_reset=None, learn_tau=True, surrogate="arctan", pda=True),
        snn.Residual(snn.Residual(snn.Dropout(0.25))),
        snn.MaxPool2d(2, stride=1),
        snn.Sequential(snn.GlobalAvgPool2d(name="mean"), snn.Dropout(0.1)),
        snn.Linear(8, 3, bias=False),
        name="net",
    ).to("reference")


def test_description_round_trip():
    """A description goes through JSON, as in a checkpoint, and gives the same network, down to what it computes."""
    net, x = everything(), np.random.default_rng(1).normal(0, 1, (4, 8, 8, 1)).astype(np.float32)
    net.forward(x, TRAINING)
    again = snn.Layer.from_description(json.loads(json.dumps(net.description()))).to("reference").build(x.shape)
    assert again.description() == net.description()
    assert [layer.path for layer in again.tree()] == [layer.path for layer in net.tree()]
    again.load_state(net.state())
    assert_equal(again.state(), net.state())
    assert np.array_equal(again(x), net(x))
    assert np.array_equal(again.forward(x, TRAINING), net.forward(x, TRAINING))


def test_repr_is_the_constructor_call():
    assert repr(snn.Linear(3, 2)) == "Linear(3, 2)"
    assert repr(snn.Linear(3, 2, bias=False, name="readout")) == "Linear(3, 2, bias=False, name='readout')"
    assert repr(snn.Conv2d(1, 4, 3, padding=1)) == "Conv2d(1, 4, (3, 3), padding=(1, 1))"
    assert repr(snn.GlobalAvgPool2d()) == "GlobalAvgPool2d()"
    assert repr(snn.LIF(beta=0.5, surrogate="arctan")) == "LIF(beta=0.5, surrogate=Surrogate(family='arctan'))"
    assert repr(snn.Sequential(snn.Repeat(3, snn.Flatten()), snn.Dropout(0.5))) == (
        "Sequential(Repeat(3, Flatten()), Dropout())"
    )
