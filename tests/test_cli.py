"""The command line, as a user meets it: every command, every message, and what it leaves in the folder."""

import io
import json
import os
import subprocess
import sys

import numba
import pytest

import numsnn as snn
from numsnn import cli, data, experiment
from numsnn.machine_code import KERNELS

SMALL = """
[model]
architecture = "8c3-p2-d0.3"
steps = 3
[training]
epochs = 2
optimizer = "adamw"
lr = 1e-2
"""


@pytest.fixture
def few_digits(monkeypatch):
    """Two hundred digits, so that a run takes a second."""
    train, test = data.load("digits")
    monkeypatch.setattr(data, "load", lambda name, **options: (train.select(range(200)), test.select(range(60))))


@pytest.fixture
def run_folder(few_digits, tmp_path, capsys):
    """A finished run."""
    (tmp_path / "small.toml").write_text(SMALL)
    assert cli.main(["train", str(tmp_path / "small.toml"), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    return tmp_path / "run"


def test_train_leaves_a_complete_folder(run_folder, capsys):
    names = {path.name for path in run_folder.iterdir()}
    assert names >= {"config.toml", "metrics.jsonl", "checkpoint.h5", "last.h5"}
    assert names >= {"start.json", "end.json", "report.html"}
    assert {"learning_curves.png", "potentials.png", "widths.png", "shift.png", "raster.png", "confusion.png"} <= names
    assert not [name for name in names if name.startswith(".")]
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2] and 0 <= lines[-1]["valid_accuracy"] <= 1


def test_what_train_prints(run_folder, capsys):
    shown = capsys.readouterr().out
    history = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    best = max(history, key=lambda line: (line["valid_accuracy"], -line["valid_loss"]))
    chosen = f"valid loss {best['valid_loss']:.4f}, valid accuracy {best['valid_accuracy']:.4f}"
    assert f"best epoch {best['epoch']} of 2: {chosen} ({run_folder / 'checkpoint.h5'})" in shown
    assert "test, told once: loss " in shown and f"report: {run_folder / 'report.html'}" in shown


def test_the_kept_configuration_repeats_the_run(run_folder, tmp_path):
    again = tmp_path / "again"
    assert cli.main(["train", str(run_folder / "config.toml"), "--out", str(again), "--quiet"]) == 0
    first, second = (json.loads((folder / "end.json").read_text()) for folder in (run_folder, again))
    assert first == second


def test_resume_of_a_finished_run_reports_again(run_folder, capsys):
    (run_folder / "report.html").unlink()
    assert cli.main(["train", "digits", "--out", str(run_folder), "--resume", "--quiet"]) == 0
    assert (run_folder / "report.html").exists()
    assert "of 2: valid loss" in capsys.readouterr().out


def test_a_run_is_not_overwritten(run_folder, capsys):
    before = (run_folder / "last.h5").read_bytes()
    assert cli.main(["train", "digits", "--out", str(run_folder), "--quiet"]) == 2
    assert "already holds a run; continue it with --resume, or choose another --out" in capsys.readouterr().err
    assert (run_folder / "last.h5").read_bytes() == before


def test_resume_can_make_a_run_longer(run_folder, capsys):
    assert cli.main(["train", "digits", "--out", str(run_folder), "--resume", "--epochs", "3", "--quiet"]) == 0
    assert len((run_folder / "metrics.jsonl").read_text().splitlines()) == 3
    assert "epochs = 3" in (run_folder / "config.toml").read_text()
    assert cli.main(["train", "digits", "--out", str(run_folder), "--resume", "--epochs", "1", "--quiet"]) == 2
    assert "the run has 3 epochs already; got epochs=1" in capsys.readouterr().err


def test_resume_with_other_settings(few_digits, tmp_path, capsys):
    file, out = tmp_path / "small.toml", tmp_path / "run"
    file.write_text(SMALL)
    arguments = ["train", str(file), "--out", str(out)]
    assert cli.main([*arguments, "--quiet"]) == 0
    capsys.readouterr()
    assert cli.main([*arguments, "--resume", "--seed", "5", "--quiet"]) == 2
    assert "it cannot continue with 5. --changes continues with another one" in capsys.readouterr().err
    file.write_text(SMALL.replace("lr = 1e-2", "lr = 0.5"))
    assert cli.main([*arguments, "--resume", "--changes"]) == 0
    assert "optimizer changes from" in capsys.readouterr().out and "lr = 0.5" in (out / "config.toml").read_text()
    assert cli.main([*arguments, "--changes", "--quiet"]) == 2
    assert "--changes needs --resume" in capsys.readouterr().err


def test_edits_that_a_resumed_run_does_not_take_are_named(run_folder, tmp_path, capsys):
    toml = tmp_path / "small.toml"
    toml.write_text(SMALL.replace("epochs = 2", "epochs = 3").replace("lr = 1e-2", "lr = 2e-2"))
    assert cli.main(["train", str(toml), "--out", str(run_folder), "--resume", "--quiet"]) == 0
    told = f"{toml} differs from the run's config.toml, which goes on: training.epochs, training.lr; --changes takes"
    assert told in capsys.readouterr().out
    assert cli.main(["train", str(toml), "--out", str(run_folder), "--resume", "--changes", "--quiet"]) == 0
    assert "differs" not in capsys.readouterr().out
    assert len((run_folder / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_run_that_early_stopping_ended_says_so_and_goes_on(few_digits, tmp_path, capsys):
    toml, out = tmp_path / "small.toml", str(tmp_path / "run")
    text = SMALL.replace("epochs = 2", "epochs = 9\nearly_stopping = 1").replace("lr = 1e-2", "lr = 1e-9")
    toml.write_text(text)
    assert cli.main(["train", str(toml), "--out", out, "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert " of 9; early_stopping = 0 and --changes go on" in shown
    last = int(shown.split("after epoch ")[1].split()[0])
    toml.write_text(
        text.replace("early_stopping = 1", "early_stopping = 0").replace("epochs = 9", f"epochs = {last + 1}")
    )
    assert cli.main(["train", str(toml), "--out", out, "--resume", "--changes", "--quiet"]) == 0
    assert "ended by" not in capsys.readouterr().out
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == last + 1


def test_options_override_the_file(few_digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    arguments = ["train", "small.toml", "--epochs", "1", "--seed", "7", "--device", "reference", "--quiet"]
    assert cli.main(arguments) == 0 and cli.main(arguments) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["small", "small-2"]
    kept = (tmp_path / "runs" / "small" / "config.toml").read_text()
    assert "epochs = 1" in kept and "seed = 7" in kept and 'device = "reference"' in kept


def test_eval_and_diagnose(run_folder, capsys):
    capsys.readouterr()
    assert cli.main(["eval", str(run_folder / "checkpoint.h5"), "digits"]) == 0
    assert "test, 60 samples: loss " in capsys.readouterr().out
    assert cli.main(["eval", str(run_folder / "checkpoint.h5"), "--part", "valid"]) == 0
    best = max(json.loads(line)["valid_accuracy"] for line in (run_folder / "metrics.jsonl").read_text().splitlines())
    shown = capsys.readouterr().out
    assert "valid, 20 samples: loss " in shown and f"accuracy {best:.4f}" in shown
    assert cli.main(["eval", str(run_folder / "checkpoint.h5"), "digits", "--part", "tset"]) == 2
    message = "--part must be one of 'train', 'test', 'valid'; got 'tset'. Did you mean 'test'?"
    assert message in capsys.readouterr().err
    assert cli.main(["diagnose", str(run_folder / "last.h5"), "--samples", "20"]) == 0
    shown = capsys.readouterr().out
    assert "lif1" in shown and "undesired" in shown and "gradient" in shown
    assert cli.main(["diagnose", str(run_folder / "last.h5"), str(run_folder / "config.toml")]) == 0


def test_the_device_that_is_asked_for(tmp_path, monkeypatch):
    net = snn.Sequential(snn.Repeat(2, snn.Flatten(), snn.Linear(64, 8)), snn.LIF(), snn.Linear(8, 10))
    snn.save(net.to("reference").build((4, 8, 8, 1)), tmp_path / "net.h5")
    used = []
    monkeypatch.setattr(snn.diagnostics, "diagnose", lambda net, *rest: used.append(net.device))
    monkeypatch.setattr(snn.Trainer, "evaluate", lambda trainer, part: used.append(trainer.net.device) or exit())
    assert cli.main(["diagnose", str(tmp_path / "net.h5"), "digits", "--device", "reference"]) == 0
    with pytest.raises(SystemExit):
        cli.main(["eval", str(tmp_path / "net.h5"), "digits", "--device", "reference"])
    assert used == ["reference", "reference"]


def test_a_store_with_a_validation_part(tmp_path, capsys):
    """Its part valid chooses the epoch; eval takes the store and any of its parts."""
    train, test = data.load("digits")
    store, out = tmp_path / "mine.h5", tmp_path / "run"
    data.save(store, train=train.select(range(96)), valid=train.select(range(100, 150)), test=test.select(range(40)))
    (tmp_path / "small.toml").write_text(f'[data]\nfile = "{store}"\n{SMALL}')
    assert cli.main(["train", str(tmp_path / "small.toml"), "--out", str(out), "--quiet"]) == 0
    told = capsys.readouterr().out
    best = max(json.loads(line)["valid_accuracy"] for line in (out / "metrics.jsonl").read_text().splitlines())
    assert f"valid accuracy {best:.4f}" in told
    for part, samples in (("valid", 50), ("test", 40), ("train", 96)):
        assert cli.main(["eval", str(out / "checkpoint.h5"), str(store), "--part", part]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith(f"{part}, {samples} samples: loss ")
        assert part != "valid" or f"accuracy {best:.4f}" in shown
        assert part != "test" or shown.split(": ")[1].split(";")[0] in told
    (out / "config.toml").write_text(f'[data]\nname = "mnist"\ndir = "raw"\n{SMALL}')  # the store takes their place
    assert cli.main(["eval", str(out / "checkpoint.h5"), str(store)]) == 0
    assert capsys.readouterr().out.startswith("test, 40 samples: loss ")
    for command in (["eval", str(out / "checkpoint.h5"), str(store)], ["show", str(store)]):
        assert cli.main([*command, "--data", "raw"]) == 2
        assert f"data.dir: the store {str(store)!r} takes its place; got 'raw'" in capsys.readouterr().err


def test_without_matplotlib_training_works_and_says_what_is_missing(few_digits, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(experiment, "find_spec", lambda name: None)
    (tmp_path / "small.toml").write_text(SMALL)
    assert cli.main(["train", str(tmp_path / "small.toml"), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    assert 'are no pictures; install it with: pip install "numsnn[plot]"' in capsys.readouterr().out
    assert (tmp_path / "run" / "checkpoint.h5").exists()


def test_a_terminal_that_is_not_utf_8(few_digits, tmp_path, monkeypatch):
    """A character that it lacks is an escape there, and no error after the training."""
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    (tmp_path / "grün.toml").write_text(SMALL)
    out = tmp_path / "grün"
    assert cli.main(["train", str(tmp_path / "grün.toml"), "--out", str(out), "--quiet"]) == 0
    assert cli.main(["diagnose", str(out / "checkpoint.h5"), "--samples", "20"]) == 0
    shown = stream.buffer.getvalue().decode("ascii")
    assert "gr\\xfcn/report.html" in shown
    assert " +- " in shown and "undesired" in shown


def test_ctrl_c_says_how_to_go_on(few_digits, tmp_path, capsys, monkeypatch):
    import os
    import signal

    from numsnn.training.batch_step import BatchStep

    step = BatchStep.run

    def step_and_press(self, *arguments):
        found = step(self, *arguments)
        os.kill(os.getpid(), signal.SIGINT)
        return found

    monkeypatch.setattr(BatchStep, "run", step_and_press)
    (tmp_path / "small.toml").write_text(SMALL)
    out = str(tmp_path / "run")
    assert cli.main(["train", str(tmp_path / "small.toml"), "--out", out, "--quiet"]) == 130
    shown = capsys.readouterr().err
    assert "stopped at epoch 1, batch 1; saved" in shown and f"--out {out} --resume" in shown
    monkeypatch.setattr(BatchStep, "run", step)
    assert cli.main(["train", str(tmp_path / "small.toml"), "--out", out, "--resume", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "digts"], "'digits', 'mnist', or a TOML file; got 'digts'. Did you mean 'digits'?"),
        (["train", "none.toml"], "none.toml: no such configuration"),
        (["train", "digits", "--epochs", "0"], "epochs must be a whole number of at least 1; got 0"),
        (
            ["train", "digits", "--threads", "-2"],
            "must be a whole number of at least 1 and at most 1024; got -2",
        ),
        (["train", "mnist"], "option 'dir' is missing; set data.dir in the configuration, or use --data FOLDER"),
        (["train", "mnist", "--data", "nowhere"], "nowhere"),
        (["train", "digits", "--data", "x"], "'digits' takes no folder, because it is part of the package; got 'x'\n"),
        (["eval", "none.h5", "digits"], "none.h5: no such checkpoint"),
        (["eval", ".", "digits"], ". is no checkpoint; name a file such as checkpoint.h5"),
        (["eval", "runs/mine.toml"], "runs/mine.toml is no checkpoint; name a file such as runs/checkpoint.h5"),
    ],
)
def test_errors_are_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("numsnn: error: ") and message in shown and shown.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('[model]\nreset = "never"', "model.reset must be one of 'hard', 'soft', 'delayed', 'none'; got 'never'"),
        ('[model]\nneuron = "lfi"', "model.neuron must be one of 'if', 'lif', 'plif', 'alif', 'cubalif'; got 'lfi'"),
        ("[model]\ntau = 0.5", "tau must be at least 1 (steps); got 0.5"),
        ("[model]\nv_threshold = -1", "v_threshold must be positive; got -1"),
        ("[model]\nsteps = 0", "steps must be a whole number of at least 1; got 0"),
        ("[method]\nwidth = -1.0", "width must be positive; got -1"),
        ('[method]\nsurrogate = "triangel"', "; got 'triangel'. Did you mean 'triangle'?"),
        ('[training]\nloss = "msee"', "training.loss must be one of 'rate', 'tet', "),
        ('[training]\noptimizer = "lion"', "training.optimizer must be one of"),
        ('[training]\nschedule = "linear"', "training.schedule must be one of"),
        ('[data]\nname = "digit"', "Did you mean 'digits'"),
    ],
)
def test_bad_values_in_a_file(line, message, tmp_path, capsys):
    (tmp_path / "bad.toml").write_text(line)
    assert cli.main(["train", str(tmp_path / "bad.toml"), "--out", str(tmp_path / "run"), "--quiet"]) == 2
    assert message in capsys.readouterr().err


def test_info(capsys):
    assert cli.main(["info"]) == 0
    shown = capsys.readouterr().out
    for word in ("numsnn", "numba", "threads", "processor", "registers", "CUDA", "Numba cache"):
        assert word in shown


def test_info_names_every_folder_with_machine_code(monkeypatch, capsys):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    assert cli.main(["info"]) == 0
    shown = capsys.readouterr().out
    folders = {kernel._cache.cache_path for kernel in KERNELS}
    assert len(folders) > 1 and all(folder in shown for folder in folders)


def test_module_and_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out.startswith("numsnn 0.")


def closed(*arguments, errors=False):
    """Run the command with an output that nobody reads; return its exit status and what it says to standard error."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, "-m", "numsnn", *arguments]
        done = subprocess.run(command, stdout=writer, stderr=writer if errors else subprocess.PIPE)
    finally:
        os.close(writer)
    return done.returncode, (done.stderr or b"").decode()


def test_a_reader_that_has_ended(tmp_path):
    """``numsnn info | head -1`` is no error; an error stays one if nobody reads it."""
    assert closed("info") == (0, "")
    assert closed("info", errors=True) == (0, "")
    assert closed("eval", "nothing.h5") == (2, "numsnn: error: nothing.h5: no such checkpoint\n")
    assert closed("eval", "nothing.h5", errors=True) == (2, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes among its files")
@pytest.mark.parametrize("command", [["train"], ["show"], ["eval", "net.h5"]], ids=" ".join)
def test_a_configuration_that_is_a_pipe(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("numsnn.training.load", lambda path, device: None)
    os.mkfifo(tmp_path / "a.toml")
    assert cli.main([*command, str(tmp_path / "a.toml")]) == 2
    assert capsys.readouterr().err == f"numsnn: error: {tmp_path / 'a.toml'} is a named pipe; expected a file\n"


def test_a_damaged_diagnosis_of_the_start(run_folder, capsys):
    (run_folder / "start.json").write_text('{"layers": 3}')
    command = ["train", str(run_folder / "config.toml"), "--out", str(run_folder), "--resume", "--quiet"]
    assert cli.main([*command, "--epochs", "3"]) == 2
    said = capsys.readouterr().err
    assert "start.json: damaged: " in said and "Remove it, and the run goes on without" in said
    (run_folder / "start.json").unlink()
    assert cli.main([*command, "--epochs", "3"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "digits", "--epochs", "abc"],
            "--epochs must be a whole number of at least 1; got ",
        ),
        (
            ["train", "digits", "--epochs", "0"],
            "--epochs must be a whole number of at least 1; got ",
        ),
        (["train", "digits", "--seed", "-1"], "--seed must be a whole number of at least 0; got "),
        (
            ["train", "digits", "--threads", "9999"],
            "--threads must be a whole number of at least 1",
        ),
        (["train", "digits", "--device", "gpu"], "--device: invalid choice: 'gpu'"),
        (["diagnose", "x.h5", "--samples", "1e3"], "--samples must be a whole number"),
        (["show", "digits", "--index", "a\nb"], "--index must be a whole number"),
        (["train"], "the following arguments are required: NAME|CONFIG.toml"),
        (["trian"], "COMMAND: invalid choice: 'trian'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_flags_that_are_refused(capsys, arguments, message):
    """One line says what is wrong, and where all arguments are listed."""
    assert cli.main(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("numsnn: error: ") and shown.count("\n") == 1
    assert message in shown and shown.rstrip().endswith("--help")


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (KeyError("there is no 'x'"), "there is no 'x'"),
        (IndexError("no sample 3"), "no sample 3"),
        (MemoryError("Unable to allocate 7 TiB"), "there is not enough memory: Unable to allocate 7 TiB"),
        (ValueError("two\nlines"), "two lines"),
    ],
)
def test_every_error_is_one_line(capsys, monkeypatch, raised, message):
    def fail(options):
        raise raised

    monkeypatch.setattr(cli, "_info", fail)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == f"numsnn: error: {message}\n"
