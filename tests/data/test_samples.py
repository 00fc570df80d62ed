"""Choosing and joining samples: the same for every kind of dataset, and nothing of a sample is lost."""

import pickle
import re

import numpy as np
import pytest

from numsnn import data
from numsnn.data import Augmented, Dataset, Events, Recordings, augment, concat
from numsnn.data.samples import stratified

N = 12
LABELS = np.array([0, 1, 2, 0, 1, 0, 0, 2, 1, 0, 0, 0])
NAMES = ("cat", "dog", "owl")
WEIGHTS = np.arange(N) / 4


def recording(n, seed):
    r = np.random.default_rng(seed)
    t = np.sort(r.integers(1000 * seed, 1000 * seed + 20_000, n))
    return Events(r.integers(0, 8, n), r.integers(0, 6, n), t, r.integers(0, 2, n), (6, 8))


EVENTS = [recording(40 + k, k) for k in range(N)]


def pictures():
    x = np.arange(N * 24, dtype=np.uint8).reshape(N, 3, 4, 2)
    return Dataset(x, LABELS, NAMES, "mine", scale=1 / 255, weights=WEIGHTS)


def sequences():
    x, y = np.arange(N * 12).reshape(N, 4, 3) / 8, np.arange(N * 4).reshape(N, 4) / 16
    lengths = np.arange(N) % 4 + 1
    return Dataset(x, y, name="mine", timed=True, per_step=True, lengths=lengths, weights=WEIGHTS)


def recordings():
    return Recordings(EVENTS, LABELS, NAMES, "mine", weights=WEIGHTS)


def stored(source, memory):
    def make(folder):
        data.save(folder / "mine.h5", train=source())
        return data.open(folder / "mine.h5", memory).train

    return make


KINDS = {
    "pictures": lambda folder: pictures(),
    "sequences": lambda folder: sequences(),
    "stored pictures": stored(pictures, 1 << 30),
    "streamed pictures": stored(pictures, 0),
    "streamed sequences": stored(sequences, 0),
    "frames": lambda folder: recordings().frames(4),
    "frames with lengths": lambda folder: recordings().frames(None, duration=5000, start=0),
    "streamed frames": lambda folder: stored(recordings, 0)(folder).frames(4, by="events"),
    "augmented pictures": lambda folder: Augmented(pictures(), [augment.RandomFlipLR(1.0)]),
    "augmented frames": lambda folder: Augmented(recordings().frames(4), augment.from_string("flipevents1-fliplr1")),
    "recordings": lambda folder: recordings(),
    "streamed recordings": stored(recordings, 0),
}
CLASSED = [name for name in KINDS if "sequences" not in name]


@pytest.fixture(params=KINDS)
def source(request, tmp_path):
    return KINDS[request.param](tmp_path)


@pytest.fixture(params=CLASSED)
def classed(request, tmp_path):
    return KINDS[request.param](tmp_path)


def content(dataset, rows):
    """Everything that a dataset says about some samples, in arrays with samples first."""
    rows = np.arange(len(dataset))[rows]
    if isinstance(dataset, Recordings):
        x = [np.stack([getattr(dataset.events(int(k)), c) for c in "xytp"]) for k in rows]
        own = (dataset.y[rows], dataset.weights[rows], dataset.counts()[rows], dataset.start[rows])
        return [*x, *own, dataset.durations()[rows]]
    batch = dataset.batch(rows)
    x = batch.x.swapaxes(0, 1) if dataset.timed else batch.x
    y = batch.y.swapaxes(0, 1) if dataset.per_step else batch.y
    return [*x, y, batch.weights, np.zeros(0) if batch.lengths is None else batch.lengths]


def assert_same(mine, theirs):
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_select(source):
    rows = [7, 0, 3, 3]
    part = source.select(rows)
    assert type(part) is type(source) and len(part) == 4 and part.name == source.name
    assert_same(content(part, slice(None)), content(source, rows))
    again = part.select(np.array([False, True, True, False]))
    assert_same(content(again, slice(None)), content(source, [0, 3]))
    assert not part.y.flags.writeable and not part.weights.flags.writeable
    assert_same(content(source, slice(None)), content(source, range(N)))  # the source is as it was


