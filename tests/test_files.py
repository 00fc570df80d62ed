"""Files are opened only if they are files, and are the old or the new one as a whole; temporaries of killed processes
are removed, and nothing else is."""

import os
import socket
import subprocess
import sys
import tempfile

import pytest

from numsnn.files import open_file, read_file, remove_temporaries, replacing, write_file


def test_a_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 999)
    assert read_file(tmp_path / "a") == bytes(range(256)) * 999
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with open_file(tmp_path / "link") as file:
        assert file.read(3) == b"\0\1\2"


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        open_file(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError, match=f"^{tmp_path} is a folder; expected a file$"):
        open_file(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes among its files")
def test_nothing_waits_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"pipe is a named pipe; expected a file$"):
        open_file(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"^/dev/zero is a device; expected a file$"):
        read_file("/dev/zero")
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"{short}/s")
        with pytest.raises(OSError, match=r"is a socket; expected a file$"):
            open_file(f"{short}/s")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes among its files")
def test_a_file_that_becomes_a_pipe_does_not_block(tmp_path, monkeypatch):
    """Between the look at a path and its opening, another program may replace the file."""
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "b").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    stat = os.stat

    def look_then_replace(path):
        found = stat(path)
        os.replace(tmp_path / "pipe", tmp_path / "a")
        return found

    monkeypatch.setattr("numsnn.files.os.stat", look_then_replace)
    with pytest.raises(OSError, match="a is a named pipe"):
        open_file(tmp_path / "a")


# --- writing ---


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
