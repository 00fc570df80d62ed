"""Times and memory on the host, and the machine that they were measured on."""

import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from ..cores import available_cores

STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


# --- time ------------------------------------------------------------------------------------------------------------


def seconds(step, count: int) -> list[float]:
    """Seconds of each of `count` calls."""
    found = []
    for _ in range(count):
        start = time.perf_counter()
        step()
        found.append(time.perf_counter() - start)
    return found


def repetitions(first: float, budget: float, least: int, most: int) -> int:
    """Return how often to repeat a step that takes `first` seconds.

    This is the number of repetitions that fits into `budget` seconds, but at least `least` and at most `most`.
    """
    return max(least, min(most, int(budget / max(first, 1e-9))))


def summary(times) -> dict[str, float]:
    """Median, extremes and number of times."""
    return {"median": statistics.median(times), "min": min(times), "max": max(times), "count": len(times)}


def product_rate(size: int = 1536) -> float:
    """Operations per second of NumPy's product of two float32 matrices, with all threads of its library.

    Args:
        size: rows and columns of the matrices. Default 1536, which is large enough for the full rate.
    """
    a = np.ones((size, size), np.float32)
    np.matmul(a, a)
    return 2 * size**3 / min(seconds(lambda: np.matmul(a, a), 7))


# --- memory ----------------------------------------------------------------------------------------------------------


def resident() -> int | None:
    """Bytes of this process that are in memory now; None if the system does not tell."""
    return _status("VmRSS")


def peak() -> int | None:
    """The largest number of bytes since the process began, or since `forget_peak`; None if the system does not tell."""
    if STATUS.exists():
        return _status("VmHWM")
    if sys.platform == "win32":
        return None
    import resource

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def forget_peak() -> bool:
    """Reset `peak`; returns whether the system can."""
    try:
        REFERENCES.write_text("5")
    except OSError:
        return False
    return True


def _status(key):
    if not STATUS.exists():
        return None
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


# --- machine ---------------------------------------------------------------------------------------------------------


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def registers() -> str:
    """Return the vector registers that numsnn compiles for, as text."""
    from ..kernels.cpu.inline.vector import REGISTER_BYTES, REGISTERS

    return f"{REGISTERS} of {8 * REGISTER_BYTES} bits"


def load() -> list[float] | None:
    """Number of processes that could run, on average over 1, 5 and 15 minutes; None if the system does not tell."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def commit(folder: Path = Path(__file__).parent) -> str | None:
    """Return the commit of the Git checkout that a folder with source files belongs to.

    Args:
        folder: the folder. Default: that of this file, and hence numsnn's own checkout.

    Returns:
        the first 12 digits, with "-dirty" behind them if files differ from the commit; None without Git, and for a
        folder that Git does not track, such as an installed package within another checkout.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # of a Git hook

    def git(*arguments):
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, cwd=folder, env=environment, timeout=60
        )
        return done.stdout.strip()

    try:
        tracked = git("ls-files", "*.py")
        return git("describe", "--always", "--dirty", "--exclude", "*", "--abbrev=12") if tracked else None
    except (OSError, subprocess.SubprocessError):
        return None


def machine() -> dict:
    """The machine that a result has to name."""
    return {
        "processor": processor(),
        "cores": available_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": load(),
        "registers": registers(),
    }
