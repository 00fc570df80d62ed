"""Targets, lengths and weights: what is inferred, what a batch holds of them, and what is refused."""

import copy
import pickle
import re

import numpy as np
import pytest

from numsnn.data import Augmented, Batch, Dataset, Loader, as_dataset, augment

N, T, F = 6, 4, 3
X = np.arange(N * F, dtype=np.float32).reshape(N, F)
SEQUENCES = np.arange(N * T * F, dtype=np.float32).reshape(N, T, F)
PER_STEP = np.arange(N * T).reshape(N, T) % 5 - 1
FLAGS = np.arange(N * 2).reshape(N, 2) % 3 == 0
STEP_FLAGS = np.arange(N * T * 2).reshape(N, T, 2) % 3 == 0


def numbers(*shape):
    return np.arange(np.prod(shape)).reshape(shape) / 8


@pytest.mark.parametrize(
    ("y", "options", "target", "per_step", "stored", "shape", "outputs", "classes"),
    [
        (np.arange(N) % 3, {}, "class", False, "int64", (), 3, ("0", "1", "2")),
        (np.arange(N) % 2 == 0, {}, "class", False, "int64", (), 2, ("0", "1")),
        (np.arange(N) % 3, {"classes": tuple("abcd")}, "class", False, "int64", (), 4, tuple("abcd")),
        (PER_STEP, {"timed": True}, "class", True, "int64", (), 4, ("0", "1", "2", "3")),
        (PER_STEP, {"per_step": True}, "class", True, "int64", (), 4, ("0", "1", "2", "3")),
        (np.arange(N) * 1.0, {"target": "class"}, "class", False, "int64", (), N, tuple("012345")),
        (FLAGS, {}, "labels", False, "uint8", (2,), 2, ("0", "1")),
        (FLAGS * 1.0, {"target": "labels", "classes": ("u", "v")}, "labels", False, "uint8", (2,), 2, ("u", "v")),
        (STEP_FLAGS, {"timed": True}, "labels", True, "uint8", (2,), 2, ("0", "1")),
        (numbers(N), {}, "values", False, "float32", (1,), 1, ()),
        (numbers(N, 5), {}, "values", False, "float32", (5,), 5, ()),
        (numbers(N, 2), {"classes": ("x", "y")}, "values", False, "float32", (2,), 2, ("x", "y")),
        (np.arange(N), {"target": "values"}, "values", False, "float32", (1,), 1, ()),
        (numbers(N, 2, 3, 1), {}, "values", False, "float32", (2, 3, 1), 6, ()),
        (numbers(N, T, 2), {"timed": True}, "values", True, "float32", (2,), 2, ()),
        (numbers(N, T), {"timed": True, "per_step": True}, "values", True, "float32", (1,), 1, ()),
        (numbers(N, T), {"timed": True}, "values", False, "float32", (T,), T, ()),
        (numbers(N, 5, 2), {"timed": True, "per_step": False}, "values", False, "float32", (5, 2), 10, ()),
        (numbers(N, T, 2, 3, 1), {"timed": True}, "values", True, "float32", (2, 3, 1), 6, ()),
    ],
)
def test_what_is_inferred(y, options, target, per_step, stored, shape, outputs, classes):
    data = Dataset(SEQUENCES if options.get("timed") else X, y, **options)
    assert (data.target, data.per_step, data.y.dtype) == (target, per_step, np.dtype(stored))
    assert (data.target_shape, data.n_outputs) == (shape, outputs)
    assert (data.classes, data.n_classes) == (classes, len(classes))
    rows = [4, 1, 4]
    batch = data.batch(rows)
    wanted = np.reshape(y, (N, T, *shape) if per_step else (N, *shape))[rows]
    np.testing.assert_array_equal(batch.y, wanted.swapaxes(0, 1) if per_step else wanted)
    assert batch.y.flags.c_contiguous and batch.lengths is None and batch.weights is None


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (PER_STEP, {}, "target='labels'; for one-hot rows: y.argmax(1); for one class per step: timed=True"),
        (PER_STEP[:, :3], {"timed": True}, "for one class per step: 4 columns"),
        (PER_STEP[:, :3], {"timed": True, "per_step": True}, "y has 3 steps, but x has 4; got y of shape (6, 3)"),
        (np.arange(N), {"per_step": True}, "y must be [N, T], one class per step; got shape (6,)"),
        (np.zeros((N, 2, 2), int), {}, "got shape (6, 2, 2). For pictures and other numbers: target='values'"),
        (np.full((N, T), -1), {"timed": True}, "y must hold at least one label: all steps have -1"),
        (PER_STEP - 1, {"timed": True}, "labels must be at least 0, or -1 for a step without a label; y[0, 0] is -2"),
        (numbers(N), {"target": "class"}, "labels must be whole numbers; y[1] is 0.125"),
        ([0, 1, np.nan, 0, 1, 2], {"target": "class"}, "labels must be whole numbers; y[2] is nan"),
        ([np.inf, 1, 0, 0, 1, 2], {"target": "class"}, "labels must be whole numbers; y[0] is inf"),
        (np.arange(N), {"target": "labels"}, "y must be [N, K], K labels per sample, or [N, T, K]; got shape (6,)"),
        (FLAGS, {"per_step": True}, "y must be [N, T, K], K labels per step; got shape (6, 2)"),
        (FLAGS + 1, {"target": "labels"}, "several labels per sample must be 0 or 1 each; y[0, 0] is 2"),
        (FLAGS, {"classes": ["abc"]}, "classes must name the 2 labels of y; got 1 names"),
        (numbers(N), {"per_step": True}, "y must be [N, T, ...], values per step; got shape (6,)"),
        (numbers(N, 5, 2), {"timed": True}, "y has 5 steps, but x has 4; got y of shape (6, 5, 2). Targets without a"),
        ([0, 1, np.inf, 0, 1, 2], {}, "values must be finite as float32; y[2] is inf"),
        ([[0, 1]] * 5 + [[2, 1e39]], {}, "values must be finite as float32; y[5, 1] is 1e+39"),
        (np.arange(N) % 3 * 1.0, {"classes": ("a", "b", "c")}, "if they are numbers of classes: target='class'"),
        (np.zeros((N, 0)), {}, "y must hold at least one target; got shape (6, 0)"),
        (3, {}, "x and y must have the same length; got 6 samples and y of shape ()"),
        ([[0], [1, 1], [0], [1], [1], [0]], {}, "y must be an array; got nested lists of unequal lengths"),
        (np.arange(N), {"target": "classes"}, "target must be one of 'class', 'labels', 'values'; got 'classes'. Did"),
        (np.arange(N), {"per_step": 1}, "per_step must be True, False or None; got 1"),
        (None, {}, "y must hold targets; got None. Predictions need no targets: Trainer.predict(x) takes the array x"),
        (np.arange(N) - 1, {}, "labels must be at least 0; y[0] is -1"),
        (
            np.arange(N) % 3,
            {"classes": ("a", "b")},
            "there are 2 class names, so labels must be in 0..1; y[2] is 2",
        ),
        (np.arange(N) % 3, {"classes": ("a",)}, "there is 1 class name, so labels must be in 0..0; y[1] is 1"),
        (list("abcabd"), {"classes": tuple("abc")}, "y[5] must be one of 'a', 'b', 'c'; got 'd'"),
        ([b"a"] * N, {"classes": ("a", "b")}, "y must hold real numbers; got dtype |S1. For names of classes"),
        (list("abcabc"), {"classes": tuple("abc"), "target": "values"}, "y must hold real numbers; got dtype <U1"),
        (np.arange(N), {"classes": 3}, "classes must be a sequence of names; got 3"),
    ],
)
def test_bad_targets(y, options, message):
    with pytest.raises(ValueError, match=f"^Dataset 'mine': .*{re.escape(message)}") as caught:
        Dataset(SEQUENCES if options.get("timed") else X, y, name="mine", **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [list, np.array, lambda y: np.array(y, object)])
