"""Claims: who has one keeps other processes out, and its end, whatever it is, lets them in."""

import subprocess
import sys
import tempfile
import time

import pytest

from numsnn.ahead import claims
from numsnn.ahead.claims import Claims

pytestmark = pytest.mark.skipif(claims.fcntl is None, reason="this system has no locks of bytes")

HOLDER = """
import sys
from numsnn.ahead.claims import Claims
mine = Claims(int(sys.argv[1]))
print(mine.take("a"), mine.take("b"), flush=True)
for line in sys.stdin:
    mine.release("a") if line == "release\\n" else mine.release_all()
    print("done", flush=True)
"""


@pytest.fixture
def shared():
    with tempfile.TemporaryFile() as file:
        yield file


@pytest.fixture
def holder(shared):
    """A process that has claimed a and b."""
    command = [sys.executable, "-c", HOLDER, str(shared.fileno())]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, pass_fds=[shared.fileno()], **pipes) as process:
        assert process.stdout.readline() == "True True\n"
        yield process
        process.kill()


def tell(process, word):
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


def test_a_claim_keeps_other_processes_out_until_it_is_released(shared, holder):
    mine = Claims(shared.fileno())
    assert not mine.take_free("a") and not mine.take_free("b") and mine.take_free("c")
    tell(holder, "release")
    assert mine.take_free("a") and mine.take_free("a") and not mine.take_free("b")
    tell(holder, "release all")
    assert mine.take_free("b")


def test_the_end_of_a_process_ends_its_claims(shared, holder):
    mine = Claims(shared.fileno())
    holder.kill()
    assert mine.take("a") and mine.take("b")


def test_nobody_waits_for_ever(shared, holder, monkeypatch):
    monkeypatch.setattr(claims, "PATIENCE", 0.1)
    started = time.monotonic()
    assert not Claims(shared.fileno()).take("a")
    assert 0.1 <= time.monotonic() - started < 5


def test_a_file_system_without_locks_keeps_nobody_out(shared, monkeypatch):
    def without(*arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(claims.fcntl, "lockf", without)
    mine = Claims(shared.fileno())
    assert mine.take("a") and mine.take_free("b")
    mine.release("a")
    mine.release_all()
