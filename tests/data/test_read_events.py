"""`read_events` and `Events.from_array`: every name, order, type and unit of columns, and what is refused."""

import io
import re

import h5py
import numpy as np
import pytest
from data_writers import EVENTS, aedat2, aedat3, atis, dat, packet

from numsnn.data import Events
from numsnn.data.formats import FormatError, parse_npy, parse_npz, parse_text, read_events

X, Y, T, P = (np.array(column) for column in zip(*EVENTS, strict=True))
TABLE = np.stack([X, Y, T, P], 1)


def rows(events):
    return list(zip(*(getattr(events, name).tolist() for name in "xytp"), strict=True))


def structured(x="x", y="y", t="t", p="p", kinds=("<u2", "<u2", "<i8", "?")):
    out = np.zeros(len(X), list(zip((x, y, t, p), kinds, strict=True)))
    for name, column in ((x, X), (y, Y), (t, T), (p, P)):
        out[name] = column
    return out


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npz(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


ARRAYS = [
    (structured(), {}),
    (structured(t="timestamp", p="polarity", kinds=("i4", "i2", "u8", "i1")), {}),
    (structured("X", "Y", "ts", "on", ("f4", "f8", "<u4", "u1")), {}),
    (structured("col", "row", "clock", "sign"), {"columns": {"t": "clock", "p": "sign"}}),
    ({"xs": X, "ys": Y, "ts": T, "ps": 2 * P - 1}, {}),
    ({"x": X.tolist(), "y": Y, "time": T, "pol": P.astype(bool), "label": 3}, {}),
    (TABLE, {"columns": "xytp"}),
    (TABLE[:, [2, 0, 1, 3]].astype(np.uint32), {"columns": ["t", "x", "y", "p"]}),
    (TABLE.astype(float), {"columns": "xytp", "unit": "us"}),
    (np.stack([T / 1e6, X, Y, P, 0 * X], 1), {"columns": "txyp_", "unit": "s"}),
    ({"x": X, "y": Y, "t": T / 1000, "p": P}, {"unit": "ms"}),
    ({"x": X, "y": Y, "t": T.astype(np.uint64) * 1000 + 999, "p": P}, {"unit": "ns"}),
    ({"x": X, "y": Y, "t": T * 1000.0, "p": P}, {"unit": "ns"}),
]


@pytest.mark.parametrize(("array", "options"), ARRAYS, ids=range(len(ARRAYS)))
def test_from_array(array, options):
    events = Events.from_array(array, (40, 50), **options)
    assert rows(events) == EVENTS and (events.size, events.polarities) == ((40, 50), 2)
    assert (events.x.dtype, events.t.dtype, events.p.dtype) == (np.uint16, np.int64, np.uint8)
    assert Events.from_array(array, **options).size == (34, 34)


@pytest.mark.parametrize(("array", "options"), ARRAYS, ids=range(len(ARRAYS)))
def test_numpy_files(array, options, tmp_path):
    if isinstance(array, dict):
        (tmp_path / "a.npz").write_bytes(npz(**array))
    else:
        (tmp_path / "a.npz").write_bytes(npz(events=array))
        (tmp_path / "a.npy").write_bytes(npy(np.asfortranarray(array)))
        assert rows(read_events(tmp_path / "a.npy", **options)) == EVENTS
    events = read_events(tmp_path / "a.npz", (40, 50), **options)
    assert rows(events) == EVENTS and events.size == (40, 50)


@pytest.mark.parametrize(("array", "options"), ARRAYS, ids=range(len(ARRAYS)))
def test_hdf5(array, options, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if isinstance(array, dict):
            for name, column in array.items():
                file[f"in/events/{name}"] = column
        else:
            file["in/events"] = array
    assert rows(read_events(tmp_path / "a.h5", group="in/events", **options)) == EVENTS


def test_without_polarity():
    for events in (
        Events.from_array(TABLE[:, :3], columns="xyt"),
        Events.from_array({"x": X, "y": Y, "t": T}),
        Events.from_array({"x": X, "y": Y, "t": T, "weight": P}, columns={"p": None}),
    ):
        assert events.polarities == 1 and not events.p.any() and events.t.tolist() == T.tolist()


def test_tables_of_pandas():
    class Table:
        def to_records(self, index):
            assert index is False
            return structured("x", "y", "timestamp", "polarity").view(np.recarray)

    assert rows(Events.from_array(Table())) == EVENTS


def test_rounding_and_signs():
    events = Events.from_array({"x": [0] * 4, "y": [0] * 4, "t": [-1e-6, 0.0, 1.4e-6, 1.6e-6]}, unit="s")
    assert events.t.tolist() == [-1, 0, 1, 2]
    assert Events.from_array({"x": [0, 0], "y": [0, 0], "t": [-3, 5]}, unit="s").t.tolist() == [-3_000_000, 5_000_000]
    assert len(Events.from_array(np.empty((0, 4)), columns="xytp", unit="s")) == 0


GOOD = {"x": X, "y": Y, "t": T, "p": P}


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (
            {"x": X, "y": Y, "p": P},
            {},
            "no column 't'; events need x, y, t and, for sensors with polarity, p; there are",
        ),
        ({"a": X}, {}, "no column 'x'; events need x, y, t and, for sensors with polarity, p; there are 'a'. Another"),
        (
            {"x": X, "y": Y, "t": T, "q": P},
            {},
            "no polarity is known among 'q'; pass columns={'p': NAME}, or {'p': None",
        ),
        (
            {**GOOD, "pol": P, "polarity": P, "p": P},
            {"columns": {"p": "sign"}},
            "no column 'sign' for p; there are 'x'",
        ),
        ({"x": X, "y": Y, "t": T, "pol": P, "on": P}, {}, "both 'pol' and 'on' may be p; pass columns={'p': NAME}"),
        (GOOD, {"columns": "xytp"}, "columns have names here; columns must be like {'t': 'time'}; got 'xytp'"),
        (GOOD, {"columns": {"z": "x"}}, "columns: column must be one of 'x', 'y', 't', 'p'; got 'z'"),
        (GOOD, {"columns": {"t": None}}, "columns: only p may be None"),
        (GOOD, {"unit": "sec"}, "unit must be one of 's', 'ms', 'us', 'ns'; got 'sec'"),
        (GOOD | {"t": T / 1e6}, {}, "t holds real numbers; say what they count: unit='s', unit='ms', unit='us', unit="),
        (GOOD | {"t": np.where(T == 250, np.nan, T)}, {"unit": "us"}, "at most 2^62 microseconds; t[1] is nan"),
        (GOOD | {"t": T * 1e300}, {"unit": "us"}, "t must be finite and at most 2^62 microseconds; t[0] is 1e+302"),
        (
            GOOD | {"t": T.astype(np.uint64) + np.uint64(2**63)},
            {},
            "t must be at most 2^62 microseconds; found 9223372036",
        ),
        (GOOD | {"t": T + 2**60}, {"unit": "s"}, "t must be at most 2^62 microseconds; found 115292150460714"),
        (GOOD | {"x": X + 0.25}, {}, "x must hold whole numbers; x[0] is 3.25"),
        (GOOD | {"y": np.where(X == 3, np.inf, X)}, {}, "y must hold whole numbers; y[0] is inf"),
        (GOOD | {"p": P + 1}, {}, "p must be 0 and 1, or -1 and 1; p[0] is 2"),
        (GOOD | {"p": P * 1.0 - 0.5}, {}, "p must hold whole numbers; p[0] is 0.5"),
        (GOOD | {"p": P[:4]}, {}, "p must be as long as x, 5; found 4"),
        (GOOD | {"x": X.astype(str)}, {}, "x must hold [N] real numbers; found <U"),
        (TABLE, {}, 'the columns have no names; pass their order, such as columns="xytp" or "txyp"'),
        (TABLE, {"columns": {"p": None}}, "the columns have no names; pass their order"),
        (TABLE, {"columns": "xyt"}, "columns='xyt' names 3 columns; found 4. A _ stands for another column"),
        (
            TABLE,
            {"columns": "xyyt"},
            "columns must name x, y, t and perhaps p, each once, and _ for others; got 'xyyt'",
        ),
        (TABLE, {"columns": "xyp_"}, "columns must name x, y, t and perhaps p"),
        (np.zeros((4, 9)), {"columns": "xytp"}, "an array of events must be [N, C]; found shape (4, 9). Transpose it"),
        (X, {"columns": "xytp"}, "events must be a structured array [N] or an array [N, C]; found shape (5,)"),
        (structured()[:, None], {}, "a structured array of events must be [N]; found shape (5, 1)"),
    ],
)
def test_refused_arrays(array, options, message):
    with pytest.raises(ValueError, match=f"^Events.from_array: .*{re.escape(message)}") as caught:
        Events.from_array(array, **options)
    assert "\n" not in str(caught.value)


