"""Other readers on the same files: tonic for ATIS and AEDAT, SpikingJelly for AEDAT 3.1 and CIFAR10-DVS.

If another reader departs from what a format says, its test tells the difference. A test is skipped if the peer is
missing (pip install tonic, in an environment of its own as it needs numpy < 2; pip install spikingjelly).
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data"))
from data_writers import aedat2, aedat3, atis, packet

from numsnn.data.formats import read_aedat2, read_aedat3, read_atis

pytestmark = pytest.mark.peers
NMNIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "nmnist_sample_5.bin"


def events(side, n=500, seed=0):
    rng = np.random.default_rng(seed)
    columns = [*rng.integers(0, side, (2, n)), np.sort(rng.integers(0, 10**6, n)), rng.integers(0, 2, n)]
    return list(zip(*map(np.ndarray.tolist, columns), strict=True))


def same(ours, x, y, t, p):
    for mine, theirs in zip((ours.x, ours.y, ours.t, ours.p), (x, y, t, p), strict=True):
        np.testing.assert_array_equal(mine, np.asarray(theirs).astype(np.int64))


@pytest.fixture
def tonic_io():
    return pytest.importorskip("tonic.io", reason="tonic is missing")


KIND = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])


def test_tonic_reads_the_real_n_mnist_recording_alike(tonic_io):
    if not NMNIST.is_file():
        pytest.skip("no real N-MNIST recording: ../shared/data/nmnist_sample_5.bin is missing")
    theirs = tonic_io.read_mnist_file(str(NMNIST), KIND)
    assert len(theirs) == 4325
    same(read_atis(NMNIST), *(theirs[name] for name in "xytp"))


def test_tonic_reads_overflow_marks_alike(tonic_io, tmp_path):
    late = [(x, y, t, p) for x, y, t, p in events(34) if t > 30_000]
    (tmp_path / "a.bin").write_bytes(atis(late, overflow_at=(0, 7, 300)))
    theirs = tonic_io.read_mnist_file(str(tmp_path / "a.bin"), KIND)
    same(read_atis(tmp_path / "a.bin"), *(theirs[name] for name in "xytp"))


def test_tonic_reads_aedat2_alike(tonic_io, tmp_path):
    """tonic leaves addresses of a DVS128 as they are: x is the row from below, y the column from the right, p 1 for
    OFF. The test converts them."""
    (tmp_path / "a.aedat").write_bytes(aedat2(events(128)))
    raw = tonic_io.get_aer_events_from_file(str(tmp_path / "a.aedat"), 2.0, 35)
    address = raw["address"].astype(np.int64)
    x, y, p = 127 - (address >> 1 & 127), 127 - (address >> 8 & 127), 1 - (address & 1)
    same(read_aedat2(tmp_path / "a.aedat"), x, y, raw["timeStamp"], p)


def test_tonic_reads_aedat3_alike(tonic_io, tmp_path):
    made = events(128)
    (tmp_path / "a.aedat").write_bytes(aedat3(packet(made[:100]), packet(made[100:])))
    raw = tonic_io.get_aer_events_from_file(str(tmp_path / "a.aedat"), 3.1, len(aedat3()))
    word = raw["address"].astype(np.int64)
    same(read_aedat3(tmp_path / "a.aedat"), word >> 17, word >> 2 & 0x7FFF, raw["timeStamp"], word >> 1 & 1)


def test_spikingjelly_reads_aedat3_alike(tmp_path):
    utils = pytest.importorskip("spikingjelly.datasets.utils", reason="SpikingJelly is missing")
    made = events(128)
    other = packet([], kind=2, size=36, capacity=0)
    (tmp_path / "a.aedat").write_bytes(aedat3(packet(made[:100]), other, packet(made[100:], overflows=1)))
    theirs = utils.load_aedat_v3(tmp_path / "a.aedat")
    same(read_aedat3(tmp_path / "a.aedat"), *(theirs[name] for name in "xytp"))


def test_spikingjelly_reads_cifar10_dvs_transposed(tmp_path):
    """SpikingJelly calls the row x and the column y; numsnn's x and y are as jAER shows the picture."""
    module = pytest.importorskip("spikingjelly.datasets.cifar10_dvs", reason="SpikingJelly is missing")
    (tmp_path / "a.aedat").write_bytes(aedat2(events(128)))
    theirs = module._load_origin_data(tmp_path / "a.aedat")
    same(read_aedat2(tmp_path / "a.aedat"), theirs["y"], theirs["x"], theirs["t"], theirs["p"])
