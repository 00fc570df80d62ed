"""Processes that answer commands: both ends of the talk between a benchmark and the sides that it compares.

Every line that goes to a side is a JSON object with the name of a command under "do" and its arguments; every line that
comes back is the answer, {"error": ...} if the command failed. Between commands a side sleeps, so that several sides
can take turns on the same cores. This module needs the standard library alone, because a side runs in its library's own
environment.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress


class ProcessError(RuntimeError):
    """A process reported an error, or ended."""


class Asked:
    """A process that answers commands, seen from the caller; a context that ends the process.

    Args:
        name: what errors call the process.
        command: program and arguments. The program calls `answer`.
        environment: its environment variables.
        folder: where it starts. Default None: here.
    """

    def __init__(self, name, command, environment, folder=None):
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by close
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
            cwd=folder,
        )

    def ask(self, do, **arguments):
        """Send a command, wait for its answer and return it.

        Raises:
            ProcessError: the command failed, or the process ended.
        """
        try:
            self._process.stdin.write(json.dumps({"do": do} | arguments) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            last = " / ".join(self.printed().strip().splitlines()[-3:]) or f"status {self._process.returncode}"
            raise ProcessError(f"{self.name} ended during {do!r}: {last}")
        answer = json.loads(line)
        if "error" in answer:
            raise ProcessError(f"{self.name}: {do!r} failed: {answer['error']}")
        return answer

    def printed(self):
        """What the process has printed until now."""
        self._errors.seek(0)
        return self._errors.read()

    def close(self):
        """End the process."""
        with suppress(BrokenPipeError):  # it may be gone already
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def answer(make, *arguments):
    """Answer from standard input to standard output with the methods of ``make(*arguments)``, until there is nothing
    more to read. What the process prints otherwise goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    serve(make(*arguments), sys.stdin, answers)


def serve(server, requests, answers):
    """Answer lines with a server's methods."""
    for line in requests:
        request = json.loads(line)
        try:
            found = getattr(server, request.pop("do"))(**request)
        except Exception as error:
            traceback.print_exc()
            found = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(found), file=answers, flush=True)
