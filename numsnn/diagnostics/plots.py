"""Pictures of a run: each function takes plain data, and then a path.

Without a path, a function returns a matplotlib Figure, which a notebook shows and which has its own ``savefig``. With a
path, it writes the picture there and returns the path; the ending of the name decides on the format (PNG, PDF, SVG and
others). matplotlib is loaded when a picture is drawn; pyplot is not used, and no window is needed. The colours are
those of Okabe and Ito, which colour-blind people can tell apart; titles say what a picture shows.

Every function raises PlotsUnavailable if matplotlib is missing, ValueError if there is nothing to draw, and OSError if
the file cannot be written.
"""

from collections.abc import Mapping
from math import ceil
from statistics import median

import numpy as np

from ..validate import text
from . import figures
from .checks import counts_of, names_of
from .diagnose import Diagnosis
from .figures import BLUE, GREY, ORANGE
from .history import best_of, column, epochs_of, is_share, metrics_of, titled, told
from .text import percent

FEW_STEPS = 20
"""Rasters with at most this number of steps are placed side by side, longer ones above each other."""

SMALL_SHIFT = 0.05
"""Smallest limit of the shift's axis in both directions, in thresholds, so that rounding does not look like a shift."""

MOST_CURVES = 3
"""Largest number of learning curves side by side."""

MOST_UNITS = 150
"""Rows per panel of a raster. With more, a row would be thinner than two or three pixels."""

MOST_TRACES = 5
"""Lines per panel of a recording, unless there are few units."""

FEW_UNITS = 10
"""A panel with at most this number of units, such as the classes of a readout, shows a line for each of them."""

NAMES = {"s": "spikes", "v": "potentials v", "u": "potentials u before the reset", "i": "currents", "y": "outputs"}
"""What is recorded, in words; see `record`."""

LONG_NAME = 24
"""Letters of a layer's name that fit above a panel together with its numbers."""

SHORTER_NAME = 16
"""The same in a recording, with smaller panels."""

MOST_ANNOTATED = 20
"""Largest number of classes for which a confusion matrix shows numbers."""


# --- one picture per function ------------------------------------------------------------------------------------


def learning_curves(history: list[dict], path=None):
    """Draw every metric by epoch, in one panel per metric, for training data and for the data of the evaluations.

    Args:
        history: what `Trainer.fit` returns. Metrics are found by their names, such as "train_loss" and "valid_mae"; in
            epochs without a value they may be missing or None. Accuracies are between 0 and 1.
        path: path of the picture. Default None: the figure is returned.
    """
    epochs, found = epochs_of("learning_curves", history), metrics_of(history)
    if not found:
        raise ValueError("learning_curves: the history holds no metrics such as 'train_loss'")
    down = ceil(len(found) / MOST_CURVES)
    across = ceil(len(found) / down)
    with figures.new_figure(path, max(7.0, 4.5 * across), 2.8 * down + 0.8) as figure:
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes in panels[len(found) :]:
            axes.set_visible(False)
        for (metric, parts), axes in zip(found.items(), panels, strict=False):
            _curves(axes, history, epochs, metric, parts)
        figures.legend(figure, *panels)
    return figures.finished(figure, path)


def _curves(axes, history, epochs, metric, parts):
    """Draw one metric by epoch, with one line for each part of the data."""
    summary, factor = [], 100 if is_share(metric) else 1
    looks = {"train": (GREY, "s"), "valid": (BLUE, "o"), "test": (ORANGE if "valid" in parts else BLUE, "o")}
    title = f"{titled(metric)}: not finite"
    for part in parts:
        values, (colour, shape) = column(history, f"{part}_{metric}"), looks[part]
        known = np.isfinite(values)  # evaluations that are not made in every epoch are still joined by a line
        if not known.any():
            continue
        marker = figures.marker(epochs[known], shape)
        axes.plot(epochs[known], factor * values[known], color=colour, marker=marker, label=part)
        summary.append(f"{part} {values[known][-1]:.3g}")
        title = f"{titled(metric)}: {', '.join(summary)} at the end"
        best = best_of(history, part, metric)
        if best is not None:  # the evaluated part comes second, so that its title replaces that of training
            title = f"{titled(metric)}: best {part} {told(metric, values[best])} in epoch {epochs[best]}"
    axes.set_title(title)
    label = metric.replace("_", " ")
    axes.set(xlabel="epoch", ylabel={"loss": "loss, mean over samples"}.get(metric, label + " (%)" * is_share(metric)))
    figures.whole_ticks(axes, epochs)


