"""Judging a parser: what it may do with any bytes, within which time and memory."""

import hashlib
import random
import resource
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mutations import Grammar, damaged

SECONDS = 5.0
"""Longest time of the processor for one file: a busy machine must not look like a fault."""
MEMORY = 512 << 20
"""Most bytes of memory for one file."""
LONGEST_MESSAGE = 1200
"""Letters of an error message."""
SOURCE = "recording.file"
"""Name of the file, which every error message must hold."""


@dataclass(frozen=True)
class Format:
    """A file format, and what its reader promises.

    Attributes:
        name: name of the format on the command line.
        seeds: contents of good files.
        read: the reader, from bytes to a result.
        held: asserts what is true of every result.
        digest: the numbers of a result as bytes or text, to compare results.
        grammar: finds numbers, records and words in a file.
        errors: classes of the errors that say that a file is wrong.
        inside: damages what lies behind the checksum; None for a format without checksum.
        checksum: whether a damaged file must give the numbers of a seed, or an error.
        share: share of the cases that are run, for formats whose files are read in a process of their own.
        needs: name of a package without which the format is left out.
        seconds: longest time of the processor for one file.
    """

    name: str
    seeds: Sequence[bytes]
    read: Callable[[bytes], Any]
    held: Callable[[Any], None]
    digest: Callable[[Any], bytes]
    grammar: Grammar
    errors: tuple[type[Exception], ...]
    inside: Callable[[bytes, random.Random], bytes] | None = None
    checksum: bool = False
    share: float = 1.0
    needs: str = ""
    seconds: float = SECONDS
    good: set[bytes] = field(default_factory=set)

    def learn(self) -> None:
        """Read the seeds, which must be good files, and remember their numbers."""
        for seed in self.seeds:
            result = self.read(seed)
            self.held(result)
            self.good.add(self.digest(result))

    def case(self, seed: int, index: int) -> tuple[bytes, bool]:
        """Return the damaged file with this number, and whether its checksum was made right again."""
        rng = random.Random(f"{seed} {self.name} {index}")
        data = rng.choice(self.seeds)
        if self.inside is not None and rng.random() < 0.5:
            return self.inside(data, rng), True
        return damaged(data, self.grammar, self.seeds, rng), False


class Verdict(NamedTuple):
    """What became of a file: "accepted", "refused" or "failed"; the class of the error; what happened."""

    kind: str
    error: str
    detail: str
    seconds: float
    memory: int


class Hang(BaseException):
    """A file took too long."""


def _hang(number, frame):
    raise Hang(f"more than {SECONDS:g} s")


def judge(form: Format, data: bytes, resealed: bool = False) -> Verdict:
    """Read a file, and compare what happens with what is promised.

    Args:
        form: the format.
        data: content of the file.
        resealed: whether its checksum was made right again, so that other numbers than those of the seeds may be found.
    """
    before, started = _peak(), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, form.seconds)
    kind, error, detail = "accepted", "", ""
    try:
        result = form.read(data)
        form.held(result)
        if form.checksum and not resealed:
            assert form.digest(result) in form.good, "other numbers than those of a good file, and no error"
    except form.errors as found:
        kind, error, detail = "refused", type(found).__name__, _wrong_error(found)
    except (Exception, Hang) as found:
        kind, error, detail = "failed", type(found).__name__, traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds, memory = time.process_time() - started, _peak() - before
    if memory > MEMORY // 2:
        _forget_peak()
    if not detail and seconds > form.seconds:
        detail = f"took {seconds:.1f} s"
    if not detail and memory > MEMORY:
        detail = f"took {memory >> 20} MiB"
    return Verdict("failed" if detail else kind, error, detail, seconds, memory)


def _wrong_error(error: BaseException) -> str:
    """Return what is wrong with an error that refuses a file, or an empty string."""
    message = str(error)
    if not message.isprintable():
        return f"the message is not one line of printable letters: {message!r}"
    if SOURCE not in message:
        return f"the message does not name the file: {message[:300]}"
    if len(message) > LONGEST_MESSAGE:
        return f"the message has {len(message)} letters: {message[:300]}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"{type(cause).__name__} within: {message[:300]}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return ""


# --- memory ---


def _peak() -> int:
    """Return the largest memory that this process has taken so far, in bytes. A file that takes less than those before
    it does not change it."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_bytes(b"5")


def alarm() -> None:
    """Let the time limit interrupt this process."""
    signal.signal(signal.SIGPROF, _hang)


def prepare() -> None:
    """Prepare this process for judging: a limit of time that interrupts Python, and one of memory, beyond the present
    use, so that a wrong size does not take all memory of the machine."""
    alarm()
    with suppress(OSError):
        present = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(
            resource.RLIMIT_AS, (present + MEMORY + (64 << 20), resource.getrlimit(resource.RLIMIT_AS)[1])
        )


def digest(*values: Any) -> bytes:
    """Return a digest of arrays, with their types and shapes, and of plain values."""
    import numpy as np

    found = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            found.update(f"{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        else:
            found.update(repr(value).encode())
    return found.digest()
