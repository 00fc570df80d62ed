"""numsnn and its peers on a CUDA device, after checking that they compute the same: see README.md.

python -m benchmarks.speed.gpu [--quick] [--only WORKLOAD ...] [--precisions ...] [--out FOLDER]
                               [--peers-python PYTHON] [--jax-python PYTHON]
python -m benchmarks.speed.gpu --dry      numsnn alone, tiny shapes, in Numba's simulator: whether everything works
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from numsnn.errors import DeviceError
from numsnn.measure.host import load, repetitions, summary
from numsnn.measure.table import table, time_text
from numsnn.measure.workloads import ESSENTIAL, on_device
from numsnn.version import __version__

from ..common import OWN, RESULTS, can_plot, need_positive, progress, save_figure, write_json
from ..peers.options import add_peers, interpreters
from ..peers.sides import PRECISIONS
from ..process import ProcessError
from . import report
from .comparison import Comparison, with_ratios

FOLDER = RESULTS / "gpu"

SCHEMA = 1
"""Version of the form of results.json; it grows when a key changes its meaning."""

WARM = 3
"""Runs before the first run that counts: they compile, and libraries try out algorithms in them."""


def options(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the essential workloads at float32 and tf32")
    parser.add_argument("--dry", action="store_true", help="tiny shapes in Numba's simulator, numsnn alone")
    parser.add_argument("--only", nargs="+", choices=("fc", "vgg", "resnet"), help="kinds of workloads (default: all)")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="of products (default: all)")
    add_peers(parser)
    parser.add_argument("--threads", type=int, default=4, help="of the host for every side (default: 4)")
    parser.add_argument("--minutes", type=float, help="time to begin new work in (default: 9, or 3.5 if --quick)")
    parser.add_argument(
        "--budget", type=float, help="seconds of timing per side and pass (default: 1.5, or 1 if --quick)"
    )
    parser.add_argument("--out", metavar="FOLDER", help=f"for JSON, table and plot (default: {FOLDER})")
    chosen = parser.parse_args(arguments)
    need_positive(parser, chosen, "threads")
    chosen.dry = chosen.dry or os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    chosen.minutes = chosen.minutes or (3.5 if chosen.quick else 9)
    chosen.budget = chosen.budget or (1.0 if chosen.quick else 1.5)
    chosen.precisions = chosen.precisions or list(PRECISIONS[: 2 if chosen.quick else 3])
    if chosen.dry:
        chosen.peers, chosen.precisions = [], chosen.precisions[:1]
    chosen.out = Path(chosen.out or FOLDER)
    return chosen


class Run:
    """One run of everything that was chosen.

    Args:
        chosen: of `options`.
        comparison: a started `Comparison` on the device.
        results: plain data, which the run fills.
        save: called with the results after every workload.
    """

    def __init__(self, chosen, comparison, results, save):
        self.chosen, self.comparison, self.results, self.save = chosen, comparison, results, save
        self.end = time.monotonic() + 60 * chosen.minutes
        self.able = {}

    def everything(self):
        self.neurons()
        plan = on_device(self.chosen.dry)
        for part in (plan[:ESSENTIAL], [] if self.chosen.quick else plan[ESSENTIAL:]):
            self.measure([pair for pair in part if self.chosen.only is None or pair[1].name in self.chosen.only])

    def measure(self, plan):
        """Measure workloads, one precision after the other, until the time is over."""
        for precision in self.chosen.precisions:
            for workload, proof in plan:
                name = f"{workload.name} {precision}"
                if time.monotonic() > self.end:
                    self.results["not_reached"].append(name)
                    continue
                able = self.check(proof)
                self.results["workloads"].append(self.time(replace(workload, name=name), precision, able))
                self.save(self.results)

    def check(self, proof):
        """Pass -> sides that compute this workload as numsnn does, in float32."""
        if proof.name not in self.able:
            for worker in self.comparison.checkers.values():
                worker.ask("use", precision="float32")
            _, _, self.able[proof.name], found = self.comparison.check(proof)
            self.results["checks"].append(found)
        return self.able[proof.name]

    def time(self, workload, precision, able):
        """Times and memory of one workload, one side after the other, because memory may not hold all at once."""
        result = self.comparison.empty_result(workload) | {"precision": precision}
        times = {what: {} for what in able}
        for side in dict.fromkeys(side for sides in able.values() for side in sides):
            worker = self.comparison.checkers[side]
            self.comparison.say(f"{workload.name}: {side}")
            try:
                worker.ask("use", precision=precision)
                worker.ask("build", workload=workload.to_dict(), seed=0)
                for what in (what for what, sides in able.items() if side in sides):
                    times[what][side] = self.timed(worker, what)
                    result["memory"].setdefault(side, {})[what] = worker.ask("memory")
                if side == OWN:
                    result["routes"] = worker.ask("routes")["routes"]
            except ProcessError as error:
                if side == OWN:
                    raise
                result["left_out"].setdefault(side, {})["train"] = str(error)
                self.comparison.say(str(error))
            worker.ask("drop")
        result["passes"] = {what: with_ratios(sides) for what, sides in times.items()}
        return result

    def timed(self, worker, what):
        """Summary of a run's times; a simulated device needs no runs before."""
        if self.chosen.dry:
            return summary(worker.ask("time", what=what, count=1)["seconds"])
        first = min(worker.ask("time", what=what, count=WARM)["seconds"])
        count = repetitions(first, self.chosen.budget, 5, 200)
        return summary(worker.ask("time", what=what, count=count)["seconds"])

    def neurons(self):
        """Measure the neuron kernel beside a copy, and SpikingJelly's on the same number of elements."""
        self.comparison.say("neuron kernel")
        self.results["neurons"] = self.comparison.own.ask("neurons", quick=self.chosen.dry)["neurons"]
        worker = self.comparison.checkers.get("spikingjelly")
        if worker is None:
            return
        try:
            worker.ask("build", workload={"shape": [10, 64, 32, 32, 128]}, kind="Neurons")
            found = {what: self.timed(worker, what) for what in ("forward", "inference", "backward")}
            worker.ask("drop")
        except ProcessError as error:
            self.results["missing"]["spikingjelly's neurons alone"] = str(error)
            return
        self.results["peer_neurons"] = {f"LIF {what}": times for what, times in found.items()}