def potentials(start, end=None, path=None):
    """Draw the potentials, threshold and surrogate window of each neuron layer, before and after training.

    Args:
        start, end: a `Diagnosis` before and after training, of networks with the same neuron layers; one may be None.
        path: path of the picture. Default None: the figure is returned.
    """
    given = [(d, *look) for d, *look in ((start, "start", GREY, GREY), (end, "end", BLUE, ORANGE)) if d is not None]
    count = _layers("potentials", *(d for d, *_ in given))
    with figures.panels(path, count, 2.7, "membrane potential u", "density") as (figure, panels):
        for k, axes in enumerate(panels):
            rows = [d.layers[k] for d, *_ in given]
            peaks = []
            for n, (row, (_, label, colour, window)) in enumerate(zip(rows, given, strict=True)):
                density, last = _density(row), n == len(rows) - 1
                peaks.append(density.max())
                axes.stairs(density, row.edges, color=colour, lw=1.3, label=f"potentials, {label}")
                if last:
                    axes.stairs(density, row.edges, color=colour, alpha=0.3, fill=True)
                threshold, half = _middle(row.threshold), row.reach * _middle(row.width)
                if not np.isfinite(threshold + half):
                    continue
                axes.plot(
                    [threshold - half, threshold + half],
                    [0.965 - 0.06 * n] * 2,
                    color=window,
                    lw=3.5,
                    transform=axes.get_xaxis_transform(),
                    solid_capstyle="butt",
                    label=f"surrogate window, {label}",
                )
                if last:
                    axes.axvspan(threshold - half, threshold + half, color=window, alpha=0.15, lw=0)
                    axes.axvline(threshold, color="black", lw=1.1, ls="--", label="threshold")
            axes.set_xlim(*_potential_range(rows))
            axes.set_ylim(0, 1.2 * min(max(peaks), 3 * min(peaks)) or 1)  # a high peak at rest may be cut off
            axes.yaxis.set_major_locator(figures.few_ticks())
            undesired = " → ".join(f"{100 * row.undesired_share:.0f}" for row in rows)
            width = " → ".join(f"{_middle(row.width):.3g}" for row in rows)
            axes.set_title(f"{_short(rows[-1].name)} ({rows[-1].family})\nundesired {undesired} %, width {width}")
        figures.title(figure, "Undesired potentials lie outside the surrogate window and pass almost no gradient")
        figures.legend(figure, *panels)
    return figures.finished(figure, path)


