"""Files of earlier versions, which have no seal: they are read, and the HDF5 library looks at them elsewhere."""

import gzip
import json
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import numsnn as snn
from numsnn import apart, data
from numsnn.data.formats import FormatError
from numsnn.hdf5 import Damage, opened, opening
from numsnn.training import EarlyStopping, WeightAverage

OLD = Path(__file__).parents[1] / "old"


@pytest.fixture
def old(tmp_path):
    """A function that unpacks the old file of a name, and returns its path."""

    def unpack(name):
        path = tmp_path / f"{name}.h5"
        path.write_bytes(gzip.decompress((OLD / f"{name}.h5.gz").read_bytes()))
        return path

    return unpack


@pytest.mark.parametrize("name", ["net", "last", "pictures", "sequences", "events"])
def test_the_arrays_are_those_that_h5py_reads(name, old):
    path = old(name)
    with opened(path) as file, h5py.File(path) as other:
        assert not file.sealed
        listed = []
        other.visititems(lambda key, item: listed.append(key) if isinstance(item, h5py.Dataset) else None)
        assert sorted(file.names()) == sorted(listed) and len(listed) > 3
        for key in listed:
            np.testing.assert_array_equal(file[key][()], other[key][()])
        for key, value in other.attrs.items():
            assert file.attributes[key] == (value.tolist() if isinstance(value, np.ndarray | np.generic) else value)


def test_a_network(old):
    path = old("net")
    net = snn.load(path, "reference")
    with h5py.File(path) as file:
        assert {f"network/{name}" for name in net.state()} == {f"network/{name}" for name in file["network"]}
        for name, value in net.state().items():
            np.testing.assert_array_equal(value, file["network"][name])
    snn.save(net, path.with_name("new.h5"))
    again = snn.load(path.with_name("new.h5"))
    assert all(np.array_equal(value, again.state()[name]) for name, value in net.state().items())


def trainer(out):
    net = snn.Sequential(snn.Repeat(2, snn.Linear(3, 4)), snn.LIF(pda=snn.PDA()), snn.Linear(4, 2))
    callbacks = [EarlyStopping(9, "train_loss"), WeightAverage(0.9)]
    return snn.Trainer(net, device="reference", batch_size=4, out=out, callbacks=callbacks)


def test_a_run_goes_on(old):
    """Its last.h5 holds moments, averages and the history; the run ends as if it had never been stopped."""
    rng = np.random.default_rng(0)
    train = rng.random((12, 3)).astype(np.float32), np.arange(12) % 2
    path = old("last")
    known = json.loads(h5py.File(path).attrs["training"])["history"]
    stopped = trainer(path.parent)
    history = stopped.fit(train, epochs=3, resume=True, progress=False)
    assert [row["epoch"] for row in history] == [1, 2, 3] and history[0] == known[0]
    whole = trainer(None)
    whole.fit(train, epochs=3, progress=False)
    for name, value in whole.net.state().items():
        np.testing.assert_allclose(stopped.net.state()[name], value, rtol=1e-5, atol=1e-6)
    with opened(path) as file:
        assert file.sealed and file.attributes["format"] == "numsnn checkpoint 2"


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_stores(memory, old):
    store = data.open(old("pictures"), memory)
    assert repr(store) == "Store('old pictures': pictures, train 20, test 5; 3 classes)" and store.source == "made here"
    rng = np.random.default_rng(0)
    rng.random((12, 3))
    np.testing.assert_array_equal(store.train.raw(range(20)), rng.integers(0, 256, (20, 2, 3, 1), np.uint8))
    assert store.train.y.tolist() == [k % 3 for k in range(20)] and store.train.scale == 1 / 255
    part = data.open(old("sequences"), memory).train
    assert (part.target, part.per_step, part.lengths.tolist()) == ("values", True, [4, 1, 2, 3, 4, 4])
    assert part.batch([5]).x.shape == (4, 1, 3) and part.weights.tolist() == [k / 2 for k in range(6)]
    events = data.open(old("events"), memory).train
    assert events.counts().tolist() == [7, 0, 30] and events.events(2).duration > 0
    data.save(old("events").with_name("new.h5"), train=events)
    new = data.open(old("events").with_name("new.h5")).train
    assert all(new.events(k).t.tolist() == events.events(k).t.tolist() for k in range(3))


def test_copies_of_parts(old):
    import pickle

    part = data.open(old("pictures"), 0).train
    again = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(again.raw([3, 9]), part.raw([3, 9]))


def test_a_changed_number_is_found(old):
    """The checksums of HDF5's filter are still there."""
    path = old("events")
    with h5py.File(path) as file:
        chunk = file["train/time"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 16
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"events\.h5: train/time is damaged: bytes"):
        data.open(path).train.events(0)


# --- what does not lie in the file ---