def test_a_selection_is_pickled(source):
    part = source.select([7, 0, 3]).select([1, 2])
    assert_same(content(pickle.loads(pickle.dumps(part)), slice(None)), content(source, [0, 3]))


def test_concat(source):
    first, second = source.select([5, 2]), source.select([0, 11, 4])
    whole = concat(first, second, source)
    assert type(whole) is type(source) and len(whole) == 5 + N
    assert_same(content(whole, slice(None)), content(source, [5, 2, 0, 11, 4, *range(N)]))
    assert_same(content(whole.select([4, 1]), slice(None)), content(source, [4, 2]))
    assert concat(source) is source


def test_split(source):
    first, second = source.split(0.75, seed=3)
    assert (len(first), len(second)) == (9, 3)
    assert_same(content(source.split(0.75, seed=3)[1], slice(None)), content(second, slice(None)))
    rows = (4 * np.concatenate([first.weights, second.weights])).astype(int)
    assert sorted(rows) == list(range(N)) and (np.diff(rows[:9]) > 0).all()  # each once, in their order
    other = 4 * source.split(0.75, seed=4)[1].weights
    assert other.tolist() != (4 * second.weights).tolist()


def test_split_keeps_the_balance(classed):
    first, second = classed.split(0.5)
    wanted = np.bincount(LABELS) / 2
    for part in (first, second):
        assert (abs(np.bincount(part.y, minlength=3) - wanted) < 1).all() and part.classes == NAMES


def test_split_without_balance():
    y = np.repeat([0, 1], 50)
    mine = Dataset(np.arange(100.0)[:, None], y)
    balanced = [mine.split(0.5, seed=seed)[0].y.sum() for seed in range(20)]
    free = [mine.split(0.5, stratify=False, seed=seed)[0].y.sum() for seed in range(20)]
    assert set(balanced) == {25} and len(set(free)) > 4


def test_subset(classed):
    some = classed.subset(["owl", "cat"])
    rows = np.flatnonzero(LABELS != 1)
    assert_same(content(some, slice(None)), content(classed, rows))
    assert some.classes == NAMES
    assert_same(content(classed.subset([2, "cat"]), slice(None)), content(classed, rows))
    new = classed.subset(["owl", 0], relabel=True)
    assert new.classes == ("owl", "cat") and new.n_classes == 2
    np.testing.assert_array_equal(new.y, np.where(LABELS[rows] == 2, 0, 1))
    if not isinstance(new, Recordings):
        np.testing.assert_array_equal(new.batch(range(4)).y, new.y[:4])
    assert classed.classes == NAMES and classed.y.tolist() == LABELS.tolist()


def test_smaller_numbers_keep_the_balance(classed):
    few = classed.subset(n=6)
    assert np.bincount(few.y).tolist() == [4, 1, 1] or np.bincount(few.y).tolist() == [3, 2, 1]
    two = classed.subset(["cat", "dog"], n=5, seed=1)
    assert len(two) == 5 and np.bincount(two.y).tolist() in ([3, 2], [4, 1])
    assert (np.diff(4 * two.weights) > 0).all()


