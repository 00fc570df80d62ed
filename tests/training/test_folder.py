"""The folder of a run: one run at a time, no leftovers, files that belong together, and SIGTERM."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import numsnn as snn
from numsnn import cli, experiment
from numsnn.locks import Lock
from numsnn.training import EarlyStopping, WeightAverage, checkpoint, history
from numsnn.training.run_state import BEST, LAST, METRICS

DATA = snn.data.Dataset(
    np.random.default_rng(0).normal(size=(12, 6, 3)).astype(np.float32), np.arange(12) % 2, timed=True
)
LOCK = ".numsnn.lock"


class Killed(BaseException):
    """Raised where a process is thought to be killed."""


def make(out=None, rate=1e-2, **options):
    net = snn.Sequential(snn.Linear(3, 8), snn.LIF(), snn.Linear(8, 2))
    return snn.Trainer(net, None, snn.optim.Adam(rate), device="reference", batch_size=4, out=out, **options)


def fit(trainer, epochs=3, resume=True):
    return trainer.fit(DATA, DATA, epochs, resume=resume, progress=False)


def rows(folder):
    """The numbers of the epochs in metrics.jsonl."""
    return [json.loads(line)["epoch"] for line in (folder / METRICS).read_text().splitlines()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def same_checkpoint(first, second):
    (a, arrays, training), (b, others, more) = checkpoint.read(first), checkpoint.read(second)
    groups = [(a.state(), b.state()), *((arrays[group], others[group]) for group in arrays)]
    equal = all(x.keys() == y.keys() and all(np.array_equal(x[n], y[n]) for n in x) for x, y in groups)
    for row in training["history"] + more["history"]:
        del row["seconds"]
    return equal and training == more


# --- one run at a time ------------------------------------------------------------------------------------------------


def test_a_second_trainer_of_the_process_is_refused(tmp_path):
    """Within a run, and while files of the run are read, which needs no lock."""
    refused = []

    def another(trainer):
        if trainer.epoch == 1:
            for resume in (False, True):
                with pytest.raises(BlockingIOError, match=rf"is in use by process {os.getpid()}, which is this one"):
                    fit(make(tmp_path), resume=resume)
                refused.append(resume)
            assert snn.load(tmp_path / BEST).built and LOCK in names(tmp_path)
            with pytest.raises(BlockingIOError):
                make(tmp_path).restore(tmp_path / LAST)

    fit(make(tmp_path, on_batch=another))
    assert len(refused) == 6 and rows(tmp_path) == [1, 2, 3]
    assert names(tmp_path) == [BEST, LAST, METRICS]


def test_of_two_threads_one_is_refused(tmp_path):
    began, told = threading.Event(), threading.Event()

    def on_batch(trainer):
        began.set()
        assert told.wait(60)

    thread = threading.Thread(target=fit, args=(make(tmp_path, on_batch=on_batch),))
    thread.start()
    assert began.wait(60)
    with pytest.raises(BlockingIOError, match="is in use"):
        fit(make(tmp_path))
    told.set()
    thread.join()
    assert rows(tmp_path) == [1, 2, 3] and names(tmp_path) == [BEST, LAST, METRICS]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_exception_frees_the_folder(tmp_path, error):
    def on_batch(trainer):
        raise error

    with pytest.raises(error):
        fit(make(tmp_path, on_batch=on_batch))
    assert names(tmp_path) == [LAST, METRICS]
    assert len(fit(make(tmp_path))) == 3


def test_the_lock_can_be_held_for_longer(tmp_path):
    trainer = make(tmp_path)
    with trainer.lock:
        fit(trainer)
        with pytest.raises(BlockingIOError):
            fit(make(tmp_path))
    fit(make(tmp_path))
    with make().lock:  # without a folder
        pass


PAIRS = """if True:
    import json, os, sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from test_folder import fit, make, rows

    def wait(trainer):
        time.sleep(0.05)

    def both(folder, first, second, epochs=2):
        # how the two end that begin at the same moment, and the epochs in the file afterwards
        reader, writer = os.pipe()
        children = [os.fork() or child(folder, resume, reader, writer) for resume in (first, second)]
        os.close(writer)
        ends = sorted(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) for number in children)
        os.close(reader)
        return ends, rows(folder)

    def child(folder, resume, reader, writer):
        os.close(writer)
        try:
            trainer = make(folder, on_batch=wait)
            os.read(reader, 1)
            fit(trainer, 2, resume)
            os._exit(0)
        except BlockingIOError:
            os._exit(2)
        finally:
            os._exit(9)

    def split(folder, place):
        # a run whose process forks, and goes on in both
        ends = []
        def fork(trainer, metrics=None):
            if not ends and trainer.optimizer.steps >= 2:
                ends.append(os.fork())
        try:
            fit(make(folder, **{place: fork}), 2)
        except BlockingIOError as error:
            os._exit(2 if "that this one was forked from" in str(error) else 3)
        return os.waitstatus_to_exitcode(os.waitpid(ends[0], 0)[1]), rows(folder)

    out = Path(sys.argv[1])
    found = {}
    for name, *pair in (("starts", False, False), ("resumes", True, True), ("mixed", False, True)):
        found[name] = [both(out / f"{name}{k}", *pair) for k in range(3)]
    found["split"] = [split(out / place, place) for place in ("on_batch", "on_epoch")]
    print(json.dumps(found))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_of_two_processes_one_is_refused(tmp_path):
    """Two starts, two resumed runs, one of each, three times; and a process that forks in the middle of its run."""
    command = [sys.executable, "-c", PAIRS, str(tmp_path), os.path.dirname(__file__)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("split") == [[2, [1, 2]]] * 2
    assert found == {name: [[[0, 2], [1, 2]]] * 3 for name in ("starts", "resumes", "mixed")}


CONFIG = """[data]
file = "{store}"
[model]
architecture = "4"
steps = 2
norm = "none"
[training]
epochs = 2
device = "reference"
"""


@pytest.fixture
def command(tmp_path):
    """The arguments of `numsnn train` for a small run, and its folder."""
    x = np.random.default_rng(0).integers(0, 9, (40, 2, 2, 1)).astype(np.uint8)
    snn.data.save(tmp_path / "x.h5", train=snn.data.Dataset(x, np.arange(40) % 2))
    (tmp_path / "c.toml").write_text(CONFIG.replace("{store}", str(tmp_path / "x.h5")))
    return ["train", str(tmp_path / "c.toml"), "--out", str(tmp_path / "run"), "--quiet"], tmp_path / "run"


def test_the_command_says_who_uses_the_folder(command, capsys):
    arguments, folder = command
    folder.mkdir()
    with Lock(folder):
        for more in ([], ["--resume"]):
            assert cli.main(arguments + more) == 2
            error = capsys.readouterr().err
            assert error.startswith(f"numsnn: error: {folder} is in use by process {os.getpid()}, which is this one")
            assert "; wait until it ends, stop it, or choose another folder" in error and error.count("\n") == 1
    assert names(folder) == []


# --- leftovers and order ----------------------------------------------------------------------------------------------


def test_temporaries_of_killed_runs_are_removed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=60)
    for name in (f".last.h5.{process.pid}.tmp", f".report.html.{process.pid}-3.tmp", ".mine.tmp", "notes.txt"):
        (tmp_path / name).write_text("half")
    fit(make(tmp_path))
    assert names(tmp_path) == sorted([".mine.tmp", BEST, LAST, METRICS, "notes.txt"])


