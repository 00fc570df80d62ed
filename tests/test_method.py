"""docs/method.md and the code name the same equations: ids are defined once, and cited where they are computed."""

import ast
import re
import tokenize
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
METHOD = (ROOT / "docs" / "method.md").read_text("utf-8")
SOURCES = sorted((ROOT / "numsnn").rglob("*.py"))
KERNELS = ROOT / "numsnn" / "kernels"

ID = r"[A-Z]\d{1,2}"
IDS = rf"{ID}(?:, {ID})*"
BEGINNING = re.compile(rf"({IDS}): ")
IN_BRACKETS = re.compile(rf"docs/method\.md, ({IDS})\b")
COMMENT = re.compile(rf"# ({IDS})$")
COMMENT_IN_TEXT = re.compile(COMMENT.pattern, re.MULTILINE)

NOT_IN_KERNELS = {
    "P3": "psg.py",
    "P5": "window.py",
    "P6": "psg.py",
    "N21": "layers/initial.py",
    "D2": "pda.py",
    "D9": "diagnostics/diagnose.py",
    "D10": "diagnostics/window.py",
    "R2": "diagnostics/gradients.py",
    "R3": "diagnostics/gradients.py",
    "E1": "encode.py",
    "E2": "encode.py",
    "E3": "encode.py",
    "E4": "encode.py",
}
"""What is computed outside the kernels, and where."""

NO_EQUATION = {"active_inputs", "lacks", "pack_bits", "unpack_bits", "visible_limit"}
"""Functions of `kernels/reference`, beside those of `array.py`, that say how something is computed or kept."""

FUNCTION = ast.FunctionDef, ast.AsyncFunctionDef
WITH_DOCSTRING = ast.Module, ast.ClassDef, *FUNCTION


def defined(text):
    """How often each id is defined in a text of docs/method.md."""
    return Counter(re.findall(rf"\*\*({ID})\*\*", text))


def docstring(node):
    """The docstring of a node of a syntax tree, without line breaks; empty where there is none."""
    return " ".join((ast.get_docstring(node) or "").split())


def cited_in(path):
    """The ids that a file cites: at a docstring's beginning, behind the page's name, and as comments."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, WITH_DOCSTRING):
            text = docstring(node)
            beginning = BEGINNING.match(text)
            found += [beginning[1]] if beginning else []
            found += IN_BRACKETS.findall(text)
    if COMMENT_IN_TEXT.search(path.read_text("utf-8")):
        with tokenize.open(path) as source:
            comments = [t.string for t in tokenize.generate_tokens(source.readline) if t.type == tokenize.COMMENT]
        found += [match[1] for comment in comments if (match := COMMENT.match(comment))]
    return {one for ids in found for one in ids.split(", ")}


@cache
def cited():
    """The ids that each file of the package cites. They are looked for when a test asks: every process of the suite
    imports this module, and one runs its tests."""
    return {path: cited_in(path) for path in SOURCES}


def public_functions(path):
    """The functions of a module's top level whose names do not begin with an underscore."""
    body = ast.parse(path.read_text("utf-8")).body
    return [node for node in body if isinstance(node, FUNCTION) and not node.name.startswith("_")]


def dangling(text):
    """Citations of ids that this text of the page does not define, by file."""
    known = set(defined(text))
    missing = {path.relative_to(ROOT).as_posix(): ids - known for path, ids in cited().items()}
    return {name: ids for name, ids in missing.items() if ids}


def test_every_id_is_defined_once():
    count = defined(METHOD)
    assert len(count) > 100
    assert [one for one, n in count.items() if n > 1] == []


def test_the_ids_of_a_group_are_numbered_without_gaps_and_listed_on_top():
    groups = {}
    for one in defined(METHOD):
        groups.setdefault(one[0], []).append(int(one[1:]))
    assert {group: sorted(numbers) for group, numbers in groups.items()} == {
        group: list(range(1, len(numbers) + 1)) for group, numbers in groups.items()
    }
    listed = re.findall(r"^\| ([A-Z]) \|.*\| \[\d+\]\(#", METHOD, re.MULTILINE)
    assert sorted(listed) == sorted(groups)