def test_stratified():
    y = np.repeat([4, 7, 9], [10, 20, 31])
    mask = stratified(y, 30, np.random.default_rng(0))
    assert mask.sum() == 30 and [mask[y == k].sum() for k in (4, 7, 9)] == [5, 10, 15]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.split(0), "split: a share of 0 of 12 samples leaves one part empty"),
        (lambda d: d.split(0.99), "split: a share of 0.99 of 12 samples leaves one part empty"),
        (lambda d: d.split(80), "split: share must lie in [0, 1]; got 80"),
        (lambda d: d.split(0.5, seed=-1), "split: seed must be a whole number of at least 0; got -1"),
        (lambda d: d.subset(), "subset: give classes, n or both"),
        (lambda d: d.subset("cat"), "subset: classes must be a sequence of names or numbers; got 'cat'"),
        (lambda d: d.subset(["cta"]), "subset: class must be one of 'cat', 'dog', 'owl'; got 'cta'. Did you mean"),
        (lambda d: d.subset([3]), "subset: class must be a name, or a number in 0..2; got 3"),
        (lambda d: d.subset([0, "cat"]), "subset: classes must be distinct, at least one; got [0, 'cat']"),
        (lambda d: d.subset(n=13), "subset: n must be at most 12, the number of samples; got 13"),
        (lambda d: d.subset(["cat"], n=0), "subset: n must be a whole number of at least 1; got 0"),
        (lambda d: d.select([0]).subset(["dog"]), "subset: 'mine' has no sample of the classes ['dog']"),
        (lambda d: sequences().subset([0]), "subset: classes need one class per sample; 'mine' has values per step"),
    ],
)
def test_bad_choices(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(pictures())


def test_values_are_drawn_without_classes():
    assert len(sequences().subset(n=5)) == 5 and len(sequences().split(0.5, stratify=True)[0]) == 6


@pytest.mark.parametrize(
    ("others", "error", "message"),
    [
        ([sequences()], ValueError, "need the same target; argument 1 has 'values', the first has 'class'"),
        ([recordings()], TypeError, "needs datasets of one class; argument 1 is Recordings after Dataset"),
        ([(1, 2)], TypeError, "needs datasets of one class; argument 1 is tuple after Dataset"),
        ([Dataset(np.zeros((3, 3, 4, 2)), [0, 1, 2], NAMES)], ValueError, "need the same scale; argument 1 has 1.0"),
        ([pictures().subset(["cat"], relabel=True)], ValueError, "need the same classes; argument 1 has ('cat',)"),
        (
            [Dataset(np.zeros((3, 5, 4, 2)), [0, 1, 2], NAMES, scale=1 / 255)],
            ValueError,
            "need the same sample_shape; argument 1 has (5, 4, 2), the first has (3, 4, 2)",
        ),
    ],
)
def test_bad_joins(others, error, message):
    with pytest.raises(error, match=f"^concat: .*{re.escape(message)}"):
        concat(pictures(), *others)


def test_joins_of_frames_need_the_same_options():
    with pytest.raises(ValueError, match=r"need the same options; argument 1 has \{.*'by': 'events'"):
        concat(recordings().frames(4), recordings().frames(4, by="events"))
    changes = [augment.RandomFlipLR()]
    with pytest.raises(ValueError, match="need the same settings; argument 1 has"):
        concat(Augmented(pictures(), changes), Augmented(pictures(), changes, seed=1))


def test_joins_fill_in_lengths_and_weights():
    plain = Dataset(sequences().x, sequences().y, timed=True, per_step=True)
    whole = concat(plain, sequences())
    assert whole.lengths.tolist() == [4] * N + sequences().lengths.tolist()
    assert whole.weights.tolist() == [1] * N + WEIGHTS.tolist()


def test_a_selection_of_a_streamed_part_reads_only_its_samples(tmp_path, monkeypatch):
    part = stored(pictures, 0)(tmp_path).subset(["owl"])
    read = []
    arrays = part._arrays[0]
    monkeypatch.setattr(arrays, "_read", lambda name, rows: read.append(rows) or arrays._arrays[name][rows])
    part.batch([0, 1])
    assert read == [slice(2, 3), slice(7, 8)]


def test_augmented_events_are_those_of_the_selected_recordings():
    few = Augmented(recordings().frames(4).select([5, 1]), [augment.FlipEvents(1.0)])
    wanted = data.to_frames(EVENTS[1].replace(x=7 - EVENTS[1].x.astype(int)), 4)
    np.testing.assert_array_equal(few.batch([1]).x[:, 0], wanted)
