"""Loader: every sample once, in an order that depends on (seed, epoch) alone."""

import numpy as np
import pytest

from numsnn.data import Dataset, Loader


def numbered(n=10):
    """A dataset whose x holds the number of the sample, so that a batch tells which samples it is made of."""
    return Dataset(np.arange(n, dtype=np.float32)[:, None], np.arange(n) % 3)


def order(loader, epoch=0, start=0):
    batches = [x[:, 0].astype(int) for x, _ in loader.epoch(epoch, start)]
    return np.concatenate(batches) if batches else np.empty(0, int)


def test_stored_order():
    loader = Loader(numbered(), batch_size=4)
    assert len(loader) == 3
    batches = list(loader.epoch())
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    for x, y in batches:
        assert x.dtype == np.float32 and y.dtype == np.int64
        np.testing.assert_array_equal(y, x[:, 0] % 3)
    np.testing.assert_array_equal(order(loader), np.arange(10))


@pytest.mark.parametrize(
    ("n", "batch_size", "drop_last", "sizes"),
    [
        (10, 4, False, [4, 4, 2]),
        (10, 4, True, [4, 4]),
        (8, 4, False, [4, 4]),
        (8, 4, True, [4, 4]),
        (3, 64, False, [3]),
        (3, 1, True, [1, 1, 1]),
    ],
)
def test_batch_sizes(n, batch_size, drop_last, sizes):
    loader = Loader(numbered(n), batch_size, drop_last=drop_last)
    assert len(loader) == len(sizes)
    assert [len(y) for _, y in loader.epoch()] == sizes


def test_shuffle_shows_every_sample_once():
    loader = Loader(numbered(101), batch_size=8, shuffle=True, seed=3)
    for epoch in range(3):
        np.testing.assert_array_equal(np.sort(order(loader, epoch)), np.arange(101))


def test_shuffle_keeps_labels_with_their_samples():
    for x, y in Loader(numbered(101), batch_size=8, shuffle=True).epoch():
        np.testing.assert_array_equal(y, x[:, 0] % 3)


def test_order_is_a_function_of_seed_and_epoch():
    loader = Loader(numbered(100), shuffle=True, seed=1)
    first, second = order(loader, 0), order(loader, 1)
    assert not np.array_equal(first, np.arange(100))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, order(Loader(numbered(100), shuffle=True, seed=2), 0))
    # Neither what was drawn before nor the batch size nor the global generator matters.
    np.testing.assert_array_equal(order(loader, 0), first)
    np.testing.assert_array_equal(order(Loader(numbered(100), 7, shuffle=True, seed=1), 1), second)


def test_order_is_not_the_stream_that_others_draw_from_the_seed():
    loader = Loader(numbered(100), shuffle=True, seed=5)
    assert not np.array_equal(order(loader, 0), np.random.default_rng(5).permutation(100))
    child = np.random.SeedSequence(5).spawn(1)[0]
    assert not np.array_equal(order(loader, 0), np.random.default_rng(child).permutation(100))


def test_two_epochs_at_once_do_not_disturb_each_other():
    loader = Loader(numbered(), batch_size=4, shuffle=True)
    for (a, _), (b, _) in zip(loader.epoch(2), loader.epoch(2), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_resumes_in_the_middle_of_an_epoch(shuffle, drop_last):
    whole = list(Loader(numbered(50), 8, shuffle, seed=9, drop_last=drop_last).epoch(4))
    for start in range(len(whole) + 1):
        rest = list(Loader(numbered(50), 8, shuffle, seed=9, drop_last=drop_last).epoch(4, start=start))
        assert len(rest) == len(whole) - start
        for (x, y), (x_whole, y_whole) in zip(rest, whole[start:], strict=True):
            np.testing.assert_array_equal(x, x_whole)
            np.testing.assert_array_equal(y, y_whole)


def test_takes_any_source_of_batches():
    class Squares:
        def __len__(self):
            return 5

        def batch(self, indices):
            return np.float32(indices[:, None] ** 2), indices

    x, y = next(Loader(Squares(), batch_size=5).epoch())
    np.testing.assert_array_equal(x[:, 0], [0, 1, 4, 9, 16])
    np.testing.assert_array_equal(y, np.arange(5))


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "4", None])
def test_bad_batch_size(batch_size):
    with pytest.raises(ValueError, match=f"batch_size must be a whole number of at least 1; got {batch_size!r}"):
        Loader(numbered(), batch_size)


@pytest.mark.parametrize("seed", [-1, 0.5])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match=f"Loader: seed must be a whole number of at least 0; got {seed}"):
        Loader(numbered(), seed=seed)


def test_numpy_integers_are_whole_numbers():
    loader = Loader(numbered(), np.int64(4), seed=np.uint8(3))
    assert len(list(loader.epoch(np.int32(1), np.int64(1)))) == 2


def test_drop_last_that_leaves_nothing():
    with pytest.raises(ValueError, match="drop_last leaves no batch: 10 samples, batch_size 64"):
        Loader(numbered(), drop_last=True)


def test_bad_epoch_and_start_fail_at_the_call():
    loader = Loader(numbered(), batch_size=4)
    with pytest.raises(ValueError, match="epoch must be a whole number of at least 0; got -1"):
        loader.epoch(-1)
    with pytest.raises(ValueError, match="start must be a whole number of at least 0; got -1"):
        loader.epoch(0, start=-1)
    with pytest.raises(ValueError, match=r"start must be in 0\.\.3, the number of batches; got 4"):
        loader.epoch(0, start=4)


def test_bare_arrays_are_refused():
    with pytest.raises(TypeError, match=r"dataset must be a Dataset; got tuple\. For arrays: as_dataset"):
        Loader((np.zeros((2, 1)), np.zeros(2)))
