"""Sealed files: what was written comes back, every changed bit is found, and a valid seal makes nothing impossible
possible."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import tracemalloc
import zlib

import h5py
import numpy as np
import pytest
from resealing import Parts

from numsnn.hdf5 import Damage, opened, sealing
from numsnn.hdf5.fletcher import fletcher32
from numsnn.hdf5.form import SEAL, SEAL_BYTES
from numsnn.hdf5.reading import MANY, Source, open_sealed, shuffled, unshuffled

ATTRIBUTES = {"format": "test", "name": "Bälle", "n": 3, "scale": 1 / 255, "good": True, "size": [2, 3], "empty": ""}
NAMED = {"classes": ["a", "b"]}


def arrays():
    """Arrays of every form: {name: (array, rows per piece, or 0 for an array in one piece)}."""
    rng = np.random.default_rng(0)
    kinds = [np.bool_, np.int8, np.uint16, np.int32, np.uint64, np.float16, np.float32, np.float64]
    found = {f"packed/{np.dtype(kind)}": (rng.integers(0, 2, (11, 3)).astype(kind), 4) for kind in kinds}
    found |= {f"whole/{np.dtype(kind)}": (rng.integers(0, 2, (2, 3)).astype(kind), 0) for kind in kinds}
    found |= {"scalar": (np.float32(2.5), 0), "none": (np.zeros((0, 4)), 0), "no rows": (np.zeros((0, 2)), 5)}
    return found | {"big": (np.arange(7, dtype=">i4"), 0), "big packed": (np.arange(7, dtype=">f8"), 3)}


def write(path, content=None, attributes=ATTRIBUTES):
    with sealing(path, attributes) as writer:
        for name, (array, rows) in (arrays() if content is None else content).items():
            if rows:
                for k in range(0, max(1, len(array)), 3):
                    writer.append(name, array[k : k + 3], rows)
            else:
                writer.put(name, array)
    return path


def everything(file):
    """The attributes and arrays of a file as bytes that can be compared."""
    named = {name: (file[name].dtype.str, file[name].shape, file[name][()].tobytes()) for name in file.names()}
    return file.attributes, named


class Memory(Source):
    """The bytes of a file that is in memory."""

    def __init__(self, data):
        self.data, self.size = data, len(data)

    def read(self, offset, size):
        assert offset >= 0 and offset + size <= len(self.data)
        return bytes(self.data[offset : offset + size])


@pytest.fixture
def small(tmp_path):
    """The bytes of a small file with arrays of both forms."""
    content = {"a/x": (np.arange(40, dtype=np.uint16).reshape(20, 2), 8), "w": (np.arange(5.0), 0)}
    return write(tmp_path / "small.h5", content, ATTRIBUTES | NAMED).read_bytes()


# --- what was written ---


def test_round_trip(tmp_path):
    with opened(write(tmp_path / "a.h5")) as file:
        assert file.attributes == ATTRIBUTES and file.sealed
        assert file.names() == sorted(arrays(), key=lambda name: bool(arrays()[name][1]))
        for name, (array, rows) in arrays().items():
            np.testing.assert_array_equal(file[name][()], array)
            assert file[name].dtype == np.asarray(array).dtype.newbyteorder("<") and file[name].shape == np.shape(array)
            for first in range(len(array) if rows else 0):
                np.testing.assert_array_equal(file[name][first : first + 5], array[first : first + 5])
                assert file[name][3:first].tolist() == array[3:first].tolist()


def test_other_programs_read_the_same(tmp_path):
    """h5py opens the file: there is nothing of varying length, no link, and nothing that lies elsewhere."""
    with h5py.File(write(tmp_path / "a.h5", attributes=ATTRIBUTES | NAMED)) as file:
        for name, (array, rows) in arrays().items():
            found = file[name]
            np.testing.assert_array_equal(found[()], array)
            assert not found.external and not found.is_virtual and found.dtype.kind in "biuf"
            assert found.chunks == ((rows, *array.shape[1:]) if rows else None)
            assert isinstance(file.get(name, getlink=True), h5py.HardLink)
        assert file.attrs["name"].decode() == "Bälle" and file.attrs["size"].tolist() == [2, 3]
        assert file.attrs["scale"] == 1 / 255 and json.loads(file.attrs["classes"]) == ["a", "b"]
        for name in file.attrs:
            kind = file.attrs.get_id(name).get_type()
            assert not (isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str())
            assert kind.get_class() != h5py.h5t.VLEN
    assert b"GCOL" not in (tmp_path / "a.h5").read_bytes()  # the heap of things of varying length


def test_same_content_same_bytes(tmp_path):
    first, second = (write(tmp_path / name).read_bytes() for name in ("a.h5", "b.h5"))
    assert first == second
    assert opened(tmp_path / "a.h5").identity == opened(tmp_path / "b.h5").identity


def test_long_attributes_and_many_pieces(tmp_path):
    values = np.random.default_rng(0).integers(0, 1 << 30, (MANY * 4 + 1, 3))
    write(tmp_path / "a.h5", {"x": (values, 4)}, {"text": "x" * 200_000})
    with opened(tmp_path / "a.h5") as file, h5py.File(tmp_path / "a.h5") as other:
        np.testing.assert_array_equal(file["x"][()], values)
        np.testing.assert_array_equal(other["x"][()], values)
        assert file.attributes["text"] == other.attrs["text"].decode() == "x" * 200_000


@pytest.mark.parametrize(
    ("name", "array", "error", "message"),
    [
        ("a\nb", np.zeros(2), ValueError, r"an array of a file must have a printable name .*; got 'a\\nb'"),
        (
            "a",
            np.zeros(2, complex),
            TypeError,
            "the array 'a' must hold real numbers .*; got complex128",
        ),
        ("a", np.array([None]), TypeError, "must hold real numbers"),
        ("a", np.zeros(2, np.longdouble), TypeError, "must hold real numbers of at most 8 bytes"),
    ],
)
def test_what_cannot_be_written(name, array, error, message, tmp_path):
    for rows in (0, 4):
        with pytest.raises(error, match=message):
            write(tmp_path / "a.h5", {name: (array, rows)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("itemsize", [1, 2, 4, 8])
def test_shuffling(itemsize, tmp_path):
    """The bytes are those of HDF5's filter."""
    values = np.random.default_rng(0).integers(0, 256, 24 * itemsize, np.uint8).view(f"u{itemsize}")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        array = file.create_dataset("x", data=values, chunks=(24,), shuffle=True)
        assert array.id.read_direct_chunk((0,))[1] == shuffled(values)
    assert np.frombuffer(unshuffled(shuffled(values), itemsize), values.dtype).tolist() == values.tolist()


