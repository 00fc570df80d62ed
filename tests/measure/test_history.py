"""The history of `numsnn bench`: what a line holds, that no file is spoiled, what is refused, and the picture."""

import json
import os
import subprocess
import sys
import threading

import pytest

from numsnn import cli
from numsnn.locks import Lock
from numsnn.measure import history, host
from numsnn.measure.workloads import Workload, operations, workloads

TIMES = {"min": 1.0, "max": 3.0, "count": 3}

RESULTS = {
    "quick": False,
    "surrogate": "arctan",
    "threads": 2,
    "machine": {"processor": "X", "cores": 2, "system": "S", "python": "3", "load": [0.1], "registers": "32"},
    "workloads": [
        {
            "name": "vgg",
            "operations": 600,
            "product": 100.0,
            "passes": {"train": TIMES | {"median": 4.0}, "infer": TIMES | {"median": 3.0}},
        },
        {"name": "one", "operations": 600, "product": 300.0, "passes": {"infer": TIMES | {"median": 1.0}}},
    ],
    "layers": [
        {"name": "conv", "density": d, "operations": 10, "product": 1.0, "passes": {"weight_gradient": {"median": m}}}
        for d, m in ((0.05, 1.0), (1.0, 4.0))
    ],
    "neurons": {
        "copy": {"gigabytes_per_second": 50.0, "share_of_copy": 1.0},
        "LIF forward": {"gigabytes_per_second": 40.0, "share_of_copy": 0.8},
    },
}


def made(**changes):
    """An entry, with other values under some keys."""
    return history.entry(RESULTS) | changes


def written(path, *entries):
    path.write_text("".join(f"{json.dumps(one)}\n" for one in entries))
    return path


# --- an entry --------------------------------------------------------------------------------------------------------


def test_an_entry_holds_ratios():
    """A training step counts as three forward passes, and layers are shown by their geometric mean."""
    found = made()
    assert found["workloads"] == {"vgg": {"train": 4.5, "infer": 2.0}, "one": {"infer": 2.0}}
    assert found["layers"] == {"conv 5%": {"weight_gradient": 10.0}, "conv 100%": {"weight_gradient": 2.5}}
    assert found["neurons"] == {"LIF forward": 0.8} and found["copy"] == 50e9
    assert found["product"] == (100 + 300 + 1 + 1) / 4
    shown = history.ratios(found)
    assert shown["training"] == {"vgg": 4.5} and shown["inference"] == {"vgg": 2.0, "one": 2.0}
    assert shown["layers"] == {"weight gradient": pytest.approx(5.0)} and shown["neurons"] == {"LIF forward": 0.8}


def test_what_was_not_measured_is_not_there():
    found = history.entry(RESULTS | {"workloads": [], "layers": [], "neurons": {}})
    assert found["product"] is None and found["copy"] is None and not any(history.ratios(found).values())


@pytest.mark.parametrize(
    ("layers", "shape", "expected"),
    [
        ((("conv", 2, 4, 3, 1, 1), ("pool", 2), ("conv", 4, 6, 3, 2, 1)), (2, 3, 8, 8, 2), 6 * 2 * (4608 + 864)),
        ((("linear", 5, 7, 1.0, True), ("recurrent", 7, 2.0, 1.0)), (4, 1, 5), 4 * 2 * (35 + 49)),
        ((("residual", (("conv", 2, 3, 1, 2, 0),), (("conv", 2, 3, 1, 2, 0),)), ("global_pool",)), (1, 1, 4, 4, 2), 96),
    ],
)
def test_operations_of_a_workload(layers, shape, expected):
    assert operations(Workload("w", layers, shape)) == expected


def test_operations_are_those_of_the_dense_layers():
    """The size that reaches the readout is the one that its weights were made for."""
    small = workloads()["small"]
    per_sample = 2 * 9 * (28 * 28 * 32 + 14 * 14 * 32 * 64) + 2 * 7 * 7 * 64 * 10
    assert operations(small) == 8 * 64 * per_sample


