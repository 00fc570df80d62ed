"""Ctrl-C and SIGTERM that take effect at the end of a training step."""

import signal
import threading
from typing import Any, NoReturn

from ..tables import tell

TERMINATED = 128 + signal.SIGTERM
"""The exit status of a process that SIGTERM has ended: 143."""


class DelayedInterrupt:
    """A context in which the first Ctrl-C, and SIGTERM, only set ``requested``; a second Ctrl-C interrupts at once, as
    usual. Schedulers often send SIGTERM twice, to a process and to its group, and SIGKILL some seconds later.

    Only the main thread receives signals: in other threads nothing changes. Neither does it in a process that ignores
    Ctrl-C, such as a job in the background, or whose signals are handled outside of Python. A process that handles
    SIGTERM itself goes on to do so.
    """

    def __init__(self) -> None:
        self.requested = self.terminated = False
        self._before: dict[int, Any] = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
                self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._request)
            if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
                self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._request)
        return self

    def _request(self, number, frame):
        self.requested = True
        if number == signal.SIGTERM:
            self.terminated = True
        else:
            signal.signal(number, self._before[number])

    def stop(self, message: str) -> NoReturn:
        """End a run as it was asked for: with KeyboardInterrupt, or after SIGTERM with SystemExit, which shows no
        message of its own."""
        if not self.terminated:
            raise KeyboardInterrupt(message)
        tell(message)
        raise SystemExit(TERMINATED)

    def __exit__(self, kind, error, trace):
        for number, before in self._before.items():
            signal.signal(number, before)
        if self.terminated and not (kind and issubclass(kind, SystemExit)):  # nothing has acted on it yet
            signal.raise_signal(signal.SIGTERM)
