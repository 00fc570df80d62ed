"""ATIS, AEDAT 2.0, AEDAT 3.1 and DAT: what an independent writer wrote comes back, and every fault is named."""

from pathlib import Path

import numpy as np
import pytest
from data_writers import AEDAT3_HEADER, EVENTS, aedat2, aedat3, atis, dat, packet

from numsnn.data import Events
from numsnn.data.formats import (
    FormatError,
    parse_aedat2,
    parse_aedat3,
    parse_atis,
    parse_dat,
    parse_gestures,
    read_aedat2,
    read_aedat3,
    read_atis,
    read_dat,
    read_gestures,
)

NMNIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "nmnist_sample_5.bin"


def rows(events):
    """(x, y, t, p) of every event, in a list."""
    return list(zip(*(getattr(events, name).tolist() for name in "xytp"), strict=True))


@pytest.mark.parametrize(
    ("parse", "data", "size"),
    [
        (parse_atis, atis(EVENTS), (34, 34)),
        (parse_aedat2, aedat2(EVENTS), (128, 128)),
        (parse_aedat3, aedat3(packet(EVENTS[:2]), packet(EVENTS[2:])), (128, 128)),
        (parse_dat, dat(EVENTS), (240, 304)),
    ],
)
def test_events_come_back(parse, data, size):
    events = parse(data)
    assert rows(events) == EVENTS
    assert events.size == size and events.polarities == 2 and events.skipped == {}
    assert (events.x.dtype, events.t.dtype, events.p.dtype) == (np.uint16, np.int64, np.uint8)


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (read_atis, atis(EVENTS)),
        (read_aedat2, aedat2(EVENTS)),
        (read_aedat3, aedat3(packet(EVENTS))),
        (read_dat, dat(EVENTS)),
    ],
)
def test_files(read, data, tmp_path):
    (tmp_path / "recording").write_bytes(data)
    assert rows(read(tmp_path / "recording")) == EVENTS
    (tmp_path / "recording").write_bytes(data[:-1])
    with pytest.raises(FormatError, match=r"recording: byte \d+: truncated"):
        read(tmp_path / "recording")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")


def test_atis_overflow_marks():
    long = [(1, 1, 5, 0), (2, 2, 8_193, 1), (3, 3, 20_000, 0), (4, 4, 20_001, 1)]
    events = parse_atis(atis(long, overflow_at=(1, 2)))
    assert rows(events) == long
    assert events.skipped == {"clock overflow": 2}


def test_aedat2_skips_external_signals():
    outside = aedat2([(0, 0, 7, 0)], header=b"")
    data = aedat2(EVENTS) + bytes([0, 0, 0x80 | outside[2]]) + outside[3:4] + (400_000).to_bytes(4, "big")
    events = parse_aedat2(data)
    assert rows(events) == EVENTS and events.skipped == {"external signal": 1}


def test_aedat3_overflow_invalid_events_and_other_packets():
    frame = packet([], kind=2, size=36, capacity=0)
    data = aedat3(packet(EVENTS[:2]), frame, packet(EVENTS, overflows=1, capacity=9, number=5, invalid=(1,)))
    events = parse_aedat3(data)
    later = [(x, y, t + 2**31, p) for k, (x, y, t, p) in enumerate(EVENTS) if k != 1]
    assert rows(events) == EVENTS[:2] + later
    assert events.skipped == {"marked invalid": 1, "packets of other types": 1}


def test_dat_sizes():
    small = dat(EVENTS, header=b"% Data file containing Event2D events.\n% Version 2\n", kind=0)
    assert parse_dat(small).size == (34, 34)
    assert parse_dat(small, size=(100, 120)).size == (100, 120)
    assert len(parse_dat(small[: -8 * len(EVENTS)])) == 0


