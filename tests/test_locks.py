"""Locks: one holder at a time, whoever the others are; who holds it is said; nothing stale, nothing left behind."""

import errno
import json
import os
import pickle
import re
import subprocess
import sys
import threading
import time

import pytest

from numsnn import locks
from numsnn.locks import Lock

HOLD = """if True:
    import sys
    from numsnn.locks import Lock
    with Lock(sys.argv[1]):
        print("held", flush=True)
        sys.stdin.read()
"""


def holder(path):
    """Another process, which holds the lock until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def end(process):
    process.stdin.close()
    process.stdout.close()
    return process.wait(timeout=60)


def refused(path):
    """Whether a new lock is refused."""
    try:
        with Lock(path):
            return False
    except BlockingIOError:
        return True


def in_thread(function):
    """What a function returns in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def in_child(function):
    """What a function of true or false returns in a forked child."""
    child = os.fork()
    if not child:
        try:
            os._exit(int(function()))
        finally:
            os._exit(9)
    return bool({0: 0, 1: 1}[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])])


def test_another_process_is_told_who_holds_it(tmp_path):
    process = holder(tmp_path)
    today = time.strftime("%Y-%m-%d")
    message = (
        f"^{re.escape(str(tmp_path))} is in use by process {process.pid} on .+ since {today} \\d\\d:\\d\\d \\(-c "
        f"{re.escape(str(tmp_path))}\\); wait until it ends, stop it, or choose another folder$"
    )
    with pytest.raises(BlockingIOError, match=message), Lock(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".numsnn.lock"]
    assert end(process) == 0 and list(tmp_path.iterdir()) == []
    with Lock(tmp_path):
        assert refused(tmp_path)


def test_a_killed_process_holds_nothing(tmp_path):
    process = holder(tmp_path)
    process.kill()
    end(process)
    assert [path.name for path in tmp_path.iterdir()] == [".numsnn.lock"]
    with Lock(tmp_path) as lock:
        assert lock.held and json.loads(lock.file.read_text())["process"] == str(os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_within_a_process(tmp_path):
    """Another lock and another thread are kept out; the same lock may be entered again by its thread."""
    lock = Lock(tmp_path)
    assert not lock.held
    with lock:
        with lock:
            assert lock.held
        assert lock.held and refused(tmp_path) and in_thread(lambda: refused(tmp_path))

        def same_lock():
            try:
                with lock:
                    return ""
            except BlockingIOError as error:
                return str(error)

        assert f"is in use by process {os.getpid()}, which is this one, on" in in_thread(same_lock)
        assert not in_thread(lambda: lock.held)
    assert not lock.held and not refused(tmp_path)


def test_an_exception_ends_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), Lock(tmp_path):
        raise KeyboardInterrupt
    assert not refused(tmp_path) and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child(tmp_path):
    """It does not hold what its parent holds, cannot end it, and does not keep it when the parent has ended it."""
    lock = Lock(tmp_path)
    with lock:
        assert in_child(lambda: refused(tmp_path) and not lock.held)
        assert not in_child(lambda: bool(lock.__exit__(None, None, None)))
        assert refused(tmp_path) and lock.file.exists()
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(writer)
            os.read(reader, 1)  # until the parent closes its end
            os._exit(0)
    assert not refused(tmp_path)
    os.close(writer)
    os.close(reader)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_a_killed_process_holds_nothing(tmp_path):
    reader, writer = os.pipe()
    parent = os.fork()
    if not parent:
        with Lock(tmp_path):
            child = os.fork()
            if not child:
                os.close(reader)
                os.write(writer, b"child")
                time.sleep(60)
                os._exit(0)
            os.write(writer, f"{child:5d}".encode())
            time.sleep(60)
            os._exit(0)
    said = b""
    while len(said) < 10:
        said += os.read(reader, 10)
    os.kill(parent, 9)
    os.waitpid(parent, 0)
    assert not refused(tmp_path)
    os.kill(int(said.replace(b"child", b"")), 9)
    os.close(reader)
    os.close(writer)


def test_many_at_once_are_one_at_a_time(tmp_path):
    """Threads that try again and again: nobody is inside beside another, though the small file comes and goes."""
    inside, seen, done = [], [], []

    def work():
        while len(done) < 100:
            try:
                with Lock(tmp_path):
                    inside.append(1)
                    seen.append(len(inside))
                    inside.pop()
                    done.append(1)
            except BlockingIOError:
                time.sleep(0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {1} and list(tmp_path.iterdir()) == []


def test_the_lock_of_a_file_lies_beside_it(tmp_path):
    with Lock(tmp_path / "digits.h5") as lock:
        assert lock.file == tmp_path / ".digits.h5.numsnn.lock"
        with pytest.raises(BlockingIOError, match=r"or choose another file$"), Lock(tmp_path / "digits.h5"):
            pass
        assert not refused(tmp_path / "other.h5")


def test_a_copy_is_not_held(tmp_path):
    with Lock(tmp_path) as lock:
        copy = pickle.loads(pickle.dumps(lock))
        assert copy.path == lock.path and not copy.held and lock.held


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks(tmp_path, monkeypatch, code):
    def refuse(descriptor, lock):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks, "_system_lock", refuse)
    message = f"^{re.escape(str(tmp_path))} is not locked, because its file system has no locks .*{os.strerror(code)}"
    with pytest.warns(RuntimeWarning, match=message) as told, Lock(tmp_path) as lock, lock:
        assert lock.held
    assert len(told) == 1 and list(tmp_path.iterdir()) == []


def test_what_a_foreign_file_says_is_not_trusted(tmp_path):
    with Lock(tmp_path) as lock:
        for text in ('{"process": "1\\u001b[31m", "host": 3}', "[1]", "half {", ""):
            lock.file.write_text(text)
            with pytest.raises(BlockingIOError) as error, Lock(tmp_path):
                pass
            assert str(error.value).isprintable() and "is in use by" in str(error.value)


def test_a_missing_folder_and_a_link(tmp_path):
    lock = Lock(tmp_path / "gone" / "x.h5")
    with pytest.raises(OSError, match=r"x\.h5 cannot be locked: .*\.x\.h5\.numsnn\.lock was not opened: No such"), lock:
        pass
    if hasattr(os, "O_NOFOLLOW"):
        (tmp_path / "mine").write_text("kept")
        (tmp_path / ".numsnn.lock").symlink_to(tmp_path / "mine")
        with pytest.raises(OSError, match="cannot be locked"), Lock(tmp_path):
            pass
        assert (tmp_path / "mine").read_text() == "kept"