def test_outside_the_sensor():
    with pytest.raises(
        ValueError, match=r"^Events: x must be in 0\.\.19; x\[1\] is 33. The size is \(height, width\) = "
    ):
        Events.from_array(GOOD, (40, 20))
    with pytest.raises(ValueError, match=r"^Events: size must be \(height, width\), each in 1\.\.65536; got 40"):
        Events.from_array(GOOD, 40)


# --- text ---


LINES = [(x, y, t, p) for x, y, t, p in EVENTS]
TEXTS = {
    "csv": ("x,y,t,p\n" + "".join(f"{x},{y},{t},{p}\n" for x, y, t, p in LINES), {}),
    "windows": ("\ufeffx,y,t,p\r\n" + "".join(f"{x},{y},{t},{p}\r\n" for x, y, t, p in LINES), {}),
    "no last newline": ("x,y,t,p\n" + "\n".join(f"{x},{y},{t},{p}" for x, y, t, p in LINES), {}),
    "names": ("timestamp;polarity;col;row\n" + "".join(f"{t};{2 * p - 1};{x};{y}\n" for x, y, t, p in LINES), {}),
    "frame": (",x,y,t,p\n" + "".join(f"{k},{x},{y},{t},{p}\n" for k, (x, y, t, p) in enumerate(LINES)), {}),
    "truth": ('"x", "y", "t", "on"\n' + "".join(f"{x}, {y}, {t}, {p == 1}\n" for x, y, t, p in LINES), {}),
    "comments": ("# made by me\n\n% x y t p\n" + "// \n".join(f"{x} {y}\t {t} {p}\n" for x, y, t, p in LINES), {}),
    "seconds": ("".join(f"{t / 1e6:.9f} {x} {y} {p}\n" for x, y, t, p in LINES), {"columns": "txyp", "unit": "s"}),
    "real": ("x,y,t,p\n" + "".join(f"{x}.0,{y}.0,{t}.0,{p}.0\n" for x, y, t, p in LINES), {"unit": "us"}),
    "tabs": ("".join(f"{x}\t{y}\t{t}\t{p}\t0.5\n" for x, y, t, p in LINES), {"columns": "xytp_", "unit": "us"}),
    "nanoseconds": ("x,y,t,p\n" + "".join(f"{x},{y},{t * 1000},{p}\n" for x, y, t, p in LINES), {"unit": "ns"}),
    "named": ("a,b,c,d\n" + "".join(f"{x},{y},{t},{p}\n" for x, y, t, p in LINES), {"columns": "xytp"}),
    "mapped": ("x,y,c,d\n" + "".join(f"{x},{y},{t},{p}\n" for x, y, t, p in LINES), {"columns": {"t": "c", "p": "d"}}),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name, tmp_path):
    text, options = TEXTS[name]
    (tmp_path / "events.csv").write_bytes(text.encode())
    events = read_events(tmp_path / "events.csv", (40, 50), **options)
    assert rows(events) == EVENTS and events.size == (40, 50)


