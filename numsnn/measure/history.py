"""The history of `numsnn bench`: a file with one line of JSON per run, which tells the speed of one commit and machine.

A time alone says little when a clock or a machine changes. So every run also measures two rates of the machine, that of
a plain copy and that of NumPy's product of two large matrices, and the history holds ratios to them:

    form        1, the number of this form
    date        of the end of the run, in UTC: "2030-01-31T23:59:59+00:00"
    version     of numsnn
    commit      of its Git checkout, with "-dirty" behind it if files differ from it; null outside of one
    machine     as `host.machine` tells it: processor, cores, system, python, load, registers
    threads     of numsnn
    surrogate   family of all neurons
    quick       whether the shapes were tiny, so that the numbers mean nothing
    product     operations per second of the matrix product; null if nothing was compared with it
    copy        bytes per second of the copy; null if nothing was compared with it
    workloads   name -> "train" or "infer" -> operations per second, as if the network were dense, divided by `product`
    layers      name and density -> pass -> the same
    neurons     name -> bytes per second of the neuron kernel, divided by `copy`

A training step counts as three forward passes. The ratios of sparse networks can be larger than 1.
"""

import json
import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from ..files import read_file, remove_temporaries, write_file
from ..locks import Lock
from ..plain_json import parsed
from ..shown import shown
from ..version import __version__
from . import host
from .table import table

FORM = 1

PARTS = {
    "training": "training steps, to a matrix product",
    "inference": "inference, to a matrix product",
    "layers": "layers (geometric mean), to a matrix product",
    "neurons": "neuron kernel, to a copy",
}
"""What a history is shown in, and the title of each part."""

LARGEST = 1 << 28
"""Bytes of the largest file that is read; a run adds about ten thousand."""

_PATIENCE = 10.0
"""Seconds for which `append` waits for another process that writes to the file."""


def entry(results: dict) -> dict:
    """Return the line of a history that a run of `command.run` gives, as plain data."""
    rates = [found["product"] for found in (*results["workloads"], *results["layers"])]
    copied = results["neurons"].get("copy", {}).get("gigabytes_per_second")
    return {
        "form": FORM,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "commit": host.commit(),
        "machine": results["machine"],
        "threads": results["threads"],
        "surrogate": results["surrogate"],
        "quick": results["quick"],
        "product": sum(rates) / len(rates) if rates else None,
        "copy": copied and 1e9 * copied,
        "workloads": {found["name"]: _ratios(found, {"train": 3, "infer": 1}) for found in results["workloads"]},
        "layers": {f"{found['name']} {found['density']:.0%}": _ratios(found, {}) for found in results["layers"]},
        "neurons": {name: _short(one["share_of_copy"]) for name, one in results["neurons"].items() if name != "copy"},
    }


def _ratios(found, forwards):
    """Pass -> its rate of operations divided by that of the product; forwards: how many forward passes one counts."""
    whole = found["operations"] / found["product"]
    return {what: _short(forwards.get(what, 1) * whole / times["median"]) for what, times in found["passes"].items()}


def _short(value):
    """A number with five digits."""
    return float(f"{value:.5g}")


# --- the file --------------------------------------------------------------------------------------------------------


def read(path) -> list[dict]:
    """Return the entries of a history, the oldest first. A missing file has none.

    Raises:
        OSError: the file cannot be read, or its folder does not exist.
        ValueError: a line is no entry; the message names it.
    """
    return _entries(path, _lines(path))


def append(path, added: dict) -> list[dict]:
    """Add an entry to a history, and return all entries.

    The file is replaced by a complete new one, so that it is never half written, and one process at a time does so. A
    symbolic link is followed.

    Raises:
        OSError: the file cannot be read or written, or another process holds its lock for ten seconds.
        ValueError: a line of the file is no entry; the file stays as it is.
    """
    path = Path(os.path.realpath(path))
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            with Lock(path):
                remove_temporaries(path.parent, path.name)
                lines = [*_lines(path), json.dumps(added)]
                found = _entries(path, lines)
                write_file(path, "".join(f"{line}\n" for line in lines))
                return found
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _entries(path, lines):
    """The entries in lines. Empty lines, which an editor may leave, do not count."""
    return [_checked(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _lines(path):
    """The lines of a file; none of a missing one."""
    path = Path(path)
    if not path.exists():
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path.parent} is no folder; the history {path} cannot be written there")
        return []
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} is no history of numsnn bench: it is larger than {LARGEST >> 20} MiB")
    try:
        return read_file(path).decode().splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no history of numsnn bench: it is not a text in UTF-8") from None