def widths(history: list[dict], path=None):
    """Draw the surrogate widths by epoch.

    If a layer has one width per channel, their median is drawn, with a band from the 10 % to the 90 % quantile.

    Args:
        history: what `Trainer.fit` returns; "widths" maps a layer's name to one number, or to one number per channel.
        path: path of the picture. Default None: the figure is returned.
    """
    epochs = epochs_of("widths", history)
    names = list(dict.fromkeys(name for metrics in history for name in metrics.get("widths") or {}))
    if not names:
        raise ValueError("widths: the history holds no surrogate widths")
    with figures.new_figure(path, 7.5, max(3.4, 0.22 * len(names) + 1)) as figure:
        axes, bands = figure.subplots(), False
        for k, (name, colour) in enumerate(zip(names, figures.colours(len(names)), strict=True)):
            found = [(metrics.get("widths") or {}).get(name, np.nan) for metrics in history]
            low, middle, high = np.array([np.quantile(width, (0.1, 0.5, 0.9)) for width in found]).T
            known = middle[np.isfinite(middle)]
            span = " → ".join(f"{width:.2f}" for width in (*known[:1], *known[1:][-1:]))
            marker = figures.marker(epochs, "osD^vPX"[k % 7])
            axes.plot(epochs, middle, color=colour, marker=marker, label=f"{name}: {span}")
            if (high > low).any():
                bands = True
                axes.fill_between(epochs, low, high, color=colour, alpha=0.15, lw=0)
                if len(epochs) == 1:  # a band over a single epoch would be invisible
                    axes.vlines(epochs, low, high, color=colour, alpha=0.4, lw=3)
        axes.set_yscale("log")
        figures.plain_log_ticks(axes)
        axes.set(xlabel="epoch", ylabel=r"surrogate width $\alpha$ (log scale)")
        axes.set_title("Surrogate widths" + ("; band: 10 % to 90 % of the channels" if bands else ""))
        figures.whole_ticks(axes, epochs)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figures.finished(figure, path)


def shift(diagnosis, path=None):
    """Draw the shift of the potentials by step, with PDA's correction and without.

    Args:
        diagnosis: a `Diagnosis`.
        path: path of the picture. Default None: the figure is returned.
    """
    count = _layers("shift", diagnosis)
    corrected = any(row.shift_uncorrected is not None for row in diagnosis.layers)
    without = {"label": "without correction", "color": GREY, "ls": "--", "marker": "s", "mfc": "white"}
    present = {"label": f"with {'PDA' if corrected else 'no'} correction", "color": BLUE, "marker": "o"}
    low, high = -SMALL_SHIFT, SMALL_SHIFT
    with figures.panels(path, count, 2.2, "time step", "shift (thresholds)", sharey=True) as (figure, panels):
        for row, axes in zip(diagnosis.layers, panels, strict=True):
            steps, means = np.arange(1, row.steps + 1), []
            axes.axhline(0, color="black", lw=0.9)
            for values, look in ((row.shift_uncorrected, without), (row.shift, present)):
                relative = np.array(values or (), float) / _middle(row.threshold)
                if np.isfinite(relative).any():
                    axes.plot(steps, relative, **look | {"marker": figures.marker(steps, look["marker"])})
                    means.append(f"{round(np.nanmean(relative), 2) + 0.0:+.2f}")  # + 0.0: no "-0.00"
                    low, high = min(low, np.nanmin(relative)), max(high, np.nanmax(relative))
            axes.set_title(f"{_short(row.name)}\nmean {' → '.join(means) or 'not finite'}")
            axes.set_xlim(0.75, row.steps + 0.25)
            figures.whole_ticks(axes, steps)
        panels[0].set_ylim(1.15 * low, 1.15 * high)
        figures.title(figure, "Potential shift: mean potential minus mean input current, or PDA's target")
        figures.legend(figure, *panels)
    return figures.finished(figure, path)