def test_large_numbers_in_text_are_exact():
    last = 2**62 - 1
    assert parse_text(f"x,y,t\n0,0,{last}\n".encode()).t.tolist() == [last]


def test_text_without_events():
    assert len(parse_text(b"x,y,t,p\n")) == 0 and len(parse_text(b"# t x y p")) == 0
    assert parse_text(b"x,y,t\n\n").polarities == 1


@pytest.mark.parametrize(
    ("text", "options", "offset", "reason"),
    [
        ("", {}, 0, "the file holds no events and no names of columns"),
        ("1,2,3,0\n", {}, None, 'the columns have no names; pass their order, such as columns="xytp"'),
        ("1,2,3,0\n", {"columns": "xyt"}, None, "columns='xyt' names 3 columns; found 4"),
        ("x,y,t,p\n1,2,3,0\n1,2,3\n", {}, 16, "line 3 has 3 values, the header names 4 columns: '1,2,3'"),
        ("1,2,3,0\n1,2\n", {"columns": "xytp"}, 8, "line 2 has 2 values, the first line of numbers has 4: '1,2'"),
        ("x,y,t,p\n1,2,3\n", {}, 8, "line 2 has 3 values, the header names 4 columns (x, y, t, p): '1,2,3'"),
        ("# t x y p q\n\n1 2 3 1\n", {}, 13, "line 3 has 4 values, the header names 5 columns (t, x, y, p, q): '1 "),
        (
            "t;x;y;p\n0,001;2;3;1\n",
            {"unit": "s"},
            8,
            "line 2 has a decimal comma; write numbers with a point, 0.5",
        ),
        ("0,001 2\t3 1\n", {"columns": "txyp"}, 0, "line 1 has a decimal comma"),
        ("t;x;y;p\n0;2;3;1\n0,001;2;3;1\n", {}, 16, "line 3 has a decimal comma; write numbers with a point, 0.5: '0,"),
        ("x,y,t,p\n# a\n1,2,3,0\n1,2,b,1\n", {}, 20, "line 4 must hold numbers; found 'b'"),
        ("x,y,t\n1,2,99999999999999999999\n", {}, 6, "line 2 holds a number that is too large: 999999999999999999"),
        ("x,y,t\n1,2,3,0\n", {}, 6, "line 2 has 4 values, the header names 3 columns (x, y, t): '1,2,3,0'"),
        ("x,y,y\n1,2,3\n", {}, None, "the header must name each column once; found x, y, y"),
        ("x,y,t\n1,2,3\n", {"unit": "sec"}, None, "unit must be one of 's', 'ms', 'us', 'ns'; got 'sec'"),
        ("x,y,t\n1,2,0.5\n", {}, None, "t holds real numbers; say what they count: unit='s'"),
        ("x,y,t,p\n1.5,2,3,0\n", {"unit": "us"}, None, "x must hold whole numbers; x[0] is 1.5"),
        ("x,y,t,q\n1,2,3,0\n", {}, None, "no polarity is known among 'q'"),
        ("x,y,t\n-1,2,3\n", {}, None, "Events: x must be in 0..0; x[0] is -1"),
        ("x,y,t\n1,2,nan\n", {"unit": "s"}, None, "t must be finite and at most 2^62 microseconds; t[0] is nan"),
    ],
)
def test_broken_texts(text, options, offset, reason):
    place = "" if offset is None else f"byte {offset}: "
    with pytest.raises(FormatError, match=f"^<bytes>: {place}{re.escape(reason)}") as caught:
        parse_text(text.encode(), **options)
    assert caught.value.offset == offset and "\n" not in str(caught.value)


