"""The report of a run as one HTML page."""

import platform
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numba
import numpy as np

from ..files import write_file
from ..shown import shown
from ..tables import html_table, records
from ..validate import instance, number, path_of, text
from ..version import __version__
from . import figures, plots
from .checks import counts_of
from .diagnose import Diagnosis
from .history import best_of, column, epochs_of, metrics_of, told
from .text import layer_table, parameter_table

SCALE = 0.75
"""Pixels of the page per pixel of a picture. It is less than 1, so that pictures are sharp on fine screens."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5b6570; --line: #dde2e7; --paper: #fff; --panel: #f5f7f9;
  --warn: #b04a00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #9aa4ae; --line: #363d45; --paper: #15191d; --panel: #1e242a; --warn: #ffb27a; }
  img { filter: brightness(.92); } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; }
p { margin: .4rem 0; }
.soft, caption, dt { color: var(--soft); }
dl.headline { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 0; }
dl.headline div { background: var(--panel); border-radius: .5rem; padding: .7rem .9rem; }
dt { font-size: .85rem; } dd { margin: 0; font-size: 1.35rem; font-weight: 600; }
dd small { display: block; font-size: .85rem; font-weight: 400; color: var(--soft); }
img { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: .5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; white-space: nowrap; border-bottom: 1px solid var(--line); }
ul.hints li { color: var(--warn); margin: .3rem 0; }
pre { background: var(--panel); border-radius: .5rem; padding: .9rem; overflow-x: auto; font-size: .85rem; }
summary { cursor: pointer; margin: .6rem 0; color: var(--soft); }
"""


def write_report(
    path,
    history: list[dict],
    *,
    title: str = "Training run",
    config_text: str = "",
    start=None,
    end=None,
    confusion=None,
    classes=None,
    raster: Mapping[str, np.ndarray] | None = None,
    test: Mapping[str, float] | None = None,
    version: str = __version__,
) -> Path:
    """Write the report of a run as one HTML page.

    The page contains its pictures and its style. It has no scripts and loads nothing. A file is replaced only by a
    complete new file, so that readers never see a part of one.

    Args:
        path: the page, if its name ends with ".html" or ".htm"; otherwise a folder, in which ``report.html`` and its
            pictures (PNG) are written. The folder must exist.
        history: what `Trainer.fit` returns. Metrics are found by their names, such as "train_loss" and "valid_mae".
        title: heading of the page.
        config_text: the configuration of the run or the printed network, shown as it is. Default: none.
        start, end: a `Diagnosis` before and after training, or None (default).
        confusion: counts ``[K, K]``, true class by predicted class, or None (default), for example in a regression.
        classes: K names. Default: numbers from 0.
        raster: spikes of one sample as `record_spikes` returns them, or None (default).
        test: metric -> value on the test data after training, or None (default).
        version: version of numsnn. Default: this version.

    Returns:
        path of the page. If matplotlib is missing, the page has no pictures and says so.

    Raises:
        ValueError: start and end are diagnoses of different networks, or confusion and classes do not fit.
        TypeError: history has another form.
        OSError: there is no such folder, or it cannot be written to.
    """
    path = path_of("write_report: path", path)
    for name, value in (("title", title), ("config_text", config_text), ("version", version)):
        text(f"write_report: {name}", value, lines=name == "config_text")
    if not isinstance(history, list | tuple):
        raise TypeError(f"write_report: history must be what Trainer.fit returns, a list; got {shown(history)}")
    for name, one in (("start", start), ("end", end)):
        if one is not None:
            instance(f"write_report: {name}", one, Diagnosis, "what snn.diagnose returns")
    for name, one in (("raster", raster), ("test", test)):
        if one is not None:
            instance(f"write_report: {name}", one, Mapping, "a dict")
    for metric, result in (test or {}).items():
        number(f"write_report: test: {shown(metric)}", result)
    if confusion is not None:
        counts_of(confusion, "write_report: confusion")
    folder = None if path.suffix.lower() in (".html", ".htm") else path
    path = path if folder is None else folder / "report.html"
    if not path.parent.is_dir():
        raise FileNotFoundError(f"write_report: there is no folder {str(path.parent)!r}; make it first")
    last = end if end is not None else start
    if history:
        epochs_of("write_report", history)
    neurons = last is not None and last.layers
    no_diagnosis = "No diagnosis was made." if last is None else "The network has no neuron layer."
    curves, widths = metrics_of(history), any(metrics.get("widths") for metrics in history)
    pictures = (
        ("Learning curves", "learning_curves", curves, (history,), "No epoch was finished."),
        ("Potentials and surrogates", "potentials", neurons, (start, end), no_diagnosis),
        ("Surrogate widths", "widths", widths, (history,), "The history holds no surrogate widths."),
        ("Potential shift", "shift", neurons, (last,), no_diagnosis),
        ("Spikes of one sample", "raster", raster, (raster,), "No spikes were recorded."),
        ("Confusion", "confusion", confusion is not None, (confusion, classes), None),
    )
    body = [f"<h1>{escape(title)}</h1>", _headline(history, last, test or {})]
    for heading, name, there, arguments, reason in pictures:
        if there or reason:
            body += [f"<h2>{heading}</h2>", _picture(folder, name, heading, arguments) if there else _soft(reason)]
        if there and name == "learning_curves":
            every = _scroll(html_table(*records(history)))
            body.append(f"<details><summary>Every epoch</summary>{every}</details>")
    body += ["<h2>Diagnosis</h2>", _soft(no_diagnosis) if last is None else _diagnosis(last, end is not None)]
    if config_text:
        body += ["<h2>Configuration</h2>", f"<pre>{escape(config_text)}</pre>"]
    body += ["<h2>Versions</h2>", _versions(version)]
    page = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )
    write_file(path, page.encode())
    return path


