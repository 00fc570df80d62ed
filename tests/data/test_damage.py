"""Files that once were read wrongly: lost numbers, gigabytes in megabytes, errors of other libraries, endless waits."""

import gzip
import io
import os
import struct
import sys
import tracemalloc
import zipfile
import zlib

import h5py
import numpy as np
import pytest
from data_writers import EVENTS, aedat3, dat, packet

from numsnn import apart, data
from numsnn.data import formats
from numsnn.data.formats import (
    FormatError,
    parse_idx,
    parse_npy,
    parse_npz,
    read_events,
    read_spike_labels,
    read_spikes,
)

X, Y, T, P = (np.array(column) for column in zip(*EVENTS, strict=True))
STRUCTURED = np.array(EVENTS, [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "i1")])


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npz(save=np.savez, **arrays):
    out = io.BytesIO()
    save(out, **arrays)
    return out.getvalue()


def zipped(entries, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, body in entries.items():
            archive.writestr(name, body)
    return out.getvalue()


# --- numbers lost in silence ---


def test_a_directory_that_is_too_short_loses_no_column():
    """zipfile goes by the directory's size, and would give events without polarity."""
    good = npz(x=X, y=Y, t=T, p=P)
    end = len(good) - 22
    size, start = struct.unpack_from("<II", good, end + 12)
    last = good.rindex(b"PK\x01\x02")
    short = good[:last] + good[end : end + 12] + struct.pack("<II", last - start, start) + b"\0\0"
    assert start + size == end and zipfile.ZipFile(io.BytesIO(short)).namelist() == ["x.npy", "y.npy", "t.npy"]
    with pytest.raises(FormatError, match="the directory names 3 files, and the end of the archive 4"):
        parse_npz(short)


def test_a_comment_behind_an_archive_is_no_damage():
    out = io.BytesIO(npz(x=X, y=Y, t=T, p=P))
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = b"made by a test"
    assert parse_npz(out.getvalue()).p.tolist() == P.tolist()


def test_more_than_65535_entries(monkeypatch):
    entries = {f"{k}.npy": b"" for k in range(65_540)}
    with pytest.raises(FormatError, match="no column 'x'"):
        parse_npz(zipped(entries))


@pytest.mark.parametrize(("old", "new"), [(b"(5,)", b"(3,)"), (b"'<i8'", b"'<i4'")])
def test_bytes_behind_an_array(old, new):
    """A header that states too few bytes leaves some over, and zipfile compares no checksum before the last one."""
    damaged = npy(STRUCTURED).replace(old, new)
    assert damaged != npy(STRUCTURED)
    with pytest.raises(FormatError, match=r"bytes are left over behind the array, which has . numbers"):
        parse_npy(damaged)
    with pytest.raises(FormatError, match=r"bytes are left over behind events\.npy|Bad CRC-32"):
        parse_npz(npz(events=STRUCTURED).replace(old, new))


def test_two_arrays_of_one_name():
    with pytest.raises(FormatError, match="two files of the archive have the same name"):
        parse_npz(zipped({"x": npy(X), "x.npy": npy(X), "y.npy": npy(Y), "t.npy": npy(T), "p.npy": npy(P)}))


# --- gigabytes in megabytes ---


def zeros(start, megabytes):
    """Raw deflate data of a start and zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    return out + (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * megabytes


def npz_bomb(megabytes):
    """An archive with one column that unpacks to this many megabytes, written by hand."""
    header = io.BytesIO()
    about = {"descr": "|u1", "fortran_order": False, "shape": (megabytes << 20,)}
    np.lib.format.write_array_header_1_0(header, about)
    body, name = zeros(header.getvalue(), megabytes) + b"\x03\0", b"x.npy"
    size = (megabytes << 20) + len(header.getvalue())
    entry = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(body), size, len(name), 0)
    local = b"PK\x03\x04" + entry + name + body
    directory = b"PK\x01\x02\x14\0" + entry + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    return local + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(local), 0)


def gzip_bomb(megabytes):
    header = struct.pack(">HBBII", 0, 8, 2, megabytes, 1 << 20)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + zeros(header, megabytes) + b"\x03\0" + bytes(8)


def hdf5_bomb(megabytes):
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for name in "xytp":
            size = megabytes << 18
            file.create_dataset(name, (size,), np.uint8, chunks=(1 << 20,), compression="gzip", fillvalue=0)
    return out.getvalue()


@pytest.mark.parametrize(
    ("make", "name"), [(npz_bomb, "x.npz"), (gzip_bomb, "x-idx.gz"), (hdf5_bomb, "x.h5")], ids=["npz", "gzip", "hdf5"]
)
def test_bombs(make, name, tmp_path):
    (tmp_path / name).write_bytes(make(3000))
    assert (tmp_path / name).stat().st_size < 5 << 20
    read = formats.read_idx if name.endswith("gz") else read_events
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=r"would take 3\d{9} bytes; expected at most 64 MiB and 32 times the"):
            read(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_what_is_no_bomb():
    """A constant column, and pictures that are nearly empty, are packed to a hundredth and less."""
    n = 1 << 20
    events = parse_npz(npz(np.savez_compressed, x=np.zeros(n, np.uint16), y=np.zeros(n, np.uint16), t=np.arange(n)))
    assert len(events) == n
    pictures = parse_idx(gzip.compress(struct.pack(">HBBII", 0, 8, 2, 60, 1 << 20) + bytes(60 << 20)))
    assert pictures.shape == (60, 1 << 20)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_numpy_does_not_write(method):
    """zipfile unpacks them without a limit."""
    body = {f"{letter}.npy": npy(column) for letter, column in zip("xytp", (X, Y, T, P), strict=True)}
    with pytest.raises(FormatError, match=rf"'x\.npy' is packed by method {method}; NumPy writes 0 or 8"):
        parse_npz(zipped(body, method))


# --- one line ---


@pytest.mark.parametrize(
    "entries",
    [
        {"x" * 60_000: b"", "y": b""},
        {"\x1b[31m.npy": npy(X), "a\nb.npy": npy(X)},
        {"\x1b[31m.npy": npy(np.array([None], object).astype("U9"))},
    ],
)
def test_names_in_a_file_stay_in_one_line(entries):
    with pytest.raises(FormatError) as caught:
        parse_npz(zipped(entries), source="my\nfile.npz")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 700 and "my file.npz" in str(caught.value)


def test_a_width_with_leading_zeros():
    with pytest.raises(FormatError, match=r"Width must be a whole number in 1\.\.16384; found b'0000000010000000'"):
        formats.parse_dat(dat(EVENTS, b"% Height 240\n% Width 0000000010000000\n"))


# --- what the process sends that reads HDF5 ---


class Child:
    """Stands in for the process."""

    def __init__(self, sent):
        self.stdout = io.BytesIO(sent)

    def __call__(self, *arguments, **options):
        return self

    def kill(self):
        pass

    def wait(self):
        return 0


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\xff\xfe\n", "sent a line that is not JSON"),
        (b"[" * 100_000 + b"\n", "sent a line that is not JSON"),
        (b"3\n", "sent a message without a list of arrays"),
        (b'{"array": []}\n', "sent a message without a list of arrays"),
        (b'{"arrays": [["|O", 1]]}\n12345678', r"sent an impossible array: \['\|O', 1\]"),
        (b'{"arrays": [["<u2", -1]]}\n', "sent an impossible array"),
        (b'{"arrays": [["<u2", true]]}\n', "sent an impossible array"),
        (b'{"arrays": [7]}\n', "sent an impossible array: 7"),
        (b'{"arrays": [["<u2", 4611686018427387904]]}\nabc', "ended with status 0"),
        (b'{"arrays": []}\n', "sent 0 arrays"),
        (
            b'{"arrays": [["<i8", 0], ["<f2", 0], ["<i8", 1]]}\n' + bytes(8),
            "0 spikes, 0 float16 times and 1 int64 units",
        ),
        (
            b'{"arrays": [["<i8", 2], ["<f2", 1], ["<i8", 1]]}\n' + struct.pack("<qq", 2, -1) + bytes(10),
            "have 1 spikes",
        ),
        (b'{"arrays": [["<i8", 1], ["<u2", 1], ["<i8", 1]]}\n' + struct.pack("<q", 1) + bytes(10), "1 uint16 times"),
        (b'{"error": [1], "arrays": []}\n', r"\[1\]"),
    ],
)
def test_garbled_messages(sent, reason, monkeypatch, tmp_path):
    (tmp_path / "shd.h5").write_bytes(b"")
    monkeypatch.setattr(apart.subprocess, "Popen", Child(sent))
    with pytest.raises(FormatError, match=rf"shd\.h5: .*{reason}"):
        list(read_spikes(tmp_path / "shd.h5"))


def test_labels_that_are_texts(tmp_path):
    with h5py.File(tmp_path / "shd.h5", "w") as file:
        file["labels"] = ["zero", "one"]
    with pytest.raises(FormatError, match=r"shd\.h5: byte 0: an array must hold real numbers; found object"):
        read_spike_labels(tmp_path / "shd.h5")


# --- what is no file ---

READERS = [getattr(formats, name) for name in formats.__all__ if name.startswith("read_")]
READERS = [read for read in READERS if read.__name__ not in ("read_raw", "read_aedat4")]  # need other packages


def call(read, path):
    """Call a reader, of which one is a generator and one wants a number."""
    result = read(path, 10) if read.__name__ == "read_spike_names" else read(path)
    return list(result) if read is read_spikes else result


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes among its files")
@pytest.mark.parametrize("read", [*READERS, data.open], ids=lambda read: read.__name__)
def test_nothing_waits_for_what_is_no_file(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a named pipe"), ("/dev/zero", "a device"), (tmp_path, "a folder")):
        with pytest.raises(OSError, match=f"^{path} is {kind}; expected a file$"):
            call(read, path)


def test_good_files_are_still_read(tmp_path):
    (tmp_path / "a").write_bytes(aedat3(packet(EVENTS)))
    assert len(read_events(tmp_path / "a")) == len(EVENTS)
