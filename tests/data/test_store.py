"""Stores: what was written comes back from memory and from the file, damage is named, and no half file is left."""

import subprocess
import sys
import threading

import h5py
import numpy as np
import pytest
from resealing import content

from numsnn import data
from numsnn.data import Dataset, Events, Loader
from numsnn.data.formats import FormatError
from numsnn.data.recordings import pack
from numsnn.data.store import writing

IN_MEMORY, FROM_FILE = 1 << 30, 0
STEP = 509


def digits():
    train, test = data.load("digits")
    return {"train": train, "test": test}


def recording(n, seed=0, size=(12, 10), last=100_000):
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(50, last, n))
    return Events(rng.integers(0, size[1], n), rng.integers(0, size[0], n), t, rng.integers(0, 2, n), size)


RECORDINGS = [recording(n, seed=n) for n in (300, 0, 1, 77, 500, 2_000)]


def write_recordings(path, recordings=RECORDINGS):
    with writing(path, "events", "some events", "abc", "made here", size=(12, 10)) as writer:
        writer.append("train", recordings[:2], [0, 1])
        writer.append("train", recordings[2:], np.arange(len(recordings) - 2) % 3)
        writer.append("test", recordings[3:5], [2, 0])
    return path


@pytest.mark.parametrize("memory", [IN_MEMORY, FROM_FILE])
def test_pictures(memory, tmp_path):
    parts = digits()
    data.save(tmp_path / "digits.h5", "digits", "UCI", **parts)
    with data.open(tmp_path / "digits.h5", memory) as store:
        assert repr(store) == "Store('digits': pictures, train 1437, test 360; 10 classes)"
        assert (store.kind, store.source, store.classes) == ("pictures", "UCI", tuple("0123456789"))
        for part, dataset in parts.items():
            stored = store[part]
            assert stored.in_memory == bool(memory) and stored is getattr(store, part)
            assert len(stored) == len(dataset) and stored.sample_shape == (8, 8, 1) and stored.n_classes == 10
            for rows in ([3, 4, 5, 1, 0, 5, -1], range(len(dataset)), np.arange(len(dataset)) % 7 == 0):
                for ours, theirs in zip(stored.batch(rows), dataset.batch(rows), strict=True):
                    np.testing.assert_array_equal(ours, theirs)
                    assert ours.dtype == theirs.dtype and ours.flags.c_contiguous


def test_sequences(tmp_path):
    dataset = Dataset(np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4), [0, 1, 0, 1, 1], timed=True)
    data.save(tmp_path / "sequences.h5", train=dataset)
    x, _ = data.open(tmp_path / "sequences.h5").train.batch([4, 0])
    np.testing.assert_array_equal(x, dataset.batch([4, 0])[0])
    assert x.shape == (3, 2, 4)


@pytest.mark.parametrize("memory", [IN_MEMORY, FROM_FILE])
def test_events(memory, tmp_path):
    train = data.open(write_recordings(tmp_path / "events.h5"), memory).train
    assert train.counts().tolist() == [len(events) for events in RECORDINGS]
    for k, events in enumerate(RECORDINGS):
        stored = train.events(k)
        assert stored.size == events.size
        for column in "xytp":
            np.testing.assert_array_equal(getattr(stored, column), getattr(events, column))
    assert train.y.tolist() == [0, 1, 0, 1, 2, 0]
    with pytest.raises(IndexError, match="index 6 is out of bounds for 6 samples"):
        train.events(6)


def test_arrays_are_small(tmp_path):
    write_recordings(tmp_path / "events.h5")
    with h5py.File(tmp_path / "events.h5") as file:
        assert file["train/address"].dtype == np.uint8  # 12 x 10 pixels, two polarities
        assert file["train/time"].dtype == np.uint32 and file["train/y"].dtype == np.uint8
        for name in ("address", "time"):
            array = file[f"train/{name}"]
            assert array.chunks and array.compression == "gzip"
        assert not file["train/address"].shuffle and file["train/time"].shuffle
    wide = Events([639], [479], [5], [1], (480, 640))
    assert pack([wide], (480, 640), 2)["address"].tolist() == [2 * 480 * 640 - 1]


