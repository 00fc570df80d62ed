"""Which parts of the package may import which, as CONTRIBUTING.md says, and that no imports form a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import numsnn

ROOT = Path(numsnn.__file__).parent
BASE = (
    "capacity",
    "cores",
    "errors",
    "files",
    "locks",
    "machine_code",
    "names",
    "plain_json",
    "shown",
    "tables",
    "validate",
)
ALLOWED = {
    **{f"{name}.py": set() for name in BASE},
    **{f"{name}.py": {"shown"} for name in ("cores", "errors", "locks", "names", "tables", "validate")},
    "apart": {"apart", "files"},
    "hdf5": {"hdf5", "apart", "cores", "files", "plain_json", "shown"},
    "kernels": {"kernels", "cores", "names", "errors", "machine_code", "shown"},
    "data": {"data", "apart", "hdf5", *BASE} - {"errors"},
}


class ForTypes(ast.NodeTransformer):
    """Leaves out what only type checkers import: it never runs."""

    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


def names(package, text):
    """The full name of everything that a file of a package imports from numsnn, inside functions, too."""
    for node in ast.walk(ForTypes().visit(ast.parse(text))):
        if isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            full = [*start, *(node.module or "").split(".")] if node.module else list(start)
            found = [(*full, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        yield from (name for name in found if name[0] == "numsnn" and len(name) > 1)


def package_of(file):
    return file.relative_to(ROOT.parent).parts[:-1]


def imported(file):
    """The modules and folders directly in the package that a file imports from."""
    yield from (name[1] for name in names(package_of(file), file.read_text()))


@pytest.mark.parametrize("part", ALLOWED)
def test_imports(part):
    place = ROOT / part
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    found = {(file.name, module) for file in files for module in imported(file)}
    assert [pair for pair in sorted(found) if pair[1] not in ALLOWED[part]] == []


def test_the_imports_are_seen():
    assert {"layers", "data", "losses", "schedules"} <= set(imported(ROOT / "training" / "trainer.py"))


def modules(texts):
    """Module -> modules that it imports, for texts by their file."""
    own = {(*package_of(file), file.stem) if file.stem != "__init__" else package_of(file): file for file in texts}
    return {
        module: {name if name in own else name[:-1] for name in names(package_of(file), texts[file])}
        & own.keys() - {module}
        for module, file in own.items()
    }


def test_no_imports_form_a_circle():
    texts = {file: file.read_text() for file in ROOT.rglob("*.py")}
    graph = modules(texts)
    assert ("numsnn", "layers", "base") in graph["numsnn", "layers", "norm"]
    TopologicalSorter(graph).prepare()
    texts[ROOT / "psg.py"] += "\n\ndef later():\n    from .layers import neurons\n"
    with pytest.raises(CycleError):
        TopologicalSorter(modules(texts)).prepare()
