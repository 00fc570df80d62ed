"""Numbers and truth values of NumPy are taken wherever those of Python are, and become Python's in what is kept."""

import inspect
import json

import numpy as np
import pytest

import numsnn as snn
from numsnn.describe import Described

MADE = [
    snn.Linear(3, 4, bias=False),
    snn.Conv2d(2, 4, (3, 2), stride=2, padding=1, groups=2, bias=True, dilation=2),
    snn.Conv1d(2, 4, 3, padding=1),
    snn.ConvTranspose2d(2, 4, 3, stride=2),
    snn.BatchNorm(4, v_threshold=2.0, momentum=0.2, affine=False),
    snn.GroupNorm(2, 4, affine=False),
    snn.LayerNorm(4),
    snn.BNTT(4, 3, bias=False),
    snn.TEBN(4, 3),
    snn.AvgPool2d(2, 1),
    snn.MaxPool1d(2),
    snn.SumPool2d((2, 1)),
    snn.Dropout(0.25),
    snn.Delay(2),
    snn.Poisson(3),
    snn.Repeat(2, snn.Linear(3, 4)),
    snn.RateBand(0.1, 0.5, 2.0),
    snn.SpikePenalty(0.5),
    snn.Divergence(0.5),
    snn.IF(v_threshold=2.0),
    snn.LIF(tau=3.0, v_threshold=2.0, v_reset=0.5, refractory=2, decay_input=True, detach_reset=True),
    snn.LIF(beta=0.5, surrogate=snn.PSG("arctan", 2.0, lr=0.2, bounds=(0.5, 4.0)), pda=snn.PDA(0.2, target=0.5)),
    snn.PLIF(tau=3.0),
    snn.ALIF(tau=3.0, tau_adaptation=10.0, strength=0.5),
    snn.CubaLIF(tau=3.0, tau_synapse=2.0),
    snn.RecurrentLIF(tau=3.0),
    snn.LI(tau=3.0),
    snn.PDA(0.2, correct=False, divergence=0.5),
    snn.Surrogate("triangle", 2.0),
    snn.losses.RateCrossEntropy(0.1, class_weights=(1.0, 2.0)),
    snn.losses.TET(0.1),
    snn.losses.TimeToFirstSpike(2.0),
    snn.optim.SGD(0.1, 0.9, True, 0.01),
    snn.optim.AdamW(0.1, betas=(0.8, 0.9), weight_decay=0.1),
    snn.schedules.Cosine(2.0),
    snn.schedules.Step(3, 0.5, 1.0),
    snn.schedules.Plateau(0.5, 3),
    snn.training.EarlyStopping(3, min_delta=0.1),
    snn.training.WeightAverage(0.9),
    snn.metrics.TopK(2),
]


def of_numpy(value):
    """Return a value in which every number and truth value is one of NumPy."""
    if isinstance(value, tuple | list):
        return type(value)(map(of_numpy, value))
    kinds = {bool: np.bool_, int: np.int64, float: np.float64}
    return kinds[type(value)](value) if type(value) in kinds else value


@pytest.mark.parametrize("made", MADE, ids=lambda made: type(made).__name__)
def test_constructors(made):
    """Also nested objects come back as they were, because their arguments are described as plain data."""
    positional, named = [], {}
    for name, parameter in inspect.signature(type(made)).parameters.items():
        value = of_numpy(getattr(made, name))
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional.extend(value)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = value
        else:
            positional.append(value)
    again = type(made)(*positional, **named)
    assert repr(again) == repr(made)
    assert json.dumps(again.description()) == json.dumps(made.description())
    assert repr(Described.from_description(json.loads(json.dumps(again.description())))) == repr(made)


def test_learned_values_and_pda():
    neuron = snn.LIF(learn_tau=np.True_, learn_threshold=np.False_, pda=np.True_)
    assert (neuron.learn_tau, neuron.learn_threshold, neuron.pda) == ("layer", False, neuron.pda)
    assert isinstance(neuron.pda, snn.PDA) and snn.LIF(pda=np.False_).pda is None


def test_threads(threads):
    threads(np.int64(3))
    assert snn.get_num_threads() == 3 and type(snn.get_num_threads()) is int


def test_a_run_on_disk(tmp_path):
    """Its settings, and metrics of NumPy that a user adds, are written, resumed and read back as plain numbers."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3, 5)).astype(np.float32), np.arange(12) % 3

    class Measure(snn.training.Callback):
        def on_epoch(self, trainer, metrics):
            metrics |= {"mine": np.float32(0.5), "count": np.int64(3), "list": np.arange(2), "flag": np.True_}
            return np.False_

    def run(epochs, resume):
        trainer = snn.Trainer(
            snn.Sequential(snn.Linear(5, 4), snn.LIF(), snn.Linear(4, 3)),
            seed=np.int64(3),
            batch_size=np.int16(4),
            accumulate=np.int64(3),
            clip_norm=np.float32(1.0),
            save_every=np.float32(0.0),
            out=tmp_path,
            callbacks=[Measure(), snn.training.EarlyStopping(np.int64(5), metric="mine")],
        )
        return trainer.fit((x, y), (x, y), epochs, resume=resume, progress=np.False_)

    added = {"mine": 0.5, "count": 3, "list": [0, 1], "flag": True}
    history = run(np.int64(2), np.False_)
    assert run(np.int64(2), np.True_) == history
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == history
    for epoch in history:
        found = {key: epoch[key] for key in added}
        assert found == added and [type(v) for v in found.values()] == [type(v) for v in added.values()]


def test_sizes_of_events():
    column = np.array([0, 1, 2])
    for size in ((np.int64(3), np.uint8(4)), np.array([3, 4])):
        events = snn.data.Events(column, column, column, column % 2, size)
        assert events.size == (3, 4) and all(type(side) is int for side in events.size)
