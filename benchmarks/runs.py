"""A file of runs, one line of JSON each: an interrupted study goes on behind the last whole line."""

import json
import os
import subprocess
from pathlib import Path


def key(settings):
    """What makes a run the same as another."""
    return json.dumps(settings, sort_keys=True)


def read(path):
    """All runs of a file; a last line that was torn off while it was written is none."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(json.loads(line))
        except ValueError:
            raise ValueError(f"{path}: line {number} is damaged; without it that run is run again") from None
    return found


def append(path, run):
    """Add a run, in place of a torn line; on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)  # what is appended goes to the end in any case
        file.write(json.dumps(run).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def commit():
    """The checkout that is measured; None where there is none."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*", "--abbrev=12"]
    here = Path(__file__).parent
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=here).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