def _checked(path, number, line):
    """The entry in a line.

    Raises:
        ValueError: the line is something else.
    """
    what = f"{path}, line {number}"
    try:
        found = parsed(line, strict=True)
    except ValueError as error:
        raise ValueError(f"{what} is no entry of a history of numsnn bench: {error}; delete the line") from None
    if not isinstance(found, dict) or "form" not in found:
        raise ValueError(f"{what} is no entry of a history of numsnn bench; got {shown(found)}")
    if found["form"] != FORM:
        raise ValueError(f"{what} has form {shown(found['form'])}; numsnn {__version__} reads form {FORM}")
    for name, holds in _HOLDS.items():
        if name not in found or not holds(found[name]):
            got = shown(found[name]) if name in found else "nothing"
            raise ValueError(f"{what}: {name!r} is not what numsnn bench writes; got {got}")
    return found


def _is_text(value):
    return isinstance(value, str) and value.isprintable() and len(value) < 200


def _is_ratio(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and 1e-100 < value < 1e100


def _is_count(value):
    return _is_ratio(value) and isinstance(value, int)


def _is_date(value):
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_machine(value):
    return isinstance(value, dict) and _is_text(value.get("processor")) and _is_count(value.get("cores"))


def _is_table(value, holds=_is_ratio):
    return isinstance(value, dict) and all(_is_text(name) and holds(one) for name, one in value.items())


_HOLDS = {
    "date": _is_date,
    "version": _is_text,
    "commit": lambda value: value is None or _is_text(value),
    "machine": _is_machine,
    "threads": _is_count,
    "surrogate": _is_text,
    "quick": lambda value: isinstance(value, bool),
    "product": lambda value: value is None or _is_ratio(value),
    "copy": lambda value: value is None or _is_ratio(value),
    "workloads": lambda value: _is_table(value, _is_table),
    "layers": lambda value: _is_table(value, _is_table),
    "neurons": _is_table,
}
"""Key of an entry -> whether its value is of the right kind."""


# --- what it shows ---------------------------------------------------------------------------------------------------


def setting(one: dict) -> tuple:
    """Return what two entries must share to be compared: machine, threads, surrogate and shapes."""
    machine = one["machine"]
    return machine["processor"], machine["cores"], one["threads"], one["surrogate"], one["quick"]


def ratios(one: dict) -> dict[str, dict[str, float]]:
    """Return an entry's numbers as they are shown: key of `PARTS` -> name -> ratio."""
    every = one["workloads"].items()
    passes: dict[str, list[float]] = {}
    for found in one["layers"].values():
        for what, ratio in found.items():
            passes.setdefault(what.replace("_", " "), []).append(ratio)
    return {
        "training": {name: found["train"] for name, found in every if "train" in found},
        "inference": {name: found["infer"] for name, found in every if "infer" in found},
        "layers": {what: math.exp(sum(map(math.log, found)) / len(found)) for what, found in passes.items()},
        "neurons": one["neurons"],
    }


def label(one: dict) -> str:
    """Return the commit of an entry, or the version where there is none."""
    commit, dirty, _ = (one["commit"] or "").partition("-dirty")
    return f"{commit[:7]}{'*' if dirty else ''}" if commit else one["version"]


def beside(entries: list[dict]) -> str:
    """Return a Markdown table of the last entry beside the last one before it that has the same setting."""
    *others, last = entries
    others = [one for one in others if setting(one) == setting(last)]
    before = ratios(others[-1]) if others else {}
    rows = []
    for part, found in ratios(last).items():
        for name, now in found.items():
            old = before.get(part, {}).get(name)
            cells = ["", ""] if old is None else [f"{old:.3g}", f"{now / old:.2f}"]
            rows.append([f"{PARTS[part].partition(',')[0]}: {name}", f"{now:.3g}", *cells])
    older = f"{label(others[-1])}, {others[-1]['date'][:10]}" if others else "before"
    return table(["ratio to a matrix product or copy", label(last), older, "now / before"], rows)
