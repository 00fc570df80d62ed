"""Runs of `compare.py` as tables. A run is what a line of runs.jsonl holds, see README.md."""

import statistics
from itertools import accumulate

from numsnn.measure.table import table

from ..common import OWN, key, ratio_text, spread
from .numbers import VARIANTS

MARGIN = 0.003
"""The time to a level of accuracy is measured; the level lies this far below the lowest final accuracy of all variants
(mean over seeds)."""


def tables(runs) -> dict[str, str]:
    """Task -> what was trained, and a table with one line per variant, in Markdown.

    If a task was run with several settings, they are numbered.
    """
    return {name: f"{about(group)}\n\n{results(group)}\n\n{origin(group)}" for name, group in groups(runs).items()}


def report(runs) -> str:
    """Everything, in Markdown."""
    parts = [f"## {name}\n\n{text}" for name, text in tables(runs).items()]
    return "\n\n".join(["# Accuracy, and the time to it", *parts]) + "\n"


def groups(runs):
    """Task -> runs that differ only in seed, variant and method."""
    found = {}
    for run in runs:
        shared = {k: v for k, v in run["settings"].items() if k not in ("seed", "variant", "method")}
        found.setdefault(key(shared), []).append(run)
    named = {}
    for group in found.values():
        task = group[0]["settings"]["task"]
        count = sum(name.partition(" ")[0] == task for name in named)
        named[f"{task} ({count + 1})" if count else task] = group
    return named


def by_variant(group):
    """Variant -> its runs, in the order of `VARIANTS`."""
    found = {variant: [run for run in group if run["settings"]["variant"] == variant] for variant in VARIANTS}
    return {variant: runs for variant, runs in found.items() if runs}


def final(run):
    """Accuracy after the last epoch."""
    return run["epochs"][-1]["accuracy"]


def seconds(run):
    """Seconds of training after every epoch."""
    return list(accumulate(epoch["seconds"] for epoch in run["epochs"]))


def level(group):
    """The accuracy to which the time of all variants is measured."""
    return min(statistics.mean(map(final, runs)) for runs in by_variant(group).values()) - MARGIN


def time_to(run, accuracy):
    """Seconds of training until the end of the first epoch that reaches an accuracy; None if no epoch does."""
    for epoch, passed in zip(run["epochs"], seconds(run), strict=True):
        if epoch["accuracy"] >= accuracy:
            return passed
    return None


def slower(runs, own):
    """Training time of these runs divided by numsnn's, on the seeds that both have, and the number of those seeds."""
    mine, theirs = ({run["settings"]["seed"]: seconds(run)[-1] for run in each} for each in (own, runs))
    shared = mine.keys() & theirs.keys()
    return sum(theirs[seed] for seed in shared) / sum(mine[seed] for seed in shared) if shared else None, len(shared)


def results(group):
    variants, goal = by_variant(group), level(group)
    rows = []
    for variant, runs in variants.items():
        accuracies = [100 * final(run) for run in runs]
        reached = [found for found in (time_to(run, goal) for run in runs) if found is not None]
        ratio, count = slower(runs, variants.get(OWN, []))
        rows.append(
            [
                variant,
                spread(accuracies, 2),
                f"{min(accuracies):.2f} to {max(accuracies):.2f}",
                len(runs),
                f"{statistics.mean(seconds(run)[-1] for run in runs):.1f}",
                f"{ratio_text(ratio)} ({count})" if ratio is not None else "",
                f"{statistics.mean(reached):.1f} ({len(reached)})" if reached else "(0)",
            ]
        )
    header = ["", "test accuracy, %", "from, to", "seeds", "training, s", "times numsnn's (seeds)"]
    return table([*header, f"s to {100 * goal:.2f} % (seeds)"], rows)


def about(group):
    """What was trained."""
    return (
        "{network}, T = {steps}; {train} training and {test} test pictures; {epochs} epochs, batches of {batch}; "
        "{optimizer}, lr {lr:g}, weight decay {weight_decay:g}, {schedule}; label smoothing {smoothing:g}; "
        "threads: {threads}.".format_map(group[0]["settings"])
    )


def origin(group):
    """Where the runs come from, and how much the first steps differed."""
    lines = [f"Processors: {', '.join(dict.fromkeys(run['machine']['processor'] for run in group))}."]
    for variant, runs in by_variant(group).items():
        versions = [", ".join(f"{name} {version}" for name, version in run["versions"].items()) for run in runs]
        commits = dict.fromkeys(run["commit"] for run in runs if run["commit"])
        lines.append(f"{variant}: {'; '.join(dict.fromkeys(versions))}; checkout {', '.join(commits) or 'unknown'}.")
    checks = [run["agreement"] for run in group if run["agreement"]]
    if checks:
        flipped = sum(any(check["different_spikes"]) for check in checks)
        lines.append(
            f"First steps: losses within {max(check['loss'] for check in checks):.1e} of numsnn's, gradients within "
            f"{max(check['gradients'] for check in checks):.1e}; a spike differed in {flipped} of {len(checks)}."
        )
    return "\n".join(f"- {line}" for line in lines)
