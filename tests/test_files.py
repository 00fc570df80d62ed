"""Files are the old or the new one as a whole; temporaries of killed processes are removed, and nothing else is."""

import os
import subprocess
import sys

import pytest

from numsnn.files import remove_temporaries, replacing, write_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=60)
    return process.pid


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_file(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]
    write_file(path, b"new")
    assert path.read_text() == "new" and names(tmp_path) == ["a.txt"]


def test_two_writers_of_a_process_have_their_own_temporaries(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="asks which processes run")
def test_temporaries_of_dead_processes_are_removed(tmp_path, dead):
    old = [
        f".{name}.tmp" for name in (f"last.h5.{dead}", f"last.h5.{dead}-12", f"a 1.h5.{dead}-0", f"b.{os.getpid()}-9")
    ]
    kept = ["last.h5", f"last.h5.{dead}.tmp", ".last.h5.tmp", f".last.h5.{dead}-1.tmp2", f".last.h5.{dead}-x.tmp"]
    kept.append(f".last.h5.{os.getppid()}-0.tmp")  # of a process that runs
    for name in (*old, *kept):
        (tmp_path / name).write_text("x")
    (tmp_path / f".folder.{dead}-0.tmp").mkdir()
    (tmp_path / f".link.{dead}-0.tmp").symlink_to(tmp_path / "last.h5")
    kept += [f".folder.{dead}-0.tmp", f".link.{dead}-0.tmp"]
    remove_temporaries(tmp_path)
    assert names(tmp_path) == sorted(kept)


def test_only_temporaries_of_one_file(tmp_path, dead):
    for name in (f".a.h5.{dead}-0.tmp", f".b.h5.{dead}-0.tmp", f".a.h5.b.{dead}-0.tmp"):
        (tmp_path / name).write_text("x")
    remove_temporaries(tmp_path, "a.h5")
    assert names(tmp_path) == sorted([f".b.h5.{dead}-0.tmp", f".a.h5.b.{dead}-0.tmp"])


def test_what_this_process_is_writing_is_not_removed(tmp_path):
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        remove_temporaries(tmp_path)
    assert (tmp_path / "a.txt").read_text() == "new"


def test_an_error_names_the_file(tmp_path):
    path = tmp_path / "nowhere" / "a.txt"
    with pytest.raises(OSError, match=rf"{path} was not written: No such file or directory"):
        write_file(path, "x")
