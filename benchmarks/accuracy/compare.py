"""Accuracy and training time of the same network in numsnn and in its peers: see README.md.

    python -m benchmarks.accuracy.compare --mnist FOLDER --cifar FILE [--only TASK ...] [--seeds SEED ...]
                                          [--peers-python PYTHON] [--out FOLDER] [--report]

A run that is in that folder's runs.jsonl already is not run again: after an interruption, the same command continues.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from numsnn.measure.host import machine

from .. import datasets
from ..common import OWN, RESULTS, append, can_plot, commit, key, need_positive, progress, read, save_figure
from ..peers import agreement
from ..peers.driver import Worker
from ..peers.options import add_torch_python
from ..process import ProcessError
from ..tasks import PEER_TASKS
from .numbers import VARIANTS, digest, few, numbers, pictures
from .report import report

OUT = RESULTS / "accuracy"

CHECKED = 16, 4, 1
"""Numbers of samples with which the first step is compared, one after the other until no spike differs."""


# --- one run ---------------------------------------------------------------------------------------------------------


def compare_step(outcomes):
    """How the first training step of a peer compares with numsnn's.

    Args:
        outcomes: number of samples -> what numsnn and the peer compute for them.

    Raises:
        Disagreement: they do not compute the same.
    """
    for samples in CHECKED:
        ours, theirs = outcomes(samples)
        differ, potentials = agreement.compare_spikes(ours, theirs)
        if not any(differ):
            break
    limit, where = agreement.allowed(differ, agreement.spikes_of(ours)), f"for {samples} samples"
    found = {"samples": samples, "different_spikes": differ, "potentials": potentials, "limit": limit}
    found["loss"] = agreement.relative(theirs["loss"], ours["loss"])
    if not found["loss"] <= limit:
        raise agreement.Disagreement(f"the loss differs by {found['loss']:.1e} {where}; at most {limit:g} is allowed")
    return found | {"gradients": agreement.judge(agreement.compare_gradients(ours, theirs), limit, where)}


class Runner:
    """Does the runs that are missing in a log, one process at a time.

    Args:
        path: the log.
        python: interpreter of the peers.
        threads: number of threads of each side.
        say: called with a line of progress.
    """

    def __init__(self, path, python, threads, say):
        self.path, self.python, self.threads, self.say = path, python, threads, say
        self.known = {key(run["settings"]) for run in read(path)}
        self.absent = set()

    def task(self, name, task, shown, seeds, variants):
        """Do all runs of a task; `shown` holds its pictures."""
        common = {"task": name, "network": task.workload.name, "steps": task.workload.shape[0], "train": task.train}
        common |= {"test": task.test, "data": digest(shown), "threads": self.threads}
        for seed in seeds:
            wanted = {
                variant: common | {"variant": variant} | task.recipe(seed, VARIANTS[variant][1]) for variant in variants
            }
            wanted = {variant: found for variant, found in wanted.items() if key(found) not in self.known}
            if not wanted:
                continue
            with tempfile.TemporaryDirectory() as folder:
                arrays = shown | numbers(task, seed)
                np.savez(f"{folder}/all.npz", **arrays)
                np.savez(f"{folder}/few.npz", **few(task, arrays))
                for variant, settings in wanted.items():
                    run = self.run(task, settings, variant, folder)
                    if run is not None:
                        append(self.path, run)

    def run(self, task, settings, variant, folder):
        """Do one run and return it; None if the side is missing."""
        side, method = VARIANTS[variant]
        title = f"{settings['task']}, seed {settings['seed']}, {variant}"
        with ExitStack() as stack:
            worker = None if side in self.absent else self._start(side, stack)
            if worker is None:
                return None

            def build(which, arrays="all", **changes):
                recipe = task.recipe(settings["seed"], method) | changes
                file = f"{folder}/{arrays}.npz"
                which.ask("build", workload=task.workload.to_dict(), arrays=file, kind="Training", recipe=recipe)

            run = {"settings": settings, "versions": worker.ask("hello")["versions"], "agreement": None}
            if side != OWN:
                run["agreement"] = self._check(worker, build, folder)
                self.say(f"{title}: its first step is numsnn's: {run['agreement']}")
            build(worker, "few", epochs=1)
            worker.ask("epoch")
            build(worker)
            run |= {"machine": machine(), "commit": commit(), "epochs": []}
            for epoch in range(task.epochs):
                run["epochs"].append(worker.ask("epoch"))
                numbers = "loss {loss:.4f}, accuracy {accuracy:.4f}, {seconds:.2f} s".format_map(run["epochs"][-1])
                self.say(f"{title}: epoch {epoch + 1}/{task.epochs}: {numbers}")
        return run

    def _start(self, side, stack):
        """A side's process; None, after a line that says so, if a peer does not start."""
        worker = stack.enter_context(Worker(side, sys.executable if side == OWN else self.python, self.threads))
        try:
            worker.ask("hello")
        except ProcessError as error:
            if side == OWN:
                raise
            self.absent.add(side)
            self.say(f"{side} is left out: {error}")
            return None
        return worker

    def _check(self, peer, build, folder):
        build(peer)
        with Worker(OWN, sys.executable, self.threads) as own:
            build(own)

            def outcomes(samples):
                for worker in (own, peer):
                    worker.ask("outcome", out=f"{folder}/outcome.npz", samples=samples)
                    with np.load(f"{folder}/outcome.npz") as stored:
                        yield dict(stored)

            return compare_step(outcomes)


