"""Machine code on disk: it is never outdated, is found again, and never makes a run fail."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

import numsnn
from numsnn import machine_code
from numsnn.kernels.compile import shared_sources

ROOT = Path(numsnn.__file__).parent

SCRIPT = """
import json
import numpy as np
from numsnn import machine_code
from numsnn.kernels import for_device
from numsnn.kernels.types import Affine, Moments

x, ones, y = np.full((2, 4), 3, np.float32), np.ones(4, np.float32), np.zeros((2, 4), np.float32)
cpu = for_device("cpu")
cpu.batchnorm_forward(x, Affine(ones, ones * 0, 1e-5), Moments(ones, ones - 1e-5), y)
mask = np.zeros((1, 64), np.float32)
cpu.dropout(np.ones((1, 64), np.float32), 0.5, 7, mask)
used = [kernel.stats for kernel in machine_code.KERNELS if kernel.signatures]
hits, misses = (sum(sum(getattr(one, what).values()) for one in used) for what in ("cache_hits", "cache_misses"))
print(json.dumps({"y": float(y[0, 0]), "mask": float((mask * np.arange(64)).sum()), "hits": hits, "misses": misses}))
"""


@pytest.fixture
def copied(tmp_path):
    """A copy of the package, with a cache of its own."""
    shutil.copytree(ROOT, tmp_path / "numsnn", ignore=shutil.ignore_patterns("__pycache__", "files"))
    return tmp_path


def run(folder, script=SCRIPT, **variables):
    """What a new process that imports the copy prints, and its warnings."""
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_ENABLE_CUDASIM"}
    environment |= {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache"), **variables}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def edit(folder, file, old, new):
    path = folder / "numsnn" / "kernels" / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_the_next_process_runs_edited_code_and_nothing_else_is_compiled(copied):
    first, _ = run(copied)
    assert (first["y"], first["hits"], first["misses"]) == (2, 0, 3)
    assert run(copied)[0] == first | {"hits": 3, "misses": 0}

    edit(copied, "cpu/pool.py", "Sum, average and max pooling", "Pooling")  # a file that has no part in either kernel
    assert run(copied)[0] == first | {"hits": 3, "misses": 0}

    for file, old in (("steps.py", "Whole scalar steps"), ("equations.py", "The scalar equations of the method")):
        edit(copied, file, old, "Something else")  # files of which only functions that are called count
    assert run(copied)[0] == first | {"hits": 3, "misses": 0}

    edit(copied, "equations.py", "return z >> type(seed)(40)", "return z & type(seed)(0xFFFFFF)")  # a called equation
    second, _ = run(copied)
    assert second["mask"] != first["mask"]
    assert (second["hits"], second["misses"]) == (2, 1)

    added = "builder.fadd(arguments[3], arguments[3])"  # an instruction that another file writes
    edit(copied, "cpu/inline/access.py", "builder.store(arguments[3], address)", f"builder.store({added}, address)")
    assert run(copied)[0]["y"] == 4


HIDDEN = re.compile(r"@(intrinsic|overload)|\bir\.")
"""What `machine_code.digest` does not see: overloads, and instructions that a class writes."""

ALONE = {"own.py", "cuda/run/api.py"}
"""Files that have such a word, but nothing of their own that is compiled: an overload of `own` has the closure of the
function that it stands for."""


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_file_that_a_digest_does_not_see_through_is_part_of_the_key(device):
    kernels = ROOT / "kernels"
    paths = *kernels.glob("*.py"), *(kernels / device).rglob("*.py")
    hidden = {path for path in paths if HIDDEN.search(path.read_text())}
    assert len(hidden) > 2
    assert hidden - {kernels / file for file in ALONE} <= set(shared_sources(device))


def test_a_size_that_a_kernel_reads_is_part_of_its_key(monkeypatch):
    before = machine_code.digest(reads_a_size)
    monkeypatch.setitem(globals(), "SIZE", 4)
    assert machine_code.digest(reads_a_size) != before


SIZE = 3


def reads_a_size():
    return SIZE


def test_the_key_follows_closures_and_functions_that_are_called():
    def make(constant, factor):
        def inner(x):
            return x * factor

        def outer(x):
            return inner(x) + constant

        return outer

    assert machine_code.digest(make(1, 2.0)) == machine_code.digest(make(1, 2.0))
    assert len({machine_code.digest(make(a, b)) for a in (1, 2) for b in (2.0, 3.0, np.float32(2))}) == 6


NAMES = """
import os
import re
from numsnn.kernels.compile import kernel

def number(value):
    @kernel
    def plus(x):
        return x + value
    plus(1)
    (compiled,) = plus.overloads.values()
    print(re.search(r"plusB[0-9]+v([0-9]+)", compiled.fndesc.mangled_name)[1], flush=True)

number(1)
if not hasattr(os, "fork"):
    number(2)
elif os.fork():
    os.wait()
else:
    number(2)
"""


def test_processes_do_not_give_two_functions_the_same_name(tmp_path):
    """Numba's names of what a factory makes differ by a number only. A process that loads two functions of one name
    from disk would run one of them in place of the other. Forked processes are processes, too."""
    found = []
    for _ in range(2):
        environment = os.environ | {"PYTHONPATH": str(ROOT.parent), "NUMBA_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", NAMES]
        found += map(int, subprocess.run(command, env=environment, capture_output=True, text=True).stdout.split())
    assert len(found) == 4
    assert min(np.diff(sorted(found))) > (1_000_000 if hasattr(os, "fork") else 0)


def test_a_damaged_cache_is_compiled_anew(copied):
    first, _ = run(copied)
    for path in (copied / "cache").rglob("*.nbc"):
        path.write_bytes(path.read_bytes()[:50])
    again, warned = run(copied)
    assert again == first
    assert warned.count("cannot be read and is compiled anew") == 1
    assert "does not match its checksum). If this comes again, delete this folder" in warned
    assert run(copied) == (first | {"hits": 3, "misses": 0}, "")


def test_without_a_folder_to_write_machine_code_stays_in_the_process(copied):
    (copied / "file").write_text("")  # neither this, nor anything below it, can be made a folder
    blocked = str(copied / "file" / "cache")
    script = f"from numba.core import caching\ncaching.CacheImpl._locator_classes = []\n{SCRIPT}"
    got, warned = run(copied, script, NUMBA_CACHE_DIR=blocked)
    assert got["y"] == 2
    assert warned.count("no folder for machine code can be written: every process compiles") == 1
    script = (
        f"import tempfile\ntempfile.mkdtemp = lambda prefix: open('file/folder')\n{script}"  # no temporary one either
    )
    got, warned = run(copied, script, NUMBA_CACHE_DIR=blocked)
    assert got["y"] == 2
    assert warned.count("no folder for machine code can be written: every process compiles") == 1


def test_a_full_disk_does_not_stop_a_run(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    kernel = machine_code.keep(njit(lambda x: x + 1))
    monkeypatch.setattr(machine_code, "_said", set())
    monkeypatch.setattr(kernel._cache._cache_file, "save", full)
    with pytest.warns(
        RuntimeWarning, match="machine code cannot be kept in .*No space left on device.*NUMBA_CACHE_DIR"
    ):
        assert kernel(1) == 2
    machine_code.KERNELS.remove(kernel)
