"""From a configuration to a network: every neuron, reset and loss a file may name."""

import numpy as np
import pytest

import numsnn as snn
from numsnn import config, experiment
from numsnn.data.digits_dvs import simulate

NEURONS = {"if": snn.IF, "lif": snn.LIF, "plif": snn.PLIF, "alif": snn.ALIF, "cubalif": snn.CubaLIF}


def build(text):
    return experiment.build_network(config.parse(text), (8, 8, 1), 10)


@pytest.mark.parametrize("name", NEURONS)
def test_neurons(name):
    net = build(f'[model]\narchitecture = "4c3"\nneuron = "{name}"\nrefractory = 1\nv_threshold = 0.8')
    neurons = [layer for layer in net.walk() if isinstance(layer, snn.Neuron)]
    assert len(neurons) == 1 and type(neurons[0]) is NEURONS[name]
    assert neurons[0].v_threshold == 0.8 and neurons[0].refractory == 1 and neurons[0].pda is not None


def test_values_reach_the_neurons():
    net = build('[model]\nneuron = "alif"\ntau = 3.0\ntau_adaptation = 7.0\nstrength = 0.5\nlearn_tau = true')
    neuron = next(layer for layer in net.walk() if isinstance(layer, snn.ALIF))
    assert (neuron.tau, neuron.tau_adaptation, neuron.strength, neuron.learn_tau) == (3.0, 7.0, 0.5, "layer")


@pytest.mark.parametrize(
    ("neuron", "key", "value"),
    [("if", "tau", 3.0), ("plif", "decay_input", True), ("plif", "learn_tau", True), ("lif", "tau_synapse", 5.0)],
)
def test_keys_that_the_neuron_does_not_use_are_refused(neuron, key, value):
    text = f'[model]\nneuron = "{neuron}"\n{key} = {str(value).lower()}'
    with pytest.raises(snn.ConfigError, match=rf"^model\.{key}: the neuron '{neuron}' does not use it; got {value}"):
        build(text)


@pytest.mark.parametrize(
    ("reset", "v_reset"), [("hard", -0.25), ("soft", None), ("delayed", "delayed"), ("none", "none")]
)
def test_resets(reset, v_reset):
    net = build(f'[model]\nreset = "{reset}"\nv_reset = -0.25')
    assert next(layer for layer in net.walk() if isinstance(layer, snn.LIF)).v_reset == v_reset


def test_method_reaches_the_neurons():
    method = '[method]\nsurrogate = "arctan"\nwidth = 0.5\nlearn_width = false\npda = false\n'
    net = build(method + '[model]\nnorm = "tdbn"\nv_threshold = 0.7')
    neuron = next(layer for layer in net.walk() if isinstance(layer, snn.LIF))
    assert repr(neuron.surrogate) == "Surrogate(family='arctan', width=0.5)" and neuron.pda is None
    assert next(layer for layer in net.walk() if isinstance(layer, snn.BatchNorm)).v_threshold == 0.7


@pytest.mark.parametrize(("text", "target"), [("", None), ('pda_target = "input"', None), ("pda_target = 0.9", 0.9)])
def test_the_target_of_pda(text, target):
    net = build(f"[method]\n{text}")
    assert next(layer for layer in net.walk() if isinstance(layer, snn.LIF)).pda.target == target


@pytest.mark.parametrize("loss", ["rate", "tet", "max_membrane", "membrane_mse", "spike_count", "first_spike"])
def test_every_loss_builds_a_trainer(loss):
    configuration = config.parse(f'[training]\nloss = "{loss}"')
    net = experiment.build_network(configuration, (8, 8, 1), 10)
    trainer = experiment.build_trainer(configuration, net)
    spiking = isinstance(net.layers[-1], snn.Neuron)
    assert spiking == (loss in experiment.SPIKING_LOSSES) and isinstance(trainer.loss, snn.losses.Loss)


# --- data ---


def small(text):
    rest = '\n[model]\narchitecture = "4c3-p2"\nsteps = 2\n[training]\nepochs = 1\nbatch_size = 8\n'
    return config.parse(text + rest)


def store_of_digits(path):
    train, test = snn.data.load("digits")
    snn.data.save(path, "few digits", train=train.select(range(24)), test=test.select(range(8)))
    return path


def store_of_events(path, part="test"):
    from numsnn.data.store import writing

    recordings = simulate(snn.data.load("digits")[0].select(range(24)), "few events")
    with writing(path, "events", "few events", "0123456789", size=(20, 20)) as writer:
        writer.append("train", [recordings.events(k) for k in range(16)], recordings.y[:16])
        writer.append(part, [recordings.events(k) for k in range(16, 24)], recordings.y[16:24])
    return path


@pytest.mark.parametrize("augment", ["", "crop1-cutout2"])
def test_trains_from_a_store_of_pictures(augment, tmp_path):
    file = store_of_digits(tmp_path / "digits.h5")
    configuration = small(f'[data]\nfile = "{file}"\naugment = "{augment}"')
    outcome = experiment.run(configuration, tmp_path / "run", progress=False)
    assert len(outcome.history) == 1 and outcome.report.is_file()
    assert config.read(tmp_path / "run" / "config.toml") == configuration


