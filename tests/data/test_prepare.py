"""Preparation: it ends in the same file or in none, even if it is killed and resumed, on any number of threads, and on
a full disk. Every script runs on small raw files in the layout of the real ones."""

import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_writers import EVENTS, aedat2, aedat3, atis, cifar, dat, packet

from numsnn import data
from numsnn.data import Events, prepare
from numsnn.data.formats import FormatError

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def made(seed, n=40):
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, 9000, n))
    return Events(rng.integers(0, 8, n), rng.integers(0, 8, n), t, rng.integers(0, 2, n), (8, 8), skipped={"mark": 1})


def plan(raw, jobs=12, fail_at=None, calls=None):
    def job(k):
        def make():
            if calls is not None:
                calls.append(k)
            if k == fail_at:
                raise ValueError(f"job {k} fails")
            return [made(10 * k + i) for i in range(3)], np.array([0, 1, k % 2])

        return prepare.Job("train" if k < jobs - 2 else "test", str(k), make)

    return prepare.Plan("made", "events", ["a", "b"], "tests", [job(k) for k in range(jobs)], [raw], size=(8, 8))


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw"
    path.write_bytes(b"raw")
    return path


def whole(raw, out):
    prepare.run(plan(raw), out, progress=False)
    assert not prepare.folder_of(out).exists()
    return out.read_bytes()