def test_text_without_a_word(tmp_path):
    for text, reason in (("", "the file is empty"), (" \n\n", "byte 3: the file holds no events and no names")):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(FormatError, match=rf"a\.csv: {reason}"):
            read_events(tmp_path / "a.csv")


def test_text_of_another_encoding():
    with pytest.raises(FormatError, match="<bytes>: byte 9: not a text of UTF-8"):
        parse_text(b"x,y,t\n1,2\xff,3\n")


# --- NumPy's files that are broken ---


def header(descr, shape, body=b""):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue() + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npy(TABLE)[:-1], "not an .npy file, or damaged: the array is truncated: expected 20 numbers, found 159 bytes"),
        (header("<i8", (2**40, 4)), "the array is truncated: expected 4398046511104 numbers, found 0 bytes"),
        (
            header([("x", "<u2"), ("y", "<u2")], (2**60,)),
            "the array is truncated: expected 1152921504606846976 numbers",
        ),
        (header("<i8", (-1, 4), bytes(64)), "the array must hold real numbers; found int64 (-1, 4)"),
        (header("|O", (4, 4), bytes(64)), "the array must hold real numbers; found object (4, 4)"),
        (header("<U2", (4,), bytes(64)), "the array must hold real numbers; found <U2 (4,)"),
        (
            header([("x", "<u2", (2,)), ("y", "<u2"), ("t", "<i8")], (1,), bytes(14)),
            "x must hold [N] real numbers; found",
        ),
        (b"\x93NUMPY\x01\x00\x76\x00{'descr': ", "not an .npy file, or damaged"),
        (b"\x93NUMPY\x09\x00", "not an .npy file, or damaged: the array: version (9, 0) of the array format"),
        (npy(np.zeros(3)), "events must be a structured array [N] or an array [N, C]; found shape (3,)"),
    ],
)
def test_broken_npy(data, reason):
    with pytest.raises(FormatError, match=f"^<bytes>: .*{re.escape(reason)}") as caught:
        parse_npy(data, columns="xytp" if b"'x'" not in data else None)
    assert "\n" not in str(caught.value)


