"""IDX: files that are written here byte by byte, every way in which they can be broken, and the real files."""

import gzip
import itertools
import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numsnn.data.formats import FormatError, parse_idx, read_idx

MNIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "mnist8k"

# Each row: the type code, the letter of struct, the dtype, and values that include both ends of the range.
TYPES = [
    (0x08, "B", np.uint8, [0, 1, 254, 255]),
    (0x09, "b", np.int8, [-128, -1, 0, 127]),
    (0x0B, "h", np.int16, [-32768, -2, 258, 32767]),
    (0x0C, "i", np.int32, [-(2**31), -2, 16909060, 2**31 - 1]),
    (0x0D, "f", np.float32, [-0.0, 1.5, float("inf"), 2.0**-149]),
    (0x0E, "d", np.float64, [-0.0, 0.1, float("-inf"), 5e-324]),
]


def write_idx(code, letter, shape, values):
    """Write the format from its definition: one number after another, without NumPy."""
    header = bytes([0, 0, code, len(shape)]) + b"".join(struct.pack(">I", n) for n in shape)
    return header + b"".join(struct.pack(">" + letter, v) for v in values)


def small():
    """A file of uint8 [2, 3]: 4 + 8 bytes of header and 6 of body."""
    return write_idx(0x08, "B", (2, 3), range(6))


@pytest.mark.parametrize(("code", "letter", "dtype", "values"), TYPES)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_type(code, letter, dtype, values, pack):
    array = parse_idx(pack(write_idx(code, letter, (2, 2), values)))
    assert array.dtype == np.dtype(dtype) and array.dtype.isnative
    assert array.flags.c_contiguous and array.flags.writeable
    assert array.tolist() == [values[:2], values[2:]]


@pytest.mark.parametrize("shape", [(24,), (1, 24), (2, 3, 4), (2, 3, 2, 2), (1,) * 31 + (24,)])
def test_every_shape(shape):
    array = parse_idx(write_idx(0x0B, "h", shape, range(24)))
    assert array.shape == shape
    for place, index in enumerate(itertools.product(*map(range, shape))):  # the last dimension runs fastest
        assert array[index] == place


def test_result_does_not_share_the_callers_bytes():
    data = bytearray(small())
    array = parse_idx(data)
    array[:] = 9
    assert data == small()


def test_gzip_of_several_members():
    data = small()
    packed = gzip.compress(data[:7]) + gzip.compress(data[7:])
    assert parse_idx(packed).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_read_idx(tmp_path):
    for name, pack in (("plain", bytes), ("packed.gz", gzip.compress), ("packed", gzip.compress)):
        (tmp_path / name).write_bytes(pack(small()))
        assert read_idx(tmp_path / name).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert read_idx(str(tmp_path / name)).shape == (2, 3)


def test_read_idx_names_the_file(tmp_path):
    path = tmp_path / "broken-idx"
    path.write_bytes(small()[:-1])
    with pytest.raises(FormatError, match="broken-idx: byte 17: truncated body") as caught:
        read_idx(path)
    assert caught.value.source == str(path)
    with pytest.raises(FileNotFoundError, match="absent"):
        read_idx(tmp_path / "absent")


BROKEN = [
    (b"", 0, "truncated header: expected 4 bytes, found 0"),
    (b"\0\0\x08", 3, "truncated header: expected 4 bytes, found 3"),
    (b"\x01\0\x08\x01", 0, "wrong magic number: must begin with 00 00, found 01 00"),
    (b"\0\x07\x08\x01", 0, "wrong magic number: must begin with 00 00, found 00 07"),
    (b"\x89PNG\r\n", 0, "wrong magic number"),
    (b"\0\0\x0a\x01", 2, "unknown type code 0x0a; known are 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e"),
    (b"\0\0\x08\0", 3, "number of dimensions must be 1 to 32, found 0"),
    (b"\0\0\x08\x21" + b"\0\0\0\x01" * 33 + b"\0", 3, "number of dimensions must be 1 to 32, found 33"),
    (small()[:9], 9, "truncated header: expected 8 bytes, found 5"),
    (small()[:12], 12, r"truncated body of shape \(2, 3\) uint8: expected 6 bytes, found 0"),
    (small()[:17], 17, r"truncated body of shape \(2, 3\) uint8: expected 6 bytes, found 5"),
    (small() + b"\0", 18, "trailing bytes: the data should end after 18 bytes"),
    (write_idx(0x08, "B", (0,), []), 4, "dimension 0 has size 0: the file holds no data"),
    (write_idx(0x08, "B", (2, 0), []), 8, "dimension 1 has size 0"),
]