def test_the_commit(tmp_path):
    """That of the checkout that a folder belongs to; none outside of one, and for files that Git does not track."""
    assert host.commit(tmp_path) is None
    git = ["git", "-c", "user.name=n", "-c", "user.email=e"]
    package = tmp_path / "package"
    package.mkdir()
    (package / "module.py").write_text("1")
    run = {"cwd": tmp_path, "check": True, "capture_output": True, "text": True}
    try:
        subprocess.run([*git, "init", "-q"], **run)
    except FileNotFoundError:
        pytest.skip("Git is not installed")
    (tmp_path / "other.py").write_text("1")
    subprocess.run([*git, "add", "other.py"], **run)
    subprocess.run([*git, "commit", "-qm", "one"], **run)
    assert host.commit(package) is None  # an installed package within another checkout
    subprocess.run([*git, "add", "."], **run)
    subprocess.run([*git, "commit", "-qm", "two"], **run)
    head = subprocess.run([*git, "rev-parse", "HEAD"], **run).stdout[:12]
    assert host.commit(package) == head
    (package / "module.py").write_text("2")
    assert host.commit(package) == f"{head}-dirty"


def test_a_hook_of_git_does_not_lead_to_another_checkout(tmp_path, monkeypatch):
    before = host.commit()
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert host.commit() == before


# --- the file --------------------------------------------------------------------------------------------------------


def test_entries_come_back_in_order(tmp_path):
    path = tmp_path / "h.jsonl"
    assert history.read(path) == []
    first, second = made(), made(commit=None)
    assert history.append(path, first) == [first]
    assert history.append(path, second) == [first, second] == history.read(path)
    assert path.read_text() == f"{json.dumps(first)}\n{json.dumps(second)}\n"
    assert os.listdir(tmp_path) == ["h.jsonl"]


def test_an_editor_may_leave_no_or_more_ends_of_lines(tmp_path):
    path, one = tmp_path / "h.jsonl", made()
    path.write_text(f"\n{json.dumps(one)}")
    assert len(history.append(path, one)) == len(history.read(path)) == 2


