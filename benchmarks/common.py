"""What all benchmarks share: folders, checks of options, the checkout that is measured, and files of results."""

import json
import os
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
RESULTS = HERE / "results"

OWN = "numsnn"
"""The name of numsnn's side in every comparison."""


# --- options and origin ----------------------------------------------------------------------------------------------


def need_positive(parser, chosen, *names: str) -> None:
    """End the command with one line if one of these options is given and below 1."""
    for name in names:
        value = getattr(chosen, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be a positive whole number; got {value}")


def progress(line: str) -> None:
    """Show a line of progress, apart from the results."""
    print(line, file=sys.stderr, flush=True)


def commit(checkout: Path = REPOSITORY) -> str | None:
    """The commit of a checkout, with "-dirty" behind it if files differ from it; None without Git or outside one."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=checkout).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


# --- files -----------------------------------------------------------------------------------------------------------


def write_json(path: Path, results) -> None:
    """Write results as JSON; makes the folder if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def key(settings) -> str:
    """A text that is the same for the same settings, and for no others."""
    return json.dumps(settings, sort_keys=True)


def read(path: Path) -> list[dict]:
    """All runs of a log, which holds one run per line, as JSON. A missing file holds none. If the machine stopped while
    the last line was written, the rest of that line does not count.

    Raises:
        ValueError: another line is damaged.
    """
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(json.loads(line))
        except ValueError:
            raise ValueError(f"{path}: line {number} is damaged; delete it, and that run is run again") from None
    return found


def append(path: Path, run: dict) -> None:
    """Add a run to a log, in the place of an unfinished last line; it is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)  # the mode "a" writes at the end, wherever that is now
        file.write(json.dumps(run).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


# --- tables and plots ------------------------------------------------------------------------------------------------


def spread(values, digits: int = 1) -> str:
    """Mean and sample standard deviation as text."""
    text = f"{statistics.mean(values):.{digits}f}"
    return f"{text} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


def ratio_text(value: float | None) -> str:
    """A ratio of times; "" for None."""
    return "" if value is None else f"{value:.2f}x"


def can_plot() -> bool:
    """Whether matplotlib is there; prints a line if it is not."""
    if find_spec("matplotlib") is None:
        progress("matplotlib is missing, so there are no plots")
        return False
    return True


def save_figure(figure, path: Path) -> Path:
    """Write a figure to a PNG file and close it; returns the path."""
    from matplotlib import pyplot

    figure.savefig(path, dpi=130, bbox_inches="tight")
    pyplot.close(figure)
    return path