def _headline(history, diagnosis, test):
    """Return the most important numbers as HTML."""
    facts = [(f"test {metric.replace('_', ' ')}", told(metric, value), "") for metric, value in test.items()]
    for metric, parts in metrics_of(history).items():
        part = "valid" if "valid" in parts else parts[-1]
        values = column(history, f"{part}_{metric}")
        name = f"{'training' if part == 'train' else part} {metric.replace('_', ' ')}"
        known = np.flatnonzero(np.isfinite(values))
        if not len(known) or (metric == "loss" and test):
            continue
        best = best_of(history, part, metric)
        if best is not None and part != "train":
            facts.append((f"best {name}", told(metric, values[best]), f"epoch {history[best]['epoch']}"))
        facts.append((f"last {name}", told(metric, values[known[-1]]), f"epoch {history[known[-1]]['epoch']}"))
    facts.append(("epochs", f"{len(history)}", ""))
    seconds = [metrics["seconds"] for metrics in history if metrics.get("seconds") is not None]
    if seconds:
        facts.append(("training time", _duration(sum(seconds)), f"{_duration(sum(seconds) / len(seconds))} per epoch"))
    if diagnosis is not None:
        count = sum(prod(row.shape) for row in diagnosis.parameters)
        facts.append(("parameters", f"{count:,}", f"{len(diagnosis.layers)} neuron layers"))
        hints = len(diagnosis.hints)
        facts.append(("hints", f"{hints}", "see Diagnosis" if hints else "nothing looks wrong"))
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(note)}</small></dd></div>"
        for name, value, note in facts
    )
    return f'<dl class="headline">{"".join(cells)}</dl>'


def _picture(folder, name, heading, arguments):
    """Draw one picture, also into the folder if there is one, and return the HTML that shows it."""
    with TemporaryDirectory() as temporary:
        try:
            path = getattr(plots, name)(*arguments, path=Path(folder or temporary) / f"{name}.png")
        except figures.PlotsUnavailable as error:
            return _soft(f"No picture: {error}")
        data = path.read_bytes()
    pixels = int.from_bytes(data[16:20], "big")  # width of the PNG: all pictures are shown at the same scale
    source = f"data:image/png;base64,{b64encode(data).decode()}"
    return f'<img alt="{escape(heading)}" width="{round(SCALE * pixels)}" src="{source}">'


def _diagnosis(diagnosis, trained):
    hints = "".join(f"<li>{escape(hint)}</li>" for hint in diagnosis.hints)
    parts = [
        _soft(
            f"The network {'after' if trained else 'before'} training. Rate: spikes per neuron and step. Silent, "
            "saturated: share of the units that never (always) fired. Shift: mean potential minus mean input current "
            "or PDA's target, at the step where it is largest; uncorrected: the same without PDA's correction. "
            "Undesired: share of the potentials outside the surrogate window; if normal: what it would be if the "
            "potentials of every channel were normally distributed. Gradient: norm of the gradient of the layer's "
            "input current."
        ),
        f'<ul class="hints">{hints}</ul>' if hints else "<p>Nothing looks wrong.</p>",
    ]
    if diagnosis.layers:
        parts.append(_table(layer_table(diagnosis)))
    parts.append(f"<details><summary>Parameters</summary>{_table(parameter_table(diagnosis))}</details>")
    return "\n".join(parts)


def _table(table):
    header, *rows = table
    return _scroll(html_table(header, rows))


def _scroll(table):
    return f'<div class="scroll">{table}</div>'


def _versions(version):
    found = {
        "numsnn": version,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "Numba": numba.__version__,
    }
    return _soft(", ".join(f"{name} {number}" for name, number in found.items()))


def _soft(text):
    return f'<p class="soft">{escape(text)}</p>'


def _duration(seconds):
    """Return a duration as text: "48 s", "3 min 20 s", "2 h 05 min"."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
