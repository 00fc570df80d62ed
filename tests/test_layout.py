"""Which parts of the package may import which, as CONTRIBUTING.md says."""

import ast
from pathlib import Path

import pytest

import numsnn

ROOT = Path(numsnn.__file__).parent
BASE = "errors", "files", "machine_code", "names", "validate"
ALLOWED = {
    **{f"{name}.py": set() for name in BASE},
    "kernels": {"kernels", "names", "errors", "machine_code"},
    "data": {"data", *BASE} - {"errors"},
}


def imported(file):
    """The modules and folders directly in the package that a file imports from."""
    package = file.relative_to(ROOT.parent).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            full = [*start, *(node.module or "").split(".")] if node.module else list(start)
            names = [full] if len(full) > 1 else [[*full, alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        else:
            continue
        yield from (name[1] for name in names if name[0] == "numsnn" and len(name) > 1)


@pytest.mark.parametrize("part", ALLOWED)
def test_imports(part):
    place = ROOT / part
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    found = {(file.name, module) for file in files for module in imported(file)}
    assert [pair for pair in sorted(found) if pair[1] not in ALLOWED[part]] == []


def test_the_imports_are_seen():
    assert {"layers", "data", "losses", "schedules"} <= set(imported(ROOT / "training" / "trainer.py"))
