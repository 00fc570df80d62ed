"""Ctrl-C that takes effect at the end of a training step."""

import signal
import threading


class DelayedInterrupt:
    """A context in which the first Ctrl-C only sets ``requested``; a second one interrupts at once, as usual.

    Only the main thread receives signals: in other threads nothing changes. Neither does it in a process that ignores
    Ctrl-C, such as a job in the background, or whose signals are handled outside of Python.
    """

    def __init__(self):
        self.requested = False
        self._before = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if before not in (signal.SIG_IGN, None):
                self._before = signal.signal(signal.SIGINT, self._request)
        return self

    def _request(self, number, frame):
        self.requested = True
        signal.signal(signal.SIGINT, self._before)

    def __exit__(self, *exception):
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
