"""The number of cores that a process may use, on made-up file systems of containers."""

import os

import pytest

from numsnn import cores

V1 = "33 32 0:29 {inside} /sys/fs/cgroup/cpu,cpuacct rw,nosuid master:9 - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "34 32 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
V2 = "29 23 0:26 {inside} /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate"


@pytest.fixture
def quota(tmp_path, monkeypatch):
    """A function from files below the root to the number of cores, of 16."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(16), raising=False)

    def count(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text + "\n")
        return cores.available_cores(tmp_path)

    return count


def second(name, inside="/"):
    return {"proc/self/mountinfo": V2.format(inside=inside), "proc/self/cgroup": f"0::{name}"}


def first(name, inside="/"):
    mounts = f"{V1_MEMORY}\n{V1.format(inside=inside)}"
    return {"proc/self/mountinfo": mounts, "proc/self/cgroup": f"8:memory:/other\n4:cpu,cpuacct:{name}\n0::/"}


def test_no_limit(quota):
    assert quota({}) == 16
    assert quota(second("/")) == 16
    assert quota(second("/") | {"sys/fs/cgroup/cpu.max": "max 100000"}) == 16
    assert quota(first("/") | {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1"}) == 16


@pytest.mark.parametrize(
    ("text", "expected"), [("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("9900000 100000", 16)]
)
def test_version_2(quota, text, expected):
    """A part of a core counts the whole one, and a quota of more than all cores changes nothing."""
    assert quota(second("/") | {"sys/fs/cgroup/cpu.max": text}) == expected


def test_version_1(quota):
    folder = "sys/fs/cgroup/cpu,cpuacct/docker/abc"
    files = {f"{folder}/cpu.cfs_quota_us": "350000", f"{folder}/cpu.cfs_period_us": "100000"}
    assert quota(first("/docker/abc") | files) == 4
    misleading = "sys/fs/cgroup/memory/docker/abc/cpu.cfs_quota_us"  # of a tree that does not limit processor time
    assert quota({misleading: "100000"}) == 4


def test_the_groups_around_it_limit_too(quota):
    """A job of a cluster, whose slice has the quota."""
    files = {"sys/fs/cgroup/batch/cpu.max": "300000 100000", "sys/fs/cgroup/batch/job/step/cpu.max": "max 100000"}
    assert quota(second("/batch/job/step") | files) == 3
    assert quota({"sys/fs/cgroup/batch/job/cpu.max": "100000 50000"}) == 2
    assert quota(second("/other")) == 16


@pytest.mark.parametrize("inside", ["/docker/abc", "/"])
def test_a_container_sees_its_own_group_at_the_mount(quota, inside):
    """Its name is that of the whole system's tree, below which the container sees nothing."""
    files = {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000"}
    files["sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us"] = "100000"
    assert quota(first("/docker/abc", inside) | files) == 2


@pytest.mark.parametrize("text", ["", "100000", "x y", "0 100000", "100000 0", "1 2 3"])
def test_files_that_say_nothing(quota, text):
    assert quota(second("/") | {"sys/fs/cgroup/cpu.max": text}) == 16
    assert quota({"proc/self/mountinfo": "29 23\n- cgroup2\n" + text, "proc/self/cgroup": text}) == 16


def test_this_machine():
    assert 1 <= cores.available_cores() <= (os.cpu_count() or 1)
