"""Memory for passes that drop outputs: places in a block, and outputs that stay as long as there is room."""

import numpy as np
import pytest

from numsnn.layers.arena import GRAIN, Arena

F32 = np.dtype(np.float32)
ROOM = GRAIN // 4
"""Numbers of float32 that fill the smallest place."""


def take(arena, rooms=1, dtype=F32):
    return arena.take((rooms * GRAIN // np.dtype(dtype).itemsize,), dtype, np.empty)


def one_block(rooms):
    """An arena that has become one block for this number of places."""
    arena = Arena()
    arrays = [take(arena) for _ in range(rooms)]
    assert arena.made == rooms
    for array in arrays:
        arena.give(array)
    arena.begin()
    first = take(arena)
    arena.give(first)
    assert arena.made == rooms + 1 and arena.nbytes == rooms * GRAIN
    return arena


def test_places_in_a_block():
    """Arrays of all types lie side by side, and the largest gap is taken."""
    arena = one_block(6)
    arrays = [take(arena), take(arena, 2), take(arena, 1, np.uint8), take(arena, 1, np.float64)]
    assert [array.dtype for array in arrays] == [np.float32, np.float32, np.uint8, np.float64]
    assert not any(np.shares_memory(a, b) for k, a in enumerate(arrays) for b in arrays[:k])
    arena.give(arrays[1])  # two places, and one at the end
    last = take(arena)
    assert np.shares_memory(last, arrays[1])
    arena.give(arrays[2].reshape(2, -1)[1:])  # a part of an array stands for it
    arena.give(last)
    assert np.shares_memory(take(arena, 3), arrays[2]) and arena.made == 7


def test_what_was_laid_by_can_be_taken_back():
    arena = one_block(3)
    first, second = take(arena), take(arena)
    known = [arena.lay_by(array) for array in (first, second)]
    third = take(arena)  # there is room beside both
    assert not np.shares_memory(third, first) and not np.shares_memory(third, second)
    fourth = take(arena)  # the oldest makes room
    assert np.shares_memory(fourth, first)
    assert not arena.take_back(known[0]) and arena.take_back(known[1]) and not arena.take_back(known[1])
    assert arena.alone(second) and not arena.take_back(None) and arena.lay_by(None) is None


def test_a_pass_forgets_what_was_laid_by():
    arena = one_block(2)
    array = take(arena)
    known = arena.lay_by(array)
    arena.begin()
    assert not arena.take_back(known)
    assert np.shares_memory(take(arena, 2), array)


def test_a_backward_pass_takes_everything_else_back():
    arena = one_block(3)
    lent, spare = take(arena), take(arena)
    known = arena.lay_by(spare)
    arena.recall()
    assert not arena.alone(lent) and arena.take_back(known) and arena.alone(spare)


def test_users_are_counted():
    arena = one_block(2)
    array, mine = take(arena), np.zeros(ROOM, np.float32)
    arena.hold(array)
    assert not arena.alone(array)
    assert arena.lay_by(array) is None and arena.alone(array)  # another user has it
    arena.settle(array, array.reshape(2, -1))
    assert arena.alone(array)
    arena.settle(array, None)
    assert not arena.alone(array)
    for action in (arena.give, arena.hold, arena.lay_by):
        action(mine)
        action(None)


def test_it_grows_and_becomes_one_block():
    """A step that needs more makes further blocks; the next one begins with a block of what was needed together."""
    arena = one_block(2)
    arrays = [take(arena, 2), take(arena, 3), take(arena, 4)]
    assert arena.nbytes == 9 * GRAIN
    kept = arrays[0]
    kept[...] = 7
    arena.begin()  # with arrays that are still lent: nobody will give them back
    again = [take(arena, 2), take(arena, 3), take(arena, 4)]
    assert arena.nbytes == 9 * GRAIN and len({array.base is again[0].base for array in again}) == 1
    again[0][...] = 0
    assert (kept == 7).all()
    made = arena.made
    for array in again:
        arena.give(array)
    arena.begin()
    assert take(arena, 9).size == 9 * ROOM and arena.made == made
    arena.clear()
    assert arena.made == arena.nbytes == 0


def test_on_a_device():
    """The arrays of a device have no addresses, but places in their blocks."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    from numsnn.kernels import for_device

    empty = for_device("cuda").empty
    arena = Arena()
    arrays = [arena.take((ROOM,), F32, empty), arena.take((3, GRAIN // 3), np.dtype(np.uint8), empty)]
    for array in arrays:
        arena.give(array)
    arena.begin()
    arrays = [arena.take((ROOM,), F32, empty), arena.take((3, GRAIN // 3), np.dtype(np.uint8), empty)]
    assert arrays[1].shape == (3, GRAIN // 3) and arrays[1].base is arrays[0].base and arrays[1].first == GRAIN
    known = arena.lay_by(arrays[0][1:])
    assert arena.alone(arrays[1]) and arena.take_back(known)
    with pytest.raises(ValueError, match=r"an array uint8 of shape \(3, 170\) cannot be viewed as float32"):
        arrays[1].view(np.float32)
