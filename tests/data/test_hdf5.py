"""Damaged HDF5: what makes the C library hang, crash or take too much memory becomes an error of one line."""

import json
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pytest
from test_other_formats import write_spikes

from numsnn import apart
from numsnn.data.formats import FormatError, read_events, read_spike_labels, read_spike_names, read_spikes

TIMES, UNITS = [[0.0, 0.25, 0.5], [], [1.0]], [[699, 0, 12], [], [5]]


@pytest.fixture
def shd(tmp_path):
    write_spikes(tmp_path / "shd.h5", TIMES, UNITS, [3, 19, 0])
    return tmp_path / "shd.h5"


def replaced(monkeypatch, code):
    """Let a process that runs this code take the place of the one that reads."""
    monkeypatch.setattr(apart, "COMMAND", [sys.executable, "-I", "-c", code])


@pytest.fixture
def trap(shd):
    """A file in which an object leads past the end of the global heap: libhdf5 2.0 looks for the next one for ever."""
    data = bytearray(shd.read_bytes())
    heap = data.index(b"GCOL")
    assert data[heap + 24] == 6  # the first object has 6 bytes: three spike times in half precision
    data[heap + 24] = 127
    shd.write_bytes(data)
    return shd


def test_library_that_hangs(trap, monkeypatch):
    monkeypatch.setattr(apart, "SECONDS", 3.0)
    started = time.monotonic()
    with pytest.raises(FormatError, match=r"shd\.h5: byte 0: .*(did not end within 3 s|damaged)"):
        list(read_spikes(trap))
    assert time.monotonic() - started < 10


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the processor's time")
def test_process_left_alone(trap):
    """A process that nobody waits for, because its parent has died, ends by itself."""
    order = {"modules": sys.path, "path": str(trap), "what": "spikes", "first": 0, "last": None}
    command = [*apart.COMMAND, json.dumps(order | {"memory": 1 << 30, "seconds": 1})]
    assert b'"end"' not in subprocess.run(command, capture_output=True, timeout=60).stdout


def test_process_that_sleeps(shd, monkeypatch):
    replaced(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(apart, "SECONDS", 0.2)
    monkeypatch.setattr(apart, "BYTES_PER_SECOND", 1e9)
    for read in (read_spike_labels, lambda path: read_spike_names(path, 20), lambda path: next(read_spikes(path))):
        with pytest.raises(FormatError, match=r"shd\.h5: byte 0: damaged: reading did not end within 0 s"):
            read(shd)


def test_time_grows_with_the_file(shd, monkeypatch):
    replaced(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(apart, "SECONDS", 0.0)
    monkeypatch.setattr(apart, "BYTES_PER_SECOND", shd.stat().st_size)
    with pytest.raises(FormatError, match="within 1 s"):
        read_spike_labels(shd)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_library_that_crashes(shd, monkeypatch):
    replaced(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(FormatError, match=r"shd\.h5: byte 0: damaged: the HDF5 library crashed with SIGSEGV"):
        read_spike_labels(shd)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit('out of order')", "ended with status 1: out of order"),
        ("raise SystemExit(3)", "ended with status 3: no message"),
        ("print('{\"arrays\": [[\"<u2\", 4]]}\\nabc', end='')", "ended with status 0: no message"),
    ],
)
def test_process_that_ends_too_early(code, reason, shd, monkeypatch):
    replaced(monkeypatch, code)
    with pytest.raises(FormatError, match=reason):
        read_spike_labels(shd)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
def test_memory(tmp_path):
    with h5py.File(tmp_path / "shd.h5", "w") as file:
        file.create_dataset("labels", (1 << 31,), np.uint16, chunks=(1 << 16,), fillvalue=7)
    assert (tmp_path / "shd.h5").stat().st_size < 10_000
    with pytest.raises(FormatError, match=r"shd\.h5: byte 0: not HDF5, or damaged: "):
        read_spike_labels(tmp_path / "shd.h5")


def test_blocks_and_threads(tmp_path):
    """Several threads read more recordings than a message holds, as `data_prep` does."""
    rng = np.random.default_rng(0)
    units = [rng.integers(0, 700, n).tolist() for n in rng.integers(0, 9, 150)]
    write_spikes(tmp_path / "shd.h5", [[0.5] * len(one) for one in units], units, [1] * 150)
    found = {}

    def read(first):
        found[first] = [one.x.tolist() for one in read_spikes(tmp_path / "shd.h5", first, first + 100)]

    threads = [threading.Thread(target=read, args=(first,)) for first in (0, 30, 149, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {first: units[first : first + 100] for first in (0, 30, 149, 150)}


def test_reader_that_stops_early(shd):
    recordings = read_spikes(shd)
    assert len(next(recordings)) == 3
    recordings.close()


@pytest.mark.parametrize("name", ["labels", "spikes", "spikes/units", "extra/keys"])
def test_links_are_not_followed(name, shd, tmp_path):
    """A file shows nothing of another file, whatever links to it."""
    shd.rename(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "secret.h5", "a") as secret:
        secret["extra/keys"] = [b"secret"]
        with h5py.File(shd, "w") as file:
            for array in ("labels", "spikes/times", "spikes/units", "extra/keys"):
                if not array.startswith(name):
                    secret.copy(array, file, array)
            file["away"] = h5py.ExternalLink("secret.h5", "/")
            file[name] = h5py.SoftLink(f"/away/{name}")
    with pytest.raises(FormatError, match="is a link to another place or file, which is not followed"):
        read_spike_labels(shd), list(read_spikes(shd)), read_spike_names(shd, 20)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (h5py.vlen_dtype(np.uint8), "x must hold real numbers; found object"),
        (np.complex64, "x must hold real numbers; found complex64"),
        (np.int64, "the arrays would take 25769803776 bytes; expected at most 64 MiB and 32 times the file's "),
    ],
)
def test_events_that_are_not_read(kind, reason, tmp_path):
    with h5py.File(tmp_path / "events.h5", "w") as file:
        for name in "xyt":
            file.create_dataset(name, (1 << 30,), kind, chunks=(1 << 16,))
    with pytest.raises(FormatError, match=rf"events\.h5: {reason}"):
        read_events(tmp_path / "events.h5")
