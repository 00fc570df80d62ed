"""The CUDA device: messages without a GPU, arrays, and reused memory."""

import gc
import importlib
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from twins import cuda

import numsnn as snn
from numsnn import cli
from numsnn.errors import DeviceError, DeviceMemoryError
from numsnn.kernels import for_device
from numsnn.kernels.cuda import array
from numsnn.kernels.cuda.run import api, memory
from numsnn.kernels.cuda.run.launch import launch, scratch
from numsnn.kernels.cuda.ways import library

# --- no device ------------------------------------------------------------------------------------------------


def test_without_the_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    try:
        with pytest.raises(DeviceError, match=r"^device 'cuda': numba-cuda is not installed; install it: pip install"):
            importlib.reload(api)
    finally:
        monkeypatch.undo()
        importlib.reload(api)


def found(monkeypatch, available=True, error=None, capability=(9, 0)):
    """Make the package find such a device, or none."""
    context = SimpleNamespace(get_memory_info=lambda: SimpleNamespace(free=1, total=2))
    device = SimpleNamespace(compute_capability=capability, name=b"Some GPU", MULTIPROCESSOR_COUNT=7)
    monkeypatch.setattr(api, "SIMULATED", False)
    monkeypatch.setattr(
        api,
        "cuda",
        SimpleNamespace(
            is_available=lambda: available,
            cuda_error=lambda: error,
            get_current_device=lambda: device,
            current_context=lambda: context,
        ),
    )


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"available": False, "error": "no libcuda.so\nanywhere"}, r"the NVIDIA driver cannot be used \(no libc"),
        ({"available": False}, r"there is no CUDA device; use device='cpu'$"),
        ({"capability": (6, 1)}, r"Some GPU has compute capability 6\.1; 7\.5 or later is needed$"),
    ],
)
def test_what_is_missing_is_said_in_one_line(monkeypatch, state, message):
    found(monkeypatch, **state)
    net = snn.Sequential(snn.Linear(2, 2))
    for use in (for_device, net.to, lambda device: snn.Trainer(net, device=device)):
        with pytest.raises(DeviceError, match=f"^device 'cuda': {message}") as caught:
            use("cuda")
        assert "\n" not in str(caught.value)
    assert net.device == "cpu"


def test_a_device_is_described(monkeypatch):
    found(monkeypatch)
    assert api.device_info() == {"name": "Some GPU", "capability": (9, 0), "multiprocessors": 7, "memory": (1, 2)}


def test_command_line_without_a_driver(tmp_path):
    """The command runs in a process of its own, without the simulator."""
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_ENABLE_CUDASIM"}
    command = [sys.executable, "-m", "numsnn", "train", "digits", "--device", "cuda", "--epochs", "1"]
    done = subprocess.run(
        [*command, "--out", tmp_path / "run"], env=environment, capture_output=True, text=True, timeout=300
    )
    if done.returncode == 0:
        pytest.skip("there is a CUDA device: the run was made")
    assert done.returncode == 2
    assert done.stderr.startswith("numsnn: error: device 'cuda': ") and done.stderr.count("\n") == 1


