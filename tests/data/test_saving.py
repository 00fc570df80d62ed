"""`save` takes what `Trainer.fit` takes, and everything comes back from the store."""

import re

import h5py
import numpy as np
import pytest
from resealing import content

from numsnn import data
from numsnn.data import Augmented, Dataset, Events, Recordings
from numsnn.data.formats import FormatError
from numsnn.data.store import writing

N, T = 300, 4
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (N, 2, 3, 1), np.uint8)
SEQUENCES = RNG.random((N, T, 3))
LABELS = np.arange(N) % 200
WEIGHTS = np.arange(N) / 8
LENGTHS = np.arange(N) % T + 1


def recording(n, seed):
    r = np.random.default_rng(seed)
    t = np.sort(r.integers(700, 90_000, n))
    return Events(r.integers(0, 8, n), r.integers(0, 6, n), t, r.integers(0, 2, n), (6, 8))


EVENTS = [recording(k % 37, k) for k in range(N)]

DATASETS = {
    "pictures": Dataset(X, LABELS, scale=1 / 255),
    "weighted": Dataset(X, LABELS, weights=WEIGHTS),
    "labels": Dataset(X, RNG.integers(0, 2, (N, 3)) > 0, ("u", "v", "w")),
    "values": Dataset(X, RNG.random((N, 2, 3, 1))),
    "named values": Dataset(X, RNG.random((N, 2)), ("left", "right")),
    "class per step": Dataset(SEQUENCES, np.arange(N * T).reshape(N, T) % 129 - 1, timed=True, lengths=LENGTHS),
    "values per step": Dataset(SEQUENCES, RNG.random((N, T, 5)), timed=True, lengths=LENGTHS, weights=WEIGHTS),
}


def assert_equal(mine, theirs):
    for key in ("target", "per_step", "classes", "n_outputs", "target_shape", "sample_shape", "scale", "timed"):
        assert getattr(mine, key) == getattr(theirs, key), key
    ours, other = mine.batch(range(N)), theirs.batch(range(N))
    for a, b in zip((*ours, ours.lengths, ours.weights), (*other, other.lengths, other.weights), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a is None or a.dtype == b.dtype


@pytest.mark.parametrize("name", DATASETS)
def test_datasets(name, tmp_path):
    given = DATASETS[name]
    data.save(tmp_path / "mine.h5", "mine", train=given)
    with h5py.File(tmp_path / "mine.h5") as file:
        assert file.attrs["format"] == b"numsnn data 3"
        assert file["train/y"].dtype == {"class per step": "i1", "labels": "u1"}.get(
            name, "f4" if "val" in name else "u1"
        )
    for memory in (0, 1 << 30):
        part = data.open(tmp_path / "mine.h5", memory).train
        assert_equal(part, given)
    data.save(tmp_path / "again.h5", "mine", train=part)  # a part of a store is stored as it is
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "mine.h5").read_bytes()


def test_tuples(tmp_path):
    data.save(tmp_path / "mine.h5", train=(X, LABELS), test=(X[:200], LABELS[:200]))
    store = data.open(tmp_path / "mine.h5")
    assert_equal(store.train, Dataset(X, LABELS))
    assert len(store.test) == 200
    data.save(tmp_path / "events.h5", train=(EVENTS[:3], [0, 1, 0]))
    assert data.open(tmp_path / "events.h5").train.events(2).t.tolist() == EVENTS[2].t.tolist()


@pytest.mark.parametrize(
    "target", [LABELS, RNG.random((N, 3)), RNG.integers(0, 5, (N, T))], ids=["class", "values", "step"]
)
def test_recordings(target, tmp_path):
    per_step = target.shape == (N, T)
    given = Recordings(EVENTS, target, per_step=per_step, weights=WEIGHTS)
    data.save(tmp_path / "mine.h5", train=given, test=given.select(range(200)))
    store = data.open(tmp_path / "mine.h5", 0)
    assert store.kind == "events" and len(store.test) == 200
    assert_equal(store.train.frames(T), given.frames(T))


