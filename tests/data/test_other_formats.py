"""Parsers of CIFAR, of SHD and SSC, and of events in .npz and HDF5."""

import io
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from data_writers import EVENTS, cifar

from numsnn.data.formats import (
    FormatError,
    parse_cifar,
    parse_npz,
    read_cifar,
    read_events,
    read_spike_labels,
    read_spikes,
)


def pictures(n):
    """Pictures as lists of rows of (r, g, b), different in every place."""
    return [
        [[((k + r + c) % 256, (3 * r + k) % 256, (7 * c + k) % 256) for c in range(32)] for r in range(32)]
        for k in range(n)
    ]


@pytest.mark.parametrize(("classes", "labels"), [(10, [(3,), (9,)]), (100, [(19, 99), (0, 5)])])
def test_cifar(classes, labels, tmp_path):
    (tmp_path / "batch.bin").write_bytes(cifar(labels, pictures(2)))
    x, y = read_cifar(tmp_path / "batch.bin", classes)
    assert x.tolist() == [[list(map(list, row)) for row in picture] for picture in pictures(2)]
    assert y.tolist() == [label[-1] for label in labels]
    assert x.dtype == y.dtype == np.uint8 and x.flags.writeable and x.flags.c_contiguous


@pytest.mark.parametrize(
    ("data", "classes", "offset", "reason"),
    [
        (b"", 10, 0, "truncated record: expected 3073 bytes, found 0"),
        (cifar([(1,)], pictures(1))[:-1], 10, 0, "truncated record: expected 3073 bytes, found 3072"),
        (cifar([(1,), (1,)], pictures(2))[:-1], 10, 3073, "truncated record: expected 3073 bytes, found 3072"),
        (cifar([(1,), (10,)], pictures(2)), 10, 3073, r"label must be in 0\.\.9, found 10"),
        (cifar([(20, 1)], pictures(1)), 100, 0, r"label must be in 0\.\.19, found 20"),
        (cifar([(1, 100)], pictures(1)), 100, 1, r"label must be in 0\.\.99, found 100"),
        (pickle.dumps({b"data": 1}, 2), 10, 0, "pickled: this is the Python version.*use the binary version"),
    ],
)
def test_broken_cifar(data, classes, offset, reason):
    with pytest.raises(FormatError, match=f"^<bytes>: byte {offset}: {reason}"):
        parse_cifar(data, classes)


def test_cifar_classes():
    with pytest.raises(ValueError, match="classes must be 10 or 100; got 20"):
        parse_cifar(b"", 20)


def write_spikes(path, times, units, labels):
    """Write a file like the publisher's: lists of different lengths in half precision."""
    with h5py.File(path, "w") as file:
        kinds = {"times": np.float16, "units": np.uint16}
        for name, lists in (("times", times), ("units", units)):
            kind = h5py.vlen_dtype(kinds[name])
            array = file.create_dataset(f"spikes/{name}", (len(lists),), kind)
            for k, values in enumerate(lists):
                array[k] = np.asarray(values, kinds[name])
        file["labels"] = np.asarray(labels, np.uint16)


def test_spikes(tmp_path):
    path = tmp_path / "shd.h5"
    write_spikes(path, [[0.0, 0.25, 0.5], [], [1.0]], [[699, 0, 12], [], [5]], [3, 19, 0])
    assert read_spike_labels(path).tolist() == [3, 19, 0]
    first, second, third = read_spikes(path)
    assert first.t.tolist() == [0, 250_000, 500_000] and first.x.tolist() == [699, 0, 12]
    assert first.size == (1, 700) and first.polarities == 1 and first.p.tolist() == first.y.tolist() == [0, 0, 0]
    assert len(second) == 0 and third.t.tolist() == [1_000_000]
    assert [len(recording) for recording in read_spikes(path, 1, 3)] == [0, 1]


