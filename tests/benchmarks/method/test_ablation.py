"""The studies: one run of each kind, the log that a stopped study goes on with, and tables made from it."""

import functools
import json
from concurrent.futures import Future

import pytest

from benchmarks.method import ablation, evidence, pool, runs, studies
from benchmarks.method.runs import Run
from benchmarks.tasks import STUDY_TASKS, Task

TINY = Task("digits", train=40, test=20, architecture="4c3-p2-4c3", steps=2, epochs=1)


@pytest.fixture
def tiny(monkeypatch):
    """A small task, trained on the reference, for which nothing has to be compiled."""
    monkeypatch.setitem(STUDY_TASKS, "digits", TINY)
    monkeypatch.setattr(runs.snn, "Trainer", functools.partial(runs.snn.Trainer, device="reference"))


@pytest.fixture
def in_this_process(monkeypatch):
    """Runs one after the other, where what a test changed is seen."""

    class Pool:
        def __init__(self, jobs, mp_context):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def submit(self, function, *arguments):
            future = Future()
            future.set_result(function(*arguments))
            return future

    monkeypatch.setattr(pool, "ProcessPoolExecutor", Pool)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"learn": ()},
        {"learn": ("width", "threshold")},
        {"pda": "off", "norm": "none"},
        {"pda": "divergence"},
        {"pda": "target"},
        {"psg": {"lr": 0.1}, "steps": 3},
    ],
)
def test_a_run_does_what_its_settings_say(tiny, changes):
    run = Run("digits", seed=1, width=2.0, **changes)
    result = runs.train(run)
    assert 0 <= result["accuracy"] <= 1 and len(result["loss"]) == TINY.epochs
    assert result["accuracy"] == runs.train(run)["accuracy"]
    steps = run.steps or TINY.steps
    assert [len(layer["shift"]) for layer in result["layers"]] == [steps, steps]
    assert all((layer["uncorrected"] is not None) == (run.pda in ("shift", "target")) for layer in result["layers"])
    before, after = result["widths"]
    assert (before != after) == ("width" in run.learn)
    assert (set(result["thresholds"].values()) == {1.0}) == ("threshold" not in run.learn)


def test_settings_survive_json():
    run = Run("digits", learn=(), psg={"bounds": [0.5, 20.0]})
    again = Run.from_dict(json.loads(run.key()))
    assert again == run and again.key() == run.key()
    with pytest.raises(ValueError, match="unknown settings colour"):
        Run.from_dict({"task": "digits", "colour": "red"})


def test_a_study_goes_on_where_it_was_stopped(tiny, in_this_process, tmp_path, monkeypatch, capsys):
    def some(seed):
        return [Run("digits", seed, width=width, learn=learn) for width in (0.5, 2.0) for learn in ((), ("width",))]

    monkeypatch.setitem(ablation.STUDIES, "little", (some, 2))
    monkeypatch.setitem(ablation.STUDIES, "pictures", (lambda seed: [Run("mnist8k", seed)], 1))
    log = tmp_path / "little.jsonl"
    ablation.main(["little", "pictures", "--seeds", "1", "--out", str(tmp_path)])
    assert "pictures: left out, as it needs --mnist" in capsys.readouterr().err
    first = log.read_text()
    assert len(first.splitlines()) == 4
    log.write_text(first + '{"run": {"task": "dig')  # the machine stopped while the fifth was written
    ablation.main(["little", "--out", str(tmp_path)])
    lines = ablation.read(log)
    assert log.read_text().startswith(first) and len(lines) == 8
    assert len({Run.from_dict(line["run"]).key() for line in lines}) == 8
    assert {"commit", "version", "processor"} <= set(lines[0]["by"])
    before = log.read_text()
    ablation.main(["little", "--out", str(tmp_path)])
    assert log.read_text() == before


@pytest.mark.parametrize("arguments", [["no-such-study"], ["--jobs", "0"], ["--seeds", "-1"]])
def test_bad_options_are_refused(arguments):
    with pytest.raises(SystemExit):
        ablation.main(arguments)


def test_every_study_has_runs_of_known_tasks():
    for study, (runs_of, _) in studies.STUDIES.items():
        every = [run for seed in (0, 1) for run in runs_of(seed)]
        assert len({run.key() for run in every}) == len(every), study
        for run in every:
            task = STUDY_TASKS[run.task]
            if not task.recipe:
                runs.network(run, (7,) if task.recurrent else (8, 8, 1))


def test_tables_are_put_where_they_are_named():
    text = "a\n<!-- table: one -->\nold\n<!-- end -->\nb\n<!-- table: two -->\n<!-- end -->\n"
    done = evidence.filled(text, {"one": "|1|", "two": "|2|"})
    assert done == ("a\n<!-- table: one -->\n\n|1|\n\n<!-- end -->\nb\n<!-- table: two -->\n\n|2|\n\n<!-- end -->\n")
    assert evidence.filled(done, {"one": "|1|", "two": "|2|"}) == done
    with pytest.raises(KeyError):
        evidence.filled(text, {"one": ""})


def test_the_tables_in_results_are_those_of_the_logs():
    """Nothing stands in RESULTS.md that the committed logs do not give."""
    text = evidence.RESULTS.read_text()
    assert evidence.filled(text, evidence.all_tables(evidence.logs_in())) == text
    tables = [line for line in text.splitlines() if line.startswith("|--")]
    assert len(tables) == text.count("<!-- table: ")
