"""The benchmark for GPUs: dry, in Numba's simulator; and what it says where it cannot run."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.common import REPOSITORY
from benchmarks.speed import gpu
from numsnn.measure.workloads import ESSENTIAL, on_device, workloads

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

TIMES = {"median": 2.0, "min": 1.0, "max": 3.0, "count": 5}


def test_dry(tmp_path, capsys):
    """A dry run goes from the kernel alone to the files, with numsnn alone."""
    gpu.main(["--dry", "--only", "fc", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "results.json").read_text())
    assert [workload["name"] for workload in found["workloads"]] == ["fc float32"] and not found["not_reached"]
    (workload,) = found["workloads"]
    assert workload["routes"] == ["dense"] and set(workload["passes"]) == {"train", "infer"}
    assert found["checks"][0]["rates"] and found["neurons"]["copy"]["share_of_copy"] == 1
    assert (tmp_path / "report.md").read_text() == capsys.readouterr().out.removesuffix("\n")
    assert (tmp_path / "workloads.png").stat().st_size > 0


def test_when_the_time_is_over(monkeypatch):
    """Nothing new is begun, and what is missing is told."""
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    chosen = gpu.options(["--quick", "--minutes", "1e-9"])
    run = gpu.Run(chosen, None, {"not_reached": []}, None)
    run.measure(on_device()[:1])
    assert run.results["not_reached"] == ["fc n=16384 float32", "fc n=16384 tf32"]


def test_without_a_device(tmp_path):
    """One line."""
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_ENABLE_CUDASIM"}
    environment |= {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", gpu.__name__, "--out", tmp_path / "out"]
    run = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 1 and not run.stdout and not (tmp_path / "out").exists()
    (line,) = run.stderr.splitlines()
    assert line.startswith("gpu.py: device 'cuda': ")


def test_report_with_a_peer():
    """Everything that a run with peers may find."""
    workload = {
        "name": "fc n=16384 tf32",
        "surrogate": "arctan",
        "shape": [500, 16, 16384],
        "precision": "tf32",
        "routes": ["tf32"],
        "memory": {},
        "agreement": {},
        "left_out": {"norse": {"train": "out of memory"}},
        "passes": {"train": {"numsnn": TIMES | {"fastest_peer": "jax", "ratio": 2.5}, "jax": TIMES}},
    }
    proof = workload | {
        "name": "fc",
        "left_out": {},
        "passes": {},
        "agreement": {"jax": {"train": {"different_spikes": [0], "spikes": [50], "gradients": 2e-6}}},
    }
    kernel = TIMES | {"bytes": 5, "gigabytes_per_second": 2500.0, "share_of_copy": 0.9}
    text = gpu.text(
        {
            "version": "0.0",
            "quick": False,
            "workloads": [workload],
            "checks": [proof],
            "not_reached": ["vgg bfloat16"],
            "machine": {"device": "D", "driver": "13.0", "processor": "P", "system": "S", "versions": {"nvrtc": "13"}},
            "versions": {"numsnn": {"numsnn": "0.0"}, "jax": {"jax": "1"}},
            "neurons": {"LIF forward": kernel},
            "peer_neurons": {"LIF forward": TIMES},
            "missing": {"snntorch": "not there"},
        }
    )
    for part in (
        "D, driver for CUDA 13.0",
        "- numsnn: numsnn 0.0, nvrtc 13",
        "| LIF forward | 2.00 s | 2500 |",
        "90%",
        "2.50x jax",
        "fc n=16384 tf32: tf32",
        "out of memory",
        "snntorch was missing",
        "vgg bfloat16",
        "2.0e-06",
    ):
        assert part in text


def test_plans():
    """The essential ones come first, and what proves them is of their kind and small."""
    plan = on_device()
    assert {proof.name for _, proof in plan[:ESSENTIAL]} == {"fc", "vgg", "resnet"} <= set(workloads())
    assert all(workload.layers[0][0] == proof.layers[0][0] for workload, proof in plan)
    assert all(proof.shape[0] * proof.shape[1] <= 400 for _, proof in plan)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "vg"], "invalid choice: 'vg'"),
        (["--threads", "0"], "--threads must be a positive whole number; got 0"),
        (["--precisions", "fp8"], "invalid choice: 'fp8'"),
    ],
)
def test_errors(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        gpu.options(arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err