KILLED = """
import os, signal, sys
from pathlib import Path
from numsnn.measure import history
os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)
path = Path(sys.argv[1])
history.append(path, history.read(path)[0])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no SIGKILL")
def test_a_run_that_is_killed_while_it_writes_spoils_nothing(tmp_path):
    """The file is as it was, and the next run adds its entry and leaves nothing else in the folder."""
    path = written(tmp_path / "h.jsonl", made())
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert done.returncode == -9 and path.read_bytes() == before and len(os.listdir(tmp_path)) > 1
    assert len(history.append(path, made())) == 2
    assert os.listdir(tmp_path) == ["h.jsonl"]


def test_runs_that_end_together_add_an_entry_each(tmp_path):
    path = tmp_path / "h.jsonl"
    running = [threading.Thread(target=history.append, args=(path, made(threads=n + 1))) for n in range(6)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert sorted(one["threads"] for one in history.read(path)) == [1, 2, 3, 4, 5, 6]


def test_a_lock_that_stays_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "_PATIENCE", 0.2)
    path = written(tmp_path / "h.jsonl", made())
    with Lock(path), pytest.raises(BlockingIOError, match="is in use"):
        _in_a_thread(lambda: history.append(path, made()))
    assert len(history.read(path)) == 1


def _in_a_thread(call):
    """Call in another thread, and raise its error here."""
    errors = []

    def run():
        try:
            call()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def test_a_link_is_followed(tmp_path):
    real = written(tmp_path / "real.jsonl", made())
    (tmp_path / "link.jsonl").symlink_to(real)
    history.append(tmp_path / "link.jsonl", made())
    assert (tmp_path / "link.jsonl").is_symlink() and len(history.read(real)) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", "line 2 is no entry of a history of numsnn bench: not JSON"),
        (json.dumps(made())[:-30], "line 2 is no entry of a history of numsnn bench: not JSON"),
        ("[1, 2]", r"line 2 is no entry of a history of numsnn bench; got \[1, 2\]"),
        ('{"epoch": 1}', "line 2 is no entry of a history of numsnn bench; got {'epoch': 1}"),
        (json.dumps(made(form=2)), r"line 2 has form 2; numsnn .* reads form 1"),
        (json.dumps(made(date="yesterday")), "line 2: 'date' is not what numsnn bench writes; got 'yesterday'"),
        (json.dumps(made(date=5)), "line 2: 'date' is not what"),
        (json.dumps(made(threads=True)), "line 2: 'threads' is not what numsnn bench writes; got True"),
        (json.dumps(made(commit=["a"])), "line 2: 'commit' is not what"),
        (json.dumps(made(version="\x1b[31m")), "line 2: 'version' is not what"),
        (json.dumps(made(machine={"processor": "X"})), "line 2: 'machine' is not what"),
        (json.dumps(made(workloads={"vgg": 2.0})), "line 2: 'workloads' is not what"),
        (json.dumps(made(neurons={"LIF": 0})), "line 2: 'neurons' is not what"),
        (json.dumps(made(neurons={"LIF": float("nan")})), "line 2 is no entry of a history of numsnn bench: not JSON"),
        (json.dumps({k: v for k, v in made().items() if k != "quick"}), "line 2: 'quick' .*; got nothing"),
    ],
)
def test_another_line_is_refused_and_stays(tmp_path, line, message):
    path = written(tmp_path / "h.jsonl", made())
    path.write_text(f"{path.read_text()}{line}\n")
    before = path.read_bytes()
    for act in (lambda: history.read(path), lambda: history.append(path, made())):
        with pytest.raises(ValueError, match=message) as told:
            act()
        assert "\n" not in str(told.value) and str(path) in str(told.value)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["h.jsonl"]


def test_another_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"\x89HDF\r\n\xff\xfe")
    with pytest.raises(ValueError, match=r"weights.h5 is no history of numsnn bench: it is not a text"):
        history.read(path)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        history.read(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        history.read(tmp_path / "nowhere" / "h.jsonl")
    monkeypatch.setattr(history, "LARGEST", 5)
    with pytest.raises(ValueError, match="it is larger than"):
        history.read(path)


# --- what it shows ---------------------------------------------------------------------------------------------------


def test_the_last_entry_beside_the_one_before_it():
    """Entries of another machine, other threads or another surrogate are not compared."""
    old, new = made(commit="0123456789ab", date="2030-01-02T03:04:05+00:00"), made(commit="fedcba987654-dirty")
    new = new | {"workloads": {"vgg": {"train": 9.0}, "new": {"infer": 1.0}}}
    others = made(threads=1), made(surrogate="triangle"), made(quick=True), made(machine={"processor": "Y", "cores": 2})
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in history.beside([old, *others, new]).split("\n")
    ]
    assert rows[0] == ["ratio to a matrix product or copy", "fedcba9*", "0123456, 2030-01-02", "now / before"]
    assert rows[2] == ["training steps: vgg", "9", "4.5", "2.00"]
    assert rows[3] == ["inference: new", "1", "", ""]
    assert rows[-1] == ["neuron kernel: LIF forward", "0.8", "0.8", "1.00"]
    alone = history.beside([*others, new]).split("\n")
    assert "before" in alone[0] and "9 |" in alone[2] and "4.5" not in alone[2]


def test_the_label_of_an_installed_version():
    assert history.label(made(commit=None, version="0.3")) == "0.3"


def panels_of(entries, path, monkeypatch):
    """Title -> name -> values of the lines that `draw` makes."""
    from numsnn.diagnostics import figures
    from numsnn.measure import history_plot

    kept = []
    legend = figures.legend
    monkeypatch.setattr(figures, "legend", lambda figure, *panels: kept.extend(panels) or legend(figure, *panels))
    history_plot.draw(entries, path)
    return {p.get_title(loc="left"): {x.get_label(): list(x.get_ydata()) for x in p.get_lines()} for p in kept}, kept


def test_the_picture(tmp_path, monkeypatch):
    """One row of panels per setting; what an entry lacks is a gap."""
    pytest.importorskip("matplotlib", reason="matplotlib is missing")
    other = made(machine={"processor": "Y", "cores": 64}, neurons={})
    lacking = made()
    del lacking["workloads"]["vgg"]
    found, panels = panels_of([made(), lacking, other, made()], tmp_path / "h.png", monkeypatch)
    assert (tmp_path / "h.png").read_bytes().startswith(b"\x89PNG")
    titles = [title.split("\n") for title in found]
    assert [where for _, where in titles] == ["X, 2 of 2 cores, arctan"] * 4 + ["Y, 2 of 64 cores, arctan"] * 3
    vgg = found["training steps, to a matrix product\nX, 2 of 2 cores, arctan"]["vgg"]
    assert vgg[0] == vgg[2] == 4.5 and vgg[1] != vgg[1]
    assert [text.get_text() for text in panels[0].get_xticklabels()] == [history.label(made())] * 3


def test_many_entries_have_few_ticks(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is missing")
    _, panels = panels_of([made()] * 100, tmp_path / "h.svg", monkeypatch)
    ticks = panels[0].get_xticks()
    assert len(ticks) <= 12 and ticks[-1] == 99


# --- as a user meets it ----------------------------------------------------------------------------------------------


def test_two_runs(tmp_path, monkeypatch, capsys):
    """Each adds a line; the table shows the second beside the first, and the picture is drawn."""
    pytest.importorskip("matplotlib", reason="matplotlib is missing")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert cli.main(["bench", "--quick", "--only", "fc", "neurons", "--history", "h.jsonl", "--plot", "h.png"]) == 0
    shown = capsys.readouterr().out
    assert "h.jsonl, entry 1:" in shown and "h.jsonl, entry 2:" in shown and shown.endswith("h.png\n")
    found = history.read("h.jsonl")
    assert [set(one["workloads"]["fc"]) for one in found] == [{"train", "infer"}] * 2 and found[0]["quick"]
    assert (tmp_path / "h.png").stat().st_size > 10_000
    assert cli.main(["bench", "--history", "h.jsonl", "--plot", "again.svg", "--no-run"]) == 0
    assert "h.jsonl, entry 2:" in capsys.readouterr().out and (tmp_path / "again.svg").exists()
    assert len(history.read("h.jsonl")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "h.png"], "--plot needs --history FILE, which it shows"),
        (["--no-run"], "--no-run needs --history FILE, which it shows"),
        (["--history", "h.jsonl", "--no-run"], "h.jsonl has no entries; numsnn bench --history h.jsonl adds one"),
        (["--history", "bad.jsonl"], "bad.jsonl, line 1 is no entry of a history of numsnn bench: not JSON"),
        (["--history", "nowhere/h.jsonl"], "nowhere is no folder; the history nowhere/h.jsonl cannot be written there"),
        (["--history", "h.jsonl", "--plot", "h.mp3"], "plots: the ending of path must be one of"),
    ],
)
def test_errors_are_one_line_and_come_before_the_work(arguments, message, tmp_path, monkeypatch, capsys):
    from numsnn.measure import command

    if "h.mp3" in arguments:
        pytest.importorskip("matplotlib", reason="matplotlib is missing")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "run", None)
    (tmp_path / "bad.jsonl").write_text("hello\n")
    assert cli.main(["bench", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert os.listdir(tmp_path) == ["bad.jsonl"]


def test_without_matplotlib(tmp_path, monkeypatch, capsys):
    from numsnn.measure import command

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(command, "run", None)
    arguments = ["bench", "--history", str(tmp_path / "h.jsonl"), "--plot", str(tmp_path / "h.png")]
    assert cli.main(arguments) == 2 and "matplotlib is missing" in capsys.readouterr().err