def raster(spikes_by_layer: Mapping[str, np.ndarray], path=None, *, title: str = "Spikes of one sample"):
    """Draw which neurons fire when, for one sample.

    Args:
        spikes_by_layer: name of the layer -> spikes ``[T, units]``, as `record_spikes` returns them; at most 150 evenly
            spaced units per layer are drawn.
        path: path of the picture. Default None: the figure is returned.
        title: title above the panels.
    """
    text("raster: title", title)
    if not isinstance(spikes_by_layer, Mapping):
        raise TypeError(f"raster: must be given layer -> spikes [T, units]; got {type(spikes_by_layer).__name__}")
    if not spikes_by_layer:
        raise ValueError("raster: there are no spikes to draw")
    for name, spikes in spikes_by_layer.items():
        if not isinstance(spikes, np.ndarray) or spikes.ndim != 2 or not spikes.size or spikes.dtype.kind not in "biuf":
            got = f"{spikes.ndim} axes" if isinstance(spikes, np.ndarray) else "no array"
            raise ValueError(
                f"raster: the spikes of {name!r} must be [T, units] of one sample; got {type(spikes).__name__} of "
                f"{got}. A Recording gives them: recording.of_sample('s')"
            )
    longest = max(len(spikes) for spikes in spikes_by_layer.values())
    few = longest <= FEW_STEPS
    height, columns = (3.2, 4) if few else (1.9, 1)
    with figures.panels(path, len(spikes_by_layer), height, "time step", "unit", columns) as (figure, panels):
        for (name, spikes), axes in zip(spikes_by_layer.items(), panels, strict=True):
            _raster(axes, _short(name) if few else name, spikes, "\n" if few else ": ")
        figures.title(figure, title)
    return figures.finished(figure, path)


def _raster(axes, name, spikes, separator=": "):
    """Draw the spikes ``[T, units]`` of one layer."""
    steps, units = spikes.shape
    shown = np.linspace(0, units - 1, min(units, MOST_UNITS)).round().astype(int)
    axes.imshow(
        spikes[:, shown].T,
        cmap=figures.two_colours("white", BLUE),
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, steps + 0.5, len(shown), 0),
    )
    axes.set_title(f"{name}{separator}rate {percent((spikes != 0).mean())}, {_drawn(shown, units)}")
    axes.set_yticks([])
    axes.grid(False)
    figures.whole_ticks(axes, np.arange(1, steps + 1))


def _drawn(shown, units):
    """Return how many of the units are shown, as text."""
    return f"all {units} units" if len(shown) == units else f"{len(shown)} of {units:,} units"


def recording(recording, sample: int = 0, path=None):
    """Draw everything that was recorded of one sample: one row per layer, with spikes as a raster and everything else
    as lines of a few evenly spaced units.

    Args:
        recording: a `Recording`, the result of `record`.
        sample: number of the sample. Default 0.
        path: path of the picture. Default None: the figure is returned.
    """
    if not callable(getattr(recording, "of_sample", None)) or isinstance(recording, type):
        raise TypeError(f"recording: must be given what snn.record returns; got {type(recording).__name__}")
    columns = {what: recording.of_sample(what, sample) for layer in recording.values() for what in layer}
    with figures.new_figure(path, max(7.0, 3.6 * len(columns)), 1.9 * len(recording) + 0.8) as figure:
        grid = figure.subplots(len(recording), len(columns), squeeze=False)
        for (name, layer), row in zip(recording.items(), grid, strict=True):
            for (what, arrays), axes in zip(columns.items(), row, strict=True):
                if name not in arrays:
                    axes.set_visible(False)
                elif arrays[name].dtype == np.uint8:
                    _raster(axes, _short(name, SHORTER_NAME), arrays[name])
                else:
                    _traces(
                        axes,
                        f"{_short(name, SHORTER_NAME)}: {what}",
                        arrays[name],
                        layer.threshold if what in "uv" else None,
                    )
        for column in grid.T:
            [axes for axes in column if axes.get_visible()][-1].set_xlabel("time step")
        figures.title(figure, f"Sample {sample}: {', '.join(NAMES.get(what, what) for what in columns)}")
        figures.legend(figure, *grid.ravel())
    return figures.finished(figure, path)


def _traces(axes, name, values, threshold):
    """Draw the numbers ``[T, units]`` of a few units as lines, with the threshold if it is known."""
    steps, units = np.arange(1, len(values) + 1), values.shape[1]
    count = units if units <= FEW_UNITS else MOST_TRACES
    shown = np.linspace(0, units - 1, count).round().astype(int)
    for unit, colour in zip(shown, figures.colours(count), strict=True):
        axes.plot(steps, values[:, unit], color=colour, lw=1.2, marker=figures.marker(steps, "."))
    if threshold is not None:
        axes.axhline(float(np.median(threshold)), color="black", lw=0.9, ls="--", label="threshold")
    axes.set_title(f"{name}, {_drawn(shown, units)}")
    figures.whole_ticks(axes, steps)


