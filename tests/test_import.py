"""Importing numsnn is fast and loads no large library, and every public name exists."""

import json
import subprocess
import sys

import pytest

import numsnn as snn

HEAVY = ("numba", "numba.cuda", "llvmlite", "h5py", "matplotlib", "scipy")


def fresh(code):
    """What the code prints, as JSON, in a process of its own."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


IMPORT = """
import json, sys, time
start = time.perf_counter()
import numsnn
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


def test_import_loads_nothing_heavy():
    modules = fresh(IMPORT)["modules"]
    assert "numsnn" in modules
    assert [name for name in HEAVY if name in modules] == []


def test_import_takes_under_a_second():
    """The best of three: a busy machine delays one, not all."""
    assert min(fresh(IMPORT)["seconds"] for _ in range(3)) < 1.0


def test_layers_need_neither_files_nor_plots_nor_cuda():
    """Describing a network loads no more than that: HDF5 comes with the first file, Matplotlib with the first plot."""
    modules = fresh("""
import json, sys
import numsnn as snn
net = snn.Sequential(snn.Conv2d(1, 4, 3), snn.LIF(), snn.Flatten(), snn.Linear(4, 2))
net.description()
print(json.dumps(sorted(sys.modules)))
""")
    assert [name for name in ("numba.cuda", "h5py", "matplotlib") if name in modules] == []


def test_every_name_is_there():
    """The process is a fresh one, where no test has loaded anything."""
    missing = fresh("""
import json
import numsnn
print(json.dumps([name for name in numsnn.__all__ if not hasattr(numsnn, name)]))
""")
    assert missing == []


def test_dir_is_the_list_of_names():
    assert dir(snn) == sorted(snn.__all__)
    assert len(set(snn.__all__)) == len(snn.__all__)
    assert {"LIF", "PSG", "PDA", "Trainer", "check_gradients", "losses", "__version__"} <= set(dir(snn))


def test_a_star_import_brings_the_names():
    names = fresh("""
import json
before = set(globals())
from numsnn import *
print(json.dumps(sorted(set(globals()) - before - {"before"})))
""")
    assert names == sorted(snn.__all__)


def test_names_are_loaded_once():
    from numsnn.layers import LIF

    assert snn.LIF is LIF
    assert "LIF" in vars(snn)


def test_a_name_that_does_not_exist():
    with pytest.raises(AttributeError, match=r"^module 'numsnn' has no attribute 'Lif'$"):
        snn.Lif  # noqa: B018
    assert not hasattr(snn, "numpy")


def test_version():
    from numsnn.version import __version__

    assert snn.__version__ == __version__
    assert all(part.isdigit() for part in __version__.split(".")[:2])
