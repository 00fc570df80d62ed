"""Accuracy and time: resuming, tables, and numsnn alone on a few pictures; its peers where they are installed."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from installed import side_of
from made_up import made_up_run

import numsnn as snn
from benchmarks.accuracy import compare
from benchmarks.accuracy.numbers import few, numbers, pictures
from benchmarks.accuracy.report import report, tables, time_to
from benchmarks.peers.agreement import Disagreement, relative
from benchmarks.peers.sides.numsnn import Training
from benchmarks.tasks import PEER_TASKS, PeerTask
from numsnn.measure import network
from numsnn.measure.workloads import small

TINY = PeerTask("cifar10", small("tiny", 2, 4, width=1 / 8, size=8, colours=3), 2, 10, 6)
"""Two and a half batches."""


@pytest.fixture
def arrays():
    """All numbers of the tiny task, seed 3."""
    return pictures(TINY, *parts()) | numbers(TINY, 3)


def parts():
    """A training and a test part, a little larger than the task needs."""
    rng = np.random.default_rng(0)
    return [snn.data.Dataset(rng.random((n, 8, 8, 3), np.float32), np.arange(n) % 10, range(10)) for n in (12, 7)]


def training(module, arrays, method="fixed"):
    return module.Training(TINY.workload.to_dict(), arrays, TINY.recipe(3, method))


# --- numsnn alone ----------------------------------------------------------------------------------------------------


def test_a_run_that_is_there_is_not_run_again(tmp_path, monkeypatch, capsys):
    """The command line from a store to report and plot; with a torn line it goes on, and peers are missing loudly."""
    monkeypatch.setattr(compare, "PEER_TASKS", {"peers-cifar10-5k": TINY})
    store, out = tmp_path / "tiny.h5", tmp_path / "out"
    train, test = parts()
    snn.data.save(store, train=train, test=test)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such library >&2\nexit 1\n")
    python.chmod(0o755)
    command = ["--cifar", str(store), "--threads", "1", "--seeds", "3", "--out", str(out)]
    command += ["--peers-python", str(python)]
    compare.main([*command, "--variants", "numsnn", "spikingjelly"])
    assert "spikingjelly is left out: spikingjelly ended during 'hello': no such library" in capsys.readouterr().err
    (run,) = compare.read(out / "runs.jsonl")
    assert set(run) == set(made_up_run()) and set(run["settings"]) == set(made_up_run()["settings"])
    assert len(run["epochs"]) == 2 and set(run["epochs"][0]) == {"seconds", "loss", "accuracy"}

    with open(out / "runs.jsonl", "a") as file:
        file.write('{"settings": {"tas')
    compare.main([*command, "--variants", "numsnn", "numsnn PSG+PDA"])
    runs = compare.read(out / "runs.jsonl")
    assert runs[0] == run and [r["settings"]["method"] for r in runs] == ["fixed", "psg+pda"]
    assert runs[0]["epochs"][1]["loss"] != runs[1]["epochs"][1]["loss"]
    capsys.readouterr()

    monkeypatch.setattr(compare, "Worker", None)  # starting a process would fail
    compare.main([*command, "--variants", "numsnn", "numsnn PSG+PDA"])
    assert compare.read(out / "runs.jsonl") == runs
    assert (out / "report.md").read_text() == report(runs) == capsys.readouterr().out.removesuffix("\n")
    assert (out / "accuracy.png").stat().st_size > 0


def test_numsnn_trains_as_its_trainer_does(arrays):
    """The weights and the order that peers are handed are those that a Trainer of this seed has by itself."""
    train, test = ((arrays[f"{part}x"], arrays[f"{part}y"]) for part in ("", "test_"))
    trainer = snn.Trainer(
        network.build(TINY.workload),
        snn.losses.RateCrossEntropy(0.1),
        snn.optim.AdamW(2e-3, weight_decay=0.02),
        snn.schedules.Cosine(),
        seed=3,
        batch_size=4,
    )
    history = trainer.fit(train, test, epochs=2, progress=False)
    mine = training(SimpleNamespace(Training=Training), arrays)
    for epoch, metrics in enumerate(history):
        found = mine.epoch()
        assert (found["loss"], found["accuracy"]) == (metrics["train_loss"], metrics["valid_accuracy"])
        order = snn.data.Loader(snn.data.as_dataset(train), 4, shuffle=True, seed=3).epoch(epoch)
        assert (np.concatenate([y for _, y in order]) == arrays["y"][arrays["order"][epoch]]).all()


def test_the_warming_run_has_both_sizes_of_batches(arrays):
    warming = few(TINY, arrays)
    assert len(warming["x"]) == len(warming["y"]) == 6 and (warming["order"] == np.arange(6)).all()
    assert PEER_TASKS["peers-mnist8k"].quick().train == 136


def test_pictures_that_are_not_there():
    with pytest.raises(ValueError, match="10 training pictures are needed; there are 7"):
        pictures(TINY, *reversed(parts()))


# --- a first step ----------------------------------------------------------------------------------------------------


def step(**changes):
    return {"loss": np.float64(2.0), "s0": np.ones((2, 3), np.uint8), "p0": np.ones(4)} | changes


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({"loss": np.float64(2.001)}, "the loss differs by 5.0e-04 for 16 samples; at most 0.0002 is allowed"),
        ({"p0": np.full(4, 1.001)}, "the gradient of p0 differs by 1.0e-03 for 16 samples"),
    ],
)
def test_a_step_that_differs_is_refused(theirs, message):
    with pytest.raises(Disagreement, match=message):
        compare.compare_step(lambda samples: (step(), step(**theirs)))


def test_a_step_with_a_flipped_spike_is_looked_at_for_fewer_samples():
    flipped = {"s0": np.zeros((2, 3), np.uint8)}
    found = compare.compare_step(lambda samples: (step(), step(**flipped if samples > 4 else {})))
    assert found["samples"] == 4 and found["different_spikes"] == [0] and found["gradients"] == 0


# --- the file and the tables -----------------------------------------------------------------------------------------


def test_a_torn_line_is_no_run_and_is_written_over(tmp_path):
    path = tmp_path / "made" / "runs.jsonl"
    assert compare.read(path) == []
    first, second = made_up_run(), made_up_run(seed=1)
    compare.append(path, first)
    path.write_text(path.read_text() + json.dumps(second)[:50])
    assert compare.read(path) == [first]
    compare.append(path, second)
    assert compare.read(path) == [first, second]
    path.write_text("{}\n{\n{}\n")
    with pytest.raises(ValueError, match=r"runs\.jsonl: line 2 is damaged"):
        compare.read(path)


def test_tables():
    runs = [
        made_up_run(),
        made_up_run(seed=1, accuracies=(0.85, 0.92)),
        made_up_run("spikingjelly", 1, seconds=5.0),
        made_up_run("numsnn PSG+PDA", accuracies=(0.3, 0.95), method="psg+pda"),
        made_up_run(threads=1),
    ]
    found = tables(runs)
    assert list(found) == ["peers-mnist8k", "peers-mnist8k (2)"]
    about, _, _, _, own, peer, method, *_ = found["peers-mnist8k"].splitlines()
    assert about.startswith("32-10, T = 4; 70 training and 10 test pictures; 2 epochs, batches of 8;")

    def cells(line):
        return [cell.strip() for cell in line.strip("|").split("|")]

    assert cells(own) == ["numsnn", "91.00 ± 1.41", "90.00 to 92.00", "2", "4.0", "1.00x (2)", "4.0 (2)"]
    assert cells(peer) == ["spikingjelly", "90.00", "90.00 to 90.00", "1", "10.0", "2.50x (1)", "10.0 (1)"]
    assert cells(method)[:2] == ["numsnn PSG+PDA", "95.00"] and "s to 89.70 % (seeds)" in found["peers-mnist8k"]
    assert "gradients within 2.0e-06; a spike differed in 1 of 1." in found["peers-mnist8k"]
    assert "| numsnn" in report(runs) and "## peers-mnist8k (2)" in report(runs)


def test_tables_without_numsnn():
    assert "x (" not in tables([made_up_run("snntorch")])["peers-mnist8k"]


def test_time_to_an_accuracy():
    run = made_up_run(accuracies=(0.5, 0.9, 0.8))
    assert [time_to(run, level) for level in (0.4, 0.9, 0.91)] == [2.0, 4.0, None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "where are the pictures? --mnist FOLDER, --cifar FILE"),
        (["--mnist", "x", "--only", "peers-cifar10-5k"], "where are the pictures?"),
        (["--mnist", "x", "--quick"], "--quick measures nothing; keep it apart: --out FOLDER"),
        (["--mnist", "x", "--epochs", "0"], "--epochs must be a positive whole number; got 0"),
        (["--mnist", "x", "--variants", "norse"], "invalid choice: 'norse'"),
    ],
)
def test_errors(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        compare.options(arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_a_report_of_nothing(tmp_path):
    with pytest.raises(SystemExit, match="there are no runs in"):
        compare.main(["--report", "--out", str(tmp_path)])


# --- beside peers ----------------------------------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("name", ["spikingjelly", "snntorch"])
def test_peers_train_the_same(name, arrays):
    """The first step, and with it weights, loss and gradients; then two epochs: order, optimiser, schedule, and the
    running statistics, but for the variance's n / (n - 1)."""
    module = side_of(name)
    ours, theirs = training(SimpleNamespace(Training=Training), arrays), training(module, arrays)
    compare.compare_step(lambda samples: (ours.outcome(min(samples, 4)), theirs.outcome(min(samples, 4))))
    for _ in range(2):
        mine, other = ours.epoch(), theirs.epoch()
        assert other["loss"] == pytest.approx(mine["loss"], rel=1e-5) and other["accuracy"] == mine["accuracy"]
    own = [p.value for _, p in ours.trainer.net.parameters()]
    for value, (parameter, _, back) in zip(own, theirs.side._values, strict=True):
        assert relative(back(parameter.detach().numpy()), value) <= 1e-3
    norms = [layer for layer in ours.trainer.net.walk() if isinstance(layer, snn.BatchNorm)]
    for norm, peer in zip(norms, theirs.side._norms, strict=True):
        assert relative(peer.running_mean.numpy(), norm.running["mean"]) <= 1e-4
        assert relative(peer.running_var.numpy(), norm.running["var"]) <= 1e-2
