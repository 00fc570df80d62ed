"""Augmentation: each change does what it says, and all depend on (seed, epoch, index) alone."""

import numpy as np
import pytest

from numsnn.data import Augmented, Dataset, Events, Loader, Recordings, augment, load
from numsnn.data import augment_events as on_events

PICTURE = np.arange(6 * 5 * 2, dtype=np.float32).reshape(6, 5, 2) + 1
FRAMES = np.stack([PICTURE, 2 * PICTURE, 3 * PICTURE])


def rng(seed=0):
    return np.random.default_rng(seed)


def recording(n=400, size=(9, 11), seed=0, polarities=2):
    r = rng(seed)
    t = np.sort(r.integers(1000, 101_000, n))
    x, y, p = (r.integers(0, end, n) for end in (size[1], size[0], polarities))
    return Events(x, y, t, p, size, polarities)


def recordings(n=7):
    made = [recording(100 + k, seed=k) for k in range(n)]
    return Recordings(made, np.arange(n) % 2, ("a", "b"), "made")


PICTURE_CHANGES = [
    augment.RandomFlipLR(1.0),
    augment.RandomFlipUD(1.0),
    augment.RandomCrop(2),
    augment.Roll(2),
    augment.Rotate(30),
    augment.Cutout(3),
]


@pytest.mark.parametrize("change", PICTURE_CHANGES, ids=repr)
def test_all_steps_are_treated_alike(change):
    for seed in range(5):
        one, three = change(PICTURE, rng(seed)), change(FRAMES, rng(seed))
        assert one.shape == PICTURE.shape and three.shape == FRAMES.shape and one.dtype == three.dtype == np.float32
        for k in range(3):
            np.testing.assert_allclose(three[k], (k + 1) * one, rtol=1e-6)


def test_flips():
    np.testing.assert_array_equal(augment.RandomFlipLR(1.0)(PICTURE, rng()), PICTURE[:, ::-1])
    np.testing.assert_array_equal(augment.RandomFlipUD(1.0)(PICTURE, rng()), PICTURE[::-1])
    assert augment.RandomFlipLR(0.0)(PICTURE, rng()) is PICTURE
    flipped = [not np.array_equal(augment.RandomFlipLR(0.3)(PICTURE, rng(k)), PICTURE) for k in range(500)]
    assert 0.23 < np.mean(flipped) < 0.37


def test_crop_is_a_shift_that_brings_zeros():
    seen = set()
    for seed in range(300):
        shifted = augment.RandomCrop(2)(PICTURE, rng(seed))
        down, right = rng(seed).integers(-2, 3, 2)
        seen.add((int(down), int(right)))
        padded = np.pad(PICTURE, ((2, 2), (2, 2), (0, 0)))
        np.testing.assert_array_equal(shifted, padded[2 - down : 8 - down, 2 - right : 7 - right])
    assert len(seen) == 25
    assert not all(augment.RandomCrop(50)(PICTURE, rng(seed)).any() for seed in range(5))


def test_roll():
    rolled = augment.Roll(2)(PICTURE, rng(3))
    down, right = rng(3).integers(-2, 3, 2)
    np.testing.assert_array_equal(rolled, np.roll(PICTURE, (down, right), (0, 1)))


class Fixed:
    """A generator whose uniform numbers are always at the upper end."""

    def uniform(self, low, high):
        return high


def test_rotate_by_quarter_turns():
    square = PICTURE[:5]
    np.testing.assert_allclose(augment.Rotate(90)(square, Fixed()), np.rot90(square, 1, (0, 1)), atol=1e-4)
    np.testing.assert_allclose(augment.Rotate(180)(square, Fixed()), square[::-1, ::-1], atol=1e-4)
    np.testing.assert_array_equal(augment.Rotate(0)(square, Fixed()), square)
    assert augment.Rotate(45)(np.ones((50, 50, 1), np.float32), Fixed())[0, 0, 0] == 0


def test_cutout():
    for seed in range(50):
        out = augment.Cutout(3)(PICTURE, rng(seed))
        gone = (out == 0).all(2)
        assert 4 <= gone.sum() <= 9
        np.testing.assert_array_equal(out[~gone], PICTURE[~gone])


