"""`numsnn bench`: times and memory of all workloads, of single layers and of the neuron kernel, and their history."""

import json
from dataclasses import replace
from pathlib import Path

from ..names import choice
from ..version import __version__
from . import history, host, network, neurons, passes
from .table import bytes_text, table, time_text
from .workloads import operations, workloads

PARTS = ("layers", "neurons")
"""What can be named beside the workloads."""


def run(quick: bool = False, only=None, surrogate: str = "arctan", budget: float = 10.0, say=print) -> dict:
    """Measure numsnn alone and print tables; returns the results as plain data.

    Args:
        quick: use tiny shapes, which show that everything works and measure nothing. Default False.
        only: names of workloads, "layers", "neurons"; None (default) for everything.
        surrogate: family of all neurons. Default "arctan".
        budget: seconds per workload and pass. Default 10.
        say: called with every piece of text. Default `print`.

    Raises:
        ValueError: an unknown name.
    """
    from .. import get_num_threads

    every = workloads(quick)
    for name in only or ():
        choice("bench", name, (*every, *PARTS))
    say(f"numsnn {__version__}, {host.processor()}, {get_num_threads()} threads, load {host.load()}")
    results = {"version": __version__, "quick": quick, "surrogate": surrogate, "threads": get_num_threads()}
    results["machine"] = host.machine()
    turns = 0.0 if quick else budget
    chosen = [workload for name, workload in every.items() if only is None or name in only]
    size = 64 if quick else 1536
    results["workloads"] = [_workload(replace(w, surrogate=surrogate), turns, size) for w in chosen]
    if chosen:
        say(_workload_table(results["workloads"]))
    results["layers"] = _layers(quick, turns / 20, size) if only is None or "layers" in only else []
    if results["layers"]:
        say(_layer_table(results["layers"]))
    results["neurons"] = neurons.bandwidths(quick) if only is None or "neurons" in only else {}
    if results["neurons"]:
        say(neuron_table(results["neurons"]))
    return results


def bench(measured: tuple | None, json_file=None, history_file=None, plot_file=None, say=print) -> None:
    """Measure, write what was asked for, and show a history.

    What is wrong with a file is said before anything is measured, as far as it can be known.

    Args:
        measured: arguments of `run`; None to measure nothing and show the history that there is.
        json_file: where to write the results. Default None: nowhere.
        history_file: the history to which they are added. Default None: none.
        plot_file: where to draw this history. Default None: nowhere.
        say: called with every piece of text. Default `print`.

    Raises:
        ValueError: an unknown name, or a history that is damaged, missing or empty.
        OSError: a file cannot be read or written.
        PlotsUnavailable: the history cannot be drawn, because matplotlib is missing.
    """
    if history_file is None and (plot_file is not None or measured is None):
        raise ValueError(f"{'--no-run' if plot_file is None else '--plot'} needs --history FILE, which it shows")
    if plot_file is not None:
        from . import history_plot

        history_plot.check(plot_file)
    entries = [] if history_file is None else history.read(history_file)
    if measured is not None:
        results = run(*measured, say=say)
        if json_file is not None:
            write(results, json_file)
        if history_file is not None:
            entries = history.append(history_file, history.entry(results))
    if history_file is not None:
        if not entries:
            raise ValueError(f"{history_file} has no entries; numsnn bench --history {history_file} adds one")
        say(f"{history_file}, entry {len(entries)}:\n{history.beside(entries)}")
    if plot_file is not None:
        history_plot.draw(entries, plot_file)
        say(str(plot_file))


def write(results: dict, path) -> None:
    """Write results as JSON."""
    Path(path).write_text(json.dumps(results, indent=1) + "\n")


def _timed(step, budget):
    """Summary of a step's times, after two runs that do not count."""
    first = min(host.seconds(step, 2))
    return host.summary(host.seconds(step, host.repetitions(first, budget, 3, 100)))


def _workload(workload, budget, size):
    """Times of a workload. Whatever else slows the machine down meanwhile also slows the product down beside it."""
    workload, arrays = network.prepare(workload)
    rate = host.product_rate(size)
    before = host.resident()
    host.forget_peak()
    subject = network.Network(workload, arrays)
    found = {"name": workload.name, "shape": list(workload.shape), "passes": {}, "memory": {"before": before}}
    found |= {"operations": operations(workload), "product": rate}
    for what in ("train", "infer") if workload.training else ("infer",):
        found["passes"][what] = _timed(getattr(subject, what), budget)
        found["memory"].setdefault("peak", host.peak())
    return found | {"rates": subject.rates()}


def _workload_table(results):
    rows = []
    for result in results:
        times = [time_text(result["passes"].get(what, {}).get("median")) for what in ("train", "infer")]
        memory = result["memory"]
        grown = None if memory["peak"] is None else memory["peak"] - memory["before"]
        rates = f"{min(result['rates']):.1%} to {max(result['rates']):.1%}"
        shape = " x ".join(map(str, result["shape"]))
        rows.append([result["name"], shape, *times, bytes_text(grown), rates])
    return table(["workload", "input", "training step", "inference", "peak memory", "spikes"], rows)


def _layers(quick, budget, size):
    found = []
    for case in passes.cases(quick):
        rate = host.product_rate(size)
        for one in passes.densities(case, quick):
            subject = passes.Passes(one, passes.draw(one))
            times = {what: _timed(getattr(subject, what), budget) for what in passes.PASSES}
            beside = {"operations": one.operations, "product": rate}
            found.append({"name": one.name, "density": one.density, "passes": times} | beside)
    return found


def _layer_table(results):
    rows = [
        [r["name"], f"{r['density']:.0%}", *[time_text(r["passes"][what]["median"]) for what in passes.PASSES]]
        for r in results
    ]
    return table(["layer", "density", "forward", "weight gradient", "input gradient"], rows)


def neuron_table(results: dict) -> str:
    """Return a Markdown table of the neuron kernels' rates, compared with the rate of a copy."""
    rows = [
        [name, time_text(r["median"]), r["bytes"], f"{r['gigabytes_per_second']:.1f}", f"{r['share_of_copy']:.0%}"]
        for name, r in results.items()
    ]
    return table(["neuron kernel", "time", "bytes per element", "GB/s", "of a copy's rate"], rows)
