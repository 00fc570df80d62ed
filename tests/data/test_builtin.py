"""Built-in datasets: the digits that ship with the package, MNIST from its files, and the errors of `load`."""

import ast
import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import numsnn.data
from numsnn.data import Dataset, available, digits_dvs, load
from numsnn.data.formats import FormatError

ROOT = Path(__file__).resolve().parents[2]
MNIST = ROOT.parent / "shared" / "data" / "mnist8k"


def rows(*parts):
    """The picture and the label of every sample as bytes."""
    return [x.tobytes() + bytes([y]) for part in parts for x, y in zip(part.x, part.y, strict=True)]


# digits


def test_digits_counts_and_range():
    train, test = load("digits")
    assert (len(train), len(test)) == (1437, 360)
    for part in (train, test):
        assert isinstance(part, Dataset)
        assert part.x.dtype == np.uint8
        assert part.sample_shape == (8, 8, 1)
        assert part.classes == tuple("0123456789")
        assert (part.x.min(), part.x.max()) == (0, 16)
        x, _ = part.batch(range(len(part)))
        assert (x.min(), x.max()) == (0.0, 1.0)
    assert (train.name, test.name) == ("digits train", "digits test")


def test_digits_are_stratified():
    train, test = load("digits")
    n_train, n_test = (np.bincount(part.y, minlength=10) for part in (train, test))
    share = (n_train + n_test) * 360 / 1797
    assert np.all(np.abs(n_test - share) < 1)


def test_digits_parts_are_disjoint():
    train, test = load("digits")
    assert len(set(rows(train, test))) == 1797  # this also shows that no picture is there twice


def test_digits_are_the_source():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is missing")
    source = datasets.load_digits()
    whole = Dataset(source.images.astype(np.uint8)[..., None], source.target)
    train, test = load("digits")
    assert sorted(rows(train, test)) == sorted(rows(whole))


