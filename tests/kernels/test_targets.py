"""What all devices share: names, arguments, and results that depend on the inputs only."""

import copy
import inspect
import os
import pickle
import subprocess
import sys
from importlib import import_module

import pytest
from targets import cpu, reference

from numsnn import kernels
from numsnn.kernels.contract import ROOMS, Device

# --- one contract -------------------------------------------------------------------------------------------


FUNCTIONS = [(room, name) for room, names in ROOMS.items() for name in names]


def test_numba_that_must_not_compile():
    """Only the device "cpu" is refused; the reference is plain NumPy."""
    script = """if True:
        import numpy as np
        import numsnn as snn

        net, x = snn.Sequential(snn.Linear(2, 3), snn.LIF()), np.ones((2, 1, 2), np.float32)
        try:
            net(x)
        except snn.DeviceError as error:
            print(error)
        print(net.to("reference")(x).shape)
    """
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "NUMBA_ENABLE_CUDASIM": "0"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines() == [
        "device 'cpu': its kernels have to be compiled, but NUMBA_DISABLE_JIT is set; unset it, or use "
        "device='reference', which is plain NumPy",
        "(2, 1, 3)",
    ]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(("room", "name"), FUNCTIONS)
def test_targets_have_the_same_rooms_and_arguments(device, room, name):
    if device == "cuda":
        pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    mine, text = (
        inspect.signature(getattr(import_module(f"numsnn.kernels.{target}.{room}"), name)).parameters
        for target in (device, "reference")
    )
    assert list(mine.values()) == list(text.values())


def test_a_target_that_lacks_a_function_is_refused(monkeypatch):
    monkeypatch.setitem(ROOMS, "encode", ("poisson", "rank_order"))
    message = r"kernels/cpu/encode.py lacks rank_order, which kernels/contract.py promises"
    with pytest.raises(ImportError, match=message):
        Device("cpu")


def test_targets_are_copied_and_pickled_by_name():
    assert copy.deepcopy(cpu) is cpu
    assert pickle.loads(pickle.dumps(reference)) is reference


@pytest.mark.parametrize("device", kernels.DEVICES)
def test_for_device(device):
    assert kernels.for_device(device).name == device


def test_for_device_says_what_there_is():
    with pytest.raises(ValueError, match=r"device must be one of 'reference', 'cpu', 'cuda'; got 'tpu'"):
        kernels.for_device("tpu")


# --- results depend on inputs alone -------------------------------------------------------------------------
