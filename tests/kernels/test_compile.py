"""How kernels are compiled: Python's collector of garbage rests meanwhile, nobody is told of locks, and both are as
before afterwards."""

import gc

import pytest
from numba import types
from numba.core import event
from numba.core.caching import NullCache
from numba.core.errors import TypingError
from numba.extending import intrinsic

from numsnn.kernels.compile import kernel

collecting = []
"""Whether the collector worked each time that a kernel with `_look` was compiled."""


@intrinsic
def _look(typingctx, x):
    collecting.append(gc.isenabled())
    if x == types.boolean:
        raise TypingError("numbers only")
    return x(x), lambda context, builder, signature, arguments: arguments[0]


def _looking():
    """A kernel that nobody has compiled yet, and that calls another one. Neither is kept on disk."""

    @kernel
    def inner(x):
        return _look(x)

    @kernel
    def outer(x):
        return inner(x) + 1

    inner._cache = outer._cache = NullCache()
    return outer


@pytest.fixture(autouse=True)
def collector():
    collecting.clear()
    on = gc.isenabled()
    yield
    (gc.enable if on else gc.disable)()


def test_the_collector_rests_while_a_kernel_is_compiled():
    gc.enable()
    assert _looking()(2) == 3
    assert collecting and not any(collecting) and gc.isenabled()


def test_the_collector_works_again_after_an_error():
    gc.enable()
    with pytest.raises(TypingError, match="numbers only"):
        _looking()(True)
    assert collecting and not any(collecting) and gc.isenabled()


def test_a_collector_that_the_user_has_switched_off_stays_off():
    gc.disable()
    assert _looking()(2) == 3
    assert not gc.isenabled()


def test_listeners_hear_of_the_compilation_but_not_of_its_locks():
    heard = []

    class Listener(event.Listener):
        def on_start(self, event):
            heard.append(event.kind)

        def on_end(self, event):
            pass

    tells = event.start_event, event.end_event
    with event.install_listener("numba:compile", Listener()), event.install_listener("numba:llvm_lock", Listener()):
        _looking()(2)
    assert set(heard) == {"numba:compile"} and len(heard) >= 2  # the kernel and the one that it calls
    assert (event.start_event, event.end_event) == tells


def test_after_an_error_listeners_hear_of_locks_again():
    tells = event.start_event, event.end_event
    with pytest.raises(TypingError, match="numbers only"):
        _looking()(True)
    assert (event.start_event, event.end_event) == tells
