"""Grammars: where a format has its numbers, records and words. Each takes any bytes, also damaged ones."""

import itertools
import re
import struct

from mutations import Parts

_WORD = re.compile(rb"[A-Za-z0-9_.+\-]+|[^\sA-Za-z0-9_.+\-]")
_MOST = 1000
"""Numbers, records and words that are looked for, so that a long file does not take long."""


def text(data: bytes, start: int = 0, end: int | None = None) -> Parts:
    """Lines are records."""
    end = len(data) if end is None else end
    parts = Parts()
    position = start
    while position < end and len(parts.records) < _MOST:
        newline = data.find(b"\n", position, end)
        stop = end if newline < 0 else newline + 1
        parts.records.append((position, stop))
        position = stop
    for found in _WORD.finditer(data, start, min(end, start + 16 * _MOST)):
        parts.words.append(found.span())
        if len(parts.words) == _MOST:
            break
    return parts


def _rows(parts: Parts, data: bytes, start: int, size: int, fields: list[tuple[int, str]]) -> Parts:
    """Add rows of equal size, each with the same numbers."""
    for position in range(start, min(len(data), start + _MOST * size), size):
        parts.records.append((position, min(len(data), position + size)))
        parts.numbers += [(position + offset, code) for offset, code in fields]
    return parts


def idx(data: bytes) -> Parts:
    parts = Parts([(0, ">H"), (2, "B"), (3, "B")])
    rank = min(data[3], 40) if len(data) > 3 else 0
    parts.numbers += [(4 + 4 * k, ">I") for k in range(rank)]
    parts.records += [(4 + 4 * k, 8 + 4 * k) for k in range(rank)]
    return _rows(parts, data, 4 + 4 * rank, 4, [(0, ">I"), (0, ">f"), (0, "B")])


def cifar(labels: int):
    def grammar(data: bytes) -> Parts:
        return _rows(Parts(), data, 0, labels + 3072, [(k, "B") for k in range(labels + 1)])

    return grammar


def atis(data: bytes) -> Parts:
    return _rows(Parts(), data, 0, 5, [(k, "B") for k in range(5)])


def _header(data: bytes, mark: bytes) -> tuple[Parts, int]:
    """Return the parts of the lines at the start that begin with the mark, and the position behind them."""
    position = 0
    while data.startswith(mark, position) and (newline := data.find(b"\n", position)) >= 0:
        position = newline + 1
    return text(data, 0, position), position


def aedat2(data: bytes) -> Parts:
    parts, position = _header(data, b"#")
    return _rows(parts, data, position, 8, [(0, ">I"), (4, ">i")])


def aedat3(data: bytes) -> Parts:
    parts, position = _header(data, b"#")
    while position + 28 <= len(data) and len(parts.records) < _MOST:
        fields = [(0, "<h"), (2, "<h"), *((4 * k, "<i") for k in range(1, 7))]
        parts.numbers += [(position + offset, code) for offset, code in fields]
        size, _, _, capacity = struct.unpack_from("<4i", data, position + 4)
        end = position + 28 + max(0, size * capacity)
        parts.records.append((position, min(end, len(data))))
        _rows(parts, data[:end], position + 28, 8, [(0, "<I"), (4, "<i")])
        position = end
    return parts


def dat(data: bytes) -> Parts:
    parts, position = _header(data, b"%")
    parts.numbers += [(position, "B"), (position + 1, "B")]
    return _rows(parts, data, position + 2, 8, [(0, "<I"), (4, "<I")])


def npy(data: bytes) -> Parts:
    size = int.from_bytes(data[8:10], "little")
    parts = text(data, 10, min(len(data), 10 + size))
    parts.numbers += [(6, "B"), (7, "B"), (8, "<H")]
    return _rows(parts, data, 10 + size, 8, [(0, "<q"), (0, "<d"), (0, "<H")])


def raw(data: bytes) -> Parts:
    """Prophesee's RAW: lines with %, then words of 16 or 32 bits."""
    parts, position = _header(data, b"%")
    return _rows(parts, data, position, 4, [(0, "<I"), (0, "<H"), (2, "<H")])


def plain(data: bytes) -> Parts:
    """A format of which nothing is known: numbers of 4 and 8 bytes everywhere."""
    return _rows(Parts(), data, 0, max(4, 4 * (len(data) // (4 * _MOST))), [(0, "<I"), (0, "<q"), (0, "B")])


_ZIP = {
    b"PK\x03\x04": (30, [(4, "<H"), (6, "<H"), (8, "<H"), (14, "<I"), (18, "<I"), (22, "<I"), (26, "<H"), (28, "<H")]),
    b"PK\x01\x02": (
        46,
        [(8, "<H"), (10, "<H"), (16, "<I"), (20, "<I"), (24, "<I"), (28, "<H"), (30, "<H"), (32, "<H"), (42, "<I")],
    ),
    b"PK\x05\x06": (22, [(4, "<H"), (8, "<H"), (10, "<H"), (12, "<I"), (16, "<I"), (20, "<H")]),
    b"PK\x06\x06": (56, [(4, "<Q"), (24, "<Q"), (32, "<Q"), (40, "<Q"), (48, "<Q")]),
}
"""Signature -> size, and place and type of the numbers behind it: version, flags, method, checksum, sizes, lengths."""


def zipped(data: bytes) -> Parts:
    """Entries, directory and end of a zip archive."""
    parts = Parts()
    starts = [found.start() for found in re.finditer(rb"PK[\x01\x03\x05\x06][\x02\x04\x06]", data[: 1 << 20])][:_MOST]
    for start, end in itertools.pairwise([*starts, len(data)]):
        size, numbers = _ZIP.get(data[start : start + 4], (0, []))
        parts.records.append((start, end))
        parts.numbers += [(start + place, code) for place, code in numbers]
        parts.words.append((start + size, min(end, start + size + 5)))  # the name
    return parts


def gzipped(data: bytes) -> Parts:
    """Header, body and trailer of gzip: flags, time, checksum and size."""
    end = len(data)
    numbers = [
        (2, "B"),
        (3, "B"),
        (4, "<I"),
        (8, "B"),
        (9, "B"),
        (10, "<H"),
        (max(0, end - 8), "<I"),
        (max(0, end - 4), "<I"),
    ]
    return Parts(numbers, [(0, 10), (10, max(10, end - 8)), (max(10, end - 8), end)])
