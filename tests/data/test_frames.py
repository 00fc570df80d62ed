"""Frames compared with a count in plain Python, at every border, and the threads of the loader."""

import threading

import numpy as np
import pytest

from numsnn.data import Augmented, Events, Frames, Loader, Recordings, to_frames
from numsnn.data.augment_events import FlipEvents


def recording(n=500, size=(8, 10), seed=0, polarities=2, last=30_000):
    r = np.random.default_rng(seed)
    t = np.sort(r.integers(700, last, n))
    x, y, p = (r.integers(0, end, n) for end in (size[1], size[0], polarities))
    return Events(x, y, t, p, size, polarities)


def naive(events, steps, by="time", duration=None, pool=1, start=None):
    """Count one event after another, from the definition."""
    height, width = events.size
    high = 1 if height == 1 else height // pool
    out = np.zeros((steps, high, width // pool, events.polarities), np.float32)
    n = len(events)
    for k in range(n):
        since, span = int(events.t[k] - events.t[0]), int(events.t[-1] - events.t[0]) + 1
        if duration is not None:
            step = (since if start is None else int(events.t[k]) - start) // duration
        elif by == "time":
            step = since * steps // span
        else:
            size, more = divmod(n, steps)
            step = k // (size + 1) if k < more * (size + 1) else more + (k - more * (size + 1)) // size
        y, x = int(events.y[k]) // (1 if height == 1 else pool), int(events.x[k]) // pool
        if 0 <= step < steps and y < high and x < width // pool:
            out[step, y, x, events.p[k]] += 1
    return out.reshape(steps, -1) if height == 1 else out


WAYS = [
    {},
    {"by": "events"},
    {"duration": 3000},
    {"duration": 100_000},
    {"duration": 1},
    {"duration": 3000, "start": 0},
    {"duration": 2500, "start": 6000, "pool": 2},
    {"duration": 5000, "start": -9000},
    {"duration": 5000, "start": 90_000},
    {"pool": 3},
    {"pool": 2, "by": "events"},
]
RECORDINGS = [
    recording(),
    recording(1),
    recording(2, last=702),
    recording(13, size=(1, 20), polarities=1),
    recording(300, last=705),
]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("steps", [1, 4, 7])
def test_against_plain_counting(way, steps):
    for events in RECORDINGS:
        np.testing.assert_array_equal(to_frames(events, steps, **way), naive(events, steps, **way))


def test_no_events():
    assert to_frames(recording(0), 3).shape == (3, 8, 10, 2)
    for way in WAYS:
        assert not to_frames(recording(0), 3, **way).any()


def test_every_event_is_counted_once():
    events = recording(100_003, seed=3, last=1_000_000)
    for steps in (1, 3, 16, 1000):
        for by in ("time", "events"):
            assert to_frames(events, steps, by).sum() == len(events)


def stored(made):
    return Recordings(made, np.arange(len(made)) % 3, ("a", "b", "c"), "made")


MADE = [recording(50 + k, seed=k) for k in range(20)]


@pytest.mark.parametrize("way", [way for way in WAYS if way.get("start") != 90_000], ids=str)
def test_batches_of_recordings(way):
    frames = stored(MADE).frames(5, **way)
    x, y = frames.batch([3, 0, 19])
    assert x.dtype == np.float32 and x.flags.c_contiguous and x.shape == (5, 3, *frames.sample_shape[1:])
    for place, index in enumerate((3, 0, 19)):
        np.testing.assert_array_equal(x[:, place], to_frames(MADE[index], 5, **way))
    assert y.tolist() == [0, 0, 1] and frames.timed and len(frames) == 20 and frames.n_classes == 3


def test_binary_and_in_memory():
    frames = stored(MADE).frames(2)
    counted = frames.batch(range(20))[0]
    assert counted.max() > 1
    np.testing.assert_array_equal(stored(MADE).frames(2, binary=True).batch(range(20))[0], counted > 0)
    kept = frames.in_memory()
    assert kept.timed and kept.x.dtype == np.uint8 and kept.classes == ("a", "b", "c")
    np.testing.assert_array_equal(kept.batch(range(20))[0], counted)


def test_one_clock_for_several_recordings():
    """Two sensors that saw the same: their frames differ without a common start, and agree with it."""
    late = MADE[3].select(MADE[3].t >= 12_000)
    own, common = (stored([MADE[3], late]).frames(6, duration=5000, start=start) for start in (None, 0))
    assert not np.array_equal(*own.batch([0, 1]).x[3:].swapaxes(0, 1))
    np.testing.assert_array_equal(*common.batch([0, 1]).x[3:].swapaxes(0, 1))
    changed = Augmented(common, [FlipEvents(0.0)]).batch([0, 1]).x  # events that were edited keep their times
    np.testing.assert_array_equal(changed, common.batch([0, 1]).x)


@pytest.mark.parametrize("start", [None, 0, 10_000, -6000])
def test_sequences_as_long_as_their_recordings(start):
    made = [recording(50, last=last, seed=last) for last in (20_000, 9_000, 30_000)] + [recording(0)]
    frames = stored(made).frames(None, duration=4000, start=start)
    wanted = []
    for events in made:
        first = start if start is not None else events.t[0] if len(events) else 0
        last = events.t[-1] if len(events) else first
        wanted.append(max(1, int(last - first) // 4000 + 1))
    assert frames.lengths.tolist() == wanted and frames.steps == frames.sample_shape[0] == max(wanted)
    batch = frames.batch([1, 0])
    assert batch.lengths.tolist() == [wanted[1], wanted[0]]
    for place, k in enumerate((1, 0)):
        x = batch.x[:, place]
        assert not x[wanted[k] :].any()
        assert x.sum() == (len(made[k]) if start is None else (made[k].t >= start).sum())
        np.testing.assert_array_equal(x[: wanted[k]], to_frames(made[k], None, duration=4000, start=start))
    assert frames.in_memory().lengths.tolist() == wanted


def test_a_row_of_channels_gives_features():
    made = [recording(40, size=(1, 20), seed=k, polarities=1) for k in range(4)]
    frames = stored(made).frames(6, pool=5)
    assert frames.sample_shape == (6, 4) and frames.batch([1, 2])[0].shape == (6, 2, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1; got 0"),
        ({"steps": 2.0}, r"steps must be a whole number of at least 1; got 2\.0"),
        ({"by": "evnts"}, "by must be one of 'time', 'events'; got 'evnts'"),
        ({"duration": 0}, "duration must be a whole number of at least 1; got 0"),
        ({"start": 5}, "start needs a duration, the microseconds per frame"),
        ({"duration": 5, "start": 0.5}, r"start must be a whole number of microseconds; got 0\.5"),
        ({"steps": None}, "steps=None needs a duration, the microseconds per frame"),
        ({"steps": None, "duration": 0}, "duration must be a whole number of at least 1; got 0"),
        ({"pool": 9}, "nothing is left of 10x8 pixels after pooling by 9"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=f"frames: {message}"):
        Frames(stored(MADE), **options)


CLOCK = 1_700_000_000_000_000
ABSOLUTE = [Events(e.x, e.y, e.t + CLOCK, e.p, e.size) for e in (recording(0), recording(20), recording(20, seed=1))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"steps": None, "duration": 20_000, "start": 0},
            r"recording \d needs 85,000,000,002 frames of 20000 us from start=0 on, and its first event lies at "
            r"17000000000\d+ us: more than 16 GiB. Leave start out, give a start near the first event, or a longer",
        ),
        (
            {"steps": 10, "duration": 20_000, "start": 0},
            r"no recording has an event at 0\.\.199999 us, in the frames from start=0 on; "
            r"recording 1 lies at 17000000000\d+\.\.17000000000\d+ us\. Leave start out, or give a start near",
        ),
        (
            {"steps": None, "duration": 20_000, "start": 2 * CLOCK},
            "no recording has an event from start=3400000000000000 us on; rec",
        ),
        (
            {"steps": 10, "duration": 20_000, "start": CLOCK + 30_000},
            "no recording has an event from start=1700000000030000 us on; rec",
        ),
        ({"steps": 10, "duration": 20_000, "start": 2**62 + 1}, r"start must be at most 2\^62 microseconds; got 46116"),
    ],
)
def test_a_start_on_another_clock(options, message):
    with pytest.raises(ValueError, match=f"^frames: {message}") as caught:
        Frames(stored(ABSOLUTE), **options)
    assert "\n" not in str(caught.value)


def test_a_start_on_the_clock_of_the_recordings():
    for steps, start in ((None, CLOCK), (2, CLOCK - 19_999), (1, CLOCK + 29_000)):
        frames = Frames(stored(ABSOLUTE), steps, duration=20_000, start=start)
        assert frames.batch(range(3)).x.sum() == sum(
            ((e.t >= start) & (e.t < start + frames.steps * 20_000)).sum() for e in ABSOLUTE
        )
    assert Frames(stored(ABSOLUTE[:1]), 3, duration=20_000, start=0).batch([0]).x.sum() == 0  # it has no events at all


def test_too_many_frames_without_a_start():
    long = Events([0, 0], [0, 0], [0, 2**32 - 1], [0, 0], (8, 10))
    for make in (lambda: Frames(stored([long]), None, duration=1), lambda: to_frames(long, None, duration=1)):
        with pytest.raises(ValueError, match=r"^frames: recording 0 needs 4,294,967,296 frames of 1 us: more than"):
            make()


# --- the loader's threads ---


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("drop_last", [False, True])
def test_order_does_not_depend_on_workers(workers, drop_last):
    frames = stored(MADE).frames(3)
    plain = list(Loader(frames, 6, True, 5, drop_last).epoch(2, start=1))
    ahead = list(Loader(frames, 6, True, 5, drop_last, workers, prefetch=3).epoch(2, start=1))
    assert len(plain) == len(ahead) == (2 if drop_last else 3)
    for (x, y), (x_ahead, y_ahead) in zip(plain, ahead, strict=True):
        np.testing.assert_array_equal(x, x_ahead)
        np.testing.assert_array_equal(y, y_ahead)


class Watched:
    """A source that counts the batches it makes, and fails at one sample."""

    def __init__(self, fail_at=None):
        self.made, self.fail_at, self.lock = 0, fail_at, threading.Lock()

    def __len__(self):
        return 100

    def batch(self, rows):
        with self.lock:
            self.made += 1
        if self.fail_at in rows:
            raise OSError(f"sample {self.fail_at} cannot be read")
        return rows, rows


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("numsnn-loader")]


def test_no_more_batches_ahead_than_asked_for():
    source = Watched()
    batches = Loader(source, 10, workers=2, prefetch=3).epoch()
    next(batches)
    assert source.made <= 4
    batches.close()
    assert source.made <= 5 and loader_threads() == []


def test_an_error_comes_where_its_batch_would():
    batches = Loader(Watched(fail_at=35), 10, workers=3).epoch()
    assert [x[0] for x, _ in (next(batches), next(batches), next(batches))] == [0, 10, 20]
    with pytest.raises(OSError, match="sample 35 cannot be read"):
        next(batches)
    assert loader_threads() == []


@pytest.mark.parametrize(("option", "value"), [("workers", -1), ("workers", 1.5), ("prefetch", 0)])
def test_bad_loader_options(option, value):
    with pytest.raises(ValueError, match=f"Loader: {option} must be a whole number of at least [01]; got"):
        Loader(stored(MADE).frames(3), **{option: value})