def test_a_run_that_continues_from_a_best_checkpoint_is_complete(tmp_path):
    """It holds the history with its own epoch and what schedule and callbacks have learned from it, so that the run
    ends in the same bits as without the interruption."""
    options = {"schedule": snn.schedules.Plateau(0.5, 1, min_delta=1.0)}

    def trainer_of(out, **more):
        return make(out, callbacks=[EarlyStopping(9), WeightAverage(0.5)], **options, **more)

    def keep(trainer):
        if trainer.batch == 1 and trainer.best.epoch == trainer.epoch > 0:
            (tmp_path / str(trainer.epoch)).mkdir()
            shutil.copy(tmp_path / "whole" / BEST, tmp_path / str(trainer.epoch) / LAST)

    fit(trainer_of(tmp_path / "whole", on_batch=keep), 5)
    kept = [path for path in tmp_path.iterdir() if path.name.isdigit()]
    assert kept
    for folder in kept:
        continued = fit(trainer_of(folder), 5)
        assert [row["epoch"] for row in continued] == rows(folder) == [1, 2, 3, 4, 5]
        assert same_checkpoint(folder / LAST, tmp_path / "whole" / LAST)


@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.parametrize("name", [METRICS, BEST, LAST])
def test_what_a_full_disk_did_not_take_is_written_by_the_next_fit(tmp_path, monkeypatch, name, epoch):
    whole = make(tmp_path / "whole")
    fit(whole)
    trainer = make(tmp_path / "full")
    failed = []

    save = trainer.save

    def full(wanted):
        if wanted and trainer.epoch == epoch and not failed:
            failed.append(True)
            raise OSError(28, "No space left on device")

    def full_or_save(path):
        full(path.name == name and not trainer.batch)
        save(path)

    monkeypatch.setattr(trainer, "save", full_or_save)
    monkeypatch.setattr(history, "os", SimpleNamespace(fsync=lambda file: full(name == METRICS)))
    with pytest.raises(OSError, match="No space left"):
        fit(trainer, resume=False)
    assert failed
    fit(trainer)
    assert whole.best.epoch == 3
    assert rows(tmp_path / "full") == [1, 2, 3] == [row["epoch"] for row in trainer.history]
    for file in (BEST, LAST):
        assert same_checkpoint(tmp_path / "whole" / file, tmp_path / "full" / file)


