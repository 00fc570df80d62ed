"""The notebooks in docs/notebooks: their cells run, and what they show is shown without preparations."""

import ast
import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "docs" / "notebooks").glob("*.ipynb"))

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path):
    """Pairs (source, outputs) of the cells with code."""
    book = json.loads(path.read_text(encoding="utf-8"))
    assert book["nbformat"] == 4 and book["metadata"]["kernelspec"]["name"] == "python3"
    return [("".join(cell["source"]), cell["outputs"]) for cell in book["cells"] if cell["cell_type"] == "code"]


def run(source, names):
    """Run the code of a cell; return the value of its last line if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def kinds(outputs):
    """The kinds of data that the outputs of a cell have."""
    return {kind for output in outputs for kind in output.get("data", {})}


@each
def test_cells_run_and_show_what_the_file_shows(path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    names = {}
    for source, outputs in cells(path):
        value = run(source, names)
        assert (value is not None) == ("text/plain" in kinds(outputs)), source
        assert ("image/png" in kinds(outputs)) == hasattr(value, "_repr_png_"), source
        assert ("text/html" in kinds(outputs)) == bool(getattr(value, "_repr_html_", str)()), source


@each
def test_the_file_holds_outputs_without_errors_and_is_small(path):
    found = [outputs for _, outputs in cells(path)]
    assert found and all(found) and not any(o["output_type"] == "error" for outputs in found for o in outputs)
    assert path.stat().st_size < 500_000
    text = path.read_text(encoding="utf-8")
    assert "Warning" not in text and "/tmp" not in text and "Traceback" not in text