def test_run(raw, tmp_path):
    shown = prepare.run(plan(raw), tmp_path / "out.h5", workers=3, progress=False)
    store = data.open(tmp_path / "out.h5")
    assert (len(store.train), len(store.test), store.classes) == (30, 6, ("a", "b"))
    for k in (0, 1, 29):
        np.testing.assert_array_equal(store.train.events(k).t, made(10 * (k // 3) + k % 3).t)
    assert "train: 30 samples, 15 to 15 per class, 1,200 events, 40 per recording" in shown
    assert "left out or corrected: 36 mark" in shown and "million events per second" in shown


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_same_bytes_on_any_number_of_threads(workers, raw, tmp_path):
    wanted = whole(raw, tmp_path / "a.h5")
    prepare.run(plan(raw), tmp_path / "b.h5", workers=workers, progress=False)
    assert (tmp_path / "b.h5").read_bytes() == wanted


def test_failed_runs_are_gone_on_with(raw, tmp_path):
    wanted, out = whole(raw, tmp_path / "a.h5"), tmp_path / "b.h5"
    with pytest.raises(ValueError, match="job 7 fails"):
        prepare.run(plan(raw, fail_at=7), out, progress=False)
    assert not out.exists()
    calls = []
    prepare.run(plan(raw, calls=calls), out, progress=False)
    assert 7 in calls and 0 not in calls
    assert out.read_bytes() == wanted


def test_other_raw_files_start_anew(raw, tmp_path):
    with pytest.raises(ValueError):
        prepare.run(plan(raw, fail_at=7), tmp_path / "b.h5", progress=False)
    raw.write_bytes(b"other")
    calls = []
    prepare.run(plan(raw, calls=calls), tmp_path / "b.h5", progress=False)
    assert sorted(calls) == list(range(12))


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_prepare as made
from numsnn.data import prepare
plan = made.plan(Path(sys.argv[2]))
for job in plan.jobs:
    job.make = lambda make=job.make: (time.sleep(0.02), make())[1]
print("ready", flush=True)
prepare.run(plan, Path(sys.argv[3]), progress=False)
"""


@pytest.mark.parametrize("delay", [0.0, 0.06, 0.13, 0.21, 0.26, 0.29])
def test_killed_at_any_moment(delay, raw, tmp_path):
    wanted, out = whole(raw, tmp_path / "a.h5"), tmp_path / "b.h5"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(raw), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT)
    process.stdout.readline()
    time.sleep(delay)
    process.kill()
    process.communicate()
    assert not out.exists() or out.read_bytes() == wanted
    prepare.run(plan(raw), out, progress=False)
    assert out.read_bytes() == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5", "raw"]


def test_unfinished_files_of_a_killed_run_are_swept(raw, tmp_path):
    wanted, out = whole(raw, tmp_path / "a.h5"), tmp_path / "b.h5"
    with pytest.raises(ValueError):
        prepare.run(plan(raw, fail_at=7), out, progress=False)
    folder = prepare.folder_of(out)
    (folder / ".000007.npz.1-0.tmp").write_bytes(b"half")
    (folder / ".b.h5.1.tmp").write_bytes(b"half")
    prepare.run(plan(raw), out, progress=False)
    assert out.read_bytes() == wanted


def test_a_folder_of_somebody_else_is_left_alone(raw, tmp_path):
    folder = prepare.folder_of(tmp_path / "b.h5")
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"b\.h5\.parts holds other files; .* Move it away"):
        prepare.run(plan(raw), tmp_path / "b.h5", progress=False)
    assert (folder / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    "names",
    [("paper.tmp",), ("000001.npz",), ("000001.npz", "fingerprint"), ("work.tmp/paper.tex",), ("000001.npz/x",)],
)
def test_what_only_looks_like_a_result_is_left_alone(names, raw, tmp_path):
    folder = prepare.folder_of(tmp_path / "b.h5")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("years of work")
    with pytest.raises(FileExistsError, match=r"b\.h5\.parts holds other files"):
        prepare.run(plan(raw), tmp_path / "b.h5", progress=False)
    assert all((folder / name).read_text() == "years of work" for name in names)


def test_a_file_beside_the_results_of_an_interrupted_run_is_left_alone(raw, tmp_path):
    with pytest.raises(ValueError):
        prepare.run(plan(raw, fail_at=7), tmp_path / "b.h5", progress=False)
    paper = prepare.folder_of(tmp_path / "b.h5") / "paper.tex"
    paper.write_text("years of work")
    with pytest.raises(FileExistsError, match="holds other files"):
        prepare.run(plan(raw), tmp_path / "b.h5", progress=False)
    assert paper.read_text() == "years of work"


def test_a_file_in_the_place_of_the_folder(raw, tmp_path):
    prepare.folder_of(tmp_path / "b.h5").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"b\.h5\.parts is no folder; .* Move it away"):
        prepare.run(plan(raw), tmp_path / "b.h5", progress=False)


# --- the scripts ---


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def mnist_files():
    files = {}
    for prefix, n in (("train", 20), ("t10k", 10)):
        x = np.random.default_rng(n).integers(0, 256, (n, 28, 28), np.uint8)
        x[:, :8] = x[:, 20:] = x[:, :, :8] = x[:, :, 20:] = 0
        files[f"{prefix}-images-idx3-ubyte"] = idx(x)
        files[f"{prefix}-labels-idx1-ubyte"] = idx((np.arange(n) % 10).astype(np.uint8))
    return files


def picture(k):
    return [[(k, r, c) for c in range(32)] for r in range(32)]


def spikes(path, n, classes):
    with h5py.File(path, "w") as file:
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            array = file.create_dataset(f"spikes/{name}", (n,), h5py.vlen_dtype(kind))
            for k in range(n):
                array[k] = np.arange(k + 1).astype(kind)
        file["labels"] = np.arange(n) % classes
        file["extra/keys"] = [f"word {k}".encode() for k in range(classes)]


TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
GESTURES = "class,startTime_usec,endTime_usec\n1,0,8000\n11,8000,400000\n"


def layout(name, raw):
    """Write a few raw files in the layout in which they are published."""
    if name in ("mnist", "fashion_mnist", "mnist_dvs"):
        write(raw, mnist_files())
    elif name == "cifar10":
        batch = {f"data_batch_{k}": cifar([(k,), (k + 1,)], [picture(k), picture(9)]) for k in range(1, 6)}
        batch["test_batch"] = cifar([(0,)], [picture(5)])
        write(raw / "cifar-10-batches-bin", {f"{key}.bin": value for key, value in batch.items()})
    elif name == "cifar100":
        train, test = cifar([(0, 1), (19, 99)], [picture(1), picture(2)]), cifar([(3, 5)], [picture(3)])
        names = "\n".join(f"class{k}" for k in range(100))
        write(raw, {"train.bin": train, "test.bin": test, "fine_label_names.txt": names})
    elif name == "nmnist":
        places = [f"{part}/{k}/{i:05d}.bin" for part in ("Train", "Test") for k in range(10) for i in (1, 2)]
        write(raw, dict.fromkeys(places, atis(EVENTS)))
    elif name == "cifar10_dvs":
        write(raw, {f"{c}/cifar10_{c}_{i}.aedat": aedat2(EVENTS) for c in TEN for i in (0, 10, 2, 899, 900, 999)})
    elif name == "dvs_gesture":
        files = {"trials_to_train.txt": "user01_led.aedat\n\n", "trials_to_test.txt": "user29_lab.aedat\n"}
        for user in ("user01_led", "user29_lab"):
            files |= {f"{user}.aedat": aedat3(packet(EVENTS)), f"{user}_labels.csv": GESTURES}
        write(raw / "DvsGesture", files)
    elif name in ("shd", "ssc"):
        for part, n in (("train", 40), ("valid", 36), ("test", 35)):
            spikes(raw / f"{name}_{part}.h5", n, {"shd": 20, "ssc": 35}[name])
    elif name == "ncars":
        folders = [f"n-cars_{part}/{label}" for part in ("train", "test") for label in ("cars", "background")]
        write(raw, {f"{folder}/obj_{k}_td.dat": dat(EVENTS) for folder in folders for k in (1, 2)})
    return raw


def script(name, *arguments):
    command = [sys.executable, "-W", "error", str(ROOT / "data_prep" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)


SCRIPTS = {
    "mnist": "train 20, test 10; 10",
    "fashion_mnist": "train 20, test 10; 10",
    "cifar10": "train 10, test 1; 10",
    "cifar100": "train 2, test 1; 100",
    "nmnist": "train 20, test 20; 10",
    "cifar10_dvs": "train 40, test 20; 10",
    "dvs_gesture": "train 2, test 2; 11",
    "shd": "train 40, test 35; 20",
    "ssc": "train 40, valid 36, test 35; 35",
    "ncars": "train 4, test 4; 2",
    "mnist_dvs": "train 20, test 10; 10",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(name, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    empty = script(name, raw, tmp_path / "out.h5", "--quiet")
    assert empty.returncode == 2 and empty.stderr.startswith(f"{name}.py: error: ") and " not found. " in empty.stderr
    assert empty.stderr.count("\n") == 1
    layout(name, raw)
    done = script(name, raw, tmp_path / "out.h5", "--quiet", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and "MB raw, in" in done.stdout
    with data.open(tmp_path / "out.h5") as store:
        assert f"{SCRIPTS[name]} classes" in repr(store)
        if store.kind == "events" and name not in ("shd", "ssc", "mnist_dvs"):
            events = store.train.events(0)
            wanted = EVENTS[:3] if name == "dvs_gesture" else EVENTS
            assert list(zip(events.x, events.y, events.t, events.p, strict=True)) == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "raw"]


def test_options_of_scripts(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    layout("mnist", raw)
    out = tmp_path / "deep" / "out.h5"
    assert "MNIST" in script("mnist", "--help").stdout
    assert script("mnist", raw, out).returncode == 0
    again = script("mnist", raw, out)
    assert again.returncode == 2 and f"error: {out} exists already; --force replaces it" in again.stderr
    assert script("mnist", raw, out, "--force").returncode == 0
    assert "no such folder" in script("mnist", tmp_path / "absent", out, "--force").stderr
    assert "--workers must be at least 1; got 0" in script("mnist", raw, out, "--force", "--workers", 0).stderr


def test_cifar10_dvs_split_is_by_index(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    layout("cifar10_dvs", raw)
    shown = script("cifar10_dvs", raw, tmp_path / "out.h5", "--quiet").stdout
    assert "no official split: recordings 900 and above of every class are for testing" in shown


def test_a_broken_recording_is_named(tmp_path):
    raw = layout("nmnist", tmp_path / "raw")
    (raw / "Train" / "3" / "00002.bin").write_bytes(atis(EVENTS)[:-1])
    done = script("nmnist", raw, tmp_path / "out.h5", "--quiet")
    assert done.returncode == 2 and "00002.bin: byte 20: truncated event" in done.stderr
    assert not (tmp_path / "out.h5").exists()


def test_real_mnist(tmp_path):
    if not SHARED.is_dir():
        pytest.skip("no real MNIST files: ../shared/data/mnist8k is missing")
    assert script("mnist", SHARED / "mnist8k", tmp_path / "mnist.h5", "--quiet").returncode == 0
    train, test = data.load("mnist", dir=SHARED / "mnist8k")
    store = data.open(tmp_path / "mnist.h5")
    for stored, wanted in ((store.train, train), (store.test, test)):
        np.testing.assert_array_equal(stored.raw(range(len(wanted))), wanted.x)
        np.testing.assert_array_equal(stored.y, wanted.y)
        assert stored.scale == wanted.scale


# --- damage, two at once, readers that have ended ---


def test_two_at_once(raw, tmp_path):
    """One prepares a file, and the other says so; afterwards the file is as if only one had run."""
    wanted, out = whole(raw, tmp_path / "a.h5"), tmp_path / "b.h5"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(raw), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT)
    process.stdout.readline()
    while not list(prepare.folder_of(out).glob("*.npz")):
        assert process.poll() is None
        time.sleep(0.005)
    with pytest.raises(BlockingIOError, match=rf"b\.h5 is in use by process {process.pid} .*another file$"):
        prepare.run(plan(raw), out, progress=False)
    process.communicate()
    assert process.returncode == 0 and out.read_bytes() == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5", "raw"]


def test_a_damaged_result_of_a_job(raw, tmp_path):
    wanted, out = whole(raw, tmp_path / "a.h5"), tmp_path / "b.h5"
    with pytest.raises(ValueError, match="job 7 fails"):
        prepare.run(plan(raw, fail_at=7), out, progress=False)
    result = prepare.folder_of(out) / "000003.npz"
    content = bytearray(result.read_bytes())
    content[len(content) // 2] ^= 1
    result.write_bytes(content)
    with pytest.raises(FormatError, match=r"000003\.npz: .*Bad CRC-32.*Remove it; the same command makes it again"):
        prepare.run(plan(raw), out, progress=False)
    result.unlink()
    prepare.run(plan(raw), out, progress=False)
    assert out.read_bytes() == wanted


def test_a_mark_that_is_no_text(raw, tmp_path):
    with pytest.raises(ValueError, match="job 7 fails"):
        prepare.run(plan(raw, fail_at=7), tmp_path / "b.h5", progress=False)
    (prepare.folder_of(tmp_path / "b.h5") / "fingerprint").write_bytes(b"\xff\xfe")
    with pytest.raises(FileExistsError, match="holds other files"):  # which no run has written
        prepare.run(plan(raw), tmp_path / "b.h5", progress=False)


def test_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes("é one\r\n\n  two \n".encode())
    assert prepare.lines(tmp_path / "a.txt") == ["é one", "two"]
    (tmp_path / "a.txt").write_bytes(b"one\xff")
    with pytest.raises(FormatError, match=r"a\.txt: byte 3: not a text of UTF-8"):
        prepare.lines(tmp_path / "a.txt")


MAIN = """
import sys
sys.path.insert(0, sys.argv[1])
import test_prepare as made
from numsnn.data import prepare
sys.exit(prepare.main("A test.", lambda raw: made.plan(raw / "raw"), sys.argv[2:]))
"""


@pytest.mark.parametrize(("errors", "status"), [(False, 0), (True, 141)], ids=["output", "progress bar"])
def test_a_reader_that_has_ended(errors, status, raw, tmp_path):
    """As in ``... | head -1``. If nobody reads the progress bar any more, the run ends and can be gone on with."""
    reader, writer = os.pipe()
    os.close(reader)
    out = tmp_path / "out.h5"
    command = [sys.executable, "-c", MAIN, str(Path(__file__).parent), str(tmp_path), str(out)]
    streams = {"stdout": writer, "stderr": writer if errors else subprocess.PIPE}
    done = subprocess.run(command, env=ENVIRONMENT, **streams)
    os.close(writer)
    assert done.returncode == status and "rror" not in (done.stderr or b"").decode()
    assert out.exists() != errors


def test_a_list_of_recordings_names_no_files_elsewhere(tmp_path):
    (tmp_path / "trials_to_train.txt").write_text("user01.aedat\n../secret.aedat\n")
    script = [sys.executable, ROOT / "data_prep" / "dvs_gesture.py", tmp_path, tmp_path / "out.h5", "--quiet"]
    done = subprocess.run(script, env=ENVIRONMENT, capture_output=True, text=True)
    wanted = "trials_to_train.txt: every line must be the name of a file beside it; found '../secret.aedat'"
    assert done.returncode == 2 and wanted in done.stderr and done.stderr.count("\n") == 1
