"""What processors have to do with bits, as docs/kernels.md says; `benchmarks/method/processors.py` trains networks."""

import json
import os
import platform
import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest

FEATURES = llvm.get_host_cpu_features()
NEEDED = "sse4.2", "avx", "avx2", "fma"

KERNELS = """
import json, sys
import numpy as np
from numsnn.kernels.compile import kernel
from numsnn.kernels.cpu.inline.blocks import dot_rows

@kernel
def multiply_and_add(a, b, c, out):
    for k in range(len(a)):
        out[k] = a[k] * b[k] + c[k]

@kernel
def dot(a, b, one, zero, out):
    dot_rows(out, 0, zero, 0, 1, a, zero, b, zero, 0, len(a), 1)

rng = np.random.default_rng(0)
a, b, c = rng.standard_normal((3, 1000), np.float32)
sums, product, zero = np.zeros_like(a), np.zeros(1, np.float32), np.zeros(1, np.int64)
multiply_and_add(a, b, c, sums)
dot(a, b, zero, zero, product)
print(json.dumps([sums.tobytes().hex(), product.tobytes().hex()]))
"""


def on(folder, name, features):
    """The bits of sums and of a dot product, in a process that compiles for this processor."""
    environment = os.environ | {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(folder)}
    environment.pop("NUMBA_ENABLE_CUDASIM", None)
    (folder / "kernels.py").write_text(KERNELS)
    done = subprocess.run([sys.executable, folder / "kernels.py"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the processors are those of x86")
@pytest.mark.skipif(not all(FEATURES.get(one) for one in NEEDED), reason="the processor lacks some instructions")
def test_bits_depend_on_fused_products_and_on_the_size_of_registers(tmp_path):
    sums, product = on(tmp_path, "x86-64", "+sse2")
    assert [sums, product] == on(tmp_path, "nehalem", "+sse4.2")  # newer, with the same registers
    fused, other_product = on(tmp_path, "haswell", "+avx,+avx2,+fma")
    a, b, c = np.random.default_rng(0).standard_normal((3, 1000), np.float32)
    assert bytes.fromhex(sums) == (a * b + c).tobytes()  # rounded twice
    once = (a.astype(np.longdouble) * b + c).astype(np.float32)
    assert bytes.fromhex(fused) == once.tobytes() != (a * b + c).tobytes()
    assert product != other_product
    found = [np.frombuffer(bytes.fromhex(bits), np.float32)[0] for bits in (product, other_product)]
    np.testing.assert_allclose(found, a.astype(np.float64) @ b, rtol=1e-5)
