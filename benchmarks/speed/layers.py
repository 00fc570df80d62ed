"""Single layers against PyTorch's dense ones, at densities from 1 % to 100 %; and how numsnn's time grows."""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from numsnn.measure import passes
from numsnn.measure.host import summary

from ..common import OWN
from ..peers import agreement
from ..peers.driver import Worker, alternate
from .comparison import with_ratios

DENSE = "pytorch"

TOLERANCE = 1e-5
"""Largest relative difference of what a pass computes, for sums of up to about 28,000 terms, which PyTorch adds in
another order."""

ROUNDING = 2.0**-24
"""Largest relative error of an addition in float32."""


def allowed(case, numbers: int) -> float:
    """Largest relative difference of a pass of a layer that computes so many numbers.

    A sum of n random terms, one after the other, has partial sums as large as the root of 1, 2, ..., n terms. The
    errors of their roundings add up to ROUNDING (n / 2)^(1/2) of the sum, and two such sums differ by 2^(1/2) as much.
    """
    return max(TOLERANCE, ROUNDING * (case.operations / (2 * numbers)) ** 0.5)


def sweep(comparison, quick: bool, budget: float) -> list[dict]:
    """Seconds of numsnn's and PyTorch's passes for every case at every density, and how far apart their results are.

    Args:
        comparison: gives interpreters, threads and the folder for arrays.
        quick: use tiny shapes.
        budget: seconds of timing per case, density and pass.
    """
    found = []
    with ExitStack() as stack:
        workers = {
            side: stack.enter_context(Worker(side, comparison.pythons[name], comparison.threads))
            for side, name in ((OWN, OWN), (DENSE, "spikingjelly"))
        }
        for case in passes.cases(quick):
            comparison.say(f"layer {case.name}")
            for one in passes.densities(case, quick):
                found.append(_measure(comparison, workers, one, budget))
    return found


def outcomes_of(workers, case, path) -> dict[str, dict[str, np.ndarray]]:
    """Build a layer on all sides, from the same numbers, and return what its passes compute, by side.

    Args:
        workers: side -> worker.
        case: the layer.
        path: function that returns the path of a file of arrays by its name.
    """
    file = path("layer")
    np.savez(file, **passes.draw(case))
    outcomes = {}
    for side, worker in workers.items():
        out = path(f"layer {side}")
        worker.ask("build", workload=case.to_dict(), arrays=file, kind="Passes")
        worker.ask("outcome", out=out)
        with np.load(out) as stored:
            outcomes[side] = dict(stored)
    return outcomes


def _measure(comparison, workers, case, budget):
    outcomes = outcomes_of(workers, case, comparison.path)
    result = {"name": case.name, "density": case.density, "passes": {}, "differences": {}}
    for what in passes.PASSES:
        mine = outcomes[OWN][what]
        difference = agreement.relative(mine, outcomes[DENSE][what].reshape(mine.shape))
        result["differences"][what] = difference
        if not difference <= allowed(case, mine.size):
            comparison.say(f"{case.name}, density {case.density:g}: {what} differs by {difference:.1e}; not timed")
            continue
        times = alternate(workers, what, budget, most=9)
        result["passes"][what] = with_ratios({side: summary(values) for side, values in times.items()})
    return result


def growth(comparison, series: dict, budget: float, surrogate: str) -> dict:
    """numsnn's seconds along every series of `workloads.scaling`, its members in turns: name -> member -> pass."""
    found = {}
    for name, members in series.items():
        comparison.say(f"scaling: {name}")
        with_threads = {key: (workload, comparison.threads) for key, workload in members.items()}
        found[name] = _series(comparison, with_threads, budget, surrogate)
    return found


def threads(comparison, workloads, counts, budget: float, surrogate: str) -> dict:
    """numsnn's seconds with each number of threads in `counts`: workload -> count -> pass."""
    found = {}
    for workload in workloads:
        comparison.say(f"threads: {workload.name}")
        members = {str(count): (workload, count) for count in counts}
        found[workload.name] = _series(comparison, members, budget, surrogate)
    return found


def _series(comparison, members, budget, surrogate):
    with ExitStack() as stack:
        workers = {}
        for key, (workload, count) in members.items():
            file = comparison.path("series")
            workload = replace(workload, surrogate=surrogate).to_dict()
            answer = comparison.own.ask("prepare", workload=workload, out=file, seed=0)
            workers[key] = stack.enter_context(Worker(OWN, comparison.pythons[OWN], count))
            workers[key].ask("build", workload=answer["workload"], arrays=file)
        measured = {what: alternate(workers, what, budget) for what in ("train", "infer")}
        return {key: {what: summary(times[key]) for what, times in measured.items()} for key in members}
