"""Plots of a comparison's results."""

from itertools import pairwise

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from numsnn.measure.table import time_text

from ..common import OWN, save_figure
from ..peers.colours import COLOURS
from .report import TITLES

PASSES = {"forward": "forward", "weight_gradient": "weight gradient", "input_gradient": "input gradient"}


def plot_all(results, folder):
    """Write a picture for every part that was measured; returns their paths."""
    made = []
    for name, draw in {"workloads": workloads, "layers": layers, "scaling": scaling}.items():
        if results[name]:
            made.append(save_figure(draw(results), folder / f"{name}.png"))
    return made


def workloads(results):
    """The time of every side divided by numsnn's, one panel per pass."""
    figure, panels = plt.subplots(1, 2, figsize=(13, 1.5 + 0.62 * len(results["workloads"])), layout="constrained")
    several = len(results["surrogates"]) > 1
    for panel, (what, title) in zip(panels, TITLES.items(), strict=True):
        shown = [w for w in reversed(results["workloads"]) if what in w["passes"]]
        labels = []
        for row, workload in enumerate(shown):
            times = {side: found["median"] for side, found in workload["passes"][what].items()}
            sides = [side for side in COLOURS if side in times]
            height = 0.84 / len(sides)
            for k, side in enumerate(sides):
                at = row + 0.42 - (k + 0.5) * height
                panel.barh(at, times[side] / times[OWN], height * 0.95, color=COLOURS[side])
                note = f" {time_text(times[side])}"
                panel.text(times[side] / times[OWN], at, note, va="center", fontsize=6.5)
            labels.append(f"{workload['name']}\n({workload['surrogate']})" if several else workload["name"])
        panel.set_yticks(range(len(shown)), labels)
        panel.set_xscale("log")
        panel.margins(x=0.18)
        panel.axvline(1, color="black", linewidth=0.8)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.set_xlabel("time / numsnn's time")
        panel.set_title(title)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    figure.legend(handles, COLOURS, loc="outside lower center", ncols=len(COLOURS), frameon=False)
    figure.suptitle(_subtitle(results))
    return figure


def layers(results):
    """The time of PyTorch's dense layer divided by numsnn's, over the density of the input, one panel per pass."""
    figure, panels = plt.subplots(1, 3, figsize=(15, 5), sharey=True, layout="constrained")
    densities = sorted({100 * layer["density"] for layer in results["layers"]})
    for panel, (what, title) in zip(panels, PASSES.items(), strict=True):
        for k, case in enumerate(dict.fromkeys(layer["name"] for layer in results["layers"])):
            mine = [layer for layer in results["layers"] if layer["name"] == case and what in layer["passes"]]
            ratios = [layer["passes"][what][OWN]["ratio"] for layer in mine]
            at = [100 * layer["density"] for layer in mine]
            panel.plot(at, ratios, "o-", markersize=4, label=case, color=f"C{k}")
        panel.axhline(1, color="black", linewidth=0.8)
        panel.axhline(0.9, color="black", linewidth=0.8, linestyle=":")
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xticks(densities, [f"{density:g}" for density in densities])
        panel.yaxis.set_major_formatter("{x:g}")
        panel.minorticks_off()
        panel.set_xlabel("inputs that are not 0, per cent")
        panel.set_title(title)
        panel.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("PyTorch's dense time / numsnn's")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    figure.suptitle(_subtitle(results))
    return figure


def scaling(results):
    """Time against what grows, both relative to the first member; the dotted line is proportional."""
    series = results["scaling"]
    columns = min(4, len(series))
    rows = -(-len(series) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(4 * columns, 3.4 * rows), layout="constrained", squeeze=False)
    for panel, (name, members) in zip(panels.flat, series.items(), strict=False):
        sizes = [float(key) for key in members]
        for what, title in TITLES.items():
            panel.plot(sizes, [found[what]["median"] for found in members.values()], "o-", markersize=4, label=title)
            start = members[next(iter(members))][what]["median"]
            panel.plot(sizes, [start * size / sizes[0] for size in sizes], ":", color="grey")
        panel.set_xscale("log")
        panel.set_yscale("log")
        if all(before < after for before, after in pairwise(sizes)):
            panel.set_xticks(sizes, list(members))
            panel.minorticks_off()
        panel.set_title(name)
        panel.set_ylabel("seconds")
        panel.grid(alpha=0.3)
    for panel in list(panels.flat)[len(series) :]:
        panel.set_visible(False)
    panels[0, 0].legend(frameon=False)
    figure.suptitle(_subtitle(results))
    return figure


def _subtitle(results):
    tiny = " (tiny shapes: no measurement)" if results["quick"] else ""
    return f"numsnn {results['version']}, {results['machine']['processor']}, {results['threads']} threads{tiny}"
