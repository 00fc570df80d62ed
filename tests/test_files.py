"""Files are opened only if they are files."""

import os
import socket
import sys
import tempfile

import pytest

from numsnn.files import open_file, read_file


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
