"""`Dataset` and `as_dataset`: what a batch holds, and which samples and labels are refused."""

import re

import numpy as np
import pytest

from numsnn.data import Dataset, as_dataset


def pictures(n=6, dtype=np.uint8):
    return np.arange(n * 2 * 3).reshape(n, 2, 3, 1).astype(dtype)


LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_fields():
    data = Dataset(pictures(), LABELS, classes=("a", "b", "c", "d"), name="toy", scale=1 / 255)
    assert len(data) == 6
    assert data.sample_shape == (2, 3, 1)
    assert data.n_classes == 4
    assert data.classes == ("a", "b", "c", "d")
    assert data.name == "toy"
    assert data.scale == 1 / 255
    assert data.x.dtype == np.uint8
    assert data.y.dtype == np.int64
    assert repr(data) == "Dataset('toy': 6 samples of 2x3x1 uint8, 4 classes)"


def test_defaults():
    data = Dataset([[0.5, 1.0], [2.0, 3.0]], [0, 3])
    assert (data.name, data.scale, data.classes) == ("data", 1.0, ("0", "1", "2", "3"))
    assert data.sample_shape == (2,)


def test_batch_takes_in_order_and_scales():
    data = Dataset(pictures(), LABELS, scale=1 / 255)
    x, y = data.batch([4, 0, 4])
    assert x.dtype == np.float32 and x.flags.c_contiguous
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, [1, 0, 1])
    # The scale is rounded once, and so is the product.
    np.testing.assert_allclose(x, pictures()[[4, 0, 4]] / 255.0, rtol=2 * np.finfo(np.float32).eps)


def test_batch_takes_the_end_of_the_scale_to_one():
    x, _ = Dataset(np.full((1, 1), 255, np.uint8), [0], scale=1 / 255).batch([0])
    assert x[0, 0] == 1.0


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int64", "float16", "float32", "float64", ">f4"])
def test_every_real_dtype_makes_float32_batches(dtype):
    values = np.array([[0, 1], [1, 0], [1, 1]])
    x, _ = Dataset(values.astype(dtype), [0, 0, 1]).batch([0, 1, 2])
    assert x.dtype == np.dtype(np.float32)
    np.testing.assert_array_equal(x, values)


def test_batch_of_unordered_memory_is_contiguous():
    stored = np.asfortranarray(pictures(dtype=np.float32))
    x, _ = Dataset(stored, LABELS).batch(np.arange(6))
    assert x.flags.c_contiguous
    np.testing.assert_array_equal(x, stored)


def test_batches_are_new_arrays():
    data = Dataset(pictures(dtype=np.float32), LABELS)
    x, y = data.batch([1])
    x[:] = -1
    y[:] = -1
    again, label = data.batch([1])
    assert again.min() >= 0 and label[0] == 1


def test_checked_data_are_read_only_and_the_callers_are_not():
    x, y = pictures(), LABELS.copy()
    data = Dataset(x, y)
    with pytest.raises(ValueError, match="read-only"):
        data.x[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        data.y[0] = 1
    assert np.shares_memory(data.x, x)
    x[0] = 1
    y[0] = 1


def test_select_keeps_what_describes_the_data():
    data = Dataset(pictures(), LABELS, classes=["a", "b", "c", "d"], name="toy", scale=0.5)
    part = data.select([5, 1])
    assert (part.classes, part.name, part.scale) == (data.classes, "toy", 0.5)
    np.testing.assert_array_equal(part.x, data.x[[5, 1]])
    np.testing.assert_array_equal(part.y, [2, 1])


def test_select_by_mask():
    data = Dataset(pictures(), LABELS)
    part = data.select(data.y == 2)
    np.testing.assert_array_equal(part.x, data.x[[2, 5]])
    assert part.n_classes == 3


@pytest.mark.parametrize("method", ["select", "batch"])
@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([], ValueError, "indices select no sample"),
        (np.zeros(6, bool), ValueError, "indices select no sample"),
        (np.ones(5, bool), IndexError, "the mask must have 6 entries; got 5"),
        (3, TypeError, r"indices must be a list of whole numbers or a boolean mask; got int of shape \(\)"),
        (slice(2), TypeError, "got slice of shape"),
        ([0.5], TypeError, "got list of shape .* dtype float64"),
        ([[0, 1]], TypeError, r"got list of shape \(1, 2\)"),
        ([0, 6], IndexError, "index 6 is out of bounds"),
    ],
)
def test_indices(method, indices, error, message):
    with pytest.raises(error, match=message):
        getattr(Dataset(pictures(), LABELS), method)(indices)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([], r"x is empty; got shape \(0,\)"),
        (np.zeros((0, 8, 8, 1)), r"x is empty; got shape \(0, 8, 8, 1\)"),
        (np.zeros((6, 0)), r"x is empty; got shape \(6, 0\)"),
        (np.zeros(6), r"x must be \[N, F\] or \[N, H, W, C\]; got shape \(6,\)\. Add .* axis: x\[:, None\]"),
        (
            np.zeros((6, 8, 8)),
            r"\(6, 8, 8\)\. Sequences \[N, T, F\]: timed=True; grey pictures \[N, H, W\]: x\[\.\.\., None\]",
        ),
        (np.zeros((6, 2, 8, 8, 1)), r"got shape \(6, 2, 8, 8, 1\)\. Sequences \[N, T, H, W, C\]: timed=True$"),
        (np.array([["a"]] * 6), "x must hold real numbers; got dtype <U1"),
        (np.array([[None]] * 6), "x must hold real numbers; got dtype object"),
        (np.zeros((6, 1), complex), "x must hold real numbers; got dtype complex128"),
        (np.zeros((6, 1), "M8[s]"), r"x must hold real numbers; got dtype datetime64\[s\]"),
        ([[1, 2], [3]], "x must be an array; got nested lists of unequal lengths. For sequences .*: Dataset.padded"),
    ],
)
def test_bad_x(x, message):
    with pytest.raises(ValueError, match=message):
        Dataset(x, LABELS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_not_finite_names_the_first_bad_sample(value, dtype):
    x = pictures(dtype=dtype)
    x[[2, 4]] = value
    with pytest.raises(ValueError, match=f"x must be finite as float32; sample 2 holds {value}"):
        Dataset(x, LABELS)


def test_not_finite_is_found_behind_the_first_chunk():
    x = np.zeros((3000, 1000), np.float32)
    x[2999, 999] = np.nan
    with pytest.raises(ValueError, match="sample 2999 holds nan"):
        Dataset(x, np.zeros(3000, int))


def test_a_number_beyond_float32_would_be_inf_in_a_batch():
    with pytest.raises(ValueError, match=r"sample 1 holds 1e\+300"):
        Dataset([[0.0], [1e300]], [0, 1])
    with pytest.raises(ValueError, match=r"sample 0 holds 1e\+30"):
        Dataset([[1e30], [0.0]], [0, 1], scale=1e10)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], "x and y must have the same length; got 6 samples and 2 labels"),
        ([0, 1, 2, 0, 1, 2, 0], "got 6 samples and 7 labels"),
        ([0, 1, 3, -1, 1, 2], r"there are 3 class names, so labels must be in 0\.\.2; y\[2\] is 3"),
        ([0, 1, 2, -1, 1, 5], r"labels must be in 0\.\.2; y\[3\] is -1"),
        (np.array([0, 1, 2, 0, 1, 2**64 - 1], np.uint64), r"y\[5\] is 18446744073709551615"),
        (
            np.eye(6, dtype=int),
            r"y must be \[N\], one class per sample; got shape \(6, 6\)\. For several .*y\.argmax\(1\)",
        ),
        (np.zeros((6, 1), int), r"y must be \[N\], one class per sample; got shape \(6, 1\).* y\[:, 0\]$"),
        (list("abcabd"), r"y\[5\] must be one of 'a', 'b', 'c'; got 'd'"),
        ([0, 1, 2, 0, 1, None], "y must hold real numbers; got dtype object"),
    ],
)
def test_bad_y(y, message):
    with pytest.raises(ValueError, match=message):
        Dataset(pictures(), y, classes=("a", "b", "c"))