@pytest.mark.parametrize("n", [1, 2, 3, 360, 65536 * 2 + 5])
def test_the_checksum_of_earlier_versions(n, tmp_path):
    for values in (
        np.random.default_rng(n).integers(0, 256, n, np.uint8),
        np.full(n, 255, np.uint8),
        np.zeros(n, "u1"),
    ):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            array = file.create_dataset("x", data=values, chunks=(n,), fletcher32=True)
            content = array.id.read_direct_chunk((0,))[1]
        assert fletcher32(content[:-4]) == int.from_bytes(content[-4:], "little")


# --- several readers ---


def test_threads_and_forked_processes_read_the_same(tmp_path):
    values = np.random.default_rng(0).integers(0, 1000, (500, 7))
    array = opened(write(tmp_path / "a.h5", {"x": (values, 6)}))["x"]
    wrong = []

    def read(seed):
        for first in np.random.default_rng(seed).integers(0, 500, 300):
            if not np.array_equal(array[first : first + 9], values[first : first + 9]):
                wrong.append(first)
        return not wrong

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    children = []
    if hasattr(os, "fork") and sys.version_info < (3, 12):  # later versions warn where there are threads
        for seed in (5, 6):
            if not (child := os.fork()):
                os._exit(0 if read(seed) else 1)
            children.append(child)
    for thread in threads:
        thread.join()
    assert wrong == [] and all(os.waitpid(child, 0)[1] == 0 for child in children)


def test_a_closed_file(tmp_path):
    file = opened(write(tmp_path / "a.h5"))
    file.close()
    file.close()
    with pytest.raises(Damage, match="the file was closed"):
        file["scalar"][()]


# --- damage ---


def test_every_byte_that_changes_is_found(small):
    """One bit of each byte in turn: the file is refused, or nothing of it differs."""
    wanted, same = everything(open_sealed(Memory(small))), []
    for place in range(len(small)):
        data = bytearray(small)
        data[place] ^= 1 << place % 8
        try:
            found = everything(open_sealed(Memory(data)))
        except Damage:
            continue
        assert found == wanted
        same.append(place)
    assert same == []