@pytest.mark.parametrize("part", ["test", "valid"])
def test_trains_from_a_store_of_events(part, tmp_path):
    file = store_of_events(tmp_path / "events.h5", part)
    text = f'[data]\nfile = "{file}"\nsteps = 3\nby = "events"\npool = 2\naugment = "drop0.1-fliplr"'
    outcome = experiment.run(small(text), tmp_path / "run", progress=False)
    assert outcome.report.is_file() and outcome.best == 1
    train, valid, test = experiment.load_data(small(text))
    assert train.sample_shape == valid.sample_shape == (3, 10, 10, 2) and train.timed and train.seed == 0
    if part == "test":
        assert outcome.test.confusion.sum() == len(test) == 8 and (len(train), len(valid)) == (14, 2)
    else:
        assert outcome.test is None and test is None and (len(train), len(valid)) == (16, 8)


@pytest.mark.parametrize(("key", "value"), [("name", "mnist"), ("dir", "raw")])
def test_a_store_takes_the_place_of_name_and_folder(key, value, tmp_path):
    file = store_of_digits(tmp_path / "digits.h5")
    message = rf"^data\.{key}: the store '{file}' takes its place; got '{value}'\. Leave it out$"
    with pytest.raises(snn.ConfigError, match=message):
        experiment.load_parts(config.parse(f'[data]\nfile = "{file}"\n{key} = "{value}"'))


def test_frames_on_one_clock_as_long_as_their_recordings(tmp_path):
    file = store_of_events(tmp_path / "events.h5")
    text = f'[data]\nfile = "{file}"\nsteps = 0\nduration = 40000\nstart = 0\nvalid_share = 0.0'
    train, _, test = experiment.load_data(small(text))
    ends = [int(train.recordings.events(k).t[-1]) for k in range(len(train))]
    assert train.lengths.tolist() == [end // 40_000 + 1 for end in ends]
    assert train.sample_shape == (max(train.lengths), 20, 20, 2)
    outcome = experiment.run(small(text), tmp_path / "run", progress=False)
    assert outcome.test.confusion.sum() == len(test) == 8


def test_a_resumed_run_from_a_store_is_the_same(tmp_path):
    """Events, augmentation and threads: stopped after the first epoch and gone on with, bit for bit."""
    file = store_of_events(tmp_path / "events.h5")
    text = f'[data]\nfile = "{file}"\nsteps = 3\naugment = "jitter1-crop1"'
    configuration = small(text)
    configuration.training.epochs = 3
    whole = experiment.prepare(configuration, tmp_path / "whole")
    whole.trainer.fit(*whole.data[:2], 3, progress=False)
    first = experiment.prepare(configuration, tmp_path / "parts")
    first.trainer.on_epoch = lambda trainer, metrics: metrics["epoch"] == 1
    first.trainer.fit(*first.data[:2], 3, progress=False)
    second = experiment.prepare(configuration, tmp_path / "parts")
    second.trainer.fit(*second.data[:2], 3, resume=True, progress=False)
    keys = ("train_loss", "valid_loss", "valid_accuracy")
    assert [[m[key] for key in keys] for m in second.trainer.history] == [
        [m[key] for key in keys] for m in whole.trainer.history
    ]
    for name, value in whole.trainer.net.state().items():
        assert (value == second.trainer.net.state()[name]).all(), name


def test_a_store_without_a_training_part(tmp_path):
    _, test = snn.data.load("digits")
    snn.data.save(tmp_path / "digits.h5", test=test)
    with pytest.raises(snn.ConfigError, match=r"digits\.h5: needs a part train; it has test$"):
        experiment.load_data(small(f'[data]\nfile = "{tmp_path / "digits.h5"}"'))


def test_the_share_for_validation():
    """The division does not depend on the seed of the run, and keeps the balance of the classes."""
    first, second = (experiment.load_data(config.parse(f"[training]\nseed = {seed}")) for seed in (0, 1))
    assert (len(first.train), len(first.valid), len(first.test)) == (1293, 144, 360)
    assert (first.valid.x == second.valid.x).all()
    counts = np.bincount(first.valid.y, minlength=10) / np.bincount(first.train.y, minlength=10)
    assert np.abs(counts - 1 / 9).max() < 0.01
    none = experiment.load_data(config.parse("[data]\nvalid_share = 0.0"))
    assert none.valid is None and len(none.train) == 1437
    with pytest.raises(ValueError, match=r"data\.valid_share must lie in \[0, 1\)"):
        experiment.load_data(config.parse("[data]\nvalid_share = 1.0"))


def test_digits_dvs_with_options(monkeypatch):
    """Of a few digits: to simulate all takes seconds."""
    few = tuple(part.select(range(0, len(part), 10)) for part in snn.data.load("digits"))
    monkeypatch.setattr(snn.data.builtin, "_digits", lambda: few)
    train, *_ = experiment.load_data(small('[data]\nname = "digits-dvs"\nsteps = 4\nduration = 50000\npool = 2'))
    assert train.sample_shape == (4, 10, 10, 2) and train.binner.duration == 50_000


@pytest.mark.parametrize(
    ("key", "line"), [("early_stopping", "early_stopping = 2"), ("schedule", 'schedule = "plateau"')]
)
def test_what_follows_the_validation_loss_needs_a_part_for_it(key, line, tmp_path):
    settings = config.parse(f"[data]\nvalid_share = 0.0\n[training]\n{line}")
    message = f"^training.{key} follows the validation loss, but the data have no part valid; set data.valid_share$"
    with pytest.raises(snn.ConfigError, match=message):
        experiment.run(settings, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
