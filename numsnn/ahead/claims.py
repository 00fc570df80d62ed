"""Claims: processes that compile the same kernels tell each other which of them each one has begun.

A claim is the lock of one byte of a file that all of them have open; the name that is claimed says which byte. The
operating system ends a claim with its process, however that ends, so that no process waits for one that is gone.
"""

import hashlib
import time
from contextlib import suppress

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PATIENCE = 30.0
"""Seconds for which a process waits for a claim. The slowest kernel compiles in 2 s; a busy machine takes longer."""
PAUSE = 0.005
"""Seconds between two looks at a claim that another process has."""


class Claims:
    """The claims of a process. Threads of one process do not keep each other out: Numba compiles in one at a time.

    Args:
        descriptor: descriptor of the file, which is open for writing.
    """

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def take(self, name: str) -> bool:
        """Claim a name; if another process has claimed it, wait until that one releases it or ends.

        Returns:
            whether the name is claimed; otherwise another process has had it for `PATIENCE` seconds.
        """
        end = time.monotonic() + PATIENCE
        while not self.take_free(name):
            if time.monotonic() > end:
                return False
            time.sleep(PAUSE)
        return True

    def take_free(self, name: str) -> bool:
        """Claim a name unless another process has claimed it; return whether it is claimed."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(name))
        except (BlockingIOError, PermissionError):  # systems differ in what they say
            return False
        except OSError:  # the file system has no locks: every process compiles for itself
            return True
        return True

    def release(self, name: str) -> None:
        """End a claim, if there is one."""
        self._unlock(1, _byte(name))

    def release_all(self) -> None:
        """End all claims of this process."""
        self._unlock(0, 0)

    def _unlock(self, size, start):
        with suppress(OSError):  # there are no locks
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, size, start)


def _byte(name):
    """Return the place of the byte that stands for a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
