"""Judging a parser: what it may do with any bytes, within which time and memory."""

import hashlib
import random
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
"""Longest time for one file."""
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
        seconds: longest time for one file.
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
    signal.signal(signal.SIGALRM, _hang)
    signal.setitimer(signal.ITIMER_REAL, form.seconds)
    before, started = _start_peak(), time.perf_counter()
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
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds, memory = time.perf_counter() - started, _peak() - before
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

_STATUS = Path("/proc/self/status")


def _start_peak() -> int:
    """Start to measure the largest memory; return the present memory in bytes, or 0 where the system does not tell."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_bytes(b"5")
    return _status("VmRSS")


def _peak() -> int:
    """Return the largest memory since `_start_peak` in bytes."""
    return _status("VmHWM")


def _status(name: str) -> int:
    try:
        text = _STATUS.read_text()
    except OSError:
        return 0
    at = text.index(name) + len(name) + 1
    return 1024 * int(text[at : text.index("kB", at)])


def limit_memory() -> None:
    """Refuse memory beyond the present use and `MEMORY`, so that a wrong size does not take the machine's memory."""
    import resource

    with suppress(OSError, AttributeError):
        present = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (present + MEMORY + (64 << 20), resource.getrlimit(resource.RLIMIT_AS)[1]))


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