@pytest.mark.parametrize(
    ("parse", "make"),
    [(parse_atis, atis), (parse_aedat2, aedat2), (parse_dat, dat), (parse_aedat3, lambda e: aedat3(packet(e)))],
)
def test_unordered_times_are_sorted_and_counted(parse, make):
    mixed = [EVENTS[1], EVENTS[0], EVENTS[2], EVENTS[4], EVENTS[3]]
    events = parse(make(mixed))
    assert rows(events) == EVENTS
    assert events.skipped == {"out of order": 2}


BROKEN = [
    (parse_atis, b"", 0, "the file is empty"),
    (parse_atis, atis(EVENTS)[:-2], 20, "truncated event: expected 5 bytes, found 3"),
    (parse_atis, atis([*EVENTS, (34, 0, 9, 0)]), 25, "event at x 34, y 0 lies outside the 34x34 sensor"),
    (parse_atis, atis([(0, 34, 9, 0)]), 0, "event at x 0, y 34 lies outside"),
    (parse_aedat2, b"", 0, "wrong magic number"),
    (parse_aedat2, b"#!AER-DAT3.1\r\n", 0, r"wrong magic number: must begin with #!AER-DAT2\.0"),
    (parse_aedat2, b"#!AER-DAT2.0", 0, "header line has no end"),
    (parse_aedat2, aedat2(EVENTS) + b"1234567", 75, "truncated event: expected 8 bytes, found 7"),
    (parse_aedat2, aedat2(EVENTS[:1]) + b"\x00\x01\x00\x00\x00\x00\x00\x00", 43, "0x00010000 has more than"),
    (parse_aedat3, b"#!AER-DAT2.0\r\n", 0, r"must begin with #!AER-DAT3\.1"),
    (parse_aedat3, b"#!AER-DAT3.1\r\n#Format: RAW\r\n", 28, "must end with the line #!END-HEADER"),
    (parse_aedat3, AEDAT3_HEADER + b"\x01", 61, "truncated packet header: expected 28 bytes, found 1"),
    (parse_aedat3, aedat3(packet(EVENTS)[:-1]), 89, "truncated packet: expected 40 bytes, found 39"),
    (parse_aedat3, aedat3(packet(EVENTS, capacity=2**31 - 1)), 89, "truncated packet: expected 17179869176 bytes"),
    (parse_aedat3, aedat3(packet(EVENTS, number=6)), 61, "counts: 6 events of 8 bytes, with a capacity of 5"),
    (parse_aedat3, aedat3(packet(EVENTS, number=-1)), 61, "impossible counts"),
    (parse_aedat3, aedat3(packet([], size=-8)), 61, "impossible counts"),
    (parse_aedat3, aedat3(packet(EVENTS[:2], size=4)), 61, "must have 8 bytes, the time at byte 4"),
    (parse_aedat3, aedat3(packet(EVENTS, overflows=-1)), 61, "must have 8 bytes"),
    (parse_aedat3, aedat3(packet([(200, 1, 5, 0)])), 89, "event at x 200, y 1 lies outside the 128x128 sensor"),
    (parse_dat, b"", 0, "wrong magic number"),
    (parse_dat, b"% Version 2\n", 12, "truncated: type and size of events need 2 bytes, found 0"),
    (parse_dat, dat(EVENTS, kind=14), 71, "found type 14 and 8 bytes"),
    (parse_dat, dat(EVENTS)[:-1], 105, "truncated event: expected 8 bytes, found 7"),
    (parse_dat, dat([(304, 0, 1, 0)]), 73, "event at x 304, y 0 lies outside the 304x240 sensor"),
    (parse_dat, dat(EVENTS, header=b"% Height 0\n% Width 5\n"), 0, "Height must be a whole number in 1"),
    (parse_dat, dat(EVENTS, header=b"% Height 5\n% Width 99999999999\n"), 11, "Width must be a whole number in 1"),
    (parse_gestures, b"1,2,3\n", 0, "the first line must be class,startTime_usec,endTime_usec"),
    (parse_gestures, b"class,startTime_usec,endTime_usec\n", 34, "contains no gesture"),
    (parse_gestures, b"class,startTime_usec,endTime_usec\n1,2\n", 34, "must be three whole numbers; found b'1,2'"),
    (parse_gestures, b"class,startTime_usec,endTime_usec\n1,2,3\n0,2,3\n", 40, "class must be at least 1"),
    (parse_gestures, b"class,startTime_usec,endTime_usec\n1,3,3\n", 34, "end larger than start"),
]


