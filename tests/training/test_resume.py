"""A seed gives the same bits with any number of threads, and if the run is stopped or killed anywhere and resumed."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import numsnn as snn
from numsnn.training.run_state import BEST, LAST

EPOCHS = 2
BATCHES = 5  # batches of 64 from 300 samples


class Stop(Exception):
    """Raised by a test in the middle of a run."""


@pytest.fixture(scope="module")
def undisturbed(digits, tmp_path_factory):
    """The folder of a run that nothing interrupted, on two threads."""
    from numsnn.models import from_string

    before = snn.get_num_threads()
    snn.set_num_threads(2)
    folder = tmp_path_factory.mktemp("undisturbed")
    neuron = snn.LIF(pda=snn.PDA(divergence=0.01), learn_tau=True)
    net = from_string("8c3-p2-8r3-d0.3", (8, 8, 1), 10, steps=3, neuron=neuron)
    snn.Trainer(net, out=folder, seed=3).fit(*digits, EPOCHS, progress=False)
    snn.set_num_threads(before)
    return folder


def test_one_thread_gives_the_same_bits(undisturbed, digits, small_trainer, tmp_path, threads, assert_same_checkpoint):
    threads(1)
    small_trainer(tmp_path).fit(*digits, EPOCHS, progress=False)
    for name in (LAST, BEST):
        assert_same_checkpoint(undisturbed / name, tmp_path / name)


def test_another_seed_gives_other_bits(undisturbed, digits, small_trainer, tmp_path, assert_same_checkpoint):
    small_trainer(tmp_path, seed=4).fit(*digits, EPOCHS, progress=False)
    with pytest.raises(AssertionError):
        assert_same_checkpoint(undisturbed / LAST, tmp_path / LAST)


@pytest.mark.parametrize("stops", [range(1, EPOCHS * BATCHES + 1), [3], [BATCHES], [EPOCHS * BATCHES]])
def test_stopped_after_any_batch(undisturbed, digits, small_trainer, tmp_path, assert_same_checkpoint, stops):
    """An exception stops the run at each of the given steps, after a checkpoint; each time a new trainer resumes it."""
    stops = list(stops)

    def stop(trainer):
        if stops and trainer.optimizer.steps == stops[0]:
            trainer.save(trainer.out / LAST)
            stops.pop(0)
            raise Stop

    attempts = 0
    while True:
        attempts += 1
        try:
            small_trainer(tmp_path, on_batch=stop).fit(*digits, EPOCHS, resume=True, progress=False)
            break
        except Stop:
            continue
    assert not stops and attempts > 1
    for name in (LAST, BEST):
        assert_same_checkpoint(undisturbed / name, tmp_path / name)


def test_replays_what_was_not_saved(undisturbed, digits, small_trainer, tmp_path, assert_same_checkpoint):
    """A run without a checkpoint inside the epoch goes back to the last checkpoint and still ends in the same bits."""

    def stop(trainer):
        if trainer.optimizer.steps == BATCHES + 2:
            raise Stop

    with pytest.raises(Stop):
        small_trainer(tmp_path, on_batch=stop).fit(*digits, EPOCHS, progress=False)
    trainer = small_trainer(tmp_path)
    history = trainer.fit(*digits, EPOCHS, resume=True, progress=False)
    assert [metrics["epoch"] for metrics in history] == [1, 2]
    assert_same_checkpoint(undisturbed / LAST, tmp_path / LAST)


@pytest.mark.parametrize("stop", [2, 7])
def test_layers_that_are_unfrozen_in_the_run(digits, small_trainer, tmp_path, assert_same_checkpoint, stop):
    """Stopped while the first layers are frozen, and two updates after they were unfrozen."""

    def trainer_of(out, stops=(), frozen=True):
        def on_batch(trainer):
            if trainer.optimizer.steps == BATCHES:
                trainer.net["repeat1"].unfreeze()
            if trainer.optimizer.steps in stops:
                trainer.save(trainer.out / LAST)
                raise Stop

        trainer = small_trainer(out, on_batch=on_batch)
        trainer.net.build((64, 8, 8, 1), 3)
        if frozen:
            trainer.net["repeat1"].freeze()
        return trainer

    whole = trainer_of(tmp_path / "whole")
    whole.fit(*digits, EPOCHS, progress=False)
    with pytest.raises(Stop):
        trainer_of(tmp_path / "parts", [stop]).fit(*digits, EPOCHS, progress=False)
    again = trainer_of(tmp_path / "parts", frozen=stop < BATCHES)
    again.fit(*digits, EPOCHS, resume=True, progress=False)
    assert_same_checkpoint(tmp_path / "whole" / LAST, tmp_path / "parts" / LAST)
    assert again.optimizer.counts == whole.optimizer.counts
    assert set(whole.optimizer.counts.values()) == {BATCHES, EPOCHS * BATCHES}


SCRIPT = """
import sys
import numsnn as snn
from numsnn.models import from_string

