"""TOML configurations: complete on the way out, checked key by key on the way in."""

import os
import sys

import pytest

import numsnn as snn
from numsnn import config, recipes


def test_complete_toml_reads_back_equal():
    data = '[data]\ndir = "a \\"b\\" \\\\ é\\n"\n'
    changed = config.parse(data + "[method]\nwidth_bounds = [0.1, 8]\npda_target = 1\n[training]\nlr = 1e-5\n")
    assert changed.method.width_bounds == [0.1, 8.0] and changed.method.pda_target == 1.0
    assert changed.data.dir == 'a "b" \\ é\n'
    for one in (config.Config(), changed):
        assert config.parse(one.to_toml()) == one


def test_the_text_of_a_store_names_no_dataset():
    text = config.parse('[data]\nfile = "my.h5"\n').to_toml()
    assert 'file = "my.h5"' in text and "name = " not in text and "dir = " not in text
    assert config.parse(text).to_toml() == text


def test_what_is_not_said_keeps_its_default():
    assert config.parse("[training]\nepochs = 3\n").model == config.ModelConfig()
    assert config.parse("") == config.Config()


def test_recipes_are_valid():
    assert set(recipes.available()) >= {"digits", "mnist"}
    for path in recipes.available().values():
        config.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trainig]\nepochs = 3", r"section must be one of 'data', .*; got 'trainig'\. Did you mean 'training'\?$"),
        ("[training]\nepoch = 3", r"\[training\] takes no key 'epoch'\. Did you mean 'epochs'\?$"),
        ("[method]\nzzz = 1", r"\[method\] takes no key 'zzz'; it takes surrogate, width, learn_width, "),
        ('[training]\nepochs = "3"', "training.epochs must be a whole number; got '3'"),
        ("[training]\nepochs = 3.0", "training.epochs must be a whole number; got 3.0"),
        ("[training]\nepochs = true", "training.epochs must be a whole number; got True"),
        ('[training]\nlr = "fast"', "training.lr must be a number; got 'fast'"),
        ("[method]\npda = 1", "method.pda must be true or false; got 1"),
        ('[method]\npda_target = "rest"', "method.pda_target must be a number or \"input\"; got 'rest'"),
        ("[method]\npda_target = true", "method.pda_target must be a number"),
        ("[data]\nname = 3", "data.name must be a string; got 3"),
        ("[method]\nwidth_bounds = [1]", r"must be a list of two numbers, or \[\] for the default; got \[1\]"),
        ('[method]\nwidth_bounds = [1, "a"]', "method.width_bounds must be a list of two numbers"),
        ("training = 3", r"training must be a section \[training\]; got 3"),
        ("epochs == 3", "not valid TOML"),
    ],
)
def test_errors_name_the_key(text, message):
    with pytest.raises(snn.ConfigError, match=message):
        config.parse(text)


def test_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such configuration"):
        config.read(tmp_path / "none.toml")
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(snn.ConfigError, match="not a text file"):
        config.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 100_000, "not valid TOML: nested too deeply"),
        ("a = " + "{a=" * 100_000, "not valid TOML: "),
        (f"training.epochs = {'9' * 5000}", "not valid TOML: Exceeds the limit .* for integer string conversion"),
        (f"training.lr = {10**400}", r"training\.lr must be at most 3\.4e38, .*; got a whole number of 1329 bits$"),
        (f"method.width_bounds = [1, {10**400}]", r"method\.width_bounds must be at most 3\.4e38, "),
        (f"method.pda_target = -{10**400}", r"method\.pda_target must be at most 3\.4e38, "),
        (
            f"training.loss = {list(range(10_000))}",
            r"training\.loss must be a string; got \[0, 1, .*, \.\.\.\]$",
        ),
        (f"{'x' * 100_000} = 1", "section must be one of .*; got 'xx"),
        (f"[training]\n{'x' * 100_000} = 1", r"\[training\] takes no key 'xx"),
        ('"\\u001b[31m" = 1', r"section must be one of .*; got '\\x1b\[31m'$"),
        (f"model = '{'x' * 100_000}'", r"model must be a section \[model\]; got 'xx"),
    ],
    ids=range(11),
)
def test_hostile_files_are_refused_in_one_line(text, message, tmp_path):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(snn.ConfigError, match=rf"a\.toml: {message}") as caught:
        config.read(tmp_path / "a.toml")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes among its files")
def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.toml")
    with pytest.raises(OSError, match=r"a\.toml is a named pipe; expected a file$"):
        config.read(tmp_path / "a.toml")
    with pytest.raises(OSError, match=r"^/dev/zero is a device; expected a file$"):
        config.read("/dev/zero")
    with pytest.raises(IsADirectoryError, match=r"is a folder; expected a file$"):
        config.read(tmp_path)
