"""numsnn against its peers on the same numbers, in one run: see README.md.

python -m benchmarks.speed.compare [--quick] [--only WORKLOAD ...] [--attached] [--out FOLDER]
                                   [--peers-python PYTHON] [--jax-python PYTHON]
"""

import argparse
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from numsnn.measure.host import load
from numsnn.measure.workloads import SURROGATES, scaling, workloads
from numsnn.version import __version__

from ..common import can_plot, need_positive, progress, write_json
from ..peers.options import add_peers, interpreters
from . import layers
from .comparison import Comparison
from .report import report

PARTS = ("workloads", "layers", "neurons", "scaling")

THREADED = ("vgg", "resnet", "fc", "recurrent")
"""Workloads that are also measured with one thread."""

SCHEMA = 1
"""Version of the form of results.json; it grows when a key changes its meaning."""


def options(arguments=None):
    known = workloads()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="what to measure (default: all)")
    parser.add_argument(
        "--only", nargs="+", choices=list(known), metavar="WORKLOAD", help=", ".join(known).replace("%", "%%")
    )
    parser.add_argument("--quick", action="store_true", help="tiny shapes: whether everything works, no measurement")
    add_peers(parser)
    parser.add_argument("--surrogate", nargs="+", choices=list(SURROGATES), default=["arctan"], help="default: arctan")
    parser.add_argument(
        "--attached", action="store_true", help="gradients pass through the resets of all workloads, as in fc-attached"
    )
    parser.add_argument("--threads", type=int, default=2, help="of every side (default: 2)")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of timing per pass (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of all numbers")
    parser.add_argument("--json", metavar="FILE", help="write the results")
    parser.add_argument("--out", metavar="FOLDER", help="write results.json, report.md and the plots")
    chosen = parser.parse_args(arguments)
    need_positive(parser, chosen, "threads")
    chosen.parts = chosen.parts or (["workloads"] if chosen.only else list(PARTS))
    return chosen


def selected(every, chosen) -> list:
    """The workloads that were asked for, each once."""
    found = [workload for name, workload in every.items() if chosen.only is None or name in chosen.only]
    if chosen.attached:
        found = [replace(w, name=f"{w.name}-attached", detach=False) if w.detach else w for w in found]
    return list({workload.name: workload for workload in found}.values())


def measure(chosen, say, save=lambda results: None) -> dict:
    """All results as plain data. A run takes long, so the results so far are saved after every workload."""
    budget = 0.0 if chosen.quick else chosen.budget
    results = {
        "schema": SCHEMA,
        "version": __version__,
        "quick": chosen.quick,
        "surrogates": chosen.surrogate,
        "threads": chosen.threads,
        "load_before": load(),
        "workloads": [],
        "layers": [],
        "neurons": {},
        "scaling": {},
        "scaling_threads": {},
    }
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        comparison = stack.enter_context(Comparison(interpreters(chosen), chosen.threads, folder, budget, say))
        results |= {name: getattr(comparison, name) for name in ("machine", "versions", "missing")}
        every = workloads(chosen.quick)
        if "workloads" in chosen.parts:
            for surrogate in chosen.surrogate:
                for workload in selected(every, chosen):
                    found = comparison.run(replace(workload, surrogate=surrogate), seed=chosen.seed)
                    results["workloads"].append(found)
                    save(results)
        if "layers" in chosen.parts and "spikingjelly" in comparison.checkers:
            results["layers"] = layers.sweep(comparison, chosen.quick, budget / 30)
            save(results)
        if "neurons" in chosen.parts:
            say("neuron kernel")
            results["neurons"] = comparison.own.ask("neurons", quick=chosen.quick)["neurons"]
        if "scaling" in chosen.parts:
            results["scaling"] = layers.growth(comparison, scaling(chosen.quick), budget, chosen.surrogate[0])
            threaded = [every[name] for name in THREADED]
            counts = sorted({1, chosen.threads})
            results["scaling_threads"] = layers.threads(comparison, threaded, counts, budget, chosen.surrogate[0])
    return results | {"load_after": load()}


def keep(results, folder):
    """Write results, report and plots into a folder."""
    write_json(folder / "results.json", results)
    (folder / "report.md").write_text(report(results))
    if can_plot():
        from .plots import plot_all

        plot_all(results, folder)


def main(arguments=None):
    chosen = options(arguments)
    folder = Path(chosen.out) if chosen.out else None

    def save(results):
        if folder is not None:
            write_json(folder / "results.json", results | {"load_after": load()})

    results = measure(chosen, progress, save)
    print(report(results))
    if chosen.json:
        write_json(Path(chosen.json), results)
    if folder is not None:
        keep(results, folder)


if __name__ == "__main__":
    main()