def test_same_samples_same_bytes(tmp_path):
    for name in "ab":
        data.save(tmp_path / f"{name}.h5", "digits", **digits())
        write_recordings(tmp_path / f"{name}-events.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert (tmp_path / "a-events.h5").read_bytes() == (tmp_path / "b-events.h5").read_bytes()


def test_threads_read_the_same(tmp_path):
    data.save(tmp_path / "digits.h5", **digits())
    store, wrong = data.open(tmp_path / "digits.h5", FROM_FILE), []

    def read(seed):
        rows = np.random.default_rng(seed).permutation(1437)[:200]
        if not np.array_equal(store.train.batch(rows)[0], digits()["train"].batch(rows)[0]):
            wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_loader_over_a_store(tmp_path):
    data.save(tmp_path / "digits.h5", **digits())
    store = data.open(tmp_path / "digits.h5", FROM_FILE)
    ours = Loader(store.train, 100, shuffle=True, seed=4, workers=3).epoch(2, start=5)
    theirs = Loader(digits()["train"], 100, shuffle=True, seed=4).epoch(2, start=5)
    for (x, y), (x_wanted, y_wanted) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, x_wanted)
        np.testing.assert_array_equal(y, y_wanted)


def test_no_store(tmp_path):
    with pytest.raises(FileNotFoundError):
        data.open(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(FormatError, match=r"text\.h5: not readable: it has neither the seal of numsnn nor"):
        data.open(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(FormatError, match="not a store of numsnn: its format is None"):
        data.open(tmp_path / "other.h5")


def test_cut_off_anywhere(tmp_path):
    whole = write_recordings(tmp_path / "whole.h5").read_bytes()
    for end in range(0, len(whole), 2003):
        (tmp_path / "cut.h5").write_bytes(whole[:end])
        with pytest.raises(FormatError, match=r"cut\.h5: not readable: it"):
            data.open(tmp_path / "cut.h5")


def read_all(path, memory):
    """Read all events, or return None if the file is refused. No damage may raise anything but a FormatError."""
    try:
        with data.open(path, memory) as store:
            return [store.train.events(k).t.tolist() for k in range(len(store.train))]
    except FormatError:
        return None


@pytest.mark.parametrize("memory", [IN_MEMORY, FROM_FILE])
def test_changed_bits(memory, tmp_path):
    """Every one is found where the store is opened or read; `tests/hdf5/test_sealed.py` changes every byte."""
    path = write_recordings(tmp_path / "events.h5")
    whole = path.read_bytes()
    for place in range(0, len(whole), STEP):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(FormatError, match=r"events\.h5: "):
            store = data.open(path, memory)
            for part in store.parts.values():
                part.frames(4).batch(range(len(part)))


def test_times_that_wrap(tmp_path):
    with content(write_recordings(tmp_path / "e.h5")) as file:
        file["train/time"] = file["train/time"].astype(np.uint64) + 2**63
    with pytest.raises(FormatError, match=r"e\.h5: .*time must be less than 2\^63 us; found 9"):
        data.open(tmp_path / "e.h5").train.events(0)


def replace(file, name, change):
    file[name] = change(file[name])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.attrs.__delitem__("classes"), "attributes of the store are damaged"),
        (lambda file: file.attrs.__setitem__("kind", "songs"), "attributes of the store are damaged"),
        (lambda file: file.__delitem__("train/time"), "no array /train/time"),
        (lambda file: file.__delitem__("train/offset"), "no array /train/offset"),
        (lambda file: file["train/offset"].__setitem__(1, 10**9), "do not belong together"),
        (lambda file: file.attrs.__setitem__("scale", 0.0), "attributes of the store are damaged"),
        (lambda file: file.attrs.__setitem__("size", [0, 10]), "attributes of the store are damaged"),
        (lambda file: file.attrs.__setitem__("polarities", 3), "attributes of the store are damaged"),
        (lambda file: replace(file, "train/offset", lambda x: x + 0.5), r"/train: address, .* must hold \[N\] whole"),
        (lambda file: replace(file, "train/offset", lambda x: x[::-1].astype(np.uint64)), "do not belong together"),
        (
            lambda file: file["train/y"].__setitem__(0, 3),
            r"/train/y: there are 3 class names, so labels must be in 0\.\.2",
        ),
        (lambda file: (file.__delitem__("train"), file.__delitem__("test")), "none of the parts train, valid, test"),
        (
            lambda file: replace(file, "train/y", lambda y: y > 0),
            "/train/y has the dtype bool, which numsnn never writes",
        ),
        (lambda file: replace(file, "train/y", lambda y: y / 2), "/train/y has the dtype float64"),
        (lambda file: replace(file, "train/y", lambda y: y[:0]), "/train/y must hold at least one label"),
        (lambda file: replace(file, "train/y", lambda y: y[:2]), "must have the same length"),
        (lambda file: file.update({"train/weights": np.arange(6)}), "/train/weights has the dtype int64"),
        (lambda file: file.attrs.__setitem__("name", 7), "name, source and classes must be text; found 7"),
        (lambda file: file.attrs.__setitem__("classes", "[" * 10_000), "lie deeper than 200 inside each other"),
        (lambda file: file.attrs.__setitem__("classes", ["a", "b", None]), "classes must be text; found None"),
        (lambda file: file.attrs.__setitem__("format", "numsnn data 1"), "its format is 'numsnn data 1', expected"),
        (lambda file: file.attrs.__setitem__("per_step", 1), "per_step must be True or False; got 1"),
        (lambda file: replace(file, "train/start", lambda x: x * 1.5), r"must hold \[N\] whole numbers"),
        (lambda file: replace(file, "train/address", lambda x: x[:, None]), r"must hold \[N\] whole numbers"),
        (lambda file: replace(file, "train/start", lambda x: x.astype("u8") + 2**63), r"start must be less than 2\^63"),
    ],
)
def test_spoiled_stores(spoil, message, tmp_path):
    with content(write_recordings(tmp_path / "events.h5")) as file:
        spoil(file)
    with pytest.raises(FormatError, match=message):
        data.open(tmp_path / "events.h5")