def test_labels_without_class_names():
    with pytest.raises(ValueError, match=r"y must hold real .* <U1\. For names of classes: classes, y = np\.unique"):
        Dataset([[1.0], [2.0]], ["a", "b"])
    with pytest.raises(ValueError, match=r"labels must be at least 0; y\[0\] is -1"):
        Dataset([[1.0]], [-1])
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.65535; y\[1\] is 9000000000000000000"):
        Dataset([[1.0], [2.0]], [0, 9 * 10**18])


@pytest.mark.parametrize("y", [np.array([0.0, 2.0]), np.array([0, 2], np.uint8), np.array([0, 2], ">i4")])
def test_whole_labels_of_any_dtype(y):
    data = Dataset([[1.0], [2.0]], y, target="class")
    assert data.y.dtype == np.dtype(np.int64) and data.n_classes == 3
    np.testing.assert_array_equal(data.y, [0, 2])


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("abc", "classes must be a sequence of names; got the single string 'abc'"),
        (("a", "b", "a"), "classes must be distinct names, at least one; got"),
        ((), "classes must be distinct names, at least one; got"),
    ],
)
def test_bad_classes(classes, message):
    with pytest.raises(ValueError, match=message):
        Dataset(pictures(), LABELS, classes=classes)


@pytest.mark.parametrize("scale", [0, -1.0, np.nan, np.inf])
def test_bad_scale(scale):
    with pytest.raises(ValueError, match=f"^Dataset 'data': scale must be (positive|a finite number); got {scale}"):
        Dataset(pictures(), LABELS, scale=scale)


def test_errors_are_one_line_and_name_the_data():
    with pytest.raises(ValueError, match=r"^Dataset 'mine': x is empty") as caught:
        Dataset([], [], name="mine")
    assert "\n" not in str(caught.value)


def test_as_dataset():
    data = Dataset(pictures(), LABELS)
    assert as_dataset(data) is data
    made = as_dataset((pictures(), LABELS), name="validation")
    assert (made.name, made.scale, made.n_classes) == ("validation", 1.0, 3)
    np.testing.assert_array_equal(made.x, data.x)


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (pictures(), "ndarray. The targets are missing"),
        ([pictures(), LABELS], "list. Write (x, y) in round brackets"),
        (None, "NoneType"),
        ((pictures(),), "a tuple of 1"),
        (
            (pictures(), LABELS, LABELS),
            "a tuple of 3. With lengths or weights: Dataset(x, y, timed=True, lengths=..., weights=...)",
        ),
    ],
)
def test_as_dataset_of_something_else(data, got):
    message = f"train must be a Dataset or a tuple (x, y) of arrays; got {got}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        as_dataset(data, name="train")


def test_as_dataset_checks():
    with pytest.raises(ValueError, match=r"^Dataset 'train': x is empty"):
        as_dataset(([], []), name="train")