def test_mixup():
    data = Dataset(np.eye(8, dtype=np.float32).reshape(8, 2, 2, 2), np.arange(8))
    x, y = Augmented(data, [augment.Mixup(1.0)], seed=3).batch(range(8))
    shares = x.reshape(8, 8)
    np.testing.assert_array_equal(y, np.arange(8))
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
    assert (np.diag(shares) >= 0.5).all() and (np.diag(shares) < 1).any()
    with pytest.raises(ValueError, match="Mixup: works only inside Augmented"):
        augment.Mixup()(PICTURE, rng())


# --- events ---


EVENT_CHANGES = [
    on_events.DropEvent(0.3),
    on_events.DropEventByTime(0.2),
    on_events.DropEventByArea(0.25),
    on_events.SpatialJitter(1.5),
    on_events.TimeJitter(500.0),
    on_events.RandomFlipPolarity(0.5),
    on_events.FlipEvents(1.0),
    on_events.DropPixel(40.0),
    on_events.Denoise(2000),
]


@pytest.mark.parametrize("change", EVENT_CHANGES, ids=repr)
def test_changes_of_events_give_events_in_order(change):
    for seed in range(5):
        events = change(recording(seed=seed), rng(seed))
        assert 0 < len(events) <= 400 and events.size == (9, 11)
        assert (np.diff(events.t) >= 0).all() and events.skipped == {}
    empty = recording(0)
    assert change(empty, rng()) is empty


def test_drop_event():
    kept = [len(on_events.DropEvent(0.3)(recording(), rng(seed))) for seed in range(50)]
    assert 270 < np.mean(kept) < 290
    assert len(on_events.DropEvent(1.0)(recording(), rng())) == 0


def test_drop_by_time():
    events = recording(20_000)
    rest = on_events.DropEventByTime(0.2)(events, rng(1))
    assert 0.77 < len(rest) / len(events) < 0.83
    gap = np.diff(rest.t).max()
    assert 0.19 < gap / events.duration < 0.21


def test_drop_by_area():
    events = recording(20_000, size=(20, 40))
    rest = on_events.DropEventByArea(0.25)(events, rng(1))
    before, after = (set(zip(e.x.tolist(), e.y.tolist(), strict=True)) for e in (events, rest))
    gone = np.array(sorted(before - after))
    assert len(gone) == 200 and np.ptp(gone[:, 0]) == 19 and np.ptp(gone[:, 1]) == 9


def test_jitters():
    events = recording(20_000, size=(200, 200))
    moved = on_events.SpatialJitter(2.0)(events, rng(1))
    assert 0.95 < len(moved) / len(events) < 1
    late = on_events.TimeJitter(100.0)(events, rng(1))
    assert sorted(late.x.tolist()) == sorted(events.x.tolist())
    row = recording(100, size=(1, 50), polarities=1)
    assert not on_events.SpatialJitter(3.0)(row, rng()).y.any()


def test_polarity_and_mirror():
    events = recording()
    np.testing.assert_array_equal(on_events.RandomFlipPolarity(1.0)(events, rng()).p, 1 - events.p)
    np.testing.assert_array_equal(on_events.FlipEvents(1.0)(events, rng()).x, 10 - events.x)
    with pytest.raises(ValueError, match="the sensor has no polarity"):
        on_events.RandomFlipPolarity()(recording(polarities=1), rng())


def test_hot_pixels():
    quiet = recording(200)
    hot = Events(np.full(500, 4), np.full(500, 3), np.arange(500) * 200 + 1000, np.zeros(500, int), (9, 11))
    both = Events(*(np.concatenate([getattr(quiet, c), getattr(hot, c)]) for c in "xytp"), (9, 11))
    rest = on_events.DropPixel(1000.0)(both, rng())
    elsewhere = (quiet.x != 4) | (quiet.y != 3)
    assert len(rest) == elsewhere.sum()


