"""Files of machine code that are damaged, exchanged, missing or of somebody else: the right numbers, and one line."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
from numba import njit, types

from numsnn import machine_code


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for machine code; what was warned of is forgotten, and what was kept is forgotten afterwards."""
    from numba.core import config

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(machine_code, "_said", set())
    monkeypatch.setattr(machine_code, "KERNELS", [])
    return tmp_path / "cache"


def kernel(number=1):
    """A kernel as a new process would make it. Kernels of different numbers have the same name in the cache."""

    def add(x):
        return x + number

    return machine_code.keep(njit(add))


def called(made, value=2):
    """What a kernel returns, what it warned of, and how often its code was on disk and was not."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = made(value)
    stats = made.stats
    return (
        result,
        [str(one.message) for one in found],
        (sum(stats.cache_hits.values()), sum(stats.cache_misses.values())),
    )


def files(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


def digested(content):
    return hashlib.sha256(content).digest() + content


def other_bytes(content):
    return np.random.default_rng(0).bytes(len(content))


DAMAGE = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "half a checksum": lambda content: content[:16],
    "a checksum alone": lambda content: content[:32],
    "a byte of the code": lambda content: content[:33],
    "half": lambda content: content[: len(content) // 2],
    "all but one byte": lambda content: content[:-1],
    "a byte too much": lambda content: content + b"\0",
    "twice": lambda content: content * 2,
    "zeros": lambda content: bytes(len(content)),
    "zeros at the end": lambda content: content[:4096] + bytes(len(content) - 4096),
    "random": other_bytes,
    "another type": lambda content: pickle.dumps({"code": 1}),
    "another type with a checksum": lambda content: digested(pickle.dumps(7)),
    "another tuple with a checksum": lambda content: digested(pickle.dumps(("key", None))),
    "no pickle, with a checksum": lambda content: digested(b"not a pickle"),
    "the code of nothing": lambda content: digested(pickle.dumps((pickle.loads(content[32:])[0], None))),
    "the code of another type": lambda content: digested(pickle.dumps((pickle.loads(content[32:])[0], [1, 2]))),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_compiled_anew_and_written_again(cache, damage):
    assert called(kernel()) == (3, [], (0, 1))
    assert called(kernel()) == (3, [], (1, 0))
    (path,) = files(cache)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    result, warned, _ = called(kernel())
    assert result == 3 and len(warned) == (damage != "the code of nothing")
    for line in warned:
        assert "\n" not in line and line.startswith(
            f"numsnn: machine code in {path.parent} cannot be read and is compi"
        )
        assert line.endswith("If this comes again, delete this folder")
    assert called(kernel()) == (3, [], (1, 0))
    assert files(cache) == [path]


def test_no_flipped_bit_gets_through(cache):
    called(kernel())
    (path,) = files(cache)
    good, rng = path.read_bytes(), np.random.default_rng(0)
    made = kernel()
    key = made._cache._index_key((types.int64,), made.targetctx.codegen())
    assert made._cache._cache_file.load(key) is not None
    for bit in (*range(16), *rng.integers(0, 8 * len(good), 200)):
        content = bytearray(good)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with pytest.raises(ValueError, match="does not match its checksum"):
            made._cache._cache_file.load(key)


def test_exchanged_files_are_found_out(cache):
    """Of two kernels of one name, and of two types of arguments: whole files under the name of another one."""
    for number in (1, 10):
        for value in (2, 2.5):
            assert called(kernel(number), value)[0] == value + number
    paths = files(cache)
    contents = [path.read_bytes() for path in paths]
    assert len(set(contents)) == 4
    for turn in (1, 2, 3):
        for path, content in zip(paths, contents[turn:] + contents[:turn], strict=True):
            path.write_bytes(content)
        machine_code._said.clear()
        told = []
        for number in (1, 10):
            for value in (2, 2.5):
                result, warned, _ = called(kernel(number), value)
                assert result == value + number
                told += warned
        assert len(told) == 1 and "holds the machine code of another kernel" in told[0]
    assert [path.read_bytes()[32:] for path in paths] != contents
    assert called(kernel(10), 2.5) == (12.5, [], (1, 0))


def test_a_missing_file_or_folder_is_made_again(cache):
    called(kernel())
    (path,) = files(cache)
    path.unlink()
    assert called(kernel()) == (3, [], (0, 1))
    assert called(kernel()) == (3, [], (1, 0))
    made = kernel()
    shutil.rmtree(cache)  # while a process runs
    assert called(made) == (3, [], (0, 1))
    shutil.rmtree(cache)
    assert called(made, 2.5) == (3.5, [], (0, 2))
    assert len(files(cache)) == 1


def test_a_file_that_is_not_a_file(cache, tmp_path):
    """A folder or a pipe in the place of the file, and a link that leads nowhere."""
    called(kernel())
    (path,) = files(cache)
    path.unlink()
    path.mkdir()
    (path / "something").write_text("")
    result, warned, _ = called(kernel())
    assert result == 3 and len(warned) == 2
    assert f"{path.name} is not a file" in warned[0]
    assert (
        f"cannot be kept in {path.parent}: every process compiles" in warned[1] and "Set NUMBA_CACHE_DIR" in warned[1]
    )
    shutil.rmtree(path)
    for place in (os.mkfifo, lambda path: path.symlink_to(tmp_path / "nowhere"), lambda path: path.symlink_to(path)):
        place(path)
        machine_code._said.clear()
        assert called(kernel())[0] == 3
        assert path.is_file() and not path.is_symlink()
        assert called(kernel()) == (3, [], (1, 0))
        path.unlink()


def test_a_file_that_this_user_may_not_read(cache, monkeypatch):
    called(kernel())
    (path,) = files(cache)
    read = type(path).read_bytes

    def refused(self):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(type(path), "read_bytes", refused)
    result, (warned,), _ = called(kernel())
    assert result == 3 and "Permission denied" in warned and "compiled anew" in warned
    monkeypatch.undo()


def test_a_folder_in_which_nothing_can_be_written(cache, monkeypatch):
    """A full disk, when the file is written or when it gets its name: no half file stays behind."""
    for broken in ("write_bytes", "replace"):
        made = kernel()
        with monkeypatch.context() as patch:
            if broken == "replace":
                patch.setattr(machine_code.os, "replace", full)
            else:
                patch.setattr(type(cache), "write_bytes", half)
            result, (warned,), _ = called(made)
        assert result == 3
        assert f"cannot be kept in {made._cache.cache_path}: every process compiles" in warned
        assert "No space left on device" in warned and warned.endswith(
            "Set NUMBA_CACHE_DIR to a folder that can be written"
        )
        assert files(cache) == []
        machine_code._said.clear()


def full(*arguments):
    raise OSError(28, "No space left on device")


def half(path, content):
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])
    full()


def test_files_of_an_earlier_version_of_the_source_are_removed(cache):
    called(kernel())
    (path,) = files(cache)
    name, stamp, digest, _ = path.name.rsplit(".", 3)
    older = [
        path.with_name(f"{name}.{end}")
        for end in ("nbi", "1.nbc", f"00000000.{digest}.nbc", f"00000000.{digest}.nbc.1f")
    ]
    others = [path.with_name(f"{name}0.{stamp}.{digest}.nbc"), path.with_name("another.nbi")]
    for one in older + others:
        one.write_bytes(b"")
    called(kernel())  # is on disk, so that nothing is written or removed
    assert set(files(cache)) == {path, *older, *others}
    called(kernel(10))
    assert len(files(cache)) == 4 and {path, *others} < set(files(cache))
    kernel().recompile()  # which begins with all files of the function
    assert path not in files(cache) and set(others) <= set(files(cache))


TOGETHER = """
import json, sys, warnings
warnings.simplefilter("error")
from numba import njit
from numsnn import machine_code

