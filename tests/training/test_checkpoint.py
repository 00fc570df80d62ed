"""Checkpoints: what is written comes back, and what is not a checkpoint is refused with one line."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

import numsnn as snn
from numsnn.describe import Described
from numsnn.training import checkpoint


@pytest.fixture
def saved(digits, small_trainer, tmp_path):
    trainer = small_trainer()
    trainer.fit(*digits, epochs=1, progress=False)
    path = tmp_path / "net.h5"
    trainer.save(path)
    return trainer, path


def test_round_trip(saved, digits):
    trainer, path = saved
    net = snn.load(path)
    x, _ = digits[1].batch(range(20))
    np.testing.assert_array_equal(net(x), trainer.net(x))
    assert repr(net) == repr(trainer.net)
    state = trainer.net.state()
    assert any(name.endswith("correction") and np.abs(value).max() > 0 for name, value in state.items())
    assert all(np.array_equal(value, net.state()[name]) for name, value in state.items())
    reference = snn.load(path, device="reference")
    np.testing.assert_allclose(reference(x).mean(0), net(x).mean(0), atol=0.5)  # a spike at a tie may differ


def test_no_pickle_and_a_description_anyone_can_read(saved):
    _, path = saved
    with h5py.File(path) as file:
        kinds = {item.dtype.kind for _, item in _datasets(file)}
        assert kinds <= set("fi")
        assert file.attrs["format"] == b"numsnn checkpoint 2"
        assert file.attrs["numsnn_version"].decode() == snn.__version__
        assert b'"type": "LIF"' in file.attrs["description"]


def _datasets(file):
    found = []
    file.visititems(lambda name, item: found.append((name, item)) if isinstance(item, h5py.Dataset) else None)
    return found


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        snn.load(tmp_path / "nothing.h5")
    text = tmp_path / "text.h5"
    text.write_text("hello")
    with pytest.raises(
        snn.CheckpointError,
        match=r"text\.h5: not readable: it has neither the seal of numsnn nor",
    ):
        snn.load(text)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(snn.CheckpointError, match="not a numsnn checkpoint: its format is None"):
        snn.load(other)


def test_truncated_anywhere(saved, tmp_path):
    _, path = saved
    whole = path.read_bytes()
    cut = tmp_path / "cut.h5"
    for size in (0, 1, 16, 100, 512, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:size])
        with pytest.raises(snn.CheckpointError, match=r"cut\.h5: not readable: it"):
            snn.load(cut)


def test_what_another_program_changed_is_noticed(saved):
    _, path = saved
    with h5py.File(path, "r+") as file:
        file["network/linear1.weight"][0, 0] += 1
    with pytest.raises(
        snn.CheckpointError, match="not readable: it was cut off, another program has written to it, or"
    ):
        snn.load(path)


def test_changed_attributes_are_noticed(saved):
    _, path = saved
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = "numsnn checkpoint 3"
    with pytest.raises(snn.CheckpointError, match="not readable: "):
        snn.load(path)


def test_a_file_that_another_program_wrote_anew_is_refused(saved, tmp_path):
    _, path = saved
    with h5py.File(path) as file, h5py.File(tmp_path / "copy.h5", "w") as copy:
        copy.attrs.update(file.attrs)
        for group in file:
            file.copy(group, copy)
    with pytest.raises(snn.CheckpointError, match=r"2', expected 'numsnn checkpoint 1'. Its seal is missing: another"):
        snn.load(tmp_path / "copy.h5")


def test_unknown_layers_are_named(tmp_path, monkeypatch):
    class Lineal(snn.Linear):
        """A layer that the reading program does not know."""

    checkpoint.write(tmp_path / "own.h5", snn.Sequential(Lineal(3, 2)).build((2, 1, 3)))
    monkeypatch.delitem(Described._registry, "Lineal")
    with pytest.raises(snn.CheckpointError, match=r"unknown type 'Lineal'.* Did you mean 'Linear'"):
        snn.load(tmp_path / "own.h5")


def test_nothing_is_lost_when_writing_fails(saved, monkeypatch):
    trainer, path = saved
    before = path.read_bytes()
    monkeypatch.setattr("numsnn.hdf5.writing.packed_index", lambda index: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.save(path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]


FULL_DISK = """if True:
    import pathlib, resource, sys
    import numsnn as snn
    from numsnn.training import checkpoint

    path = pathlib.Path(sys.argv[1])
    net, size = snn.load(path), path.stat().st_size
    for limit in range(0, size // 3, 1 + size // 75):  # without the two moments of the optimiser
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            checkpoint.write(path, net, training={"epoch": 1})
        except OSError as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
"""Files cannot grow beyond a limit, which stands for the end of the disk at every place of the file."""


def test_a_disk_that_becomes_full_leaves_the_old_file(saved):
    """HDF5 itself ends Python with a segmentation fault there."""
    pytest.importorskip("resource")
    _, path = saved
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) > 20 and all(f"{path} was not written: " in line for line in lines)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]


def test_broken_numbers_are_not_written(saved):
    trainer, path = saved
    before = path.read_bytes()
    dict(trainer.net.parameters())["linear1.bias"].value[3] = np.inf
    with pytest.raises(snn.DivergenceError, match=r"was not written: network array 'linear1\.bias' holds NaN or inf"):
        trainer.save(path)
    assert path.read_bytes() == before


def test_unbuilt_network_and_missing_folder(tmp_path, small_trainer, saved):
    with pytest.raises(RuntimeError, match="not built yet"):
        small_trainer().save(tmp_path / "x.h5")
    with pytest.raises(OSError, match="nowhere"):
        saved[0].save(tmp_path / "nowhere" / "x.h5")


def test_a_layer_of_ones_own_is_saved_and_loaded(tmp_path):
    class Negate(snn.Layer):
        """A layer that returns -x."""

        def compute(self, x, mode):
            return -x

        def propagate(self, dy, need_dx):
            return -dy

    net = snn.Sequential(snn.Linear(3, 2), Negate()).build((2, 1, 3))
    checkpoint.write(tmp_path / "own.h5", net)
    x = np.ones((2, 1, 3), np.float32)
    np.testing.assert_array_equal(snn.load(tmp_path / "own.h5")(x), net(x))
    with pytest.raises(snn.CheckpointError, match="no training state to resume"):
        snn.Trainer(snn.Sequential(snn.Linear(3, 2), Negate())).restore(tmp_path / "own.h5")
