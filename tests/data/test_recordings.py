"""Recordings of one's own: what they hold, and what is refused."""

import re

import numpy as np
import pytest

from numsnn.data import Events, Loader, Recordings


def recording(n, seed=0, size=(6, 8), polarities=2, start=5000):
    r = np.random.default_rng(seed)
    t = start + np.sort(r.integers(0, 90_000, n))
    return Events(*(r.integers(0, end, n) for end in (size[1], size[0])), t, r.integers(0, polarities, n), size)


EVENTS = [recording(n, n) for n in (30, 0, 1, 200)]


def test_what_they_hold():
    mine = Recordings(EVENTS, [1, 0, 1, 1], ("left", "right"), "own", weights=[1, 2, 3, 4])
    assert repr(mine) == "Recordings('own': 4 with 231 events on 8x6 pixels, 2 classes)"
    assert (mine.size, mine.polarities, mine.in_memory, mine.lengths) == ((6, 8), 2, True, None)
    assert mine.counts().tolist() == [30, 0, 1, 200]
    assert mine.durations().tolist() == [events.duration for events in EVENTS]
    assert mine.start.tolist() == [events.t[0] if len(events) else 0 for events in EVENTS]
    for k, events in enumerate(EVENTS):
        for column in "xytp":
            np.testing.assert_array_equal(getattr(mine.events(k), column), getattr(events, column))
    with pytest.raises(IndexError, match="own: events: index 4 is out of bounds for 4 samples"):
        mine.events(4)


def test_labels_are_names():
    mine = Recordings(EVENTS, ["right", "left", "spin", "left"], ("left", "right", "spin", "none"), "own")
    assert mine.y.tolist() == [1, 0, 2, 0] and mine.y.dtype == np.int64 and mine.n_classes == 4
    with pytest.raises(
        ValueError, match=r"^Recordings 'own': labels\[3\] must be one of 'left', 'right'; got 'lfet'. D"
    ):
        Recordings(EVENTS, ["right", "left", "left", "lfet"], ("left", "right"), "own")


def test_training_samples():
    (batch,) = Loader(Recordings(EVENTS, [0.5, 1, 2, 3], weights=[1, 2, 3, 4]).frames(5), 4).epoch()
    assert batch.x.shape == (5, 4, 6, 8, 2) and batch.x.sum(axis=(0, 2, 3, 4)).tolist() == [30, 0, 1, 200]
    assert batch.y.tolist() == [[0.5], [1], [2], [3]] and batch.weights.tolist() == [1, 2, 3, 4]


def test_targets_per_step_belong_to_as_many_frames():
    mine = Recordings(EVENTS, np.arange(12).reshape(4, 3), per_step=True)
    assert mine.per_step and mine.n_classes == 12
    np.testing.assert_array_equal(mine.frames(3).batch([2]).y, [[6], [7], [8]])
    with pytest.raises(ValueError, match=r"frames: 'recordings' has targets of 3 steps; got steps=4"):
        mine.frames(4)


@pytest.mark.parametrize(
    ("events", "labels", "error", "message"),
    [
        (EVENTS[0], [0], TypeError, "events must be a list of Events; got a single one. For one recording: [events]"),
        (7, [0], TypeError, "events must be a list of Events; got int"),
        ([EVENTS[0], np.zeros((3, 4))], [0, 1], TypeError, "events must be a list of Events; events[1] is ndarray"),
        ([], [], ValueError, "events holds no recording"),
        (EVENTS, [0, 1], ValueError, "events and labels must have the same length; got 4 samples and 2 labels"),
        (EVENTS, np.zeros((4, 3), int), ValueError, "labels must be [N], one class per sample; got shape (4, 3)"),
        (EVENTS, [0, 1, -1, 0], ValueError, "labels must be at least 0; labels[2] is -1"),
        (
            EVENTS,
            list("abab"),
            ValueError,
            "labels must hold real numbers; got dtype <U1. For names of classes: classes, labels = np.unique(labels, ",
        ),
        (
            EVENTS,
            None,
            ValueError,
            "labels must hold targets; got None. Predictions need no labels: Trainer.predict(np.stack([to_frames(",
        ),
        (EVENTS, np.full((4, 3), -1), ValueError, "labels must be [N], one class per sample"),
        (
            [EVENTS[0], recording(3, size=(6, 9))],
            [0, 1],
            ValueError,
            "recording 1 has size (6, 9), polarities 2; expec",
        ),
        ([Events([0] * 2, [0] * 2, [0, 2**32], [0] * 2, (2, 2))], [0], ValueError, "recording 0 lasts 4294967296 us"),
    ],
)
def test_bad_recordings(events, labels, error, message):
    with pytest.raises(error, match=f"^Recordings 'own': {re.escape(message)}") as caught:
        Recordings(events, labels, name="own")
    assert "\n" not in str(caught.value)


def test_recordings_without_a_label():
    with pytest.raises(ValueError, match="labels must hold at least one label"):
        Recordings(EVENTS, np.full((4, 3), -1), per_step=True)
