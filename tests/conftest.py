"""What every test shares: a folder for machine code, no windows, a thread count that is put back."""

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
DAYS_KEPT = 7


def _cache_folder():
    """A folder for machine code, named by everything it was compiled from.

    Numba's cache looks at the file of the kernel alone, not at the functions it calls. With a folder a state
    of the sources, an edited equation never meets stale code, and a second run of the same sources compiles
    nothing.
    """
    sources = hashlib.sha256()
    for path in sorted((REPOSITORY / "numsnn").rglob("*.py")):
        sources.update(path.relative_to(REPOSITORY).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(home) / "numsnn-tests" / sources.hexdigest()[:16]


def _forget_old(folder):
    """Drop the folders of sources that nobody has tested for a while."""
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for other in folder.parent.iterdir():
        if time.time() - other.stat().st_mtime > DAYS_KEPT * 86400:
            shutil.rmtree(other, ignore_errors=True)


CACHE = _cache_folder()
_forget_old(CACHE)
os.environ["NUMBA_CACHE_DIR"] = str(CACHE)  # read when Numba is imported, which is later: with the tests
os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture
def threads():
    """`set_num_threads` of the CPU target; the count from before the test comes back after it."""
    from numsnn.kernels.cpu import launch

    before = launch.get_num_threads()
    yield launch.set_num_threads
    launch.set_num_threads(before)
