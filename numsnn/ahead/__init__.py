"""Compiling in several processes, because two threads of one process cannot compile at the same time.

A process that needs a kernel that is not on the disk starts others, which begin at the other end of what will be
needed. Machine code goes from process to process through the files of `machine_code`, and `claims` see to it that no
two processes compile the same kernel: who needs one that another process compiles waits for its file.

Processes are started within a block of `Compilers` only, which the commands `numsnn train` and `numsnn warmup` open,
and not before something has to be compiled. No program that imports numsnn has processes that it does not know of.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from .. import machine_code
from ..cores import asked_number, available_cores
from ..kernels.cpu.run.launch import get_num_threads
from .claims import Claims, fcntl

VARIABLE = "NUMSNN_COMPILERS"
"""Environment variable: number of processes that compile, with the one that needs the kernels."""
MOST = 4
"""Number of processes that compile if the variable is not set, at most. Each takes about 250 MB of memory."""
COMMAND = [sys.executable, "-I", str(Path(__file__).with_name("child.py"))]
ALONE = {"NUMSNN_NUM_THREADS": "1", "NUMSNN_CHECK_ROLES": "0"} | dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""Environment of the processes: each has a core for itself."""


class Compilers:
    """A block in which other processes compile, too, from the first kernel on that has to be compiled.

    They end with the block, and with this process, however it ends. If one of them ends early, such as for want of
    memory, this process compiles what is missing.

    Args:
        task: the module whose function ``compile_ahead(order)`` they run, see `child`.
        make_order: function that is called when they are started, and returns a dict of what that function needs, which
            can be pickled.
        stays: whether they keep their claims until the end of the block. Default False.

    Raises:
        ValueError: the environment variable NUMSNN_COMPILERS is not a whole number in 1..1024.
    """

    def __init__(self, task: str, make_order: Callable[[], dict], stays: bool = False):
        self._asked = asked_number(VARIABLE)
        self._task, self._make_order, self._stays = task, make_order, stays
        self._started = False
        self._stack = ExitStack()
        self._children: list[Any] = []
        self._claims: Claims | None = None

    def __enter__(self) -> Compilers:
        machine_code.claims = self
        return self

    def __exit__(self, *exception) -> None:
        machine_code.claims = None
        for child in self._children:
            child.kill()
        for child in self._children:
            child.communicate()
        self._stack.close()

    def take(self, name: str) -> bool:
        """Claim a kernel, as `Claims.take` does; at the first call, start the other processes."""
        claims = self.start()
        return claims is None or claims.take(name)

    def release(self, name: str) -> None:
        """End a claim."""
        if self._claims is not None:
            self._claims.release(name)

    def start(self) -> Claims | None:
        """Start the other processes if there are cores for them and they have not been started. Return the claims that
        they share, or None if there are no other processes."""
        if self._started:
            return self._claims
        self._started = True
        processes = self._asked or min(available_cores(), get_num_threads(), MOST)
        if processes > 1 and fcntl is not None and sys.executable:
            with suppress(Exception):  # whatever it is, this process can do without, and the run tells its own faults
                self._start(processes)
        return self._claims

    def _start(self, processes):
        order = pickle.dumps({"task": self._task, "stays": self._stays} | self._make_order())
        with ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile())
            file.write(order)
            file.flush()
            self._stack = stack.pop_all()
        descriptor = file.fileno()
        for number in range(1, processes):
            child = subprocess.Popen(
                [*COMMAND, *map(str, (descriptor, number, processes)), *map(str, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("NUMSNN_TRACEBACK") else subprocess.DEVNULL,
                pass_fds=[descriptor],
                env=os.environ | ALONE,
            )
            self._children.append(child)
            self._claims = Claims(descriptor)

    def answers(self) -> list[Any]:
        """Wait until every other process has answered or ended; return the answers, None for one that has ended."""
        lines = [child.stdout.readline() for child in self._children]
        return [json.loads(line) if line.endswith(b"\n") else None for line in lines]
