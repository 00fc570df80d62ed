"""Frozen layers: nothing in them moves, the gradients of all others stay right, and nothing is computed for nobody."""

from dataclasses import replace

import numpy as np
import pytest

import numsnn as snn
from numsnn.layers import TRAINING
from numsnn.layers.plan import plan_of

SHAPE = (3, 4, 6, 6, 2)
WIDE = snn.PSG("triangle", width=3.0)  # away from its bounds, so that it moves


def network(dropout=0.0):
    """Fused pairs, a residual block, a concatenation, and all kinds of parameters and statistics."""
    return snn.Sequential(
        snn.Conv2d(2, 4, 3, padding=1, bias=True, name="conv1"),
        snn.BatchNorm(4, name="norm1"),
        snn.LIF(learn_tau=True, learn_threshold="channel", surrogate=WIDE, pda=True, name="lif1"),
        snn.Dropout(dropout, name="drop"),
        snn.Residual(snn.Conv2d(4, 4, 3, padding=1), snn.BatchNorm(4), name="block"),
        snn.LIF(surrogate=WIDE, pda=snn.PDA(divergence=0.1), name="lif2"),
        snn.Concat(None, snn.Conv2d(4, 2, 1), name="both"),
        snn.Flatten(),
        snn.Linear(6 * 36, 3, name="readout"),
        name="net",
    )


def built(device="reference", dropout=0.0, batches=2):
    net = network(dropout).to(device).build(SHAPE)
    for seed in range(batches):
        net.forward(draw(seed), TRAINING)
    return net


def draw(seed=7):
    return np.random.default_rng(seed).normal(0.3, 1, SHAPE).astype(np.float32)


def backward(net, mode=TRAINING, need_dx=False):
    """Run a forward and a backward pass; return the gradients by name."""
    z = net.forward(draw(), mode)
    net.backward(np.cos(np.arange(z.size, dtype=net.dtype)).reshape(z.shape), need_dx)
    return {name: np.array(p.grad) for name, p in net.parameters()}


def train(net, batches=3):
    """Make a few updates of all parameters that are not frozen."""
    optimizer = snn.optim.AdamW(1e-2, weight_decay=0.1, groups={"bias": {"weight_decay": 0.1}})
    for seed in range(batches):
        z = net.forward(draw(seed), replace(TRAINING, seed=seed))
        net.backward(np.ones_like(z), need_dx=False)
        optimizer.step(net.kernels, net.trainable())


PARTS = ["conv1", "norm1", "lif1", "block", "block.branch.batchnorm1", "lif2", "both", "readout"]


@pytest.mark.parametrize("part", PARTS)
def test_only_what_is_frozen_stays(part, device):
    net = built(device)
    net[part].freeze()
    before = net.state()
    train(net)
    after = net.state()
    for name, value in before.items():
        assert np.array_equal(value, after[name]) == name.startswith(f"{part}."), name


@pytest.mark.parametrize("part", PARTS)
def test_gradients_of_the_rest_are_those_of_the_whole_network(part, device):
    """In a pass that normalises with running statistics, freezing changes no number of the forward pass."""
    mode = replace(TRAINING, training=False, track=False)
    net = built(device)
    want = backward(net, mode)
    net[part].freeze()
    got = backward(net, mode)
    for name, value in want.items():
        if name.startswith(f"{part}."):
            assert not got[name].any(), name
        else:
            assert value.any() and np.array_equal(got[name], value), name


def test_a_frozen_layer_computes_as_at_inference():
    net = built(dropout=0.5)
    net.freeze()
    trained = np.array(net.forward(draw(), TRAINING))
    assert np.array_equal(trained, net(draw()))
    net.unfreeze()
    trained = np.array(net.forward(draw(), TRAINING))
    assert not np.array_equal(trained, net(draw()))


def test_the_input_gradient_passes_through_frozen_layers():
    mode = replace(TRAINING, training=False, track=False)
    net = built()
    z = net.forward(draw(), mode)
    want = net.backward(np.ones_like(z)).copy()
    net.freeze()
    z = net.forward(draw(), mode)
    assert want.any() and np.array_equal(net.backward(np.ones_like(z)), want)


class Counted:
    """Kernels that count the calls of every function."""

    def __init__(self, kernels):
        self.kernels, self.calls = kernels, []

    def __getattr__(self, name):
        function = getattr(self.kernels, name)
        if not callable(function):
            return function
        return lambda *args, **options: self.calls.append(name) or function(*args, **options)


