"""Structure of the package: no circular imports, and each layer's record of a pass is its own type."""

import ast
from pathlib import Path

import pytest

import numsnn

ROOT = Path(numsnn.__file__).parent


def modules():
    """Name -> (file, whether it is a package) of every module."""
    found = {}
    for file in ROOT.rglob("*.py"):
        parts = [ROOT.name, *file.relative_to(ROOT).with_suffix("").parts]
        package = parts[-1] == "__init__"
        found[".".join(parts[:-1] if package else parts)] = file, package
    return found


def imports(name, file, package, known):
    """The package's modules that a module imports, at its top or within its functions; not for type checkers only."""
    found = set()
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []  # `walk` lists the children of a node after it has yielded the node
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = name.split(".")
            above = above[: len(above) - node.level + package] if node.level else []
            source = ".".join(above + ([node.module] if node.module else []))
            for alias in node.names:
                full = f"{source}.{alias.name}"
                found.add(full if full in known else source)
    return {other for other in found if other in known and other != name}


def circle(graph):
    """Modules that import each other in a circle, or None."""
    done = set()

    def visit(name, above):
        if name in above:
            return [*above[above.index(name) :], name]
        if name in done:
            return None
        for other in sorted(graph[name]):
            if found := visit(other, [*above, name]):
                return found
        done.add(name)
        return None

    return next((found for name in sorted(graph) if (found := visit(name, []))), None)


def graph():
    known = modules()
    return {name: imports(name, *where, known) for name, where in known.items()}


def test_no_imports_in_a_circle():
    found = graph()
    assert "numsnn.layers.plan" in found["numsnn.layers.base"]
    assert circle(found) is None


@pytest.mark.parametrize(
    ("imported", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, None),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
        ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}, None),
    ],
)
def test_circles_are_found(imported, expected):
    assert circle(imported) == expected


def test_a_record_of_a_pass_is_the_layer_s_own():
    """Others ask a layer: for its spikes, potentials, currents, signals, what arrived at it."""
    for name, (file, _) in modules().items():
        if not name.startswith("numsnn.layers"):
            attributes = [
                node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)
            ]
            assert "kept" not in attributes, name
