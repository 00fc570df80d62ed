"""Candidates for the method meet on equal terms: the same networks, epochs, schedules and seeds for all.

    python -m benchmarks.method.tournament [--stage choose | final] [--tasks T ...] [--candidates C ...] [--seeds N]
                                           --mnist FOLDER --cifar FILE --events FILE [--jobs 2]

In the stage "choose", a network is judged by the validation part, which is cut from the training data. In the stage
"final", other seeds are used, and the test part is told as well; it is meant for the candidates that have been chosen.
Every run is one line of results/tournament/STAGE.jsonl; runs that are there are not run again. --table prints the means
and, beside a candidate, the mean difference from another one by the same seeds, with its standard error.
"""

import argparse
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

import numsnn as snn
from numsnn.measure.table import table

from .. import datasets
from ..common import RESULTS, key, need_positive, progress, read
from ..tasks import TOURNAMENT_TASKS
from .candidates import CANDIDATES, FIXED_WIDTHS
from .pool import run_all
from .runs import network_of, neurons, rounded, samples_of, shape_of, trainer_of

OUT = RESULTS / "tournament"
STAGES = {"choose": 0, "final": 100}
"""Name of a stage -> its first seed."""

SEEDS = 5


@dataclass(frozen=True)
class Entry:
    """One run: a candidate on a task with a seed; the stage says whether the test part is told."""

    task: str
    candidate: str
    seed: int
    stage: str = "choose"

    def key(self) -> str:
        """A text that is the same for the same entry, and for no others."""
        return key(asdict(self))


def train(entry: Entry, folders: dict) -> dict:
    """Train and judge; what came out, as plain data.

    Returns:
        "valid" and, in the final stage, "test": share of the samples that are classified rightly after the last epoch,
        or None if training diverged; "loss" of every epoch; "widths" of the layers at the end; "seconds" of training.
    """
    task, candidate = TOURNAMENT_TASKS[entry.task], CANDIDATES[entry.candidate]
    data, valid, test = samples_of(task, **folders)
    net = network_of(task, candidate.layer(task.tau, task.recurrent), shape_of(task, data))
    loss = None if candidate.loss is None or task.recurrent else candidate.loss()
    callbacks = [] if candidate.rule is None else [candidate.rule()]
    trainer = trainer_of(task, net, entry.seed, loss, callbacks)
    judged = {"valid": valid, "test": test} if entry.stage == "final" else {"valid": valid}
    try:
        history = trainer.fit(data, epochs=task.epochs, progress=False)
    except snn.errors.DivergenceError as error:
        return dict.fromkeys(judged) | {"error": str(error)}
    for neuron in neurons(net):
        neuron.record = ()
    return {name: trainer.evaluate(part).accuracy for name, part in judged.items()} | {
        "loss": [metrics["train_loss"] for metrics in history],
        "widths": trainer.widths(),
        "seconds": sum(metrics["seconds"] for metrics in history),
    }


def work(entry: dict, folders: dict) -> dict:
    """One run in a process of a pool: the entry in, a line of the log out."""
    return {"entry": entry, "result": rounded(train(Entry(**entry), folders))}


def wanted(stage: str, tasks, candidates, seeds: int, done) -> list[Entry]:
    """The entries that a log does not have yet. Seeds are the outer loop, so that a stage that is stopped has all
    candidates, with fewer seeds."""
    known = {Entry(**line["entry"]).key() for line in done}
    first = STAGES[stage]
    entries = [
        Entry(task, candidate, seed, stage)
        for seed in range(first, first + seeds)
        for task in tasks
        for candidate in candidates
        if CANDIDATES[candidate].recurrent or not TOURNAMENT_TASKS[task].recurrent
    ]
    return [entry for entry in entries if entry.key() not in known]


# --- what came out ---------------------------------------------------------------------------------------------------


def accuracies(lines, part: str = "valid") -> dict[tuple[str, str], dict[int, float]]:
    """(task, candidate) -> seed -> accuracy in per cent. A network whose training diverged guesses."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for line in lines:
        entry, accuracy = line["entry"], line["result"][part]
        guess = 1 / TOURNAMENT_TASKS[entry["task"]].classes
        by_seed = found.setdefault((entry["task"], entry["candidate"]), {})
        by_seed[entry["seed"]] = 100 * (guess if accuracy is None else accuracy)
    return found


def best_fixed(found, task: str) -> str | None:
    """The fixed width with the highest mean on a task; None if none was tried."""
    tried = [name for width in FIXED_WIDTHS if (task, name := f"fixed {width:g}") in found]
    return max(tried, key=lambda name: mean(found[task, name].values()), default=None)


def difference(one: dict[int, float], other: dict[int, float]) -> tuple[float, float, int] | None:
    """Mean difference by seeds, its standard error (0 for one seed) and the number of seeds; None without any."""
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    gaps = [one[seed] - other[seed] for seed in seeds]
    return mean(gaps), stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else 0.0, len(gaps)


def report(lines, chosen: dict[str, str | None], part: str = "valid") -> str:
    """The table of a stage: means of the reference of every task, and differences from it.

    Args:
        lines: of the log.
        chosen: task -> reference: the fixed width that was best in the stage "choose", whatever the stage.
        part: "valid" or "test".
    """
    found = accuracies(lines, part)
    tasks = [task for task in TOURNAMENT_TASKS if any(key[0] == task for key in found)]
    rows = [["reference", *(chosen[task] or "" for task in tasks)]]
    means = [found.get((task, chosen[task])) for task in tasks]
    rows.append(["its accuracy, %", *("" if by is None else f"{mean(by.values()):.1f}" for by in means)])
    for name in CANDIDATES:
        cells = []
        for task in tasks:
            gap = difference(found.get((task, name), {}), found.get((task, chosen[task]), {}))
            cells.append("" if gap is None else f"{gap[0]:+.1f} ± {gap[1]:.1f} ({gap[2]})")
        if any(cells):
            rows.append([name, *cells])
    return table(["", *tasks], rows)


# --- the command -----------------------------------------------------------------------------------------------------


def options(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stage", choices=STAGES, default="choose", help="default: choose")
    parser.add_argument("--tasks", nargs="+", choices=TOURNAMENT_TASKS, default=list(TOURNAMENT_TASKS), metavar="TASK")
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES), metavar="CANDIDATE")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"number of seeds (default: {SEEDS})")
    datasets.add_options(parser)
    datasets.add_events(parser)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time (default: one per core)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the logs (default: results/tournament)")
    parser.add_argument("--table", action="store_true", help="run nothing, and print what came out so far")
    chosen = parser.parse_args(arguments)
    need_positive(parser, chosen, "jobs", "seeds")
    return chosen


def main(arguments=None):
    chosen = options(arguments)
    path = chosen.out / f"{chosen.stage}.jsonl"
    if chosen.table:
        judged = accuracies(read(chosen.out / "choose.jsonl"))
        best = {task: best_fixed(judged, task) for task in TOURNAMENT_TASKS}
        print(report(read(path), best, "test" if chosen.stage == "final" else "valid"))
        return
    folders = {"mnist": chosen.mnist, "cifar": chosen.cifar, "events": chosen.events}
    tasks = []
    for task in chosen.tasks:
        option = datasets.OPTIONS.get(TOURNAMENT_TASKS[task].data)
        if option and not folders[option]:
            progress(f"{task}: left out, as it needs --{option}")
        else:
            tasks.append(task)
    entries = wanted(chosen.stage, tasks, chosen.candidates, chosen.seeds, read(path))
    run_all(work, [(path, asdict(entry)) for entry in entries], folders, chosen.jobs)


if __name__ == "__main__":
    main()
