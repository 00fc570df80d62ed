"""What SECURITY.md promises and no other test holds, and that every test that it names exists."""

import json
import re
from pathlib import Path

import pytest
from resealing import content

import numsnn as snn
from numsnn import cli
from numsnn.data.formats import FormatError

ROOT = Path(__file__).parent.parent
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text())
EVIL = "\x1b]0;title\x07\x1b[31mred\x9b2J\r"


def test_tests_are_named():
    assert len(set(NAMED)) >= 18
    assert (ROOT / "SECURITY.md").read_text().count("::") == len(NAMED)


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_named_test_exists(file, name):
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


def printed(capsys):
    """What has been printed, after a check that it cannot control a terminal."""
    both = capsys.readouterr()
    for text in both:
        assert all(one.isprintable() or one == "\n" for one in text), text
    return both.out + both.err


def test_names_in_a_checkpoint_do_not_control_the_terminal(tmp_path, capsys):
    with pytest.raises(ValueError, match="LIF: name must be one line of printable characters") as caught:
        snn.LIF(name=EVIL)
    assert str(caught.value).isprintable()
    path = tmp_path / "net.h5"
    layers = snn.Repeat(2, snn.Flatten()), snn.Linear(64, 8), snn.LIF(name="good"), snn.Linear(8, 10)
    snn.save(snn.Sequential(*layers).to("reference").build((4, 8, 8, 1)), path)
    with content(path) as file:
        description = json.loads(file.attrs["description"])
        assert '"good"' in json.dumps(description)
        file.attrs["description"] = json.dumps(description).replace('"good"', json.dumps(EVIL))
    assert cli.main(["diagnose", str(path), "digits", "--samples", "4", "--device", "reference"]) == 2
    assert "net.h5: the network cannot be rebuilt: " in printed(capsys)


def test_errors_that_quote_a_file_do_not_control_the_terminal(tmp_path, capsys):
    for error in (FormatError("file", None, EVIL), FormatError(EVIL, 3, "wrong"), snn.CheckpointError(EVIL)):
        assert all(one.isprintable() for one in str(error)) and "red" in str(error)
    assert cli.main(["show", f"{EVIL}.h5"]) == 2 and cli.main(["show", EVIL]) == 2
    assert "red" in printed(capsys)
    (tmp_path / "run.toml").write_text(
        f'[data]\nname = "{EVIL.encode().decode("latin-1")}"\n'.replace("\x1b", "\\u001b")
    )
    assert cli.main(["train", str(tmp_path / "run.toml")]) == 2
    assert printed(capsys)