def backward_calls(net, need_dx=False):
    """Return the kernels of a backward pass."""
    z = net.forward(draw(), TRAINING)
    counted = Counted(net.kernels)
    for layer in net.tree():
        layer._kernels = counted
    net.backward(np.ones_like(z), need_dx)
    return counted.calls


def test_a_frozen_prefix_ends_the_backward_pass():
    net = built()
    for part in ("conv1", "norm1", "lif1", "drop", "block", "lif2", "both"):
        net[part].freeze()
    assert backward_calls(net) == ["linear_backward_weight", "bias_backward"]


def test_no_masks_for_a_frozen_prefix():
    """Which spikes the surrogate sees is collected only for layers whose input gradient is needed."""
    layers = [snn.LIF(surrogate="rectangle"), snn.MaxPool2d(2), snn.Conv2d(2, 2, 1), snn.LIF(surrogate="rectangle")]
    net = snn.Sequential(*layers, snn.Flatten(), snn.Linear(18, 3)).to("reference").build(SHAPE)
    plan_of(net).asks = lambda neuron: True
    net["conv2d1"].freeze()
    assert "max_pool2d_forward" not in backward_calls(net) and net["conv2d1"].needed is None
    assert net["linear1"].needed is None  # the only layer that learns
    assert "max_pool2d_forward" in backward_calls(net, need_dx=True) and net["conv2d1"].needed is not None
    net["conv2d1"].unfreeze()
    backward_calls(net)
    assert net["conv2d1"].needed is None and net["linear1"].needed is not None


def test_nothing_runs_if_all_is_frozen():
    net = built().freeze()
    assert backward_calls(net) == [] and net.input_gradient is None


def test_layers_without_parameters_do_not_prolong_the_pass():
    net = built()
    net["conv1"].freeze()
    assert "conv2d_backward_input" not in backward_calls(snn.Sequential(*net.layers[:3]))
    net = snn.Sequential(snn.Dropout(0.5), snn.Conv2d(2, 2, 1)).build(SHAPE)
    assert backward_calls(net) == ["conv2d_backward_weight"]


def test_a_frozen_layer_between_others_computes_only_the_input_gradient():
    net = built()
    net["readout"].freeze()
    calls = backward_calls(net)
    assert "linear_backward_input" in calls and "linear_backward_weight" not in calls
    assert calls.count("conv2d_backward_weight") == 3
    net["block"].freeze()
    assert backward_calls(net).count("conv2d_backward_weight") == 2


def test_trainable_and_frozen():
    net = built()
    assert net.trainable() == net.parameters() and not net.frozen
    assert net["both"].freeze() is net["both"] and net["both"].frozen and net["both.conv2d1"].frozen
    assert [name for name, _ in net.trainable()] == [n for n, _ in net.parameters() if not n.startswith("both.")]
    assert net["both.conv2d1"].unfreeze().frozen is False and not net["both"].frozen
    assert net.trainable() == net.parameters()
    assert net.freeze().frozen and net.trainable() == []
    assert net.unfreeze() is net and not net.frozen
    assert not snn.Repeat(3).freeze().frozen  # there is nothing in it that could be frozen


# --- what keeps layers frozen ---------------------------------------------------------------------------------------


def test_a_copy_stays_frozen():
    net = built()
    net["block"].freeze()
    copy = net.copy()
    assert copy.frozen_layers() == ["block.branch.conv2d1", "block.branch.batchnorm1"]
    copy.unfreeze()
    assert net["block"].frozen


def test_a_file_keeps_layers_frozen(tmp_path):
    net = built()
    net["conv1"].freeze(), net["block"].freeze()
    snn.save(net, tmp_path / "net.h5")
    loaded = snn.load(tmp_path / "net.h5")
    assert loaded.frozen_layers() == net.frozen_layers() != []
    assert loaded.state().keys() == net.state().keys()
    assert np.array_equal(loaded.to("reference")(draw()), net(draw()))
    net.unfreeze()
    snn.save(net, tmp_path / "net.h5")
    assert snn.load(tmp_path / "net.h5").frozen_layers() == []


def test_a_single_layer_is_a_network(tmp_path):
    net = snn.Linear(2, 3).build((1, 1, 2)).freeze()
    snn.save(net, tmp_path / "net.h5")
    assert snn.load(tmp_path / "net.h5").frozen


def test_folding_and_other_devices_keep_layers_frozen():
    net = built()
    net["lif1"].freeze()
    assert net.fold()["lif1"].frozen and net.to("cpu", "float64")["lif1"].frozen


