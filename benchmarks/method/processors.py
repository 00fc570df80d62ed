"""Which processors give equal bits: small networks are trained as if they were compiled for other processors.

    python -m benchmarks.method.processors [--only NAME ...]

Each line that is printed is a processor: the name and the features that LLVM compiles for, in a process of its own, in
which NumPy's faster code is turned off as well. Behind it stand networks that were trained for some steps, each with a
SHA-256 of its weights; processors with equal entries give equal bits. The machine must have the features itself: a
process with other instructions ends, and its line says so. Each line compiles everything anew, which takes half a
minute.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile

from benchmarks.common import REPOSITORY

AVX512 = "+avx,+avx2,+fma,+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"
PROCESSORS = {
    "SSE2 (x86-64)": ("x86-64", "+sse2"),
    "SSE4.2 (nehalem)": ("nehalem", "+sse4.2"),
    "AVX (sandybridge)": ("sandybridge", "+avx"),
    "AVX2 without FMA": ("x86-64", "+avx,+avx2"),
    "AVX2 (haswell)": ("haswell", "+avx,+avx2,+fma"),
    "AVX2 (znver3)": ("znver3", "+avx,+avx2,+fma"),
    "AVX-512 (skylake-avx512)": ("skylake-avx512", AVX512),
    "AVX-512 (znver4)": ("znver4", AVX512),
    "this machine": (None, None),
}
"""Line -> NUMBA_CPU_NAME and NUMBA_CPU_FEATURES."""

WITHOUT_AVX512 = "X86_V4 AVX512_SPR AVX512_ICL AVX512_CNL AVX512_CLX AVX512_SKX AVX512CD AVX512F"
WITHOUT_AVX2 = f"{WITHOUT_AVX512} X86_V3 AVX2 FMA3"
"""What NumPy is told not to use (NPY_DISABLE_CPU_FEATURES); its versions have different names."""

STEPS = 6


def networks() -> dict:
    """Networks that together use products, convolutions, sums over samples, and exponentials."""
    import numsnn as snn

    psg = snn.PSG("triangle", width=1.0)
    return {
        "dense": snn.Sequential(
            *(snn.Repeat(4, snn.Flatten(), snn.Linear(64, 40), snn.BatchNorm(40)), snn.LIF(surrogate=psg, pda=True)),
            snn.Linear(40, 10),
        ),
        "convolutions": snn.Sequential(
            *(snn.Repeat(4, snn.Conv2d(1, 16, 3), snn.BatchNorm(16)), snn.LIF(), snn.AvgPool2d(2)),
            *(snn.Conv2d(16, 16, 3), snn.LIF(), snn.Flatten(), snn.Linear(16, 10)),
        ),
        "exponentials": snn.Sequential(
            *(snn.Repeat(4, snn.Flatten(), snn.Linear(64, 40)), snn.LIF(surrogate=snn.Surrogate("logistic"))),
            snn.Linear(40, 10),
        ),
    }


def digests() -> dict[str, str]:
    """Train every network on the first digits, and return a digest of its weights and outputs."""
    import numpy as np

    import numsnn as snn

    x, y = snn.data.load("digits")[0].batch(range(64))
    found = {}
    for name, net in networks().items():
        loop, loss = snn.Loop(net, snn.optim.Adam(1e-2)), snn.losses.RateCrossEntropy()
        for _ in range(STEPS):
            z = loop.forward(x)
            loop.backward(loss(z, y)[1])
            loop.step()
        arrays = [*net.state().values(), z]
        found[name] = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:8]
    return found


def on(name: str | None, features: str | None, folder: str) -> dict[str, str]:
    """What `digests` returns in a process that compiles for this processor; an entry "error" if it fails."""
    environment = os.environ | {"NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(REPOSITORY)}
    for variable, value in (("NUMBA_CPU_NAME", name), ("NUMBA_CPU_FEATURES", features)):
        environment.pop(variable, None)
        environment |= {} if value is None else {variable: value}
    if features is not None and "+avx512f" not in features:
        environment["NPY_DISABLE_CPU_FEATURES"] = WITHOUT_AVX512 if "+fma" in features else WITHOUT_AVX2
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.method.processors", "--digests"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=REPOSITORY)
    if done.returncode:
        return {"error": f"ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"}
    return json.loads(done.stdout)


def main() -> None:
    """Print the table, row by row, or the digests of this process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PROCESSORS, default=PROCESSORS, help="processors to compile for")
    parser.add_argument("--digests", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.digests:
        print(json.dumps(digests()))
        return
    for row in options.only:
        with tempfile.TemporaryDirectory() as folder:
            print(row, on(*PROCESSORS[row], folder), flush=True)


if __name__ == "__main__":
    main()
