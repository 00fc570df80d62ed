"""Damaged files of every format: a parser gives events or a FormatError, and takes memory only for what is there.

A coverage-guided fuzzer may call `check` as well; ``python tests/data/fuzz.py`` does so where atheris is installed.
"""

import tracemalloc

import pytest
from fuzz import PARSERS, SEEDS, check
from hypothesis import given, settings
from hypothesis import strategies as st

FEW = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize("name", PARSERS)
def test_seeds_are_good_files(name):
    for seed in SEEDS[name]:
        assert check(name, seed)


@pytest.mark.parametrize("name", PARSERS)
def test_flipped_bits_and_cut_ends(name):
    @FEW
    @given(st.data())
    def run(draw):
        data = bytearray(draw.draw(st.sampled_from(SEEDS[name])))
        for bit in draw.draw(st.lists(st.integers(0, 8 * len(data) - 1), max_size=6)):
            data[bit // 8] ^= 1 << bit % 8
        end = draw.draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))
        check(name, bytes(data[:end]))

    run()


@pytest.mark.parametrize("name", PARSERS)
def test_any_bytes_behind_a_good_start(name):
    @FEW
    @given(st.data())
    def run(draw):
        seed = draw.draw(st.sampled_from(SEEDS[name]))
        check(name, seed[: draw.draw(st.integers(0, len(seed)))] + draw.draw(st.binary(max_size=80)))

    run()


@pytest.mark.parametrize("name", PARSERS)
def test_memory_follows_the_file(name):
    """Numbers near the ends of the integers, in every place, do not make a parser ask for much memory."""
    seed = SEEDS[name][0]
    check(name, seed)
    tracemalloc.start()
    try:
        for place in range(min(len(seed) - 4, 400)):
            for number in (b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff"):
                check(name, seed[:place] + number + seed[place + 4 :])
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
