"""Every CUDA kernel as machine code, without a device. A separate process compiles to PTX and links, because this one
may run the simulator. With -s a table of registers is printed."""

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
pytest.importorskip("cuda.core", reason="cuda-core, which links PTX, is not installed")

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
CAPABILITIES = [8, 0], [9, 0]

NEURONS = {"neuron_forward", "neuron_backward", "neuron_reset", "recurrent_forward", "recurrent_backward"}
"""Functions whose kernels hold potentials in registers."""

IN_DOUBLE = {"_square_parts"}
"""Kernels that add float32 numbers up in float64, as the other targets do: a norm that must not overflow."""


def report(out, processes, **variables):
    """What `compile_ptx.py` finds: a list of entries, and functions that it did not find."""
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_ENABLE_CUDASIM"} | variables
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    run = subprocess.run(
        [sys.executable, HERE / "compile_ptx.py", out, str(processes)], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The report of everything, compiled."""
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = report(tmp_path_factory.mktemp("ptx") / "found.json", processes)
    print("\n" + table(found["kernels"]))
    return found


@pytest.fixture(scope="module")
def kernels(found):
    return [entry for entry in found["kernels"] if "error" not in entry]


def table(entries):
    """Kernels with the most registers, stack and so on of all their variants, by compute capability."""
    columns = "registers", "stack", "spills", "shared", "double", "vectors", "seconds"
    lines = [f"{'kernel':44} {'cc':>4} {'count':>5} {' '.join(f'{name:>9}' for name in columns)}"]
    groups = {}
    for entry in entries:
        if "error" not in entry:
            key = f"{entry['module']}.{entry['kernel']}", ".".join(map(str, entry["cc"]))
            groups.setdefault(key, []).append(entry)
    for (name, cc), group in sorted(groups.items()):
        numbers = [max(entry[column] for entry in group) for column in columns[:-1]]
        numbers.append(f"{sum(entry['seconds'] for entry in group):.1f}")
        lines.append(f"{name:44} {cc:>4} {len(group):5} {' '.join(f'{number:>9}' for number in numbers)}")
    return "\n".join(lines)


def named(entries):
    """Return one line per entry for the message of an assertion."""
    return [f"{one['module']}.{one['kernel']}({one['variant']}): {', '.join(one['types'])}" for one in entries]


def test_every_kernel_compiles(found, kernels):
    """Every function that is decorated as a kernel, for both compute capabilities."""
    assert not found["missing"]
    assert [entry["error"] for entry in found["kernels"] if "error" in entry] == []
    there = {
        (path.stem, node.name)
        for path in (REPOSITORY / "numsnn" / "kernels" / "cuda").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(one) == "kernel" for one in node.decorator_list)
    }
    for cc in CAPABILITIES:
        assert {(entry["module"], entry["kernel"]) for entry in kernels if entry["cc"] == cc} == there


def test_kernels_are_made_once(kernels):
    """Another call of the same kind finds the kernel of the first one."""
    counts = Counter((entry["key"], *named([entry]), *entry["cc"]) for entry in kernels)
    assert [name for name, count in counts.items() if count > 1] == []


def test_kernels_are_found_again_on_disk(found, tmp_path):
    """In another process, in which strings have other hashes, every kernel has the key that it had."""
    again = report(tmp_path / "again.json", 0, PYTHONHASHSEED="7")["kernels"]
    keys = {(*named([entry]), entry["key"]) for entry in again}
    assert len(keys) == len(again) > 100
    assert {(*named([entry]), entry["key"]) for entry in found["kernels"]} == keys


def test_float32_stays_float32(kernels):
    """All calls were with float32: no argument may be anything wider, and nothing may be computed in it."""
    mine = [entry for entry in kernels if entry["kernel"] not in IN_DOUBLE]
    assert named(entry for entry in mine if any("float64" in one for one in entry["types"])) == []
    assert named(entry for entry in mine if entry["double"]) == []


def test_neurons_stay_in_registers(kernels):
    """No spills, and no arrays in local memory."""
    mine = [entry for entry in kernels if NEURONS & set(entry["callers"])]
    assert named(entry for entry in mine if entry["spills"] or entry["stack"]) == []


def test_neurons_move_16_bytes(kernels):
    """Some variant of each neuron kernel moves 16 bytes at once, where there are enough channels."""
    assert {"neuron_forward", "neuron_backward"} <= {entry["kernel"] for entry in kernels if entry["vectors"]}