def test_a_best_epoch_that_other_settings_do_not_repeat(tmp_path, monkeypatch, capfd):
    """Killed between the two files of epoch 2: checkpoint.h5 holds epoch 2, and last.h5 says that epoch 1 is best."""
    trainer = make(tmp_path)
    save = trainer.save

    def killed(path):
        if trainer.epoch == 2 and path.name == LAST:
            raise Killed
        save(path)

    monkeypatch.setattr(trainer, "save", killed)
    with pytest.raises(Killed):
        fit(trainer)
    assert checkpoint.read(tmp_path / BEST)[2]["epoch"] == 2 and rows(tmp_path) == [1, 2]
    monkeypatch.undo()
    other = make(tmp_path, rate=1e-30)
    other.fit(DATA, DATA, 3, resume="changes", test=DATA)
    assert "the best epoch is chosen anew" in capfd.readouterr().out
    assert rows(tmp_path) == [1, 2, 3] and other.restore_best() == other.best.epoch > 1


# --- SIGTERM ----------------------------------------------------------------------------------------------------------


posix = pytest.mark.skipif(os.name != "posix", reason="sends SIGTERM to a process")


def terminate(times=1):
    """A function of a trainer that sends SIGTERM to this process in step 2."""

    def act(trainer):
        if trainer.optimizer.steps == 2:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGTERM)

    return act


@posix
@pytest.mark.parametrize("times", [1, 3])
def test_sigterm_saves_and_says_so(tmp_path, capsys, times):
    fit(make(tmp_path / "whole"))
    with pytest.raises(SystemExit) as ended:
        fit(make(tmp_path / "run", on_batch=terminate(times)))
    assert ended.value.code == 143 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    last = tmp_path / "run" / LAST
    assert capsys.readouterr().err == (f"stopped at epoch 1, batch 2; saved {last}, from which resume=True continues\n")
    assert checkpoint.read(last)[2]["batch"] == 2 and names(tmp_path / "run") == [LAST, METRICS]
    fit(make(tmp_path / "run"))
    for name in (LAST, BEST):
        assert same_checkpoint(tmp_path / "whole" / name, tmp_path / "run" / name)


@posix
def test_sigterm_in_the_last_epoch_ends_the_process_too(tmp_path):
    def act(trainer, metrics):
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit):
        fit(make(tmp_path, on_epoch=act), epochs=1)
    assert checkpoint.read(tmp_path / LAST)[2]["epoch"] == 1


@posix
def test_who_handles_sigterm_goes_on_to_do_so(tmp_path):
    got = []
    before = signal.signal(signal.SIGTERM, lambda *signal: got.append(signal))
    try:
        assert len(fit(make(tmp_path, on_batch=terminate()))) == 3 and len(got) == 1
    finally:
        signal.signal(signal.SIGTERM, before)


@posix
def test_the_command_ends_with_143(command, capsys, monkeypatch):
    arguments, folder = command
    build = experiment.build_trainer

    def built(*arguments):
        trainer = build(*arguments)
        trainer.on_batch = terminate()
        return trainer

    monkeypatch.setattr(experiment, "build_trainer", built)
    arguments += ["--epochs", "9"]
    assert cli.main(arguments) == 143
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["stopped", "continue:"]
    assert lines[1] == f"continue: numsnn train {arguments[1]} --out {folder} --resume"
    assert LOCK not in names(folder)
