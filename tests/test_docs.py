"""The pages of the documentation: links and names exist, and the snippets run."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import numsnn as snn
from numsnn import cli, config

ROOT = Path(__file__).resolve().parents[1]
README, INDEX = ROOT / "README.md", ROOT / "docs" / "index.md"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *(page for folder in ("docs", "benchmarks", "examples") for page in sorted((ROOT / folder).glob("*.md"))),
]
MOST_README_LINES = 140

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


# --- what a page consists of ---


def fences(text, language=None):
    """The contents of the blocks of code of one language ("" for none), or of all."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [body for kind, body in blocks if language in (None, kind)]


def prose(text):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def inline(text):
    """The pieces of code within sentences."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def commands(text):
    """The lines that a reader types into a shell, cut at "&&"."""
    lines = [line for block in fences(text, "") for line in block.splitlines()]
    return [part.strip() for line in lines + inline(text) for part in line.split("&&")]


def links(text):
    """The addresses of links and pictures that lead to a file of the repository, each with its anchor."""
    found = re.findall(r"\]\(([^()\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(text)))
    return [address for address in found if not re.match(r"[a-z]+:", address)]


def anchors(text):
    """What a page's headings are called in addresses."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- what is wrong with a page ---


def broken_links(text, folder):
    wrong = []
    for address in links(text):
        name, _, anchor = address.partition("#")
        target = folder / name
        exists = target.exists()
        if exists and anchor:
            exists = anchor in anchors(target.read_text(encoding="utf-8") if name else text)
        if not exists:
            wrong.append(address)
    return wrong


def unknown_names(text):
    wrong = []
    for code in fences(text) + inline(text):
        for name in re.findall(r"\bsnn((?:\.[A-Za-z_]\w*)+)", code):
            found = snn
            for part in name[1:].split("."):
                if not hasattr(found, part):
                    wrong.append(f"snn{name}")
                    break
                found = getattr(found, part)
    return wrong


def unknown_commands(text, capsys):
    """Subcommands and options of numsnn that its parser does not know."""
    wrong = []
    for command in commands(text):
        if not (match := re.match(r"numsnn ([a-z][\w-]*)(.*)", command)):
            continue
        try:
            status = cli.main([match[1], "--help"])
        except SystemExit as end:  # after the help
            status = end.code
        known = re.findall(r"--[a-z-]+", capsys.readouterr().out)
        asked = re.findall(r"--[a-z-]+", match[2].partition("#")[0])
        wrong += [command] if status else [option for option in asked if option not in known]
    return wrong


def unknown_extras(text):
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    groups = [extra for command in commands(text) for extra in re.findall(r"pip install .*\[([\w,]+)\]", command)]
    return [extra for group in groups for extra in group.split(",") if extra not in known]


def missing_scripts(text):
    paths = [path for command in commands(text) for path in re.findall(r"^python(?: -m pytest)? (\w+/\S+)", command)]
    return [path for path in paths if not (ROOT / path).exists()]


# --- tests ---


@each_page
def test_links_and_pictures_lead_somewhere(page):
    assert broken_links(page.read_text(encoding="utf-8"), page.parent) == []


@each_page
def test_names_commands_extras_and_scripts_exist(page, capsys):
    text = page.read_text(encoding="utf-8")
    assert unknown_names(text) == []
    assert unknown_commands(text, capsys) == []
    assert unknown_extras(text) == []
    assert missing_scripts(text) == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if fences(page.read_text(encoding="utf-8"), "python")], ids=lambda page: page.name
)
def test_snippets_run(page, tmp_path):
    """The page's blocks marked "python", in order and in one process; those marked "py" need data or a device."""
    code = "\n".join(fences(page.read_text(encoding="utf-8"), "python"))
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Warning" not in done.stderr


@each_page
def test_configurations_are_read(page):
    for block in fences(page.read_text(encoding="utf-8"), "toml"):
        assert isinstance(config.parse(block, page.name), config.Config)


def test_the_command_line_page_names_every_key():
    text = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    keys = re.findall(r"^(\w+) =", config.Config().to_toml(), re.MULTILINE)
    assert [key for key in keys if f"`{key}`" not in text] == []


def test_mistakes_are_found(tmp_path, capsys):
    (tmp_path / "there.md").write_text("# A heading: yes\n")
    text = (
        "# Here\n[a](there.md#a-heading-yes) [b](there.md#no) [c](gone.md) [d](#here) ![e](gone.png) [f](https://x.y)"
    )
    text += "\n`snn.LIF` `snn.Lif` `snn.optim.Adan(1)` `numsnn train digits` `numsnn brew` `numsnn info --loud`\n"
    text += "```\npip install '.[plot,tests]' && numsnn bench --quick\npython examples/00_none.py\n```\n"
    assert broken_links(text, tmp_path) == ["there.md#no", "gone.md", "gone.png"]
    assert unknown_names(text) == ["snn.Lif", "snn.optim.Adan"]
    assert unknown_commands(text, capsys) == ["numsnn brew", "--loud"]
    assert unknown_extras(text) == ["tests"]
    assert missing_scripts(text) == ["examples/00_none.py"]


def test_the_readme_is_one_page():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MOST_README_LINES


def test_every_page_is_reachable_from_the_index():
    reached, waiting = set(), [INDEX]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        found = [(page.parent / address.partition("#")[0]).resolve() for address in links(page.read_text("utf-8"))]
        inside = {target for target in found if target.parent == INDEX.parent and target.suffix == ".md"}
        waiting += inside & set(PAGES) - reached
    assert set(INDEX.parent.glob("*.md")) - reached == set()


def test_the_glossary_has_each_word_once_in_order():
    text = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| \*\*([a-z ]+)\*\*", text, re.MULTILINE)
    assert len(words) >= 40
    assert words == sorted(set(words))


def test_the_version_is_everywhere_the_same():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[([\d.]+)\]", changes, re.MULTILINE)
    assert "## [Unreleased]" in changes and releases[0] == snn.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [snn.__version__]
