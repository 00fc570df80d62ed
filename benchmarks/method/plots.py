"""Plots of the studies' logs."""

from statistics import mean, stdev

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from ..common import save_figure
from .evidence import MODES, accuracies, depth_of, grouped
from .studies import WIDTHS

COLOURS = {
    "fixed": "#888888",
    "learned": "#0b5394",
    "off": "#888888",
    "shift": "#0b5394",
    "divergence": "#e69138",
    "target": "#6aa84f",
}
NORMS = {"bn": "normalised", "none": "not normalised"}


def plot_all(logs, folder):
    """Write a picture of every study that has one; returns their paths."""
    made = []
    for study, lines in logs.items():
        draws = {}
        if study.startswith("psg-") and lines:
            draws = {study: start_widths, f"{study}-paths": paths}
        if study.startswith("pda-") and lines:
            draws = {study: potentials, f"{study}-shift": shifts}
        for name, draw in draws.items():
            made.append(save_figure(draw(study, lines), folder / f"{name}.png"))
    return made


def _grid(rows, columns, width=3.6, height=3.2, **sharing):
    figure, panels = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows + 0.5), layout="constrained", squeeze=False, **sharing
    )
    for panel in panels.flat:
        panel.grid(alpha=0.3)
    return figure, panels


def _legend(figure, panels, columns=4):
    """One legend for all panels, with everything that is drawn in any of them."""
    shown = {}
    for panel in panels.flat:
        handles, labels = panel.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    figure.legend(shown.values(), shown, loc="outside lower center", ncols=columns, frameon=False)


def _band(panel, at, values, colour, label):
    """Means with bars of one standard deviation up and down."""
    deviations = [stdev(v) if len(v) > 1 else 0.0 for v in values]
    panel.errorbar(
        at, [mean(v) for v in values], deviations, color=colour, label=label, marker="o", markersize=4, capsize=2
    )


def _width_axis(panel):
    panel.set_xscale("log")
    panel.set_xticks(WIDTHS, [f"{w:g}" for w in WIDTHS])
    panel.minorticks_off()


def start_widths(study, lines):
    """Accuracy over the start width, with a fixed and with a learned width, one panel per family."""
    found = grouped(lines, "family", "learn", "width")
    families = list(dict.fromkeys(key[0] for key in found))
    columns = min(4, len(families))
    figure, panels = _grid(-(-len(families) // columns), columns, sharey=True)
    for panel in panels.flat[len(families) :]:
        panel.set_visible(False)
    for panel, family in zip(panels.flat, families, strict=False):
        for label, learn in (("fixed", ()), ("learned", ("width",))):
            at = [w for w in WIDTHS if (family, learn, w) in found]
            _band(panel, at, [accuracies(found[family, learn, w]) for w in at], COLOURS[label], label)
        _width_axis(panel)
        panel.set_title(family)
        panel.set_xlabel("start width")
    for row in panels:
        row[0].set_ylabel("test accuracy, %")
    _legend(figure, panels)
    figure.suptitle(study.removeprefix("psg-"))
    return figure


def paths(study, lines):
    """Learned widths over training (mean over seeds): one row per family, one column per layer, one line per start."""
    lines = [line for line in lines if line["run"]["learn"]]
    found = grouped(lines, "family", "width")
    families = list(dict.fromkeys(key[0] for key in found))
    layers = list(lines[0]["result"]["widths"][0])
    figure, panels = _grid(len(families), len(layers), height=2.4, sharex=True, sharey="row")
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(WIDTHS)))
    for row, family in zip(panels, families, strict=True):
        for panel, layer in zip(row, layers, strict=True):
            for width, colour in zip(WIDTHS, colours, strict=True):
                runs = [[epoch[layer] for epoch in r["widths"]] for r in found.get((family, width), ())]
                if runs:
                    panel.plot(np.exp(np.mean(np.log(runs), axis=0)), color=colour, label=f"from {width:g}")
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.set_title(f"{family}, {layer}", fontsize=9)
        row[0].set_ylabel("width")
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    _legend(figure, panels)
    figure.suptitle(study.removeprefix("psg-"))
    return figure


def potentials(study, lines):
    """Accuracy over T, one row per normalisation, one column per depth."""
    found = grouped(lines, "norm", depth_of, "pda", "steps")

    def draw(panel, norm, depth, pda):
        at = [key[3] for key in found if key[:3] == (norm, depth, pda)]
        if at:
            values = [accuracies(found[norm, depth, pda, steps]) for steps in at]
            _band(panel, at, values, COLOURS[pda], f"PDA {MODES[pda]}")

    return _by_depth(study.removeprefix("pda-"), found, draw, "steps T", "test accuracy, %")


def shifts(study, lines):
    """The shift of every step at the largest T, mean over layers and seeds; rows and columns as in `potentials`."""
    longest = max(line["run"]["steps"] for line in lines)
    found = grouped([line for line in lines if line["run"]["steps"] == longest], "norm", depth_of, "pda")

    def draw(panel, norm, depth, pda):
        panel.axhline(0, color="black", linewidth=0.8)
        curves = [layer["shift"] for r in found.get((norm, depth, pda), ()) for layer in r.get("layers", ())]
        if curves:
            look = {"markersize": 3, "color": COLOURS[pda], "label": f"PDA {MODES[pda]}"}
            panel.plot(range(1, longest + 1), np.mean(curves, axis=0), "o-", **look)

    title = f"{study.removeprefix('pda-')}, T = {longest}"
    return _by_depth(title, found, draw, "step", "mean shift (threshold 1)", sharey="row")


def _by_depth(title, found, draw, x, y, **sharing):
    """One row per normalisation, one column per depth; ``draw(panel, norm, depth, pda)`` draws every form of PDA."""
    norms, depths = (list(dict.fromkeys(key[k] for key in found)) for k in (0, 1))
    figure, panels = _grid(len(norms), len(depths), sharex=True, **sharing)
    for row, norm in zip(panels, norms, strict=True):
        for panel, depth in zip(row, depths, strict=True):
            for pda in MODES:
                draw(panel, norm, depth, pda)
            panel.set_title(f"{NORMS[norm]}, {depth} layers", fontsize=10)
        row[0].set_ylabel(y)
    for panel in panels[-1]:
        panel.set_xlabel(x)
    _legend(figure, panels)
    figure.suptitle(title)
    return figure
