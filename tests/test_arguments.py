"""Everything public, called with wrong arguments, returns or raises an error of one line that names the argument.

`arguments.interface` finds what is public by itself, so that nothing new stays out; ``python tests/arguments/run.py``
makes as many calls as wanted."""

from contextlib import contextmanager
from pathlib import Path

import pytest
import tables
from arguments.calls import Call, in_folder, known
from arguments.interface import parameters
from arguments.nasty import POOL
from arguments.valid import NOT_VALID, VALID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numsnn import capacity

EXAMPLES = 13
"""Calls per function: about 3,000 in all."""

MEMORY = 1 << 28
"""Bytes of memory that the computer has in these tests."""

ROOM = 4 << 30
"""Bytes of address space beyond what is in use: an array that a size should have forbidden fails instead of filling
the machine."""


@contextmanager
def limited_memory():
    statistics = Path("/proc/self/statm")
    if not statistics.exists():  # another system than Linux
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(statistics.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    """Calls write only here, must not fill the memory, and leave neither families nor a number of threads behind."""
    from numsnn.kernels.cpu.run import launch

    threads, monkeypatch = launch.get_num_threads(), pytest.MonkeyPatch()
    monkeypatch.setattr(capacity, "memory", lambda: MEMORY)
    with in_folder(tmp_path_factory.mktemp("arguments")), tables.kept(), limited_memory():
        yield
    launch.set_num_threads(threads)
    monkeypatch.undo()


def test_everything_public_is_called():
    """A new function, class or method needs an entry in `arguments.valid.VALID`, or in one of the lists of
    `arguments.interface`, which say why something is not called."""
    assert sorted(set(known()) - set(VALID)) == []
    assert sorted(set(VALID) - set(known())) == []


@pytest.mark.parametrize("name", sorted(set(VALID) - NOT_VALID))
def test_the_calls_are_valid(name):
    call = Call(name, {})
    assert (call.run(), call.error) == ("", None)


def wrong_arguments(name):
    """A strategy: one or two arguments of a function with the names of their values."""
    names = st.sampled_from([p.name for p in parameters(known()[name])])
    return st.dictionaries(names, st.sampled_from(list(POOL)), min_size=1, max_size=2)


@pytest.mark.parametrize("name", sorted(known()))
def test_wrong_arguments(name):
    @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=HealthCheck)
    @given(wrong_arguments(name))
    def check(wrong):
        call = Call(name, wrong)
        assert call.run() == "", call

    check()
