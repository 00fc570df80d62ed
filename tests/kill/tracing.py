"""Runs a function in a forked process, and acts at a chosen system call that touches a folder: the process is killed
there, or the call fails, or a write takes only a part of its bytes.

Linux stops the process at these calls (a seccomp filter, and ptrace through ctypes), on x86_64 and aarch64. Elsewhere,
and where ptrace is forbidden, `available` is False, and `killed_later` still kills at a random moment.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WRITES = "write", "pwrite64", "writev", "pwritev"
NAMED = "open", "creat", "truncate", "rename", "unlink", "mkdir", "rmdir"
NAMED_AT = "openat", "renameat", "renameat2", "unlinkat", "mkdirat"
_X86 = (
    "write 1 open 2 pwrite64 18 writev 20 flock 73 fsync 74 fdatasync 75 truncate 76 ftruncate 77 rename 82 mkdir 83 "
    "rmdir 84 creat 85 unlink 87 openat 257 mkdirat 258 unlinkat 263 renameat 264 fallocate 285 pwritev 296 "
    "renameat2 316"
)
_ARM = (
    "flock 32 mkdirat 34 unlinkat 35 renameat 38 truncate 45 ftruncate 46 fallocate 47 openat 56 write 64 writev 66 "
    "pwrite64 68 pwritev 70 fsync 82 fdatasync 83 renameat2 276"
)
_WORDS = {"x86_64": _X86, "aarch64": _ARM}.get(platform.machine() if sys.platform == "linux" else "", "").split()
NAMES = {int(number): name for name, number in zip(_WORDS[::2], _WORDS[1::2], strict=True)}
"""The system calls that change files or open them, by number. There are none where processes cannot be traced."""

TRACE_ME, CONT, GET_REGISTERS, SET_REGISTERS, SYSCALL = 0, 7, 12, 13, 24
SET_OPTIONS, GET_SET, SET_SET = 0x4200, 0x4204, 0x4205
OPTIONS = (
    0x1 | 0x8 | 0x80 | 0x100000
)  # marked stops of calls, new threads, the filter; the process ends with its tracer
SECCOMP_EVENT, CALL_STOP = signal.SIGTRAP | 7 << 8, signal.SIGTRAP | 0x80
ALL_THREADS = 0x40000000
LONGEST = 300
"""Seconds after which a process that hangs is ended, by SIGALRM."""
STATUS_SET, CALL_SET = 1, 0x404  # registers, and the number of the call on aarch64
X86_ARGUMENTS = 14, 13, 12, 7, 9, 8
X86_RESULT, X86_NUMBER = 10, 15


@dataclass(frozen=True)
class Fault:
    """What happens at a system call that touches the folder.

    Attributes:
        at: number of the call, from 0.
        kind: "entry" and "exit" kill before the call and after it, "part" after half of the bytes of a write;
            "error" lets the call fail, "full" this call and all that need room after it, the first write after half of
            its bytes; "short" writes half of the bytes.
        error: number of the error.
    """

    at: int
    kind: str
    error: int = 0


@dataclass(frozen=True)
class Call:
    """A system call that touches the folder: its name, the names of its files, and whether it needs room on the disk.

    Attributes:
        name, files, needs_room: see above.
        size: number of bytes of a write, otherwise 0.
    """

    name: str
    files: tuple[str, ...]
    needs_room: bool
    size: int

    def __str__(self):
        return f"{self.name} {' '.join(self.files)}"


@dataclass
class Outcome:
    """How a process ended: its exit status, or minus the signal that killed it, and its calls up to there."""

    status: int
    calls: list[Call]
    reached: bool


class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("filters", ctypes.POINTER(Filter))]


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


@cache
def _libc():
    """The C library. It is loaded once: each time, ctypes makes a class, which is garbage that stays while the
    collection of garbage is off, and every fork copies the tables of the memory that it takes."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p
    libc.ptrace.restype = ctypes.c_long
    return libc


def _ptrace(request, process, address=0, data=0):
    if _libc().ptrace(request, process, address, data) == -1:
        raise OSError(ctypes.get_errno(), f"ptrace request {request}: {os.strerror(ctypes.get_errno())}")


def _stop_at_calls():
    """Install a filter in this process that stops it at the calls of `NAMES`."""
    numbers = sorted(NAMES)
    code = [Filter(0x20, 0, 0, 0)]  # load the number of the call
    code += [Filter(0x15, len(numbers) - k, 0, number) for k, number in enumerate(numbers)]
    code += [Filter(0x06, 0, 0, 0x7FFF0000), Filter(0x06, 0, 0, 0x7FF00000)]  # allow, or stop
    filters = (Filter * len(code))(*code)
    if _libc().prctl(38, 1, 0, 0, 0) or _libc().prctl(22, 2, ctypes.byref(Program(len(code), filters)), 0, 0):
        raise OSError(ctypes.get_errno(), "no filter of system calls")


def _forked(work, prepare):
    """Return the number of a new process that does the work and ends with what it returns."""
    process = os.fork()
    if process:
        return process
    status = 70
    signal.alarm(LONGEST)
    try:
        prepare()
        status = work()
    finally:
        os._exit(status)