def test_moments_of_the_optimiser_survive_freezing():
    """A parameter that is frozen for a while continues with its moments."""
    net = built()
    optimizer = snn.optim.SGD(1e-2, momentum=0.9)
    for step in range(3):
        (net["readout"].freeze if step == 1 else net["readout"].unfreeze)()
        backward(net)
        optimizer.step(net.kernels, net.trainable())
    assert optimizer.state()["arrays"].keys() == {f"{name}/velocity" for name, _ in net.parameters()}
    assert optimizer.state()["arrays"]["readout.bias/velocity"].any()


@pytest.mark.parametrize(
    "layer",
    [
        snn.ConvTranspose2d(2, 3, 2, bias=True),
        snn.GroupNorm(1, 2),
        snn.BNTT(2, 3, bias=True),
        snn.TEBN(2, 3),
        snn.Conv1d(2, 3, 1, bias=True),
        snn.LI(learn_tau=True),
        snn.Sequential(snn.Flatten(), snn.RecurrentALIF(learn_tau=True, learn_adaptation=True)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_every_kind_of_layer_can_be_frozen(layer, device):
    shape = SHAPE[:3] + SHAPE[4:] if isinstance(layer, snn.Conv1d) else SHAPE
    net, gradients = layer.copy().to(device).build(shape), []
    x = np.random.default_rng(0).normal(0.5, 1, shape).astype(np.float32)
    for frozen in (False, True):
        if frozen:
            net.freeze()
        z = net.forward(x, replace(TRAINING, training=False, track=False))
        gradients.append(net.backward(np.cos(np.arange(z.size, dtype=np.float32)).reshape(z.shape)).copy())
        assert all(np.asarray(p.grad).any() != frozen for _, p in net.parameters())
    assert np.array_equal(*gradients)


# --- other tools ----------------------------------------------------------------------------------------------------


def test_check_gradients_of_a_partly_frozen_network():
    net = built("reference")
    net["norm1"].freeze(), net["lif2"].freeze(), net["both"].freeze()
    report = snn.check_gradients(net, draw(), np.arange(4) % 3, entries=2)
    assert report.ok, report
    assert [row.name for row in report.rows] == [name for name, _ in net.trainable()] + ["input"]


def test_diagnose_shows_no_gradients_of_frozen_layers():
    net = built()
    net["conv1"].freeze()
    rows = snn.diagnose(net, draw(), np.zeros(4, np.int64)).parameters
    assert {row.name for row in rows if row.gradient is None} == {"conv1.weight", "conv1.bias"}


def test_trainer_trains_the_rest(tmp_path):
    """Training, with weight decay and clipping, and a resumed run, which takes from the file what is frozen."""
    x, y = draw().swapaxes(0, 1), np.arange(4) % 3

    def trainer(net):
        optimizer = snn.optim.AdamW(1e-2, weight_decay=0.1)
        return snn.Trainer(net, optimizer=optimizer, batch_size=2, clip_norm=1.0, device="reference", out=tmp_path)

    net = built()
    net["block"].freeze()
    before = net.state()
    trainer(net).fit(snn.data.Dataset(x, y, range(3), timed=True), epochs=1, progress=False)
    after = net.state()
    for name, value in before.items():
        assert np.array_equal(value, after[name]) == name.startswith("block."), name
    again = network()
    trainer(again).start(snn.data.Dataset(x, y, range(3), timed=True), epochs=1, resume=True)
    assert again.frozen_layers() == net.frozen_layers()


def test_a_run_that_unfreezes_on_its_way_can_be_resumed(tmp_path):
    """To the last bit: the file says what was frozen where the run was interrupted, and holds the moments of all."""
    data = snn.data.Dataset(draw().swapaxes(0, 1), np.arange(4) % 3, range(3), timed=True)

    def run(name, stop, resume=False):
        def on_epoch(trainer, metrics):
            if metrics["epoch"] == 1:
                trainer.net["block"].freeze(), trainer.net["conv1"].unfreeze()
            return metrics["epoch"] == stop

        net = network(dropout=0.5).to("reference")
        net["conv1"].freeze()
        trainer = snn.Trainer(net, batch_size=2, device="reference", out=tmp_path / name, on_epoch=on_epoch)
        trainer.fit(data, epochs=4, resume=resume, progress=False)
        return net

    whole = run("whole", None)
    run("parts", 2)
    resumed = run("parts", None, resume=True)
    assert resumed.frozen_layers() == whole.frozen_layers() == ["block.branch.conv2d1", "block.branch.batchnorm1"]
    for name, value in whole.state().items():
        assert np.array_equal(resumed.state()[name], value), name
