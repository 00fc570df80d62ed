"""The form of all pictures: figures and panels, style and colours, legends and ticks."""

import io
from contextlib import contextmanager
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_file
from ..names import choice
from ..validate import path_of

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#7F7F7F",
)


STYLE: Any = {
    "savefig.dpi": 150,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "figure.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "axes.formatter.useoffset": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


FEW_POINTS = 25
"""Lines with at most this number of points have markers; a line with a single point would be invisible without."""


class PlotsUnavailable(RuntimeError):
    """matplotlib, which draws the pictures, is not installed."""


SHOWN_DPI = 100
"""Dots per inch of a figure in a notebook."""


@contextmanager
def _style():
    """Use the style of the package; the user's style returns afterwards."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


@cache
def _figure_class(base: Any) -> Any:
    """Return matplotlib's Figure in the style of the package, also when it is drawn later. Notebooks get its picture
    from itself, because pyplot, which would give it, is not loaded."""

    class Figure(base):
        def draw(self, renderer):
            with _style():
                super().draw(renderer)

        def _repr_png_(self):
            return _drawn(self, "png", dpi=SHOWN_DPI)

    return Figure


@contextmanager
def new_figure(path, width, height):
    """Make a figure of this width and height in inches. At the end of the block it is written to path, unless that is
    None; `finished` returns what the caller of a plot gets.

    Neither pyplot nor the user's style changes.
    """
    try:
        import matplotlib.figure
    except ImportError as error:
        message = 'matplotlib is missing; install it with: pip install "numsnn[plot]"'
        raise PlotsUnavailable(message) from error
    if path is not None:
        path = path_of("plots: path", path)
    with _style():
        figure = _figure_class(matplotlib.figure.Figure)(figsize=(width, height), dpi=SHOWN_DPI, layout="constrained")
        form = "png" if path is None else _form(path, figure)
        yield figure
        if path is not None:
            write_file(path, _drawn(figure, form))


def check_path(path) -> None:
    """Raise the error that `new_figure` raises for this path, or without matplotlib, before there is work to lose."""
    with new_figure(None, 1, 1) as figure:
        _form(path_of("plots: path", path), figure)


def finished(figure, path):
    """Return the figure if there is no path, otherwise the path to which it was written."""
    return figure if path is None else Path(path)


def _form(path, figure):
    """Return the format of a file that its name asks for; "png" for a name without an ending."""
    ending = Path(path).suffix[1:].lower()
    return choice("plots: the ending of path", ending or "png", figure.canvas.get_supported_filetypes())


def _drawn(figure, form, **options):
    data = io.BytesIO()
    figure.savefig(data, format=form, **options)
    return data.getvalue()


@contextmanager
def panels(path, count, height, xlabel, ylabel, columns=3, **options):
    """Make a figure with `count` panels of this height in inches, at most `columns` of them side by side."""
    down = ceil(count / columns)
    across = ceil(count / down)
    with new_figure(path, 7 if across == 2 or count == 1 else 9.3, height * down + 0.8) as figure:
        grid = figure.subplots(down, across, squeeze=False, **options).ravel()
        for k, axes in enumerate(grid[:count]):
            axes.set_ylabel(ylabel if k % across == 0 else "")
            axes.set_xlabel(xlabel if k + across >= count else "")
        for axes in grid[count:]:
            axes.set_visible(False)
        yield figure, grid[:count]


def legend(figure, *panels):
    """Make one legend for all panels, below them, with each label once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=min(len(found), 3))


def title(figure, text):
    figure.suptitle(text, x=0.01, ha="left")


def whole_ticks(axes, values):
    """Give a horizontal axis ticks at whole numbers, even if there is only one value."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(values) == 1:
        axes.set_xlim(values[0] - 0.5, values[0] + 0.5)
        axes.set_xticks([values[0]])


def few_ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)


def plain_log_ticks(axes):
    """Label a logarithmic axis 0.2, 0.5, 1 instead of powers of ten; on a short axis 1, 1.05, 1.1."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(5))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()


def colours(count):
    """Return colours for `count` lines: the palette, or for many layers a scale from the first to the last."""
    from matplotlib import colormaps

    return PALETTE[:count] if count <= len(PALETTE) else colormaps["viridis"](np.linspace(0, 0.9, count))


def two_colours(low, high):
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("numsnn", [low, high])


def marker(points, shape):
    return shape if len(points) <= FEW_POINTS else None
