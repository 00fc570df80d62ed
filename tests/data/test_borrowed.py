"""AEDAT 4 and RAW: the packages that read them, a stand-in for them, and what is said where they are missing."""

import sys
import types

import numpy as np
import pytest
from data_writers import EVENTS

from numsnn.data.formats import FormatError, read_aedat4, read_events, read_raw

DTYPE = [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), (("p", "on"), "?")]
EVT3 = b"% date 2024-01-01 10:00:00\n% evt 3.0\n% format EVT3;height=48;width=64\n% end\n"


def packet():
    out = np.zeros(len(EVENTS), DTYPE)
    out["x"], out["y"], out["t"], out["on"] = zip(*EVENTS, strict=True)
    return out


def rows(events):
    return list(zip(*(getattr(events, name).tolist() for name in "xytp"), strict=True))


class Panic(BaseException):
    """Decoders written in Rust raise an exception that is no Exception."""


@pytest.fixture
def stand_ins(monkeypatch):
    """Put stand-ins in the place of both packages. They give what `found` holds, and remember what they are asked."""
    found = types.SimpleNamespace(packets=[packet()[:2], packet()[2:]], streams=None, error=None, asked=None)
    found.streams = {0: {"type": "imus"}, 3: {"type": "events", "width": 64, "height": 48}}

    class Aedat:
        def __init__(self, path):
            found.asked = path

        def id_to_stream(self):
            return found.streams

        def __iter__(self):
            if found.error:
                raise found.error
            yield {"stream_id": 0, "imus": None}
            yield {"stream_id": 5, "events": packet()}
            yield from ({"stream_id": 3, "events": events} for events in found.packets)

    class Raw:
        def __init__(self, path, dimensions_fallback, file_type):
            found.asked = path, file_type
            self.fallback = dimensions_fallback

        def dimensions(self):
            return 64, 48

        def __iter__(self):
            if found.error:
                raise found.error
            yield from found.packets

    monkeypatch.setitem(sys.modules, "aedat", types.SimpleNamespace(Decoder=Aedat))
    faery = types.SimpleNamespace(file_decoder=types.SimpleNamespace(Decoder=Raw))
    monkeypatch.setitem(sys.modules, "faery", faery)
    return found


@pytest.mark.parametrize("start", [b"#!AER-DAT4.0\r\n", EVT3])
def test_the_first_bytes_decide(start, stand_ins, tmp_path):
    path = tmp_path / "recording"
    path.write_bytes(start + bytes(9))
    events = read_events(path)
    assert rows(events) == EVENTS and (events.size, events.polarities) == ((48, 64), 2)
    assert stand_ins.asked == (path if start.startswith(b"#") else (path, "evt"))
    assert read_events(path, (50, 70)).size == (50, 70)
    with pytest.raises(FormatError, match=r"recording: Events: x must be in 0\.\.19; x\[1\] is 33"):
        read_events(path, (50, 20))
    with pytest.raises(ValueError, match="takes no unit, because the format states it; got 's'"):
        read_events(path, unit="s")
    for error in (RuntimeError("block\ntoo large"), Panic("block\ntoo large")):
        stand_ins.error = error
        with pytest.raises(FormatError, match=r"byte 0: not (AEDAT 4|RAW), or damaged: block too large"):
            read_events(path)
    stand_ins.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        read_events(path)


def test_no_events(stand_ins, tmp_path):
    for start in (b"#!AER-DAT4.0\r\n", EVT3):
        (tmp_path / "recording").write_bytes(start)
        stand_ins.packets = []
        events = read_events(tmp_path / "recording")
        assert len(events) == 0 and events.size == (48, 64)
    stand_ins.streams = {0: {"type": "frame", "width": 64, "height": 48}}
    with pytest.raises(FormatError, match="the file has no stream of events"):
        read_aedat4(_written(tmp_path / "recording", b"#!AER-DAT4.0\r\n"))


def test_raw_without_a_size(stand_ins, tmp_path):
    assert read_raw(_written(tmp_path / "recording", b"% evt 2.0\n% serial 5\n")).size == (34, 34)


def _written(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"#!AER-DAT4.0\r\n", r'AEDAT 4 needs the package aedat; install it with: pip install "numsnn\[aedat\]"'),
        (EVT3, r'Prophesee\'s RAW needs the package faery; install it with: pip install "numsnn\[raw\]"'),
    ],
)
def test_missing_packages(start, message, tmp_path, monkeypatch):
    for name in ("aedat", "faery"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"^{message}$"):
        read_events(_written(tmp_path / "recording", start))


def test_missing_files(stand_ins, tmp_path):
    for read in (read_aedat4, read_raw):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "absent")


# --- the packages themselves ---


@pytest.fixture(scope="module")
def faery():
    return pytest.importorskip("faery", reason='faery is missing: pip install "numsnn[raw]"')


def write(faery, path, **options):
    faery.file_encoder.events_to_file([packet()[:3], packet()[3:]], path, (64, 48), **options)
    return path


@pytest.mark.parametrize("version", ["evt2", "evt3"])
def test_real_raw(version, faery, tmp_path):
    path = write(faery, tmp_path / "real.raw", version=version)
    events = read_events(path)
    assert rows(events) == EVENTS and events.size == (48, 64)
    whole = path.read_bytes()
    for end in range(len(whole)):  # a shorter file has fewer events, or is refused
        path.write_bytes(whole[:end])
        try:
            found = rows(read_raw(path))
        except FormatError as error:
            assert "\n" not in str(error)
        else:
            assert len(found) <= len(EVENTS)


def test_real_aedat4(faery, tmp_path):
    pytest.importorskip("aedat", reason='aedat is missing: pip install "numsnn[aedat]"')
    path = write(faery, tmp_path / "real.aedat4")
    events = read_events(path)
    assert rows(events) == EVENTS and events.size == (48, 64)
    whole = path.read_bytes()
    for end in range(14, len(whole), 7):
        path.write_bytes(whole[:end])
        try:
            found = rows(read_events(path))
        except FormatError as error:
            assert "\n" not in str(error)
        else:
            assert len(found) <= len(EVENTS)