def test_broken_npz():
    data = npz(events=structured())
    for end in (3, len(data) // 2, len(data) - 1):
        with pytest.raises(FormatError, match=r"^<bytes>: byte 0: not an \.npz archive, or damaged"):
            parse_npz(data[:end])


# --- HDF5 ---


def test_groups_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, column in (("xs", X), ("ys", Y), ("ts", T), ("ps", P)):
            file[f"events/{name}"] = column
        file["CD/events"] = structured()
        file["about"] = 3
    named = re.escape("pass one of them: group='CD', group='CD/events', group='events'")
    with pytest.raises(FormatError, match=rf"a\.h5: no column 'x'; .*there are 'about'.*{named}$"):
        read_events(tmp_path / "a.h5")
    with pytest.raises(FormatError, match=rf"a\.h5: no group 'event'\. The file has groups; {named}$"):
        read_events(tmp_path / "a.h5", group="event")
    for group in ("events", "CD/events"):
        assert rows(read_events(tmp_path / "a.h5", group=group)) == EVENTS
    with pytest.raises(FormatError, match=r"about must be an array \[N\] or \[N, C\]"):
        read_events(tmp_path / "a.h5", group="about")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = X
    with pytest.raises(FormatError, match=r"no column 'y'; .*The file has no groups"):
        read_events(tmp_path / "b.h5")


def test_links_to_other_files_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        for name, column in zip("xyt", (X, Y, T), strict=True):
            file[f"in/{name}"] = column
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"], file["t"] = X, Y, h5py.ExternalLink("secret.h5", "in/t")
        file["in"] = h5py.ExternalLink("secret.h5", "in")
        file["soft"] = h5py.SoftLink("/in")
    with pytest.raises(FormatError, match=r"no column 't'; .* there are 'x', 'y'\."):
        read_events(tmp_path / "a.h5")
    for group in ("in", "soft"):
        with pytest.raises(FormatError, match=f"{group} is a link to another place or file, which is not followed"):
            read_events(tmp_path / "a.h5", group=group)


# --- which format ---


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (aedat2(EVENTS), (128, 128)),
        (aedat3(packet(EVENTS)), (128, 128)),
        (dat(EVENTS), (240, 304)),
        (dat(EVENTS, header=b"% Version 2\n"), (34, 34)),
    ],
)
def test_formats_of_cameras(data, size, tmp_path):
    (tmp_path / "recording").write_bytes(data)
    events = read_events(tmp_path / "recording")
    assert rows(events) == EVENTS and events.size == size
    for option in ({"unit": "us"}, {"columns": "xytp"}):
        with pytest.raises(ValueError, match=f"takes no {next(iter(option))}, because the format states it"):
            read_events(tmp_path / "recording", **option)
    with pytest.raises(ValueError, match="group 'events' belongs to HDF5 files, and this is another file"):
        read_events(tmp_path / "recording", group="events")


def test_aedat2_has_one_size(tmp_path):
    (tmp_path / "recording").write_bytes(aedat2(EVENTS))
    with pytest.raises(ValueError, match=r"AEDAT 2\.0 is of a DVS128, whose size is \(128, 128\); got \(34, 34\)"):
        read_events(tmp_path / "recording", (34, 34))


@pytest.mark.parametrize("data", [atis(EVENTS), b"\x00\x01", b"\x89PNG\r\n\x1a\n"])
def test_unknown_formats(data, tmp_path):
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(
        FormatError, match=r"a\.bin: byte 0: not a file of .npz, .npy, text, .* begins with b'.*read_atis"
    ):
        read_events(tmp_path / "a.bin")
    with pytest.raises(FileNotFoundError):
        read_events(tmp_path / "absent")