def test_every_length_is_found(small):
    for length in range(len(small)):
        with pytest.raises(Damage):
            open_sealed(Memory(small[:length]))
    with pytest.raises(Damage, match="cut off, another program has written to it"):
        open_sealed(Memory(small + b"\0"))


def test_pieces_are_verified_when_they_are_read(small):
    """A store is not read as a whole when it is opened: other pieces can still be used."""
    parts, data = Parts(small), bytearray(small)
    data[int(parts.table["offset"][2]) + 1] ^= 4
    file = open_sealed(Memory(data))
    np.testing.assert_array_equal(file["w"][()], np.arange(5.0))
    assert file["a/x"][:8].tolist() == np.arange(16).reshape(8, 2).tolist()
    with pytest.raises(Damage, match=r"a/x is damaged: bytes [0-9]+ to [0-9]+ have changed"):
        file["a/x"][7:9]


def test_a_file_that_shrinks_after_it_was_opened(tmp_path):
    file = opened(write(tmp_path / "a.h5"))
    os.truncate(tmp_path / "a.h5", 600)
    with pytest.raises(Damage, match="the file has become shorter"):
        file["scalar"][()]


# --- a valid seal around hostile content ---


def entry_of(parts, name):
    return next(one for one in parts.index["arrays"] if one["name"] == name)


def change(_array, **fields):
    return lambda parts: entry_of(parts, _array).update(fields)


def deep(parts):
    parts.text = b'{"attributes": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b'}, "arrays": [], "rest": ""}'
    parts.table = parts.table[:0]


def wide(parts):
    parts.text = json.dumps(parts.index).replace('"n": 3', '"n": 3, "n": 4').encode()


def bomb(parts):
    """A piece that states few bytes, but unpacks to many."""
    parts.replace_piece(1, zlib.compress(bytes(1 << 26)))


def short(parts):
    parts.replace_piece(1, zlib.compress(bytes(31)))


def trailing(parts):
    parts.replace_piece(1, zlib.compress(bytes(32)) + b"more")


HOSTILE = [
    (change("w", dtype="<f16"), "w has the dtype '<f16'; expected real numbers"),
    (change("w", dtype="|O"), r"w has the dtype '\|O'"),
    (change("w", dtype="<c8"), "w has the dtype '<c8'"),
    (change("w", dtype=["a"]), r"w has the dtype \['a'\]"),
    (change("w", shape=[5, -1]), r"w has the shape \[5, -1\]"),
    (change("w", shape=[2.5]), r"w has the shape \[2.5\]"),
    (change("w", shape=[True]), r"w has the shape \[True\]"),
    (change("w", shape=[1] * 33), "w has the shape"),
    (change("w", shape="5"), "w has the shape '5'"),
    (change("w", shape=[1 << 40]), "w must have 8796093022208 bytes per piece; found 40"),
    (change("w", shape=[1 << 61, 1 << 61]), "w has the shape"),
    (change("w", shape=[4]), "w must have 32 bytes per piece; found 40"),
    (change("w", shape=[0]), "w must have 0 pieces; found 1"),
    (change("w", rows=-1), "w has -1 rows per piece"),
    (change("w", filters=["deflate"]), "w has 0 rows per piece"),
    (change("w", filters=["lzf"]), r"w has the filters \['lzf'\]"),
    (change("w", filters=None), "w has the filters None"),
    (change("w", filters=[["deflate"]]), "w has the filters"),
    (change("w", name=""), "an array has the name ''"),
    (change("w", name="w\x1b[2J"), r"an array has the name 'w\\x1b\[2J'"),
    (change("w", name="w" * 1001), "an array has the name"),
    (change("w", name=7), "an array has the name 7"),
    (change("w", name="a/x"), "two arrays have the name 'a/x'"),
    (change("w", pieces=2), "w must have 1 pieces; found 2"),
    (change("a/x", pieces=1 << 50), "states 1125899906842624 pieces of an array, more than its table has"),
    (change("a/x", pieces=2), "a/x must have 3 pieces; found 2"),
    (change("a/x", rows=1 << 40), "a/x must have 1 pieces; found 3"),
    (change("a/x", shape=[20, 1 << 30]), "states 17179869184 bytes per piece, more than [0-9]+ bytes can be unpacked"),
    (lambda parts: parts.table["offset"].__setitem__(1, 1 << 63), "a piece of an array lies outside the file"),
    (lambda parts: parts.table["offset"].__setitem__(1, len(parts.body) + 511), "lies outside the file"),
    (lambda parts: parts.table["size"].__setitem__(1, (1 << 64) - 1), "lies outside the file"),
    (lambda parts: parts.table["offset"].__setitem__(1, 8), "a piece of an array lies in the seal"),
    (lambda parts: parts.table.__setitem__(1, parts.table[2]), "two pieces of arrays overlap"),
    (lambda parts: parts.index.pop("rest"), "its index must hold attributes, arrays and rest"),
    (lambda parts: parts.index.update(attributes=[]), "its index must hold attributes, arrays and rest"),
    (lambda parts: parts.index.update(arrays=[5]), "an array of its index must have a name, dtype"),
    (lambda parts: parts.index["arrays"][0].update(more=1), "an array of its index must have a name, dtype"),
    (lambda parts: parts.index["arrays"].pop(), "the table of its index has pieces that belong to no array"),
    (lambda parts: setattr(parts, "text", b"\xff{}"), "not JSON"),
    (lambda parts: setattr(parts, "text", b"[]"), "its index must hold attributes, arrays and rest"),
    (lambda parts: setattr(parts, "text", b'{"attributes": {"a": NaN}}'), "not JSON: NaN"),
    (lambda parts: setattr(parts, "text", b'{"a": ' + b"1" * 5000 + b"}"), "not JSON: Exceeds"),
    (deep, "lie deeper than 200 inside each other"),
    (wide, "not JSON: a key is named twice"),
]