def spoilt(path, name, kind):
    """Let an array of a store lie elsewhere."""
    (path.parent / "secret").write_bytes(bytes(range(64)))
    with h5py.File(path, "r+") as file:
        n = len(file[name])
        del file[name]
        if kind == "external link":
            file[name] = h5py.ExternalLink("secret", name)
        elif kind == "soft link":
            file[name] = h5py.SoftLink("/train/x")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(n, np.uint8)
            layout[:] = h5py.VirtualSource(path.parent / "other.h5", "x", n)
            file.create_virtual_dataset(name, layout)
        elif kind == "external":
            file.create_dataset(name, n, np.uint8, external=[(str(path.parent / "secret"), 0, n)])
        elif kind == "loop":
            file["train/again"] = file["train"]
            file.create_dataset(name, data=np.zeros(n, np.uint8))
        elif kind == "compact":
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.COMPACT)
            space = h5py.h5s.create_simple((n,))
            h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_UINT8, space, plist)
        elif kind == "never written":
            file.create_dataset(name, n, np.uint8)
        elif kind == "missing chunk":
            file.create_dataset(name, n, np.uint8, chunks=(2,))[:2] = 1
        elif kind == "lzf":
            file.create_dataset(name, data=np.zeros(n, np.uint8), compression="lzf")
        elif kind == "text":
            file.create_dataset(name, data=["a"] * n)
        elif kind == "complex":
            file.create_dataset(name, data=np.zeros(n, complex))
        elif kind == "big-endian":
            file.create_dataset(name, data=np.zeros(n, ">i4"))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("external link", "'train/y' is a link to another place or file, which is not followed"),
        ("soft link", "'train/y' is a link to another place or file, which is not followed"),
        ("virtual", "'train/y' lies in another file, which is not read"),
        ("external", "'train/y' lies in another file, which is not read"),
        ("loop", "its groups lie more than 16 deep inside each other"),
        ("compact", "'train/y' has another layout than arrays of numsnn"),
        ("never written", "'train/y' was never written"),
        ("missing chunk", "'train/y' must be divided into pieces of whole rows, of which none is missing"),
        ("lzf", r"train/y has the filters \['32000'\]"),
        ("text", "'train/y' must hold real numbers; found object"),
        ("complex", "'train/y' must hold real numbers; found complex128"),
        ("big-endian", "train/y has the dtype '>i4'"),
    ],
)
def test_nothing_of_another_place_is_shown(kind, message, old):
    path = old("pictures")
    spoilt(path, "train/y", kind)
    with pytest.raises(FormatError, match=rf"pictures\.h5: not readable: .*{message}"):
        data.open(path)


# --- the HDF5 library ---


def test_a_library_that_hangs(old, monkeypatch):
    """It looks for the texts of attributes in a heap, where a damaged length leads it into an endless loop."""
    path = old("net")
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 25] ^= 4  # of the length of the first text: 1,024 bytes more
    path.write_bytes(content)
    monkeypatch.setattr(opening, "SECONDS", 3.0)
    started = time.monotonic()
    with pytest.raises(snn.CheckpointError, match=r"net\.h5: not readable: .*(did not end within 3 s|damaged)"):
        snn.load(path)
    assert time.monotonic() - started < 20


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_library_that_crashes(old, monkeypatch):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr(apart, "COMMAND", [sys.executable, "-I", "-c", code])
    with pytest.raises(snn.CheckpointError, match="the HDF5 library crashed with SIGSEGV"):
        snn.load(old("net"))


def test_new_files_never_meet_the_library(tmp_path, monkeypatch):
    """Neither here nor in another process: nothing in a new file can make it hang."""
    net = snn.Sequential(snn.Linear(3, 2)).build((2, 1, 3))
    snn.save(net, tmp_path / "net.h5")
    data.save(tmp_path / "data.h5", train=data.Dataset(np.ones((9, 3)), [0, 1, 2] * 3))
    monkeypatch.setattr(h5py, "File", None)
    monkeypatch.setattr(apart, "COMMAND", ["/nowhere"])
    assert snn.load(tmp_path / "net.h5").built
    assert data.open(tmp_path / "data.h5", 0).train.batch([4]).x.tolist() == [[1, 1, 1]]


def test_changed_contents_of_an_old_checkpoint(old):
    path = old("net")
    with h5py.File(path, "r+") as file:
        name = next(name for name in file["network"] if name.endswith("weight"))
        file["network"][name][0, 0] += 1
    with pytest.raises(snn.CheckpointError, match="damaged: its contents do not match the digest written with them"):
        snn.load(path)


def test_neither_form(tmp_path):
    (tmp_path / "a").write_text("hello")
    for content in (b"", b"hello", b"numsnn sealed 2\n" + bytes(600)):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(Damage, match="not readable: it has neither the seal of numsnn nor the signature of HDF5"):
            opened(tmp_path / "a")
