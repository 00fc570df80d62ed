"""The register blocks of products fit into the registers of processors that need not be there (`probe_inner_loops`)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest

PROBE = Path(__file__).with_name("probe_inner_loops.py")

PROCESSORS = {
    "NEON": ("aarch64-unknown-linux-gnu", "neoverse-n1", 16, 32),
    "AVX2": ("x86_64-unknown-linux-gnu", "haswell", 32, 16),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_no_inner_loop_keeps_sums_in_memory(name, tmp_path):
    """The largest loop of each kind has all products of its block, and no access to the stack; one of a block with more
    sums than registers has some. The options that Numba compiles with are those of no processor in particular."""
    triple, *rest = PROCESSORS[name]
    llvm.initialize_all_targets()
    try:
        llvm.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip(f"LLVM cannot compile for {triple} here")
    plain = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, str(PROBE), triple, *map(str, rest)]
    run = subprocess.run(command, env=os.environ | plain, cwd=PROBE.parents[2], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert max(found.pop("too many rows")[1])[1] > 0
    for kind, (products, loops) in found.items():
        assert max(loops) == [products, 0], (kind, loops)
