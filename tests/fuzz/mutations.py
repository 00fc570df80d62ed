"""Damage: mutations take the bytes of a good file, and what its grammar finds there, and return damaged bytes.

All choices come from a `random.Random`, so that a damaged file is a function of (seed, format, index).
"""

import math
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Parts:
    """What a grammar finds in the bytes of a file.

    Attributes:
        numbers: (position, code of `struct`) of binary numbers.
        records: (start, end) of pieces of which there may be fewer, more, or others.
        words: (start, end) of words and numbers in text.
    """

    numbers: list[tuple[int, str]] = field(default_factory=list)
    records: list[tuple[int, int]] = field(default_factory=list)
    words: list[tuple[int, int]] = field(default_factory=list)


Grammar = Callable[[bytes], Parts]

_BITS = (7, 8, 15, 16, 31, 32, 53, 62, 63, 64)
POWERS = [sign * (2**bits + step) for bits in _BITS for step in (-1, 0, 1) for sign in (1, -1)]
REALS = [math.nan, math.inf, -math.inf, -0.0, 0.5, -1.0, 1e308, -1e308, 5e-324, 1e-50, 2.0**53, 2.0**63, 999.9999]
WORDS = [
    *(b"%d" % power for power in POWERS),
    *(b"0", b"-0", b"1", b"-1", b"0.5", b"1.", b".5", b"1e3", b"1e400", b"-1e400", b"1e-400", b"nan", b"NaN", b"inf"),
    *(b"-Infinity", b"1_000", b"0x10", b"0b1", b"0o7", b"1,5", b"000000000010000000", b"9" * 18, b"9" * 19),
    *(b"9" * 400, b"1" * 5000, b"1" * 60_000, b"", b" ", b"\t", b",", b";", b"#", b"%", b"//", b'"', b"'", b'"""'),
    *(b"true", b"false", b"True", b"None", b"null", b"x", b"y", b"t", b"p", b"_", b"a" * 100_000, b"\x00", b"\x1b[31m"),
    *(b"\r", b"\n", b"\r\n", b"\xff", b"\xc3", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xef\xbc\x91", b"\xc2\xb2", b"\x85"),
    *(b"[]", b"{}", b"[" * 3000, b"{" * 3000, b"[" * 100_000, b"(" * 300, b"-" * 3000, b"1979-13-40", b"07:99:00"),
    *(b"<u1", b"<i8", b">f8", b"|O", b"|V0", b"<f2", b"<c8", b"<M8[s]", b"<U9", b"()", b"(1,)", b"(-1,)", b"../../a"),
]
"""What stands in the place of a word: limits of integers, what looks like a number, marks, and wrong letters."""


def number(data: bytes, parts: Parts, rng: random.Random) -> bytes:
    """Set a binary number to a limit of its type, to a length that is nearly right, or to any value."""
    if not parts.numbers:
        return anywhere(data, parts, rng)
    position, code = rng.choice(parts.numbers)
    size = struct.calcsize(code)
    if position + size > len(data):
        return anywhere(data, parts, rng)
    if code[-1] in "efd":
        new = struct.pack(code, _fitting(rng.choice(REALS), code))
    else:
        order = "big" if code[0] == ">" else "little"
        old = int.from_bytes(data[position : position + size], order)
        near = 0, 1, -1, old + 1, old - 1, 2 * old, old // 2, -old, len(data), len(data) - position
        value = rng.choice((*near, *rng.sample(POWERS, 2), rng.getrandbits(8 * size), rng.randrange(300)))
        new = (value % 2 ** (8 * size)).to_bytes(size, order)
    return data[:position] + new + data[position + size :]


def _fitting(value, code):
    try:
        struct.pack(code, value)
    except OverflowError:
        return math.inf
    return value


def word(data: bytes, parts: Parts, rng: random.Random) -> bytes:
    """Replace a word, or a part of it, or put something in front of it."""
    if not parts.words:
        return number(data, parts, rng)
    start, end = rng.choice(parts.words)
    if rng.random() < 0.2:
        start = rng.choice((end, start, (start + end) // 2))
    new = rng.choice(WORDS)
    if rng.random() < 0.2:
        begin, stop = rng.choice(parts.words)  # another word of the file
        new = data[begin:stop]
    return data[:start] + new + data[end:]


def record(data: bytes, parts: Parts, rng: random.Random) -> bytes:
    """Leave out a record, repeat it, swap it with another one, put it elsewhere, or cut it."""
    if not parts.records:
        return number(data, parts, rng)
    (a, b), (c, d) = sorted((rng.choice(parts.records), rng.choice(parts.records)))
    b, d = max(a, b), max(c, d)  # grammars may find pieces of damaged files that end before they begin
    one = data[a:b]
    kind = rng.randrange(6)
    if kind == 0:
        return data[:a] + data[b:]
    if kind == 1:
        return data[:a] + one * rng.choice((2, 2, 3, 50, min(2000, 1 + 100_000 // max(1, b - a)))) + data[b:]
    if kind == 2:
        return data[:a] + data[c:d] + data[b:c] + one + data[d:]
    if kind == 3:
        return data[:a] + data[b:c] + one + data[c:]
    if kind == 4:
        return data[: rng.randint(a, b)] + data[b:]
    return data[:a] + one[::-1] + data[b:]


def bits(data: bytes, parts: Parts, rng: random.Random) -> bytes:
    """Flip some bits."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5)) if out else 0):
        place = rng.randrange(8 * len(out))
        out[place // 8] ^= 1 << place % 8
    return bytes(out)


def cut(data: bytes, parts: Parts, rng: random.Random) -> bytes:
    """Cut the end off, or a piece out."""
    a = rng.randint(0, len(data))
    b = len(data) if rng.random() < 0.6 else min(len(data), a + rng.choice((1, 1, 2, 4, 8, rng.randint(1, 64))))
    return data[:a] + data[b:]


def anywhere(data: bytes, parts: Parts, rng: random.Random) -> bytes:
    """Write bytes over others, or between them: limits of integers, or anything."""
    place = rng.randint(0, len(data))
    extremes = (
        b"\xff\xff\xff\x7f",
        b"\x7f\xff\xff\xff",
        b"\xff" * 8,
        bytes(8),
        b"\x00\x00\x00\x80",
        b"\x7f" + b"\xff" * 7,
    )
    new = rng.choice(extremes) if rng.random() < 0.6 else rng.randbytes(rng.choice((1, 1, 2, 4, 8, 40)))
    return data[:place] + new + data[place + (len(new) if rng.random() < 0.7 else 0) :]


KINDS = (number, number, word, word, record, record, bits, bits, cut, anywhere)


def damaged(data: bytes, grammar: Grammar, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return the bytes with one to four damages, or a piece of them with a piece of another file behind it.

    Args:
        data: content of a file, good or damaged before.
        grammar: finds the numbers, records and words in it.
        others: contents of other files of the format.
        rng: makes all choices.
    """
    if others and rng.random() < 0.06:
        other = rng.choice(others)
        data = data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = rng.choice(KINDS)(data, grammar(data), rng)
    return data


# --- JSON ---

LEAVES = [
    *(None, True, False, 0, -1, 1, 0.5, -0.5, "", "a", "\x1b[31m", "a\nb", "\ud800", "../../a", "a" * 100_000, [], {}),
    *(math.nan, math.inf, 1e300, 2**31, 2**53, 2**63, -(2**63) - 1, 10**30, [[]], [None], {"a": None}, {"": 1}),
]


def tree(value: Any, rng: random.Random, leaves: Sequence[Any] = LEAVES) -> Any:
    """Return plain data (dicts, lists, numbers, texts) in which one node is another, missing, twice or renamed.

    Args:
        value: the data, which are not changed.
        rng: makes all choices.
        leaves: what may stand in the place of a node.
    """
    inner = [key for key, one in _items(value)]
    if not inner or rng.random() < 0.15:
        return _other(value, rng, leaves)
    key = rng.choice(inner)
    out = dict(value) if isinstance(value, dict) else list(value)
    kind = rng.random()
    if kind < 0.7:
        out[key] = tree(value[key], rng, leaves)
    elif kind < 0.8:
        del out[key]
    elif isinstance(out, list):
        out.insert(rng.randint(0, len(out)), rng.choice([out[key], rng.choice(leaves)]))
    else:
        out[rng.choice([*map(str, inner), str(key) + "s", str(key).upper(), "", "__class__", "self"])] = out.pop(key)
    return out


def _items(value):
    return list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []


def _other(value, rng, leaves):
    kind = rng.random()
    if kind < 0.03:
        for _ in range(rng.choice((5, 200, 600))):
            value = [value]
        return value
    if kind < 0.3 and isinstance(value, int | float) and not isinstance(value, bool):
        return rng.choice([value + 1, -value, float(value), value * 1000, str(value), [value], value - 1])
    if kind < 0.3 and isinstance(value, str):
        return rng.choice([value + " ", value.upper(), value[:-1], value[1:], [value], value + value])
    return rng.choice(leaves)
