"""AEDAT 4 and RAW: the packages that read them, a stand-in for them, and what is said where they are missing."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from data_writers import EVENTS

from numsnn import apart
from numsnn.apart import child
from numsnn.data.formats import FormatError, read_aedat4, read_events, read_raw

DTYPE = [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), (("p", "on"), "?")]
AEDAT4 = b"#!AER-DAT4.0\r\n"
EVT3 = b"% date 2024-01-01 10:00:00\n% evt 3.0\n% format EVT3;height=48;width=64\n% end\n"


def packet():
    out = np.zeros(len(EVENTS), DTYPE)
    out["x"], out["y"], out["t"], out["on"] = zip(*EVENTS, strict=True)
    return out


def rows(events):
    return list(zip(*(getattr(events, name).tolist() for name in "xytp"), strict=True))


STAND_IN = f"""
import os, pathlib, signal, time
import numpy as np

EVENTS = np.array([(t, x, y, p) for x, y, t, p in {EVENTS!r}], {DTYPE!r})


class Panic(BaseException):
    pass


def packets(path):
    assert isinstance(path, pathlib.Path)
    said = path.read_bytes().rpartition(b"\\n")[2].strip(b"\\0")
    if said == b"RuntimeError":
        raise RuntimeError("block\\ntoo large")
    if said == b"Panic":
        raise Panic("block\\ntoo large")
    if said == b"abort":
        import resource

        assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
        os.abort()
    if said == b"hang":
        time.sleep(60)
    if said == b"memory":
        np.zeros(3 << 30, np.uint8)
    if said == b"interrupt":
        path.with_name("process").write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)
    if said == b"wide":
        yield EVENTS.astype([("t", "u8"), ("x", "u4"), ("y", "u2"), ("on", "?")])
    elif said in (b"long", b"endless"):
        for k in range(3 if said == b"long" else 10**6):
            some = np.zeros(200_000, EVENTS.dtype)
            some["t"] = np.arange(200_000 * k, 200_000 * (k + 1))
            yield some
    elif said != b"none":
        yield from (EVENTS[:2], EVENTS[2:])
"""
AEDAT = """
from stand_in import EVENTS, packets


class Decoder:
    def __init__(self, path):
        self.path = path

    def id_to_stream(self):
        kind = "frame" if b"frames" in self.path.read_bytes() else "events"
        return {0: {"type": "imus"}, 3: {"type": kind, "width": 64, "height": 48}}

    def __iter__(self):
        yield {"stream_id": 0, "imus": None}
        yield {"stream_id": 5, "events": EVENTS}
        yield from ({"stream_id": 3, "events": events} for events in packets(self.path))
"""
FAERY = """
from types import SimpleNamespace

from stand_in import packets


class Decoder:
    def __init__(self, path, dimensions_fallback, file_type):
        assert file_type == "evt"
        self.path, self.size = path, (64, 48) if b"width" in path.read_bytes() else dimensions_fallback

    def dimensions(self):
        return self.size

    def __iter__(self):
        return packets(self.path)


