"""Every key of a TOML file with wrong values: the run begins, or one line says what is wrong."""

from dataclasses import fields

import pytest
from arguments.calls import SECONDS, in_folder, limited
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numsnn import config, experiment

KEYS = [(section.name, key.name) for section in fields(config.Config) for key in fields(section.default_factory())]

VALUES = [
    "-1",
    "0",
    "7",
    "1.5",
    "-0.5",
    "nan",
    "inf",
    "1e300",
    "1e-50",
    "1000000000000",
    "1" + "0" * 30,
    "true",
    "false",
]
VALUES += ['""', '"x"', '"a\\nb"', f'"{"y" * 5000}"', "[]", "[1, 2]", '["a"]', "[[1]]", "{}", "true"]
VALUES += ["1" + "0" * 5000, "[" * 5000 + "]" * 5000]

OTHER_WORDS = {
    "name": "dataset",
    "dir": "folder",
    "surrogate": "family",
    "width_per": "per",
    "width_lr": "lr",
    "width_rule": "rule",
    "window_share": "share",
    "pda_momentum": "momentum",
    "rate_weight": "weight",
    "rate_low": "low",
    "rate_high": "high",
    "step_every": "every",
    "step_gamma": "gamma",
    "early_stopping": "EarlyStopping",
    "plateau": "Plateau",
    "average": "WeightAverage",
}
"""Words in which a message may speak of a key instead of its name: the arguments that the key is handed on to."""

SMALL = {
    "data": {},
    "model": {"architecture": '"4"'},
    "method": {},
    "training": {"device": '"reference"', "batch_size": "2"},
}


def refusal(section, key, value):
    """Prepare a run with this value; return the error, or None."""
    given = {name: dict(keys) for name, keys in SMALL.items()}
    given[section][key] = value
    lines = [line for name, keys in given.items() for line in (f"[{name}]", *(f"{k} = {v}" for k, v in keys.items()))]
    try:
        with limited(SECONDS):
            experiment.prepare(config.parse("\n".join(lines)))
    except (ValueError, TypeError, OSError) as error:
        return error
    return None


@settings(max_examples=200, derandomize=True, database=None, deadline=None, suppress_health_check=HealthCheck)
@given(st.sampled_from(KEYS), st.sampled_from(VALUES))
def test_wrong_values(tmp_path_factory, key, value):
    with in_folder(tmp_path_factory.getbasetemp()):
        error = refusal(*key, value)
    if error is not None:
        message = str(error)
        assert message.isprintable() and len(message) < 500
        assert any(word in message for word in (key[1], OTHER_WORDS.get(key[1], key[1]), "not valid TOML"))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("training", "lr", "inf", "configuration: training.lr must be a finite number; got inf"),
        ("training", "lr", "1" + "0" * 40, "configuration: training.lr must be at most 3.4e38, the largest number in "),
        (
            "training",
            "epochs",
            "1" + "0" * 30,
            "configuration: training.epochs must be a whole number of at most ",
        ),
        ("training", "batch_size", "0", "training.batch_size must be a whole number of at least 1; got 0"),
        ("data", "valid_share", "1e-9", "data.valid_share: 1e-09: split: a share of 1 of 1437 samples leaves one part"),
        ("data", "file", '"a\\nb"', "data.file must be the path of a file or folder; got 'a\\nb'"),
        ("model", "v_threshold", "1e-50", "LIF: v_threshold must be positive, and this number becomes 0 in float32"),
        (
            "model",
            "architecture",
            '"9999999999999999999c3"',
            "architecture: 9999999999999999999c3 must be ",
        ),
    ],
)
def test_what_is_refused(section, key, value, message):
    error = refusal(section, key, value)
    assert isinstance(error, ValueError) and str(error).startswith(message)


def test_a_batch_larger_than_the_data_is_no_error():
    assert refusal("training", "batch_size", "1000000000000") is None