@pytest.mark.parametrize(("parse", "data", "offset", "reason"), BROKEN, ids=range(len(BROKEN)))
def test_broken(parse, data, offset, reason):
    with pytest.raises(FormatError, match=f"^some file: byte {offset}: .*{reason}") as caught:
        parse(data, source="some file")
    assert caught.value.offset == offset and "\n" not in str(caught.value)


def test_gestures(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"class,startTime_usec,endTime_usec\r\n1,80048239,85092709\r\n\r\n8,9,11\r\n")
    assert read_gestures(tmp_path / "labels.csv") == [(1, 80048239, 85092709), (8, 9, 11)]


def test_real_recording():
    if not NMNIST.is_file():
        pytest.skip("no real N-MNIST recording: ../shared/data/nmnist_sample_5.bin is missing")
    events = read_atis(NMNIST)
    raw = np.frombuffer(NMNIST.read_bytes(), np.uint8).reshape(-1, 5).astype(np.int64)
    assert not (raw[:, 1] == 240).any()
    np.testing.assert_array_equal(events.x, raw[:, 0])
    np.testing.assert_array_equal(events.y, raw[:, 1])
    np.testing.assert_array_equal(events.p, raw[:, 2] >> 7)
    np.testing.assert_array_equal(events.t, (raw[:, 2] & 127) << 16 | raw[:, 3] << 8 | raw[:, 4])
    assert len(events) == 4325 and events.skipped == {}


BAD_EVENTS = [
    ({"x": [1.5]}, r"x must be \[N\] whole numbers; got shape \(1,\) and dtype float64"),
    ({"y": [[1]]}, r"y must be \[N\] whole numbers; got shape \(1, 1\)"),
    ({"t": [1, 2]}, "t must be as long as x, 1; got 2"),
    ({"x": [5]}, r"x must be in 0\.\.4; x\[0\] is 5"),
    ({"y": [-1]}, r"y must be in 0\.\.3; y\[0\] is -1"),
    ({"p": [2]}, r"p must be in 0\.\.1; p\[0\] is 2"),
    ({"size": (0, 4)}, r"size must be \(height, width\), each in 1\.\.65536; got \(0, 4\)"),
    ({"size": 4}, "size must be"),
    ({"polarities": 3}, "polarities must be one of 1, 2; got 3"),
]


@pytest.mark.parametrize(("change", "message"), BAD_EVENTS)
def test_bad_events(change, message):
    good = {"x": [1], "y": [1], "t": [1], "p": [1], "size": (4, 5)}
    assert repr(Events(**good)) == "Events(1 on 5x4 pixels in 0.0 ms)"
    with pytest.raises(ValueError, match=f"^Events: {message}"):
        Events(**(good | change))


LONG = {
    read_atis: (parse_atis, atis(EVENTS)),
    read_aedat2: (parse_aedat2, aedat2(EVENTS)),
    read_aedat3: (parse_aedat3, aedat3(packet(EVENTS))),
    read_dat: (parse_dat, dat(EVENTS)),
}


@pytest.mark.parametrize("read", LONG)
@pytest.mark.parametrize("broken", [lambda data: data, lambda data: b"?" + data, lambda data: data[:-3]])
def test_long_files(read, broken, tmp_path, monkeypatch):
    """Long files are read into memory of their own; their events and their faults are the same."""
    monkeypatch.setattr("numsnn.data.formats.header.LONG", 1)
    parse, data = LONG[read]
    path = tmp_path / "long"
    path.write_bytes(broken(data))

    def result(function, *arguments, **options):
        try:
            return rows(function(*arguments, **options))
        except FormatError as error:
            return str(error)

    assert result(read, path) == result(parse, broken(data), source=str(path))
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="byte 0: "):
        read(path)
