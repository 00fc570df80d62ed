"""The simulated event camera: pixels against closed forms, properties of recordings, and seeds."""

from itertools import pairwise

import numpy as np
import pytest

from numsnn.data.dvs import Sensor, saccades

QUIET = {"mismatch": 0.0, "noise": 0.0}


def edge(width=10):
    """A picture whose left half is black and whose right half is white."""
    picture = np.zeros((width, width))
    picture[:, width // 2 :] = 1
    return picture


def test_saccades():
    motion = saccades([(0, 0), (4, -2), (4, 0)], duration=1000, step=250)
    assert motion.shape == (9, 2)
    np.testing.assert_allclose(motion[[0, 2, 4, 8]], [(0, 0), (2, -1), (4, -2), (4, 0)], atol=1e-12)
    steps = np.linalg.norm(np.diff(motion[:5], axis=0), axis=1)
    assert steps[0] < steps[1] and abs(steps[0] - steps[3]) < 1e-12  # the motion begins and ends at rest


def test_events_of_a_slow_edge_are_where_and_when_the_formula_says():
    """The picture moves left by 1 pixel in 100 ms. The light between two pixels grows linearly, so events come at the
    times that invert log(light + ambient)."""
    ambient, threshold = 0.1, 0.3
    sensor = Sensor((10, 10), threshold, ambient=ambient, refractory=1, **QUIET)
    motion = np.stack([-np.linspace(0, 1, 2001), np.zeros(2001)], axis=1)
    events = sensor.record(edge(), motion, step=50)
    assert set(events.x.tolist()) == {4, 9}  # the edge, and the picture's end, where it is dark again
    here = events.select((events.x == 4) & (events.y == 5))
    count = int(np.log((1 + ambient) / ambient) / threshold)
    assert here.p.tolist() == [1] * count
    times = 100_000 * (ambient * np.exp(threshold * np.arange(1, count + 1)) - ambient)
    np.testing.assert_allclose(here.t, times, rtol=0.02, atol=60)
    gone = events.select((events.x == 9) & (events.y == 5))
    assert gone.p.tolist() == [0] * count
    mirrored = 100_000 * (1 + ambient - (1 + ambient) * np.exp(-threshold * np.arange(1, count + 1)))
    np.testing.assert_allclose(gone.t, mirrored, rtol=0.02, atol=60)


def test_nothing_moves_nothing_fires():
    still = np.zeros((100, 2))
    assert len(Sensor((10, 10), **QUIET).record(edge(), still)) == 0
    assert len(Sensor((12, 12), **QUIET).record(np.zeros((10, 10)))) == 0


def test_refractory_time_is_kept():
    for refractory in (500, 5000):
        events = Sensor((14, 14), threshold=0.05, refractory=refractory, **QUIET).record(edge())
        for x, y in {(int(x), int(y)) for x, y in zip(events.x, events.y, strict=True)}:
            times = events.t[(events.x == x) & (events.y == y)]
            assert all(later - earlier >= refractory - 1 for earlier, later in pairwise(times.tolist()))


def test_noise_has_its_rate():
    sensor = Sensor((30, 30), noise=20.0)
    counts = [len(sensor.record(np.zeros((4, 4)), index=k)) for k in range(20)]
    expected = 20 * 900 * 0.3
    assert abs(np.mean(counts) - expected) < 4 * np.sqrt(expected / 20)
    assert len(set(counts)) > 5


def test_mismatch_belongs_to_the_sensor():
    """Pixels of one column see the same edge. Mismatch makes their answers differ, equally in every recording."""
    quiet = {"mismatch": 0.3, "noise": 0.0}
    motion = saccades([(1, 0), (-1, 0)])
    first, again = (Sensor((12, 12), **quiet).record(edge(), motion, index=k) for k in (0, 1))
    assert first.t.tolist() == again.t.tolist()
    assert len(set(np.bincount(first.y, minlength=12)[1:11].tolist())) > 3
    other = Sensor((12, 12), seed=1, **quiet).record(edge(), motion)
    assert other.t.tolist() != first.t.tolist()


def test_seeds():
    one, same = (Sensor((12, 12), seed=3).record(edge(), index=5) for _ in range(2))
    for column in "xytp":
        np.testing.assert_array_equal(getattr(one, column), getattr(same, column))
    assert (np.diff(one.t) >= 0).all() and one.skipped == {}
    assert Sensor((12, 12), seed=3).record(edge(), index=6).t.tolist() != one.t.tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sensor((0, 5)), r"Sensor: size must be \(height, width\)"),
        (lambda: Sensor(threshold=0), r"Sensor: threshold must be at least 0\.01; got 0"),
        (lambda: Sensor(refractory=0), "Sensor: refractory must be at least 1; got 0"),
        (lambda: Sensor(noise=float("nan")), "Sensor: noise must be a finite number; got nan"),
        (lambda: Sensor((8, 8)).record(edge()), r"picture must be \[h, w\], at most \(8, 8\); got shape \(10, 10\)"),
        (lambda: Sensor().record(255 * edge()), r"light must be in 0\.\.1; scale the picture"),
        (lambda: Sensor().record(np.full((4, 4), np.nan)), r"light must be in 0\.\.1"),
        (lambda: saccades([(0, 0)]), r"at least two pairs \(x, y\); got shape \(1, 2\)"),
        (lambda: saccades(duration=1000, step=300), "step must divide duration; got 300 and 1000 us"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("ulps", range(-3, 4))
def test_blindness_that_ends_between_two_steps(ulps):
    """A pixel sees its first event and grows much brighter while it is blind. Its blindness ends just when a step does
    after which nothing moves: it takes the level of that moment and stays silent."""
    step, ambient, threshold = 1000, 0.1, 0.3
    motion = np.array([[-0.5, 0], [-0.45, 0], [0.5, 0], [0.5, 0], [0.5, 0]])  # light of column 2: 0, 0.05, 1, 1, 1
    first = step * threshold / (np.log(0.05 + ambient) - np.log(ambient))
    refractory = 2 * step - first + ulps * np.spacing(2.0 * step)
    sensor = Sensor((1, 4), threshold, mismatch=0, ambient=ambient, refractory=refractory, noise=0)
    events = sensor.record([[1.0]], motion, step)
    assert events.t[events.x == 2].tolist() == [int(first)]
