"""The picture of a history of `numsnn bench`: ratios to a matrix product and to a copy, from entry to entry."""

import math

from ..diagnostics import figures
from .history import PARTS, label, ratios, setting

MOST_TICKS = 12

LOOKS = ((("training", "inference"), "-", "o"), (("layers",), "--", "s"), (("neurons",), ":", "^"))
"""Parts of a history, and the line and marker of their names."""


def check(path) -> None:
    """Raise the error that `draw` would raise for this path, or because matplotlib is missing."""
    figures.check_path(path)


def draw(entries: list[dict], path) -> None:
    """Write the picture of a history: four panels per machine and setting, with one line per workload or kernel.

    Args:
        entries: those of `history.read`, at least one.
        path: a file; its ending says the format.

    Raises:
        PlotsUnavailable: matplotlib is missing.
        ValueError: the ending is not the name of a format.
        OSError: the file cannot be written.
    """
    groups: dict[tuple, list[dict]] = {}
    for one in entries:
        groups.setdefault(setting(one), []).append(one)
    shown = [(key, part) for key, group in groups.items() for part in PARTS if any(ratios(one)[part] for one in group)]
    styles = _styles(entries)
    with figures.panels(path, len(shown), 2.6, "commit or version", "ratio", columns=2) as (figure, panels):
        for axes, (key, part) in zip(panels, shown, strict=True):
            _panel(axes, groups[key], part, styles)
            axes.set_title(f"{PARTS[part]}\n{_told(*key)}")
        figures.legend(figure, *panels)
        figures.title(figure, f"numsnn bench, {entries[0]['date'][:10]} to {entries[-1]['date'][:10]}")


def _told(processor, cores, threads, surrogate, quick):
    """A setting as a line."""
    return f"{processor}, {threads} of {cores} cores, {surrogate}{', TINY SHAPES' if quick else ''}"


def _styles(entries):
    """Name -> look of its line: the same in all panels, and another one for layers and for neuron kernels."""
    found = {}
    for parts, look, marker in LOOKS:
        names = list(dict.fromkeys(name for one in entries for part in parts for name in ratios(one)[part]))
        for name, colour in zip(names, figures.colours(len(names)), strict=True):
            found[name] = {"color": colour, "linestyle": look, "marker": marker}
    return found


def _panel(axes, entries, part, styles):
    """One line per name. An entry in which a name was not measured leaves a gap."""
    found = [ratios(one)[part] for one in entries]
    points = range(len(entries))
    for name in dict.fromkeys(name for one in found for name in one):
        values = [one.get(name, math.nan) for one in found]
        marker = figures.marker(points, styles[name]["marker"])
        axes.plot(points, values, label=name, **styles[name] | {"marker": marker})
    axes.set_yscale("log")
    figures.plain_log_ticks(axes)
    every = math.ceil(len(entries) / MOST_TICKS)
    ticks = [k for k in points if (len(entries) - 1 - k) % every == 0]
    axes.set_xticks(ticks, [label(entries[k]) for k in ticks], rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(entries) - 0.5)