@pytest.mark.parametrize(
    ("times", "units", "labels", "reason"),
    [
        ([[0.5]], [[700]], [0], r"recording 0: spike 0 at 0\.5 s in channel 700 must be within"),
        ([[-1.0]], [[7]], [0], r"spike 0 at -1\.0 s"),
        ([[np.inf]], [[7]], [0], r"spike 0 at inf s"),
        ([[np.nan]], [[7]], [0], r"spike 0 at nan s"),
        ([[0.5, 0.6]], [[7]], [0], r"one per spike; found float16 \(2,\) and uint16 \(1,\)"),
        ([[0.5]], [[7]], [0, 1], "must be equally long; labels has 2"),
    ],
)
def test_broken_spikes(times, units, labels, reason, tmp_path):
    write_spikes(tmp_path / "shd.h5", times, units, labels)
    with pytest.raises(FormatError, match=reason):
        list(read_spikes(tmp_path / "shd.h5"))


def test_files_that_are_no_spikes(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(FormatError, match="no array 'labels'"):
        read_spike_labels(tmp_path / "other.h5")
    (tmp_path / "text").write_bytes(b"no HDF5 at all")
    with pytest.raises(FormatError, match="text: byte 0: not HDF5, or damaged"):
        read_spike_labels(tmp_path / "text")
    with pytest.raises(FileNotFoundError):
        read_spike_labels(tmp_path / "absent")


def columns(**change):
    x, y, t, p = zip(*EVENTS, strict=True)
    arrays = {"x": np.array(x), "y": np.array(y, np.uint8), "t": np.array(t, np.uint64), "p": np.array(p, bool)}
    return {name: np.asarray(array) for name, array in (arrays | change).items() if array is not None}


def npz(**change):
    out = io.BytesIO()
    np.savez_compressed(out, **columns(**change))
    return out.getvalue()


def test_generic_events(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in columns(p=np.array([2 * p - 1 for *_, p in EVENTS])).items():
            file[f"in/a/group/{name}"] = array
    for events in (read_events(tmp_path / "a.npz"), read_events(tmp_path / "a.h5", group="in/a/group")):
        assert list(zip(events.x, events.y, events.t, events.p, strict=True)) == EVENTS
        assert events.size == (34, 34) and events.polarities == 2
    assert read_events(tmp_path / "a.npz", size=(50, 60)).size == (50, 60)
    blind = parse_npz(npz(p=None))
    assert blind.polarities == 1 and not blind.p.any()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"t": None}, "no column 't'; events need x, y, t"),
        ({"x": np.arange(4)}, "y must be as long as x, 4; found 5"),
        ({"x": np.full(5, 0.5)}, r"x must hold whole numbers; x\[0\] is 0\.5"),
        ({"x": np.zeros((5, 1), int)}, r"x must hold \[N\] real numbers; found int64 \(5, 1\)"),
        ({"x": np.array([1, 2, 3, 4, -1])}, r"x must be in 0\.\.4; x\[4\] is -1"),
        ({"x": np.array([1, 2, 3, 4, 10**9])}, "size must be"),
        ({"p": np.array([0, 1, 2, 0, 0])}, r"p must be 0 and 1, or -1 and 1; p\[2\] is 2"),
        ({"t": np.full(5, 2**63, np.uint64)}, r"t must be at most 2\^62 microseconds"),
        ({"p": np.array([{}] * 5, object)}, "not an .npz archive, or damaged"),
    ],
)
def test_broken_events(change, reason):
    with pytest.raises(FormatError, match=f"^<bytes>: .*{reason}"):
        parse_npz(npz(**change))


def test_npz_header_that_claims_too_much_takes_no_memory():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in "xyt":
            member = io.BytesIO()
            np.lib.format.write_array_header_1_0(member, {"descr": "<i8", "fortran_order": False, "shape": (2**40,)})
            archive.writestr(f"{name}.npy", member.getvalue() + bytes(8))
    with pytest.raises(FormatError, match=r"x\.npy is truncated: expected 1099511627776 numbers, found 8 bytes"):
        parse_npz(out.getvalue())
