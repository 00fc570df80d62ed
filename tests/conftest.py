"""What every test shares: a folder for machine code, no windows, a thread count that is put back, CUDA devices."""

import ctypes
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


def _cuda_devices():
    """How many there are, asked of the driver itself: Numba must not be imported before the environment says whether it
    is to simulate them."""
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(library)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


if not _cuda_devices():
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # read when Numba is imported
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


def pytest_runtest_setup(item):
    if SIMULATED and item.get_closest_marker("gpu"):
        pytest.skip("no CUDA device")


@pytest.fixture
def threads():
    """`set_num_threads` of the CPU target; the count from before the test comes back after it."""
    from numsnn.kernels.cpu import launch

    before = launch.get_num_threads()
    yield launch.set_num_threads
    launch.set_num_threads(before)