train, test = snn.data.load("digits")
neuron = snn.LIF(pda=snn.PDA(divergence=0.01), learn_tau=True)
net = from_string("8c3-p2-8r3-d0.3", (8, 8, 1), 10, steps=3, neuron=neuron)
report = lambda trainer: print(trainer.optimizer.steps, flush=True)
trainer = snn.Trainer(net, out=sys.argv[1], seed=3, save_every=0, on_batch=report)
trainer.fit(train.select(range(300)), test.select(range(100)), {epochs}, resume=True, progress=False)
print("done", flush=True)
"""


def run_script(folder):
    script = textwrap.dedent(SCRIPT).replace("{epochs}", str(EPOCHS))
    return subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_and_resumed(undisturbed, tmp_path, assert_same_checkpoint):
    """SIGKILL ends the run at steps 2, 5 (the end of an epoch) and 8, later each time. No half file is left."""
    kills = {2: 0.0, 5: 0.002, 8: 0.005}
    for _ in range(len(kills) + 1):
        process = run_script(tmp_path)
        for line in process.stdout:
            if line.strip() == "done":
                break
            delay = kills.pop(int(line), None)
            if delay is not None:
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)
                break
        process.wait(timeout=60)
        process.stdout.close()
        snn.load(tmp_path / LAST)  # the file is whole, whatever happened
    assert process.returncode == 0 and not kills
    for name in (LAST, BEST):
        assert_same_checkpoint(undisturbed / name, tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process")
def test_ctrl_c_saves_and_says_so(undisturbed, digits, small_trainer, tmp_path, assert_same_checkpoint):
    def press(trainer):
        if trainer.optimizer.steps == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"stopped at epoch 1, batch 3; saved .*last\.h5"):
        small_trainer(tmp_path, on_batch=press).fit(*digits, EPOCHS, progress=False)
    trainer = small_trainer(tmp_path)
    trainer.restore(tmp_path / LAST)
    assert (trainer.epoch, trainer.batch, trainer.optimizer.steps) == (0, 3, 3)
    trainer.fit(*digits, EPOCHS, progress=False)
    assert_same_checkpoint(undisturbed / LAST, tmp_path / LAST)


def test_ctrl_c_without_a_folder(digits, small_trainer):
    def press(trainer):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="not saved, because"):
        small_trainer(on_batch=press).fit(*digits, EPOCHS, progress=False)


def test_resuming_needs_the_same_run(digits, small_trainer, tmp_path):
    small_trainer(tmp_path).fit(*digits, 1, progress=False)
    with pytest.raises(FileExistsError, match="already holds a run"):
        small_trainer(tmp_path).fit(*digits, 1, progress=False)
    with pytest.raises(snn.CheckpointError, match="has a length of 1 epochs; it cannot continue with 3"):
        small_trainer(tmp_path).fit(*digits, 3, resume=True, progress=False)
    with pytest.raises(snn.CheckpointError, match="seed was 3; it cannot continue with 5"):
        small_trainer(tmp_path, seed=5).fit(*digits, 1, resume=True, progress=False)
    with pytest.raises(snn.CheckpointError, match=r"optimizer was .*Adam.*cannot continue with .*SGD"):
        small_trainer(tmp_path, optimizer=snn.optim.SGD()).fit(*digits, 1, resume=True, progress=False)
    with pytest.raises(
        snn.CheckpointError, match=r"another network: the file has Conv2d\(1, 8.* this network has Conv2d\(1, 4"
    ):
        small_trainer(tmp_path, architecture="4c3").fit(*digits, 1, resume=True, progress=False)
    finished = small_trainer(tmp_path)
    assert len(finished.fit(*digits, 1, resume=True, progress=False)) == 1