# --- command line ----------------------------------------------------------------------------------------------------


def options(arguments=None):
    defaults = ", ".join(f"{task.epochs} of {name}" for name, task in PEER_TASKS.items())
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    datasets.add_options(parser)
    parser.add_argument("--only", nargs="+", choices=list(PEER_TASKS), help="default: those whose data are given")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), help="default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], metavar="SEED", help="default: 0 to 4")
    parser.add_argument("--epochs", type=int, help=f"default: {defaults}")
    parser.add_argument("--threads", type=int, default=2, help="of every side (default: 2)")
    add_torch_python(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: benchmarks/results/accuracy")
    parser.add_argument("--quick", action="store_true", help="a few pictures: whether everything works, no measurement")
    parser.add_argument("--report", action="store_true", help="train nothing, write the report of the runs there are")
    chosen = parser.parse_args(arguments)
    if chosen.quick and not chosen.out:
        parser.error("--quick measures nothing; keep it apart: --out FOLDER")
    chosen.out = chosen.out or OUT
    given = {"mnist": chosen.mnist, "cifar10": chosen.cifar}
    chosen.only = chosen.only or [name for name, task in PEER_TASKS.items() if given[task.data]]
    if not chosen.report and not (chosen.only and all(given[PEER_TASKS[name].data] for name in chosen.only)):
        parser.error("where are the pictures? --mnist FOLDER, --cifar FILE")
    need_positive(parser, chosen, "epochs", "threads")
    return chosen


def main(arguments=None):
    chosen = options(arguments)
    path = chosen.out / "runs.jsonl"
    if not chosen.report:
        runner = Runner(path, chosen.peers_python, chosen.threads, progress)
        for name in chosen.only:
            task = PEER_TASKS[name].quick() if chosen.quick else PEER_TASKS[name]
            task = replace(task, epochs=chosen.epochs or task.epochs)
            train, test = datasets.load(task.data, mnist=chosen.mnist, cifar=chosen.cifar)
            runner.task(name, task, pictures(task, train, test), chosen.seeds, chosen.variants)
    runs = read(path)
    if not runs:
        sys.exit(f"there are no runs in {path}")
    text = report(runs)
    print(text)
    (chosen.out / "report.md").write_text(text)
    if can_plot():
        from .plots import accuracy

        save_figure(accuracy(runs), chosen.out / "accuracy.png")


if __name__ == "__main__":
    main()