@pytest.mark.parametrize(("data", "offset", "reason"), BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_broken(data, offset, reason, pack):
    with pytest.raises(FormatError, match=f"^some file: byte {offset}: {reason}") as caught:
        parse_idx(pack(data), source="some file")
    assert caught.value.offset == offset
    assert "\n" not in str(caught.value)


def test_a_size_that_is_far_too_large():
    data = write_idx(0x0E, "d", (2**31,) * 3, [1.0])
    with pytest.raises(FormatError, match=f"^<bytes>: byte 24: truncated body .*: expected {2**96} bytes, found 8"):
        parse_idx(data)
    wanted = "expected at most 64 MiB and 32 times the file's .* unpack the file with gunzip first"
    with pytest.raises(FormatError, match=f"^<bytes>: byte 16: the array would take {2**96} bytes; {wanted}"):
        parse_idx(gzip.compress(data))


def test_corrupt_gzip():
    packed = gzip.compress(small())
    checksum = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    garbage = packed[:10] + b"\xff" * 20
    for data in (packed[:5], packed[:-12], packed[:-1], checksum, garbage, packed + b"junk"):
        with pytest.raises(FormatError, match=r"^<bytes>: byte \d+: corrupt gzip: "):
            parse_idx(data)


def peak_memory(data):
    """The largest number of bytes in use while the data are refused."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            parse_idx(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_wild_counts_take_no_memory():
    wild = write_idx(0x0E, "d", (2**31, 2**31), [1.0])
    assert peak_memory(wild) < 4 << 20
    assert peak_memory(gzip.compress(wild)) < 4 << 20


def test_gzip_bomb_is_not_unpacked():
    bomb = gzip.compress(small() + bytes(64 << 20))
    with pytest.raises(FormatError, match="byte 18: trailing bytes"):
        parse_idx(bomb)
    assert peak_memory(bomb) < 4 << 20


def test_error_survives_pickling():
    error = pickle.loads(pickle.dumps(FormatError("file", 7, "reason")))
    assert isinstance(error, ValueError)
    assert str(error) == "file: byte 7: reason"
    assert (error.source, error.offset, error.reason) == ("file", 7, "reason")


SEEDS = [write_idx(code, letter, (2, 2), values) for code, letter, _, values in TYPES]
SEEDS += [gzip.compress(seed, mtime=0) for seed in SEEDS]


def parses_or_refuses(data):
    try:
        array = parse_idx(data)
    except FormatError:
        return
    assert array.ndim >= 1 and array.size > 0
    assert array.dtype in [dtype for _, _, dtype, _ in TYPES]
    assert array.nbytes <= 1032 * len(data)  # the best ratio of deflate, so nothing was made up


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_flipped_bits(draw):
    data = bytearray(draw.draw(st.sampled_from(SEEDS)))
    for bit in draw.draw(st.lists(st.integers(0, 8 * len(data) - 1), min_size=1, max_size=4)):
        data[bit // 8] ^= 1 << bit % 8
    parses_or_refuses(bytes(data))


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_every_truncation_is_refused(seed):
    for end in range(len(SEEDS[seed])):
        with pytest.raises(FormatError):
            parse_idx(SEEDS[seed][:end])


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=64), st.sampled_from([b"", b"\0\0\x08\x01", b"\0\0\x0d\x03", b"\x1f\x8b\x08\0"]))
def test_any_bytes(data, start):
    parses_or_refuses(start + data)


@pytest.mark.parametrize(("prefix", "n"), [("train", 7000), ("t10k", 1000)])
def test_real_mnist_files(prefix, n):
    if not MNIST.is_dir():
        pytest.skip("no real MNIST files: ../shared/data/mnist8k is missing")
    x = read_idx(MNIST / f"{prefix}-images-idx3-ubyte.gz")
    y = read_idx(MNIST / f"{prefix}-labels-idx1-ubyte.gz")
    assert (x.shape, x.dtype) == ((n, 28, 28), np.uint8)
    assert (y.shape, y.dtype) == ((n,), np.uint8)
    assert (x.min(), x.max()) == (0, 255)
    assert set(y.tolist()) == set(range(10))
    # The bytes are not shifted: the pictures have ink in the middle and none at the border.
    assert x[:, 8:20, 8:20].mean() > 50
    assert x[:, 0].max() == 0