def test_labels_are_names_of_classes(kind):
    names = ["right", "left", "left", "spin", "right", "left"]
    data = Dataset(X, kind(names), classes=("left", "right", "spin", "none"))
    assert (data.target, data.y.dtype, data.y.tolist()) == ("class", np.int64, [1, 0, 0, 2, 1, 0])
    per_step = Dataset(SEQUENCES, kind([names[:4]] * N), classes=("left", "right", "spin"), timed=True)
    assert per_step.per_step and per_step.y.tolist() == [[1, 0, 0, 2]] * N


# --- lengths and weights ---


def whole_data():
    return Dataset(SEQUENCES, np.arange(N) % 2, timed=True, lengths=[4, 1, 2, 3, 4, 4], weights=[1, 0, 2, 0.5, 1, 1])


def test_batches_carry_lengths_and_weights():
    data = whole_data()
    batch = data.batch([3, 1])
    x, y = batch
    assert isinstance(batch, Batch) and x is batch.x and y is batch.y
    assert batch.lengths.tolist() == [3, 1] and batch.lengths.dtype == np.int64
    assert batch.weights.tolist() == [0.5, 0] and batch.weights.dtype == np.float32
    (batch,) = Loader(data.select([1, 3]), 2).epoch()
    assert batch.lengths.tolist() == [1, 3] and batch.weights.tolist() == [0, 0.5]
    for twin in (copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert twin.batch([2]).lengths.tolist() == [2] and not twin.lengths.flags.writeable


def test_augmented_carries_what_its_source_has():
    data = Dataset(np.ones((N, T, 2, 2, 1)), numbers(N, 2), timed=True, lengths=[2] * N, weights=np.arange(N))
    source = Augmented(data, [augment.RandomFlipLR()])
    assert (source.target, source.per_step, source.n_outputs, source.target_shape) == ("values", False, 2, (2,))
    batch = source.batch([1, 2])
    assert (
        batch.lengths.tolist() == [2, 2] and batch.weights.tolist() == [1, 2] and batch.y.tolist()[0] == [0.25, 0.375]
    )


def test_sources_of_plain_tuples_still_work():
    class Plain:
        def __len__(self):
            return N

        def batch(self, rows):
            return X[rows], rows

    (batch,) = Loader(Plain(), N).epoch()
    assert batch.lengths is None and batch.weights is None
    np.testing.assert_array_equal(batch.x, X)
    changed = Augmented(Plain(), []).batch([2])
    np.testing.assert_array_equal(changed.x, X[[2]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": [4, 1, 2, 3, 4, 5]}, "lengths must be in 1..4, the steps of x; lengths[5] is 5"),
        ({"lengths": [4, 0, 2, 3, 4, 4]}, "lengths must be in 1..4, the steps of x; lengths[1] is 0"),
        ({"lengths": [4, 1]}, "lengths must be [6] whole numbers, one per sample; got shape (2,) and dtype int64"),
        ({"lengths": [4.0] * 6}, "got shape (6,) and dtype float64"),
        ({"weights": [1] * 5}, "weights must be [6], one per sample; got shape (5,)"),
        ({"weights": [1, -1, 1, 1, 1, 1]}, "weights must be finite as float32 and at least 0; weights[1] is -1"),
        ({"weights": [1, 1, np.nan, 1, 1, 1]}, "weights[2] is nan"),
        ({"weights": [1, 1, 1, 1e39, 1, 1]}, "weights[3] is 1e+39"),
        ({"weights": [0] * 6}, "weights must hold at least one positive number"),
        ({"weights": "heavy"}, "weights must hold real numbers; got dtype <U5"),
    ],
)
def test_bad_lengths_and_weights(options, message):
    with pytest.raises(ValueError, match=f"^Dataset 'data': .*{re.escape(message)}"):
        Dataset(SEQUENCES, np.arange(N), timed=True, **options)


def test_lengths_need_time():
    with pytest.raises(ValueError, match="lengths belong to sequences; pass timed=True"):
        Dataset(X, np.arange(N), lengths=[1] * N)


def test_labels_in_the_padding_do_not_count():
    y = np.full((2, 3), -1)
    y[1, 2] = 0
    x = np.zeros((2, 3, 1))
    assert Dataset(x, y, timed=True).per_step
    with pytest.raises(ValueError, match="y must hold at least one label"):
        Dataset(x, y, timed=True, lengths=[3, 2])


# --- sequences of different length ---


def test_padded():
    sequences = [SEQUENCES[0], SEQUENCES[1, :2], SEQUENCES[2, :3].astype(np.float64)]
    data = Dataset.padded(sequences, [0, 1, 1], classes=("a", "b"), name="words")
    assert data.timed and data.x.dtype == np.float64 and data.lengths.tolist() == [4, 2, 3]
    for k, sequence in enumerate(sequences):
        np.testing.assert_array_equal(data.x[k, : len(sequence)], sequence)
        assert not data.x[k, len(sequence) :].any()
    assert (data.name, data.classes, data.per_step, data.y.tolist()) == ("words", ("a", "b"), False, [0, 1, 1])


@pytest.mark.parametrize(
    ("y", "options", "target", "fill"),
    [
        ([[0, 1], [2]], {}, "class", -1),
        ([np.array([0, 1], np.uint8), np.array([2], np.uint8)], {}, "class", -1),
        ([[0.0, 1.0], [2.0]], {}, "values", 0),
        ([[0.0, 1.0], [2.0]], {"target": "class"}, "class", -1),
        ([[[True, False], [True, True]], [[False, True]]], {}, "labels", 0),
    ],
)
def test_padded_targets_per_step(y, options, target, fill):
    data = Dataset.padded([SEQUENCES[0, :2], SEQUENCES[1, :1]], y, **options)
    assert (data.target, data.per_step) == (target, True)
    assert (data.y[1, 1] == fill).all()
    np.testing.assert_array_equal(data.y[0], np.reshape(y[0], data.y[0].shape))
    np.testing.assert_array_equal(data.y[1, :1], np.reshape(y[1], data.y[1, :1].shape))


@pytest.mark.parametrize(
    ("sequences", "y", "options", "error", "message"),
    [
        ([], [], {}, ValueError, "x holds no sequence"),
        ([X, X[:0]], [0, 1], {}, ValueError, "sequence 1 of x must have at least one step; got shape (0, 3)"),
        ([X, X[:, :2]], [0, 1], {}, ValueError, "sequence 1 of x must differ in its steps alone; got shape (6, 2)"),
        ([X, X], [0], {}, ValueError, "x and y must have the same length; got 2 samples and 1 labels"),
        ([X, X[:2]], [[0] * 6, [1]], {"per_step": True}, ValueError, "they differ from sequence 1 on"),
        ([X, X[:2]], [[0] * 6], {"per_step": True}, ValueError, "they differ from sequence 1 on"),
        ([X], [0], {"lengths": [6]}, TypeError, "Dataset.padded: takes no lengths"),
    ],
)
def test_padded_refuses(sequences, y, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Dataset.padded(sequences, y, **options)


# --- wrong x ---


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        ([SEQUENCES[0], SEQUENCES[1, :2]], {}, "For sequences of different length: Dataset.padded(x, y)"),
        (np.array([SEQUENCES[0], SEQUENCES[1, :2]], object), {}, "Dataset.padded(x, y)"),
        ((X, X), {}, "x must be one array; got a tuple of 2 arrays. Join features"),
        (X, {"timed": True}, "got shape (6, 3). Sequences of one feature: x[..., None]"),
    ],
)
def test_wrong_x(x, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Dataset(x, np.arange(N), **options)


def test_a_tuple_can_be_timed():
    assert as_dataset((SEQUENCES, PER_STEP), timed=True).per_step
    with pytest.raises(ValueError, match=r"Sequences \[N, T, F\]: timed=True; grey pictures"):
        as_dataset((SEQUENCES, PER_STEP))