@pytest.mark.parametrize("options", [{"steps": 3}, {"steps": None, "duration": 20_000}, {"steps": 2, "binary": True}])
def test_frames(options, tmp_path):
    frames = Recordings(EVENTS, LABELS).frames(**options)
    data.save(tmp_path / "mine.h5", train=frames)
    store = data.open(tmp_path / "mine.h5")
    assert store.kind == "sequences" and store.train.dtype == np.uint8
    assert_equal(store.train, frames)
    assert_equal(store.train, frames.in_memory())


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({}, ValueError, "save: give at least one part"),
        (
            {"trian": (X, LABELS)},
            ValueError,
            "save: part must be one of 'train', 'valid', 'test'; got 'trian'. Did you",
        ),
        (
            {"train": Augmented(DATASETS["pictures"], [])},
            ValueError,
            "save: train is augmented, and its samples differ",
        ),
        (
            {"train": EVENTS},
            TypeError,
            "save: train is a list of Events without labels; give Recordings(events, labels",
        ),
        ({"train": EVENTS[0]}, TypeError, "save: train must be a Dataset, Recordings, Frames"),
        ({"train": X}, TypeError, "save: train must be a Dataset, Recordings, Frames, a part of a store, or a tuple"),
        (
            {"train": (X, LABELS), "test": (EVENTS, LABELS)},
            ValueError,
            "save: all parts need the same kind of samples; train has pictures, test has events",
        ),
        (
            {"train": (X, LABELS), "test": (X, LABELS * 1.0)},
            ValueError,
            "save: all parts need the same target; test has 'values', the first has 'class'",
        ),
        (
            {"train": (X, LABELS), "test": DATASETS["pictures"]},
            ValueError,
            "save: all parts need the same scale; test has 0.00",
        ),
        (
            {"train": (X, LABELS), "test": (X[:100], LABELS[:100])},
            ValueError,
            "save: all parts need the same classes; test has",
        ),
        (
            {
                "train": Recordings(EVENTS, LABELS),
                "test": Recordings([Events([], [], [], [], (6, 9))], [0], range(200)),
            },
            ValueError,
            "save: all parts need the same size; test has (6, 9), the first has (6, 8)",
        ),
    ],
)
def test_bad_parts(parts, error, message, tmp_path):
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        data.save(tmp_path / "mine.h5", **parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "labels", "message"),
    [
        ({}, [0.5, 1], r"store: labels must be whole numbers; y\[0\] is 0.5"),
        ({"scale": np.nan}, [0, 1], "store: scale must be a finite number; got nan"),
        ({"scale": 0}, [0, 1], "store: scale must be positive; got 0"),
        ({"target": "clas"}, [0, 1], "store: target must be one of 'class', 'labels', 'values'; got 'clas'"),
        ({"target": "values"}, [0, np.inf], r"store: values must be finite as float32; y\[1\] is inf"),
        (
            {"target": "labels"},
            [[0, 1], [1, 2]],
            r"store: several labels per sample must be 0 or 1 each; y\[1, 1\] is 2",
        ),
    ],
)
def test_the_writer_refuses(options, labels, message, tmp_path):
    with (
        pytest.raises(ValueError, match=message),
        writing(tmp_path / "mine.h5", "pictures", "mine", "ab", **options) as writer,
    ):
        writer.append("train", np.zeros((2, 3)), labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda file: file["train/y"].__setitem__((0, 0, 0), np.nan),
            r"/train/y: values must be finite as float32; y\[0",
        ),
        (lambda file: file["train/lengths"].__setitem__(3, 5), r"/train: lengths must be in 1\.\.4.*lengths\[3\] is 5"),
        (
            lambda file: file["train/weights"].__setitem__(0, -1),
            r"/train: weights must be finite .* weights\[0\] is -1",
        ),
        (
            lambda file: file.update({"train/weights": file["train/weights"][:10]}),
            r"/train: weights must be \[300\], one per sample",
        ),
        (
            lambda file: file.update({"train/y": file["train/y"][:10]}),
            "x and y must have the same length; got 300 samples and 10 labels",
        ),
        (lambda file: file.attrs.__setitem__("target", "songs"), "the attributes of the store are damaged"),
        (lambda file: file.attrs.__setitem__("per_step", False), "y has|the attributes|classes must|same length"),
    ],
)
def test_spoiled_stores(spoil, message, tmp_path):
    data.save(tmp_path / "mine.h5", train=DATASETS["values per step"])
    with content(tmp_path / "mine.h5") as file:
        spoil(file)
    if "y has" in message:  # without a time axis, y is another target of the same numbers
        assert data.open(tmp_path / "mine.h5").train.target_shape == (T, 5)
        return
    with pytest.raises(FormatError, match=message):
        data.open(tmp_path / "mine.h5")
