"""What pyproject.toml promises to pip, and what the pages and CI say of it."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_numpy_is_capped_wherever_numba_cuda_is_installed():
    """numba-cuda 0.30 warns at every compilation under NumPy 2.5, and calls functions that NumPy 2.5 has removed. A cap
    must hold on every system on which the extra installs numba-cuda."""
    installing = {}
    for name, needs in EXTRAS.items():
        split = [need.partition(";") for need in needs]
        systems = {marker.strip() for need, _, marker in split if need.startswith("numba-cuda")}
        if systems:
            installing[name] = systems, {marker.strip() for need, _, marker in split if need == "numpy<2.5"}
    assert {"cuda", "cuda12", "test"} <= set(installing)
    assert {name: markers for name, markers in installing.items() if markers[0] != markers[1]} == {}


def test_the_versions_of_python_are_the_same_everywhere():
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert f"Python {lowest} or newer" in (ROOT / "README.md").read_text("utf-8")
    assert f"Python {lowest} or newer" in (ROOT / "docs" / "start.md").read_text("utf-8")
    tried = re.search(r'^VERSIONS="(.*)"$', (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)[1].split()
    assert tried[0] == lowest
