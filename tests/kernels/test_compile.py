"""How kernels are compiled: Python's collector of garbage rests meanwhile, and is as before afterwards."""

import gc

import pytest
from numba import types
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
    """A kernel that nobody has compiled yet, and that calls another one."""

    @kernel
    def inner(x):
        return _look(x)

    @kernel
    def outer(x):
        return inner(x) + 1

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
