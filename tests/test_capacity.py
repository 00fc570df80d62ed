"""The memory of the computer, and the refusal of arrays that cannot fit into it."""

import pytest

import numsnn as snn
from numsnn import capacity
from numsnn.capacity import memory, need_memory, told_bytes


def test_memory():
    assert 2**28 < memory() <= 2**63


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (1000, "1000 B"),
        (1536, "1.5 KiB"),
        (3 * 2**30, "3.0 GiB"),
        (2**60, "1.0 EiB"),
        (10**40, "more than 10,000 EiB"),
        (10**5000, "more than 10,000 EiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sizes_in_words(size, text):
    assert told_bytes(size) == text


def test_what_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(capacity, "memory", lambda: 2**30)
    need_memory("x", 2**30)
    with pytest.raises(ValueError, match=r"^x would take 2\.0 GiB; this computer has 1\.0 GiB of memory$"):
        need_memory("x", 2**31)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: snn.Linear(10**12, 3).build((2, 2, 10**12)), "linear.build: an input of shape (2, 2, 1000000000000)"),
        (lambda: snn.Linear(10**6, 10**8).build((2, 2, 10**6)), "linear (Linear): the weight [1000000, 100000000]"),
        (lambda: snn.RecurrentLIF().build((1, 1, 10**7)), "recurrentlif: the lateral weights [10000000, 10000000]"),
        (lambda: snn.LIF().build((10**15, 1, 1)), "lif.build: an input of shape (1000000000000000, 1, 1)"),
        (lambda: snn.encode.direct([0.5], 10**15), "direct: 1000000000000000 steps"),
        (lambda: snn.encode.poisson([0.5], 10**15), "poisson: 1000000000000000 steps"),
    ],
)
def test_huge_sizes_say_how_much_memory_they_take(make, message):
    with pytest.raises(ValueError) as error:
        make()
    text = str(error.value)
    assert (
        text.startswith(f"{message} would take ") and text.endswith(" of memory") and "iB; this computer has " in text
    )


def test_a_pass_of_huge_size_is_refused():
    net = snn.Sequential(snn.Repeat(10**15), snn.LIF()).to("reference").build((1, 1))
    with pytest.raises(snn.ShapeError, match=r"would take .*; this computer has .* of memory$"):
        net(snn.encode.direct([[0.5]], 1)[0].astype("float32"))