def test_denoise():
    x, y, t = [3, 4, 8, 3, 3], [3, 3, 8, 3, 4], [0, 50, 60, 70, 500]
    rest = on_events.Denoise(100)(Events(x, y, t, [0] * 5, (9, 11)), rng())
    assert rest.t.tolist() == [50, 70]  # the first has no past, the third has no neighbour, the last is late


# --- seeds, epochs, the loader ---


def augmented(seed=0):
    train, _ = load("digits")
    return Augmented(train, augment.from_string("fliplr-crop2-rotate15-cutout3-mixup0.4"), seed)


def test_a_sample_is_a_function_of_seed_epoch_and_index():
    source = augmented().at_epoch(3)
    x, y = source.batch([5, 9, 5, 1000])
    np.testing.assert_array_equal(x[0], x[2])
    np.testing.assert_array_equal(source.batch([1000])[0][0], x[3])
    np.testing.assert_array_equal(y, augmented().y[[5, 9, 5, 1000]])
    for other in (augmented().at_epoch(4), augmented(seed=1).at_epoch(3)):
        assert not np.array_equal(other.batch([5])[0][0], x[0])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_loader_asks_for_the_epoch(workers):
    loader = Loader(augmented(), 100, shuffle=True, seed=2, workers=workers)
    order = Loader(Dataset(np.arange(1437.0)[:, None], np.zeros(1437)), 100, shuffle=True, seed=2)
    for epoch in (0, 1):
        for (x, _), (rows, _) in zip(loader.epoch(epoch, start=10), order.epoch(epoch, start=10), strict=True):
            np.testing.assert_array_equal(x, augmented().at_epoch(epoch).batch(rows[:, 0].astype(int))[0])


def test_events_are_changed_before_they_are_counted():
    frames = recordings().frames(4)
    source = Augmented(frames, augment.from_string("drop0.5-fliplr1"), seed=1)
    x, _ = source.batch([2, 3])
    plain, _ = frames.batch([2, 3])
    assert x.shape == plain.shape == (4, 2, 9, 11, 2)
    assert 0.3 * plain.sum() < x.sum() < 0.7 * plain.sum()
    np.testing.assert_array_equal(source.batch([2, 3])[0], x)
    np.testing.assert_array_equal(source.batch([3])[0][:, 0], x[:, 1])
    assert source.timed and source.sample_shape == (4, 9, 11, 2) and source.n_classes == 2 and len(source) == 7


def test_from_string():
    changes = augment.from_string("fliplr-crop2-drop0.25-timejitter500")
    assert repr(changes) == "[RandomFlipLR(p=0.5), RandomCrop(padding=2), DropEvent(p=0.25), TimeJitter(std=500.0)]"
    assert augment.from_string("") == []
    for name in augment.CHANGES:
        assert len(augment.from_string(name)) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: augment.from_string("flip"),
            "change must be one of 'fliplr', .*; got 'flip'. Did you mean",
        ),
        (lambda: augment.from_string("drop1.2.3"), r"'1\.2\.3' is not a number"),
        (lambda: augment.from_string("drop1.5"), r"DropEvent: p must lie in \[0, 1\]; got 1\.5"),
        (lambda: augment.Cutout(0), "Cutout: size must be a whole number of at least 1; got 0"),
        (lambda: augment.RandomCrop(1.5), r"RandomCrop: padding must be a whole number of at least 1; got 1\.5"),
        (lambda: augment.Rotate(float("nan")), "Rotate: degrees must be a finite number; got nan"),
        (lambda: Augmented(load("digits")[0], [], seed=-1), "seed must be a whole number of at least 0; got -1"),
        (lambda: augment.Roll(1)(np.zeros(3), rng()), r"Roll: needs pictures .*; got shape \(3,\)"),
        (
            lambda: Augmented(recordings().frames(2), [augment.Roll(1), on_events.DropEvent()]),
            "changes of events must come before those of frames",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_pictures_have_no_events():
    with pytest.raises(TypeError, match="DropEvent changes events, but the source Dataset has no events"):
        Augmented(load("digits")[0], [on_events.DropEvent()])