def test_the_links_on_top_lead_to_headings():
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", METHOD, re.MULTILINE)
    }
    links = re.findall(r"\]\(#([^)]+)\)", METHOD)
    assert len(links) == 15
    assert set(links) <= anchors


def test_every_id_is_written_before_its_equation():
    """An equation in a block begins with its id, or the id stands in a table of its own (the surrogate families)."""
    blocks = "\n".join(re.findall(r"```text\n(.*?)```", METHOD, re.DOTALL))
    labels = Counter(re.findall(rf"^({ID}) +", blocks, re.MULTILINE))
    tabled = Counter(re.findall(rf"^\| \*\*({ID})\*\* \|", METHOD, re.MULTILINE))
    assert labels + tabled == defined(METHOD)


def test_every_id_that_the_page_mentions_is_defined():
    assert set(re.findall(rf"\b{ID}\b", METHOD)) == set(defined(METHOD))


def test_every_cited_id_is_defined():
    assert dangling(METHOD) == {}


@pytest.mark.parametrize("one", ["N7", "X15", "D3", "S4"])
def test_a_renamed_id_is_found(one):
    renamed = METHOD.replace(f"**{one}**", "**Z99**")
    assert any(one in ids for ids in dangling(renamed).values())


def test_every_id_is_cited_where_it_is_computed():
    elsewhere = {one: one in cited()[ROOT / "numsnn" / name] for one, name in NOT_IN_KERNELS.items()}
    assert [one for one, found in elsewhere.items() if not found] == []
    in_kernels = set().union(*(ids for path, ids in cited().items() if KERNELS in path.parents))
    assert set(defined(METHOD)) - in_kernels == set(NOT_IN_KERNELS)


@pytest.mark.parametrize(
    "path",
    [KERNELS / "equations.py", *sorted((KERNELS / "reference").glob("*.py"))],
    ids=lambda path: path.relative_to(KERNELS).as_posix(),
)
def test_a_function_begins_with_what_it_computes(path):
    functions = [] if path.name == "array.py" else public_functions(path)
    without = {f.name for f in functions if not BEGINNING.match(docstring(f))}
    assert without - NO_EQUATION == set()


def cited_within(path, function, beginnings):
    """The ids of a function's lines: those of its comments, and those that the functions it calls begin with."""
    with tokenize.open(path) as source:
        comments = [t for t in tokenize.generate_tokens(source.readline) if t.type == tokenize.COMMENT]
    inside = [t.string for t in comments if function.lineno <= t.start[0] <= function.end_lineno]
    called = [getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(function)]
    found = [match[1] for comment in inside if (match := COMMENT.match(comment))]
    found += [beginnings[name] for name in called if name in beginnings and name != function.name]
    return {one for ids in found for one in ids.split(", ")}


def test_a_line_says_which_of_several_equations_it_computes():
    """A function of the reference that begins with several ids, such as a backward pass, has each of them at a line."""
    paths = sorted((KERNELS / "reference").glob("*.py"))
    functions = [(path, function) for path in paths for function in public_functions(path)]
    begins = [(path, function, BEGINNING.match(docstring(function))) for path, function in functions]
    beginnings = {function.name: match[1] for _, function, match in begins if match}
    several = [(path, f, set(m[1].split(", "))) for path, f, m in begins if m and ", " in m[1]]
    assert len(several) > 20
    missing = {f.name: ids - cited_within(path, f, beginnings) for path, f, ids in several}
    assert {name: ids for name, ids in missing.items() if ids} == {}


def test_citations_are_found_where_they_stand(tmp_path):
    source = tmp_path / "module.py"
    source.write_text(
        '"""Something (see docs/method.md, A1,\nA2)."""\nC3 = 1  # D4, D5\n\n\n'
        'def f():\n    """E6, E7: it is.\n\n    F8: not here.\n    """\n    return "# G9"  # T1 is a time\n'
    )
    assert cited_in(source) == {"A1", "A2", "D4", "D5", "E6", "E7"}