def kernel(number):
    def add(x):
        return x * 1000 + number
    return machine_code.keep(njit(add))

order = json.loads(sys.argv[1])
made = {number: kernel(number) for number in order}
print("ready", flush=True)
sys.stdin.readline()
wrong = [number for number in order for x in (2, 2.0) if made[number](x) != 2000 + number]
hits = sum(sum(one.stats.cache_hits.values()) for one in made.values())
print(json.dumps([wrong, hits]))
"""


def test_processes_that_compile_at_once_do_not_get_each_others_code(cache):
    """All kernels have one name in the cache, and each process compiles them in another order."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    environment.pop("NUMBA_ENABLE_CUDASIM", None)
    (cache.parent / "together.py").write_text(TOGETHER)

    def start(seed):
        order = np.random.default_rng(seed).permutation(6).tolist()
        command = [sys.executable, str(cache.parent / "together.py"), json.dumps(order)]
        return subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, stderr=-1, text=True)

    for round_of in range(2):
        running = [start(seed) for seed in range(3)]
        for process in running:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        for process in running:
            process.stdin.write("\n")
            process.stdin.flush()
        for process in running:
            out, errors = process.communicate(timeout=120)
            assert process.returncode == 0 and not errors, errors
            wrong, hits = json.loads(out)
            assert not wrong and (hits == 12 or not round_of)
    assert Counter(path.suffix for path in files(cache)) == {".nbc": 12}