class Registers:
    """The registers of a thread that is stopped at a system call."""

    def __init__(self, thread):
        self.thread, self.arm = thread, platform.machine() == "aarch64"
        self.values = (ctypes.c_uint64 * (34 if self.arm else 27))()
        if self.arm:
            self._arm(GET_SET, STATUS_SET, self.values)
        else:
            _ptrace(GET_REGISTERS, thread, 0, ctypes.addressof(self.values))

    def _arm(self, request, kind, values):
        _ptrace(request, self.thread, kind, ctypes.addressof(Vector(ctypes.addressof(values), ctypes.sizeof(values))))

    def _write(self):
        if self.arm:
            self._arm(SET_SET, STATUS_SET, self.values)
        else:
            _ptrace(SET_REGISTERS, self.thread, 0, ctypes.addressof(self.values))

    @property
    def number(self):
        return self.values[8 if self.arm else X86_NUMBER]

    def argument(self, k):
        return self.values[k if self.arm else X86_ARGUMENTS[k]]

    def set_argument(self, k, value):
        self.values[k if self.arm else X86_ARGUMENTS[k]] = value
        self._write()

    def fail(self, error):
        """Let the call fail with this error, without being made."""
        self.values[0 if self.arm else X86_RESULT] = (1 << 64) - error
        if self.arm:
            self._write()
            self._arm(SET_SET, CALL_SET, (ctypes.c_int32 * 1)(-1))
        else:
            self.values[X86_NUMBER] = (1 << 64) - 1
            self._write()


class Tracer:
    """Runs a function in a traced process.

    Args:
        work: function without arguments, which returns an exit status.
        folder: absolute path of the folder that is watched.
        fault: what happens. Default None: the calls are only listed.
    """

    def __init__(self, work, folder, fault: Fault | None = None):
        self.folder, self.fault = str(folder), fault
        self.calls: list[Call] = []
        self.kill_at_exit = self.reached = self.full = False
        self.main = _forked(work, self._prepare)

    @staticmethod
    def _prepare():
        _ptrace(TRACE_ME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        _stop_at_calls()

    def run(self) -> Outcome:
        """Follow the process until it ends."""
        _, status = os.waitpid(self.main, 0)
        if not os.WIFSTOPPED(status):
            raise OSError(f"the process cannot be traced; it ended with {os.waitstatus_to_exitcode(status)}")
        _ptrace(SET_OPTIONS, self.main, 0, OPTIONS)
        _ptrace(CONT, self.main)
        while True:
            thread, status = os.waitpid(-1, ALL_THREADS)
            if os.WIFSTOPPED(status):
                try:
                    self._stopped(thread, status >> 8)
                except ProcessLookupError:
                    continue  # it was killed
            elif thread == self.main:
                return Outcome(os.waitstatus_to_exitcode(status), self.calls, self.reached)

    def _stopped(self, thread, event):
        if event == SECCOMP_EVENT:
            _ptrace(self._at_call(thread), thread)
        elif event == CALL_STOP:
            if self.kill_at_exit:
                os.kill(self.main, signal.SIGKILL)
            else:
                _ptrace(CONT, thread)
        elif event >> 8 or event == signal.SIGSTOP:  # a new thread
            _ptrace(CONT, thread)
        else:
            _ptrace(CONT, thread, 0, event)

    def _at_call(self, thread):
        """Act at a call, and return how the thread continues."""
        registers = Registers(thread)
        call = self._call(registers)
        if call is None:
            return CONT
        self.calls.append(call)
        here = self.fault is not None and len(self.calls) == self.fault.at + 1
        self.reached |= here
        if here and self.fault.kind == "entry":
            os.kill(self.main, signal.SIGKILL)
        elif here and self.fault.kind in ("exit", "part"):
            self.kill_at_exit = True
            if self.fault.kind == "part" and call.size:
                registers.set_argument(2, call.size // 2)
            return SYSCALL
        elif here and self.fault.kind == "error":
            registers.fail(self.fault.error)
        elif here and call.size > 1:
            self.full = self.fault.kind == "full"
            registers.set_argument(2, call.size // 2)
        elif (here and self.fault.kind == "full") or self.full:
            self.full = True
            if call.needs_room:
                registers.fail(self.fault.error)
        return CONT

    def _call(self, registers):
        """Return the call, or None if it does not touch the folder."""
        name = NAMES[registers.number]
        flags = 0
        if name in NAMED:
            numbers = (0, 1) if name == "rename" else (0,)
            paths = [self._text(registers, k) for k in numbers]
            flags = registers.argument(1) if name == "open" else 0
        elif name in NAMED_AT:
            numbers = (1, 3) if name.startswith("rename") else (1,)
            paths = [self._text(registers, k) for k in numbers]
            flags = registers.argument(2) if name == "openat" else 0
        else:
            paths = [os.readlink(f"/proc/{self.main}/fd/{registers.argument(0)}")]
        if not any(path == self.folder or path.startswith(self.folder + "/") for path in paths):
            return None
        size = registers.argument(2) if name in WRITES[:2] else 0
        room = name in (*WRITES, "creat", "fallocate", "mkdir", "mkdirat", "fsync")
        room = room or bool(flags & os.O_CREAT) or flags & os.O_TMPFILE == os.O_TMPFILE
        return Call(name, tuple(Path(path).name for path in paths), room, size)

    def _text(self, registers, k):
        with open(f"/proc/{self.main}/mem", "rb", buffering=0) as memory:
            memory.seek(registers.argument(k))
            return memory.read(512).split(b"\0")[0].decode(errors="replace")


def available() -> bool:
    """Return whether processes can be stopped at system calls here."""
    if not NAMES:
        return False
    try:
        return Tracer(lambda: 0, "/nowhere").run().status == 0
    except OSError:
        return False


def run(work) -> int:
    """Return the status of a function that runs in a forked process."""
    return os.waitstatus_to_exitcode(os.waitpid(_forked(work, lambda: None), 0)[1])


def killed_later(work, seconds: float) -> int:
    """Return the status of a function that runs in a forked process, which is killed after some seconds."""
    process = _forked(work, lambda: None)
    end = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= end
        if late:
            os.kill(process, signal.SIGKILL)
        found, status = os.waitpid(process, 0 if late else os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
