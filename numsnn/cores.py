"""How many cores the process may use: those that the system lists for it, and what a container's limit leaves of them.

A container's limit is a CPU quota of a control group (cgroup): so much processor time per period. Neither the number of
cores nor the process's affinity shows it. With more threads than the quota pays for, all of them stand still for a part
of every period.
"""

import os
from math import ceil
from pathlib import Path, PurePosixPath

from .shown import shown

MOST_THREADS = 1024
"""The largest number of threads, or of worker processes. The system refuses to start many more."""


def asked_number(variable: str) -> int | None:
    """The number of threads or processes that an environment variable asks for; None if it is not set, or to nothing.

    Raises:
        ValueError: it is not a whole number in 1..1024.
    """
    asked = os.environ.get(variable, "").strip()
    if not asked:
        return None
    if not asked.isdecimal() or not 1 <= int(asked[:20]) <= MOST_THREADS:
        raise ValueError(f"{variable} must be a whole number in 1..{MOST_THREADS}; got {shown(asked)}")
    return int(asked)


def available_cores(root="/") -> int:
    """The number of cores that this process may use. A quota that pays for a part of a core counts the whole core.

    Args:
        root: folder that stands for the root of the file system. Default "/".
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([cores, *map(ceil, _quotas(Path(root)))])


def _quotas(root):
    """The CPU quotas of the process's control groups and of the groups that contain them, in cores."""
    found = []
    for mount, folder, version in _groups(root):
        while True:
            found.append(_quota(root / folder.relative_to("/"), version))
            if folder == mount:
                break
            folder = folder.parent
    return [quota for quota in found if quota is not None]


def _groups(root):
    """The control groups that can limit the process's time: where their tree is mounted, the group's own folder, and
    the version of the interface, 1 or 2."""
    found = []
    names = dict(_names(root))
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        fields, kinds = place.split(), kind.split()
        if len(fields) < 5 or len(kinds) < 3 or kinds[0] not in ("cgroup", "cgroup2"):
            continue
        version = 2 if kinds[0] == "cgroup2" else 1
        if version == 1 and "cpu" not in kinds[2].split(","):
            continue
        inside, mount = PurePosixPath(fields[3]), PurePosixPath(fields[4])
        name = PurePosixPath(names.get(version, "/"))
        # A container sees its own group at the mount, even where its name is that of the whole system's tree.
        own = name.relative_to(inside) if name.is_relative_to(inside) else PurePosixPath()
        found.append((mount, mount / own, version))
    return found


def _names(root):
    """Pairs of a version and the name of the process's group in the tree that holds the limits of processor time."""
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if (number, controllers) == ("0", ""):
            yield 2, name
        elif "cpu" in controllers.split(","):
            yield 1, name


def _quota(folder, version):
    """The quota that the files of a group state, in cores; None for no limit."""
    if version == 2:
        fields = " ".join(_lines(folder / "cpu.max")).split()
    else:
        fields = [*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")]
    try:
        quota, period = map(int, fields)  # "max" stands for no limit
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _lines(path):
    """The lines of a file; none if it cannot be read."""
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