def confusion(matrix, classes=None, path=None):
    """Draw how often each class is predicted for each true class, coloured by the share of the true class.

    Args:
        matrix: counts ``[K, K]``, true class by predicted class.
        classes: K names. Default None: numbers from 0.
        path: path of the picture. Default None: the figure is returned.
    """
    counts = counts_of(matrix, "confusion")
    classes = range(len(counts)) if classes is None else names_of(classes, "confusion")
    size = len(classes)
    if counts.shape != (size, size) or not size:
        raise ValueError(
            f"confusion: matrix must have one row and one column per class ({size}); got shape {counts.shape}"
        )
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    wrong = counts - np.diag(np.diag(counts))
    true, taken = np.unravel_index(wrong.argmax(), wrong.shape)
    title = f"{percent(np.trace(counts) / max(counts.sum(), 1))} of {counts.sum():,} right"
    if wrong[true, taken] > 1:
        title += f"\nmost frequent error: {classes[true]} taken for {classes[taken]} ({wrong[true, taken]:,} times)"
    edge = min(max(4.5, 0.5 * size + 1.2), 9.5)
    with figures.new_figure(path, edge + 0.8, edge) as figure:
        from matplotlib.colors import PowerNorm  # a square root, so that a few errors among many counts are visible

        axes = figure.subplots()
        image = axes.imshow(share, cmap=figures.two_colours("white", BLUE), norm=PowerNorm(0.5, 0, 1))
        bar = figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
        bar.outline.set_visible(False)
        ticks = np.arange(0, size, ceil(size / MOST_ANNOTATED))
        names = [str(classes[k]) for k in ticks]
        axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 3 else 0)
        axes.set_yticks(ticks, names)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.set_title(title)
        axes.grid(False)
        if size <= MOST_ANNOTATED:
            for i, j in np.argwhere(counts):
                colour = "white" if share[i, j] > 0.3 else "black"
                axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", color=colour, fontsize=8)
    return figures.finished(figure, path)


# --- what they share -------------------------------------------------------------------------------------------


def _layers(what, *diagnoses):
    """Return the number of neuron layers of the diagnoses, which must have the same layers."""
    for one in diagnoses:
        if not isinstance(one, Diagnosis):
            raise TypeError(f"{what}: must be given what snn.diagnose returns; got {type(one).__name__}")
    names = [[row.name for row in diagnosis.layers] for diagnosis in diagnoses]
    if not names or not names[0]:
        raise ValueError(f"{what}: the network has no neuron layer to draw")
    if any(other != names[0] for other in names):
        raise ValueError(f"{what}: start and end have different layers: {names[0]} and {names[-1]}")
    return len(names[0])


def _density(row):
    """Return the histogram as a density, whose area is 1."""
    counts = np.array(row.counts, float)
    return counts / max(counts.sum(), 1) / np.diff(row.edges)


def _short(name, longest=LONG_NAME):
    """Return a layer's name, without its beginning if the whole name does not fit above a panel."""
    return name if len(name) <= longest else f"…{name[1 - longest :]}"


def _middle(values):
    """Return the median of the finite values."""
    return median([value for value in values if value is not None] or [float("nan")])


def _potential_range(rows):
    """Return limits that contain all potentials and the threshold; wider surrogate windows are cut off at the edge."""
    points = np.array([(row.edges[0], row.edges[-1], _middle(row.threshold)) for row in rows])
    low, high = np.nanmin(points), np.nanmax(points)
    return low - 0.05 * (high - low), high + 0.15 * (high - low)