def test_texts_of_a_store_do_not_control_a_terminal(tmp_path):
    with content(write_recordings(tmp_path / "events.h5")) as file:
        file.attrs["name"], file.attrs["classes"] = "a\x1b[2Jb", ["x", "y\n", "z"]
    store = data.open(tmp_path / "events.h5")
    assert store.name == "a?[2Jb" and store.classes == ("x", "y?", "z") and store.train.name == "a?[2Jb train"


def test_a_store_that_another_program_wrote_anew(tmp_path):
    with h5py.File(write_recordings(tmp_path / "events.h5")) as file, h5py.File(tmp_path / "copy.h5", "w") as copy:
        copy.attrs.update(file.attrs)
        file.copy("train", copy)
    with pytest.raises(FormatError, match="Its seal is missing, because another program has written it anew"):
        data.open(tmp_path / "copy.h5")


@pytest.mark.parametrize("memory", [IN_MEMORY, FROM_FILE])
def test_times_that_are_not_sorted(memory, tmp_path):
    with content(write_recordings(tmp_path / "events.h5")) as file:
        first = int(file["train/offset"][4])
        file["train/time"][first + 7] = 0
    train = data.open(tmp_path / "events.h5", memory).train
    with pytest.raises(FormatError, match="recording 4 has times that are not sorted"):
        train.frames(4).batch([4])


@pytest.mark.parametrize("memory", [IN_MEMORY, FROM_FILE])
def test_samples_that_are_not_finite(memory, tmp_path):
    data.save(tmp_path / "a.h5", train=Dataset(np.ones((9, 3)), [0, 1, 2] * 3))
    with content(tmp_path / "a.h5") as file:
        file["train/x"][5, 1] = np.nan
    with pytest.raises(FormatError, match="data train: sample 5 holds nan"):
        data.open(tmp_path / "a.h5", memory).train.batch([4, 5])


def test_an_event_outside_the_sensor(tmp_path):
    with content(write_recordings(tmp_path / "events.h5")) as file:
        file["train/address"][7] = 240
    for memory in (2**20, 0):
        with pytest.raises(FormatError, match="recording 0 has an event outside the sensor"):
            data.open(tmp_path / "events.h5", memory).train.frames(4).batch([0])


