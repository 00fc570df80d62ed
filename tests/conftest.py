"""Fixtures of all tests: a folder for machine code, no windows, a restored thread count, CUDA devices, random seeds."""

import ctypes
import datetime
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest


def _cache_folder():
    """A folder for machine code that does not belong to the user's own runs; its keys cover all sources."""
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(home) / "numsnn-tests"


os.environ["NUMBA_CACHE_DIR"] = str(_cache_folder())  # read when Numba is imported, which is later: with the tests
os.environ["MPLBACKEND"] = "Agg"
# NumPy's products are small here. A helper thread of its library waits for the next one in a loop, on a core that other
# workers need: up to ten times as long as the products take. It is read when NumPy is imported, also by the processes
# that tests start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["NUMSNN_CHECK_ROLES"] = "1"  # read when the kernels are imported
os.environ["NUMSNN_COMPILERS"] = "1"  # the workers of xdist use all cores
os.environ.setdefault("NUMSNN_RANDOM_SEED", f"{datetime.date.today():%Y%m%d}000")  # workers of xdist inherit it


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

# A job in the background of a script ignores Ctrl-C, and so do the processes that it starts. Tests send it.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "kernels")]
pytest.register_assert_rewrite("bounds", "neurons")


LONG = "test_ptx", "test_kill", "test_examples", "test_warmup", "test_soak"
"""Files whose tests take long though they are few, the longest one first."""


@pytest.fixture
def families():
    """The tables of surrogate families are put back after the test."""
    import tables

    with tables.kept() as known:
        yield known


@pytest.fixture(autouse=True)
def own_family(request):
    """A family of a user's own is known while a test has its name, "parabola", among its parameters."""
    callspec = getattr(request.node, "callspec", None)
    names = [] if callspec is None else [value for value in callspec.params.values() if isinstance(value, str)]
    if "parabola" in names:
        import tables

        with tables.known_family():
            yield
    else:
        yield


def pytest_report_header():
    return f"random networks: from seed {os.environ['NUMSNN_RANDOM_SEED']} (set NUMSNN_RANDOM_SEED to repeat a run)"


def pytest_configure(config):
    if hasattr(config.option, "loadscopereorder"):  # of pytest-xdist
        config.option.loadscopereorder = False  # the order is that of the next function


def pytest_collection_modifyitems(config, items):
    """With pytest-xdist, files that take long begin first: those of `LONG`, and then those with the most tests. What is
    begun last is short, so that no worker waits long for another one."""
    if not hasattr(config, "workerinput"):
        return
    counts = Counter(item.path for item in items)
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: (place.get(item.path.stem, len(LONG)), -counts[item.path], str(item.path)))


def pytest_collection_finish(session):
    import quick_compile

    quick_compile.settle()


def pytest_runtest_setup(item):
    if SIMULATED and item.get_closest_marker("gpu"):
        pytest.skip("no CUDA device")


@pytest.fixture
def quick_simulator(monkeypatch):
    """The simulator makes a thread of the interpreter for every thread of a block, so blocks are small in it. These
    threads wait for each other at every barrier, a turn of the interpreter each time, so turns are short."""
    if not SIMULATED:
        yield
        return
    import small_tiles

    small_tiles.on_cuda(monkeypatch)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def threads(monkeypatch):
    """`set_num_threads` of the CPU target; the count from before the test comes back after it. All threads take part in
    a launch, however little work it is."""
    from numsnn.kernels.cpu.run import launch

    before = launch.get_num_threads()
    monkeypatch.setattr(launch, "LEAST_SECONDS", 0)
    monkeypatch.setattr(launch, "_kinds", {})  # what is known of short launches would keep them on one thread
    yield launch.set_num_threads
    launch.set_num_threads(before)
