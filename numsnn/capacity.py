"""The memory of the computer, and the error for arrays that cannot fit into it.

Linux grants memory that there is not, and ends the process when the memory is used. Sizes that a user gives are
therefore compared with the memory of the computer before an array is made. This module imports nothing from the
package, so that every module may use it.
"""

import functools
import os
from contextlib import suppress
from pathlib import Path

UNITS = "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"
LIMITS = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"
"""Files of Linux with the limit of a container."""


@functools.cache
def memory() -> int:
    """Return the bytes of memory that the process may use at most; 2^63 where the system does not say."""
    known = [2**63]
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in map(Path, LIMITS):
        try:
            limit = path.read_text().strip()
        except OSError:
            continue
        if limit.isdecimal():
            known.append(int(limit))
    return min(known)


def need_memory(what: str, size: int, error: type[Exception] = ValueError) -> None:
    """Refuse an array that is larger than the memory of the computer.

    Args:
        what: what would be made, such as "Linear: the weight [10, 20]"; the message begins with it.
        size: its bytes.
        error: class of the error. Default ValueError.

    Raises:
        ValueError, or the given error: the array is too large. The message says how large it is.
    """
    if size > memory():
        raise error(f"{what} would take {told_bytes(size)}; this computer has {told_bytes(memory())} of memory")


def told_bytes(size: int) -> str:
    """Return a number of bytes in words, such as "3.7 GiB"."""
    power = min(max(int(size).bit_length() - 1, 0) // 10, len(UNITS) - 1)
    scaled = int(size) // 1024**power if power == len(UNITS) - 1 else size / 1024**power
    if scaled >= 10_000:
        return f"more than 10,000 {UNITS[power]}"
    return f"{scaled:.1f} {UNITS[power]}" if power else f"{int(size)} {UNITS[power]}"