def test_a_part_in_memory_is_checked_once(tmp_path, monkeypatch):
    """Its addresses are checked when they are read from the file, and not again in every epoch."""
    train = data.open(write_recordings(tmp_path / "events.h5")).train
    checked = []
    monkeypatch.setattr(train._arrays[0], "_check", lambda name, found, first=0: checked.append(name))
    for _ in range(2):
        train.frames(4).batch(range(len(train)))
    assert train.in_memory and sorted(checked) == ["address", "time"]


def test_unknown_part(tmp_path):
    store = data.open(write_recordings(tmp_path / "events.h5"))
    with pytest.raises(KeyError, match="no part 'valid'; its parts are train, test"):
        store["valid"]
    with pytest.raises(AttributeError, match="no attribute or part 'valid'"):
        store.valid  # noqa: B018


def test_wrong_samples(tmp_path):
    cases = [
        ("pictures", "train", np.zeros((2, 3)), [0], "got 2 samples, but 1 labels"),
        ("pictures", "train", np.zeros((1, 3)), [3], r"labels must be in 0\.\.2; y\[0\] is 3"),
        (
            "pictures",
            "training",
            np.zeros((1, 3)),
            [0],
            "part must be one of 'train', 'valid', 'test'; got 'training'. Did you mean 'train'",
        ),
        ("events", "train", [recording(5, size=(12, 11))], [0], r"recording 0 has size \(12, 11\), polarities 2"),
        ("events", "train", [Events([0, 0], [0, 0], [0, 2**32], [0, 0], (12, 10))], [0], "lasts 4294967296 us"),
        ("songs", "train", [], [], "kind must be one of 'pictures', 'sequences', 'events'; got 'songs'"),
    ]
    for kind, part, samples, labels, message in cases:
        with (
            pytest.raises(ValueError, match=message),
            writing(tmp_path / "new.h5", kind, "new", "abc", size=(12, 10)) as writer,
        ):
            writer.append(part, samples, labels)
        assert list(tmp_path.iterdir()) == []  # no half file is left


def test_save_wants_parts_that_fit(tmp_path):
    one, other = Dataset(np.zeros((2, 3)), [0, 1]), Dataset(np.zeros((2, 4)), [0, 1])
    with pytest.raises(ValueError, match=r"need the same sample_shape; test has \(4,\), the first has \(3,\)"):
        data.save(tmp_path / "a.h5", train=one, test=other)
    with pytest.raises(ValueError, match="give at least one part"):
        data.save(tmp_path / "a.h5")


FULL_DISK = """
import resource, signal, sys
import numpy as np
from numsnn.data.store import writing
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with writing(sys.argv[1], "pictures", "noise", "ab") as writer:
        for k in range(20):
            writer.append("train", np.random.default_rng(k).integers(0, 256, (50, 32, 32, 1), np.uint8), np.zeros(50))
except OSError as error:
    print(error)
"""


def test_full_disk_leaves_the_old_file(tmp_path):
    data.save(tmp_path / "noise.h5", **digits())
    before = (tmp_path / "noise.h5").read_bytes()
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "noise.h5")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "noise.h5 was not written: " in done.stdout, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["noise.h5"]
    assert (tmp_path / "noise.h5").read_bytes() == before


@pytest.mark.parametrize(
    ("x", "scale", "reason"),
    [
        (
            np.ones((2, 3), np.float32),
            1e300,
            "scale must be at most 3[.]4e38, the largest number in float32; got 1e[+]300",
        ),
        (np.ones((2, 3), np.uint8), 1e37, "the scale 1e[+]37 makes samples of uint8 larger than float32 can hold"),
        (np.full((2, 3), 1e30, np.float32), 1e9, "sample 0 holds 1e[+]30, which is multiplied by 1000000000.0"),
        (np.full((2, 3), 1e300), 1.0, "sample 0 holds 1e[+]300$"),
    ],
)
def test_samples_that_float32_cannot_hold(x, scale, reason, tmp_path):
    data.save(tmp_path / "a.h5", "a", train=Dataset(np.zeros_like(x), [0, 1]))
    with content(tmp_path / "a.h5") as file:
        file["train/x"], file.attrs["scale"] = x, scale
    with pytest.raises(FormatError, match=rf"a\.h5: .*{reason}"):
        data.open(tmp_path / "a.h5").train.batch([0, 1])