def test_info_tells_what_there_is(capsys, monkeypatch):
    """One line: the device and who multiplies there, or what is missing."""
    found(monkeypatch)
    monkeypatch.setattr(library, "available", lambda: True)
    monkeypatch.setattr(library, "version", lambda: "13.1.0")
    assert cli.main(["info"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("CUDA"))
    assert line.endswith("Some GPU, compute capability 9.0, 0 GiB; matrix products by cuBLAS 13.1.0")
    found(monkeypatch, available=False)
    assert cli.main(["info"]) == 0
    assert "\nCUDA         there is no CUDA device\n" in capsys.readouterr().out


# --- arrays ---------------------------------------------------------------------------------------------------


def test_there_and_back():
    for x in (np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.array([True, False]), np.zeros((0, 3))):
        there = cuda.from_host(x, x.dtype)
        assert (there.shape, there.dtype, there.ndim, there.size) == (x.shape, x.dtype, x.ndim, x.size)
        assert there.nbytes == x.nbytes and len(there) == len(x)
        back = cuda.to_host(there)
        assert back.dtype == x.dtype
        np.testing.assert_array_equal(back, x)
    assert cuda.to_host(cuda.from_host(np.arange(3).T, np.uint8)).dtype == np.uint8
    assert cuda.to_host(x) is not x


def test_parts_share_memory():
    x = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    there = cuda.from_host(x, x.dtype)
    for part, want in (
        (there[1], x[1]),
        (there[-1][2], x[-1, 2]),
        (there[1:], x[1:]),
        (there[:-2], x[:-2]),
        (there[None], x[None]),
        (there.reshape(-1, 10), x.reshape(-1, 10)),
        (there.reshape((2, 30))[1], x.reshape(2, 30)[1]),
        (there[2:1], x[2:1]),
        (list(there)[2], x[2]),
    ):
        assert part.shape == want.shape and part.base is there.base
        np.testing.assert_array_equal(cuda.to_host(part), want)
    cuda.fill(there[1], 7)
    assert (cuda.to_host(there)[1] == 7).all() and cuda.to_host(there)[2, 0, 0] == 40


def test_what_arrays_refuse():
    x = cuda.zeros((2, 3), np.float32)
    for wrong in ((4, 2), (-1, 4), (-1, -1), (-2, -3)):
        with pytest.raises(ValueError, match=r"shape \(2, 3\) cannot be reshaped"):
            x.reshape(wrong)
    for key in (slice(0, 2, 2), (0, 1), ..., 1.0):
        with pytest.raises(TypeError, match="takes one index, a range, or None"):
            x[key]
    for key in (2, -3):
        with pytest.raises(IndexError, match="out of range for an axis of 2"):
            x[key]
    with pytest.raises(DeviceError, match=r"is on device 'cuda'; .*to_host"):
        np.asarray(x)
    with pytest.raises(TypeError):
        np.ones((2, 3)) + x
    with pytest.raises(DeviceError, match=r"an array of shape \(2, 3\) is in the host's memory"):
        launch(array._copy_elements, 1, 1, np.zeros((2, 3)), x, 6)


def test_copy_converts():
    x = np.array([0, 1, 200], np.uint8)
    y = cuda.zeros((3,), np.float32)
    cuda.copy(cuda.from_host(x, np.uint8), y)
    assert cuda.to_host(y).tolist() == [0, 1, 200]
    cuda.put(np.array([1, 2, 3]), y)
    assert cuda.to_host(y).tolist() == [1, 2, 3]


def test_batches_arrive_in_order():
    """More of them than there are slots, of changing sizes; also when nobody wants the rest."""
    batches = [(np.full((n % 3 + 1, 2), n), n) for n in range(7)]
    for (x, y), (want, n) in zip(cuda.feed(batches, np.float32), batches, strict=True):
        assert y == n and x.dtype == np.float32
        np.testing.assert_array_equal(cuda.to_host(x), want)
    abandoned = cuda.feed(batches, np.float32)
    next(abandoned)
    abandoned.close()
    assert list(cuda.feed([], np.float32)) == []


def test_batches_of_several_inputs():
    batches = [({"a": np.full((n % 3 + 1, 2), n), "b": np.full(4, -n)}, n) for n in range(5)]
    for (x, y), (want, n) in zip(cuda.feed(batches, np.float32), batches, strict=True):
        assert y == n and list(x) == ["a", "b"]
        for name, part in want.items():
            np.testing.assert_array_equal(cuda.to_host(x[name]), part)


# --- memory ---------------------------------------------------------------------------------------------------


def test_memory_is_used_again():
    gc.collect()  # networks of other tests that nothing refers to any more
    gc.freeze()  # what is left need not be gone through again
    x = cuda.empty((1000,), np.float32)
    part, used, asked = x[10:20], memory.store.used, memory.store.allocations
    del x
    gc.collect()
    assert memory.store.used == used  # a part is still there
    del part
    assert memory.store.used == used - 4096
    y = cuda.empty((990,), np.float32)
    assert memory.store.allocations == asked and memory.store.used == used
    memory.store.peak = 0
    z = cuda.empty((1000,), np.float32)
    assert memory.store.peak == memory.store.used == used + 4096
    del y, z
    memory.store.release()
    held = memory.store.held
    cuda.empty((1000,), np.float32)
    assert memory.store.held == held + 4096


def test_scratch_grows_and_stays():
    first = scratch.get("a test", (10,), np.float32)
    assert scratch.get("a test", (2, 5), np.float32).base is first.base
    assert scratch.get("a test", (11,), np.float32).base is not first.base
    assert scratch.get("a test", (1,), np.uint8).base is not first.base


@pytest.fixture
def small_device(monkeypatch):
    """A device that refuses to lend more than a limit, which is to be set."""
    limit = SimpleNamespace(bytes=0)
    real = memory._Piece

    def piece(nbytes):
        if memory.store.held + nbytes > limit.bytes:
            raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
        return real(nbytes)

    memory_info = SimpleNamespace(get_memory_info=lambda: (2**20, 2**31))
    monkeypatch.setattr(memory, "_Piece", piece)
    monkeypatch.setattr(memory.cuda, "current_context", lambda: memory_info, raising=False)
    memory.store.release()
    return limit


def test_out_of_memory_is_said_in_one_line(small_device):
    small_device.bytes = memory.store.held + 4096
    x = cuda.empty((512,), np.float32)
    del x  # what is free is given back before the device is called full
    cuda.empty((1024,), np.float32)
    with pytest.raises(DeviceMemoryError, match=r"no memory for 1\.00 MiB more; numsnn holds .* 2\.00 GiB"):
        cuda.empty((2**18,), np.float32)


def test_other_errors_pass(monkeypatch):
    def broken(nbytes):
        raise RuntimeError("unspecified launch failure")

    monkeypatch.setattr(memory, "_Piece", broken)
    with pytest.raises(RuntimeError, match="unspecified launch failure"):
        cuda.empty((12345,), np.float64)