def test_digits_script_makes_the_shipped_file(tmp_path):
    pytest.importorskip("sklearn.datasets", reason="scikit-learn is missing")
    outs = [tmp_path / "new folder" / "a.npz", tmp_path / "b.npz"]
    for out in outs:
        command = [sys.executable, str(ROOT / "data_prep" / "digits.py"), str(out)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert "1437 training and 360 test pictures" in printed
        assert f"{out.stat().st_size} bytes" in printed
        assert list(out.parent.glob("*.part")) == []
    assert outs[0].read_bytes() == outs[1].read_bytes()
    # The contents are compared, not the bytes, because another zlib packs the same numbers differently.
    shipped = ROOT / "numsnn" / "data" / "files" / "digits.npz"
    with np.load(outs[0], allow_pickle=False) as made, np.load(shipped, allow_pickle=False) as there:
        assert sorted(made.files) == sorted(there.files)
        for name in made.files:
            np.testing.assert_array_equal(made[name], there[name])


def test_digits_script_makes_a_store(tmp_path):
    pytest.importorskip("sklearn.datasets", reason="scikit-learn is missing")
    command = [sys.executable, str(ROOT / "data_prep" / "digits.py"), str(tmp_path / "digits.h5")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    store = numsnn.data.open(tmp_path / "digits.h5")
    for part, dataset in zip((store.train, store.test), load("digits"), strict=True):
        np.testing.assert_array_equal(part.batch(range(len(part)))[0], dataset.batch(range(len(part)))[0])
        np.testing.assert_array_equal(part.y, dataset.y)


def test_digits_script_without_scikit_learn(tmp_path):
    (tmp_path / "sklearn.py").write_text("raise ImportError\n")
    out = tmp_path / "out.npz"
    script = str(ROOT / "data_prep" / "digits.py")
    code = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['digits.py', {str(out)!r}]"
    code += f"; runpy.run_path({script!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == 'digits.py: scikit-learn is missing: pip install "numsnn[prep]"\n'
    assert not out.exists()


# digits-dvs


def test_digits_dvs(monkeypatch):
    """To simulate all takes seconds. Frames and recordings that come from the same pictures are simulated once; that
    a second time gives the same is what the next test looks at."""
    simulate, simulated = digits_dvs.simulate, {}

    def once(digits, name, first=0):
        key = digits.x.tobytes(), digits.y.tobytes(), digits.scale, name, first
        if key not in simulated:
            simulated[key] = simulate(digits, name, first)
        return simulated[key]

    monkeypatch.setattr(digits_dvs, "simulate", once)
    train, test = load("digits-dvs")
    assert (len(train), len(test), train.sample_shape, train.timed) == (1437, 360, (10, 20, 20, 2), True)
    np.testing.assert_array_equal(train.y, load("digits")[0].y)
    recordings, _ = numsnn.data.load_recordings("digits-dvs")
    for k in (0, 700, 1436):
        events = recordings.events(k)
        assert 500 < len(events) < 6000 and 250_000 < events.duration < 300_000 and 0.35 < events.p.mean() < 0.65
        np.testing.assert_array_equal(train.batch([k])[0][:, 0], numsnn.data.to_frames(events, 10))


def test_digits_dvs_is_the_same_every_time(monkeypatch):
    """Of a tenth of the digits; the test above sees all."""
    few = tuple(part.select(range(0, len(part), 10)) for part in load("digits"))
    monkeypatch.setattr(numsnn.data.builtin, "_digits", lambda: few)
    parts = [load("digits-dvs", steps=4, by="events", pool=2)[1] for _ in range(2)]
    assert parts[0].sample_shape == (4, 10, 10, 2)
    np.testing.assert_array_equal(parts[0].batch(range(36))[0], parts[1].batch(range(36))[0])


def test_unknown_recordings():
    with pytest.raises(
        ValueError, match=r"recordings must be one of 'digits-dvs'; got 'digits'\. Did you mean 'digits-dvs'"
    ):
        numsnn.data.load_recordings("digits")


# mnist


def idx(array):
    """The bytes of a uint8 IDX file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist_arrays(prefix, n):
    rng = np.random.default_rng(n)
    return {
        f"{prefix}-images-idx3-ubyte": rng.integers(0, 256, (n, 28, 28), dtype=np.uint8),
        f"{prefix}-labels-idx1-ubyte": (np.arange(n) % 10).astype(np.uint8),
    }


@pytest.fixture
def mnist(tmp_path):
    """A folder with 12 training and 5 test samples; the files of pictures are gzipped."""
    for name, array in (mnist_arrays("train", 12) | mnist_arrays("t10k", 5)).items():
        if "images" in name:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (tmp_path / name).write_bytes(idx(array))
    return tmp_path


@pytest.mark.parametrize("kind", [str, Path])
def test_mnist(mnist, kind):
    train, test = load("mnist", dir=kind(mnist))
    for part, prefix, n in ((train, "train", 12), (test, "t10k", 5)):
        arrays = mnist_arrays(prefix, n)
        assert part.x.dtype == np.uint8
        assert part.scale == 1 / 255
        assert part.classes == tuple("0123456789")  # though the test part has labels 0..4 only
        np.testing.assert_array_equal(part.x[..., 0], arrays[f"{prefix}-images-idx3-ubyte"])
        np.testing.assert_array_equal(part.y, arrays[f"{prefix}-labels-idx1-ubyte"])
    assert train.x.shape == (12, 28, 28, 1)
    assert (train.name, test.name) == ("mnist train", "mnist test")


def test_real_mnist():
    if not MNIST.is_dir():
        pytest.skip("no real MNIST files: ../shared/data/mnist8k is missing")
    train, test = load("mnist", dir=MNIST)
    assert (train.x.shape, test.x.shape) == ((7000, 28, 28, 1), (1000, 28, 28, 1))
    assert train.batch(range(100))[0].max() == 1.0
    for part in (train, test):
        assert np.all(np.bincount(part.y, minlength=10) > 0.07 * len(part))


def test_mnist_missing_file_names_what_was_looked_for(mnist):
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    wanted = r"neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte\.gz is in .*MNIST.*LeCun"
    with pytest.raises(FileNotFoundError, match=wanted):
        load("mnist", dir=mnist)


def test_mnist_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither train-images-idx3-ubyte nor .* is in .*nowhere"):
        load("mnist", dir=tmp_path / "nowhere")


def test_mnist_counts_must_match(mnist):
    (mnist / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(11, np.uint8)))
    with pytest.raises(ValueError, match=r"has 12 pictures, train-labels-idx1-ubyte has 11 labels"):
        load("mnist", dir=mnist)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-images-idx3-ubyte", np.zeros((12, 32, 32)), r"uint8 \[N, 28, 28\]; got uint8 \(12, 32, 32\)"),
        ("train-images-idx3-ubyte", np.zeros(12), r"uint8 \[N, 28, 28\]; got uint8 \(12,\)"),
        ("t10k-labels-idx1-ubyte", np.zeros((5, 10)), r"uint8 \[N\]; got uint8 \(5, 10\)"),
        (
            "t10k-labels-idx1-ubyte",
            np.full(5, 10),
            r"Dataset 'mnist test': there are 10 class names, so labels must be in 0\.\.9; y\[0\]",
        ),
    ],
)
def test_mnist_files_of_another_kind(mnist, name, array, message):
    (mnist / name).write_bytes(idx(array.astype(np.uint8)))  # this file is found before the .gz of the same name
    with pytest.raises(ValueError, match=message):
        load("mnist", dir=mnist)


def test_mnist_broken_file(mnist):
    path = mnist / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError, match="t10k-labels-idx1-ubyte: byte 12: truncated body"):
        load("mnist", dir=mnist)


# load


def test_available():
    assert available() == ("digits", "mnist", "digits-dvs")


NAMES = "'digits', 'mnist', 'digits-dvs'"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", rf"^load: dataset must be one of {NAMES}; got 'mnits'\. Did you mean 'mnist'\?$"),
        ("digit", r"Did you mean 'digits'\?"),
        ("", rf"^load: dataset must be one of {NAMES}; got ''$"),
    ],
)
def test_unknown_name(name, message):
    with pytest.raises(ValueError, match=message):
        load(name)


def test_options():
    with pytest.raises(TypeError, match=r"^load\('mnist'\) takes no option 'dri'\. Did you mean 'dir'\?$"):
        load("mnist", dri="x")
    with pytest.raises(TypeError, match=r"^load\('digits'\) takes no option 'dir'$"):
        load("digits", dir="x")
    with pytest.raises(TypeError, match=r"load\('mnist'\): option 'dir' is missing"):
        load("mnist")


# imports


def test_data_stands_alone():
    """At import `numsnn.data` needs only the standard library, NumPy, itself, and modules that import nothing of numsnn
    but one another."""
    alone = ("names", "validate", "shown", "capacity", "files", "cores", "tables", "locks", "plain_json")
    rooms = ("apart", "hdf5", "hdf5.form")
    package = Path(numsnn.data.__file__).parent
    for path in package.rglob("*.py"):
        depth = len(path.relative_to(package).parts)  # this many dots lead to numsnn.data itself
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.level:
                inside = node.level <= depth or (node.level == depth + 1 and node.module in alone + rooms)
                assert inside, f"{path}:{node.lineno} leaves numsnn.data"
                continue
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                known = {"numpy"} | sys.stdlib_module_names
                assert name.partition(".")[0] in known, f"{path}:{node.lineno} imports {name}"