def run(chosen, say, save=lambda results: None) -> dict:
    """All results as plain data."""
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(interpreters(chosen), chosen.threads, folder, chosen.budget, say, "cuda")
        with comparison:
            results = {
                "schema": SCHEMA,
                "version": __version__,
                "quick": chosen.dry,
                "surrogates": ["arctan"],
                "threads": chosen.threads,
                "load_before": load(),
                "machine": comparison.machine,
                "versions": comparison.versions,
                "missing": comparison.missing,
                "workloads": [],
                "checks": [],
                "neurons": {},
                "peer_neurons": {},
                "not_reached": [],
            }
            Run(chosen, comparison, results, save).everything()
    return results | {"load_after": load()}


def text(results) -> str:
    """Everything that was measured, in Markdown."""
    machine = results["machine"]
    parts = [
        f"# numsnn {results['version']} and its peers on a GPU",
        f"{machine['device']}, driver for CUDA {machine['driver']}; {machine['processor']}, {machine['system']}. "
        f"{'SIMULATED, TINY SHAPES: no measurement.' if results['quick'] else ''}".strip(),
        "\n".join(
            f"- {side}: {', '.join(f'{name} {version}' for name, version in (versions | extra).items())}"
            for side, versions in results["versions"].items()
            for extra in [machine["versions"] if side == OWN else {}]
        ),
        "## The neuron kernel\n\n" + neurons(results),
    ]
    if results["workloads"]:
        parts += [report.times(results["workloads"]), report.memory(results["workloads"]), routes(results["workloads"])]
    if any(found["agreement"] for found in results["checks"]):
        parts.append(report.checks(results["checks"]))
    parts.append(report.notes(results | {"workloads": [*results["checks"], *results["workloads"]]}))
    if results["not_reached"]:
        parts.append("## Not reached in time\n\n" + ", ".join(results["not_reached"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def neurons(results):
    """numsnn's kernels as shares of the copy's rate, and SpikingJelly's times."""
    rows = []
    for name, found in results["neurons"].items():
        peer = results["peer_neurons"].get(name)
        cells = f"{found['gigabytes_per_second']:.0f}", f"{found['share_of_copy']:.0%}"
        rows.append([name, time_text(found["median"]), *cells, time_text(peer["median"]) if peer else ""])
    return table(["kernel", "time", "GB/s", "share of the copy's", "SpikingJelly"], rows)


def routes(workloads):
    """The routes by which numsnn computed products."""
    lines = [f"- {workload['name']}: {', '.join(workload['routes'])}" for workload in workloads]
    return "## numsnn's routes\n\n" + "\n".join(lines)


def keep(results, folder):
    """Write results, report and plot into a folder."""
    write_json(folder / "results.json", results)
    (folder / "report.md").write_text(text(results))
    if results["workloads"] and can_plot():
        from .plots import workloads

        device = {"processor": results["machine"]["device"]}
        save_figure(workloads(results | {"machine": device}), folder / "workloads.png")


def main(arguments=None):
    chosen = options(arguments)
    if chosen.dry:
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # of the processes that compute
    else:
        from numsnn.kernels import for_device

        try:
            for_device("cuda")
        except DeviceError as error:
            sys.exit(f"gpu.py: {error}")
    results = run(
        chosen,
        progress,
        lambda results: keep(results | {"load_after": load()}, chosen.out),
    )
    print(text(results))
    keep(results, chosen.out)


if __name__ == "__main__":
    main()