file_decoder = SimpleNamespace(Decoder=Decoder)
"""


@pytest.fixture
def stand_ins(monkeypatch, tmp_path):
    """Put stand-ins in the place of both packages. They do what the last line of a file says."""
    folder = tmp_path / "modules"
    folder.mkdir()
    for name, text in (("stand_in", STAND_IN), ("aedat", AEDAT), ("faery", FAERY)):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture(params=[AEDAT4, EVT3], ids=["aedat4", "raw"])
def recording(request, stand_ins, tmp_path):
    """A function that writes a file of either format, whose last line is given, and returns its path."""
    return lambda said, padding=9: _written(tmp_path / "recording", request.param + said + bytes(padding))


def _written(path, content):
    path.write_bytes(content)
    return path


def test_the_first_bytes_decide(recording):
    path = recording(b"")
    events = read_events(path)
    assert rows(events) == EVENTS and (events.size, events.polarities) == ((48, 64), 2)
    assert read_events(path, (50, 70)).size == (50, 70)
    with pytest.raises(FormatError, match=r"recording: Events: x must be in 0\.\.19; x\[1\] is 33"):
        read_events(path, (50, 20))
    with pytest.raises(ValueError, match="takes no unit, because the format states it; got 's'"):
        read_events(path, unit="s")
    assert "stand_in" not in sys.modules  # this process has imported no package


@pytest.mark.parametrize("error", [b"RuntimeError", b"Panic"])
def test_errors_of_a_package(error, recording):
    """Decoders written in Rust raise an exception that is no Exception."""
    with pytest.raises(FormatError, match=r"byte 0: not (AEDAT 4|RAW), or damaged: block too large$"):
        read_events(recording(error))


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_package_that_aborts(recording):
    with pytest.raises(FormatError, match=r"byte 0: damaged: the package (aedat|faery) crashed with SIGABRT$"):
        read_events(recording(b"abort"))


def test_a_package_that_hangs(recording, monkeypatch):
    monkeypatch.setattr(apart, "SECONDS", 1.0)
    with pytest.raises(FormatError, match=r"byte 0: damaged: reading did not end within 1 s$"):
        read_events(recording(b"hang"))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
def test_a_package_that_takes_too_much_memory(recording):
    with pytest.raises(FormatError, match=r"byte 0: not (AEDAT 4|RAW), or damaged: Unable to allocate 3\.00 GiB"):
        read_events(recording(b"memory"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_interrupt_ends_the_process(recording):
    path = recording(b"interrupt")
    with pytest.raises(KeyboardInterrupt):
        read_events(path)
    with pytest.raises(ProcessLookupError):
        os.kill(int(path.with_name("process").read_text()), 0)


def test_many_events(recording):
    """They are sent in several messages, and memory is not taken for more events than such a file has."""
    events = read_events(recording(b"long", 100_000))
    assert events.t.tolist() == list(range(600_000))
    wanted = r"would take \d+ bytes; expected at most 64 MiB|damaged: 400000 events cannot lie in \d+ bytes$"
    with pytest.raises(FormatError, match=wanted):
        read_events(recording(b"endless"))


def test_columns_of_other_types(recording):
    found = ", ".join(f"{len(EVENTS)} {kind}" for kind in ("uint64", "uint32", "uint16", "bool"))
    with pytest.raises(FormatError, match=f"byte 0: damaged: the columns t, x, y and on hold {found}$"):
        read_events(recording(b"wide"))


def test_no_events(recording):
    events = read_events(recording(b"none"))
    assert len(events) == 0 and events.size == (48, 64)


def test_no_stream_of_events(stand_ins, tmp_path):
    with pytest.raises(FormatError, match=r"the file has no stream of events$"):
        read_aedat4(_written(tmp_path / "recording", AEDAT4 + b"frames"))


def test_raw_without_a_size(stand_ins, tmp_path):
    assert read_raw(_written(tmp_path / "recording", b"% evt 2.0\n% serial 5\n")).size == (34, 34)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (AEDAT4, r'AEDAT 4 needs the package aedat; install it with: pip install "numsnn\[aedat\]"'),
        (EVT3, r'Prophesee\'s RAW needs the package faery; install it with: pip install "numsnn\[raw\]"'),
    ],
)
def test_missing_packages(start, message, tmp_path, monkeypatch):
    for name in ("aedat", "faery"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"^{message}$"):
        read_events(_written(tmp_path / "recording", start))


def test_a_package_that_cannot_be_imported(recording, stand_ins):
    (stand_ins / "stand_in.py").write_text("raise ImportError('a library\\nis missing')")
    with pytest.raises(ImportError, match=r"^the package (aedat|faery) cannot be imported: a library is missing$"):
        read_events(recording(b""))


def test_missing_files(stand_ins, tmp_path):
    for read in (read_aedat4, read_raw):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "absent")
        with pytest.raises(IsADirectoryError, match="is a folder; expected a file"):
            read(tmp_path)


# --- the packages themselves ---


@pytest.fixture(scope="module")
def faery():
    return pytest.importorskip("faery", reason='faery is missing: pip install "numsnn[raw]"')


def write(faery, path, **options):
    faery.file_encoder.events_to_file([packet()[:3], packet()[3:]], path, (64, 48), **options)
    return path


def cut(path, ends):
    """Read a file that is cut off: it has fewer events, or is refused in one line."""
    whole = path.read_bytes()
    for end in ends(len(whole)):
        path.write_bytes(whole[:end])
        try:
            found = rows(read_events(path))
        except FormatError as error:
            assert "\n" not in str(error)
        else:
            assert len(found) <= len(EVENTS)
    path.write_bytes(whole)


@pytest.mark.parametrize("version", ["evt2", "evt3"])
def test_real_raw(version, faery, tmp_path):
    path = write(faery, tmp_path / "real.raw", version=version)
    events = read_events(path)
    assert rows(events) == EVENTS and events.size == (48, 64)
    cut(path, lambda size: range(size - 1, size // 2, -size // 10))
    whole = path.read_bytes()
    for end in range(len(whole)):  # every length, by the task of the process alone
        path.write_bytes(whole[:end])
        try:
            sent = list(child.raw({"path": str(path)}))
        except BaseException as error:
            assert not isinstance(error, KeyboardInterrupt | SystemExit)
        else:
            assert sum(len(arrays[0]) for _, arrays in sent[1:]) <= len(EVENTS)


def test_real_aedat4(faery, tmp_path):
    pytest.importorskip("aedat", reason='aedat is missing: pip install "numsnn[aedat]"')
    path = write(faery, tmp_path / "real.aedat4")
    events = read_events(path)
    assert rows(events) == EVENTS and events.size == (48, 64)
    cut(path, lambda size: range(14, size, size // 12))


@pytest.mark.parametrize("name", ["a-length-that-is-too-large", "a-text-that-is-not-utf-8"])
def test_aedat4_that_ends_the_process(name):
    """The package aborts on these files."""
    pytest.importorskip("aedat", reason='aedat is missing: pip install "numsnn[aedat]"')
    corpus = Path(__file__).parents[1] / "fuzz" / "corpus" / "aedat4"
    with pytest.raises(FormatError, match=r"byte 0: (damaged: the package aedat crashed with|not AEDAT 4, or damaged)"):
        read_aedat4(corpus / name)