@pytest.mark.parametrize(("spoil", "message"), HOSTILE)
def test_impossible_indexes(spoil, message, small):
    parts = Parts(small)
    spoil(parts)
    data = parts.sealed(rest=False)
    tracemalloc.start()
    with pytest.raises(Damage, match=message) as caught:
        open_sealed(Memory(data))
    assert tracemalloc.get_traced_memory()[1] < 30 * len(data) + (1 << 20)  # nothing was taken that is only stated
    tracemalloc.stop()
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 400


@pytest.mark.parametrize("spoil", [bomb, short, trailing])
def test_pieces_of_another_length(spoil, small):
    parts = Parts(small)
    spoil(parts)
    file = open_sealed(Memory(parts.sealed()))
    tracemalloc.start()
    with pytest.raises(Damage, match="a/x is damaged: a piece must have 32 bytes before it was packed"):
        file["a/x"][()]
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_what_is_not_packed(small):
    parts = Parts(small)
    parts.replace_piece(1, b"\x78\x9c" + b"\xff" * 30)
    with pytest.raises(Damage, match="a/x is damaged: Error -3"):
        open_sealed(Memory(parts.sealed()))["a/x"][()]


def test_an_index_with_a_wrong_length(small):
    _, offset, length, _ = SEAL.unpack_from(small)
    for number in (1 << 62, length, length - 7):
        index = number.to_bytes(8, "little") + small[offset + 8 :]
        seal = SEAL.pack(small[:16], offset, length, hashlib.sha256(index).digest()).ljust(SEAL_BYTES, b"\0")
        with pytest.raises(Damage, match="its index has a wrong length, or is too long"):
            open_sealed(Memory(seal + small[SEAL_BYTES:offset] + index))


# --- a full disk ---

FULL_DISK = """if True:
    import pathlib, resource, sys
    import numpy as np
    from numsnn.hdf5 import sealing

    path, size = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    for limit in range(0, size, 1 + size // 60):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            with sealing(path, {"format": "test"}) as writer:
                writer.put("w", np.arange(500.0))
                for k in range(5):
                    writer.append("x", np.random.default_rng(k).integers(0, 256, (40, 30), np.uint8), 16)
        except OSError as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
"""Files cannot grow beyond a limit, which stands for the end of the disk at every place of the file."""


def test_a_disk_that_becomes_full_leaves_the_old_file(tmp_path):
    """HDF5 itself ends Python with a segmentation fault there."""
    pytest.importorskip("resource")
    path = write(tmp_path / "a.h5", {"x": (np.arange(3), 2)})
    before = path.read_bytes()
    command = [sys.executable, "-c", FULL_DISK, str(path), "13000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) > 50 and all(line.count("was not written: ") == 1 and str(path) in line for line in lines)
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["a.h5"]
