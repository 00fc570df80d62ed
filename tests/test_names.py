"""Looking up names: every table of names is used in the same way."""

import pytest

import numsnn as snn
from numsnn import config, data, experiment, recipes
from numsnn.data import augment
from numsnn.kernels import DEVICES, for_device
from numsnn.names import argument, choice, look_up, nearest
from numsnn.psg import FAMILIES


def said(error, function, *arguments, **options):
    """The one line that an error says."""
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_choice():
    assert choice("c", "a", ("a", "b")) == "a"
    assert choice("c", None, (None, "b")) is None
    assert said(ValueError, choice, "c", "A", ("a", "b")) == "c must be one of 'a', 'b'; got 'A'"
    assert said(ValueError, choice, "c", None, ("a", "b")) == "c must be one of 'a', 'b'; got None"
    assert said(ValueError, choice, "c", ["a"], ("a", "b")) == "c must be one of 'a', 'b'; got ['a']"


def test_a_choice_names_the_nearest_one_and_what_else_is_allowed():
    message = said(snn.ConfigError, choice, "c", "weigth", ("weight", "bias"), "a file", snn.ConfigError)
    assert message == "c must be one of 'weight', 'bias', or a file; got 'weigth'. Did you mean 'weight'?"


def test_look_up():
    table = {"weight": 1, "bias": 2}
    assert look_up("group", "bias", table) == 2
    message = said(ValueError, look_up, "group", "bais", table)
    assert message == "group must be one of 'weight', 'bias'; got 'bais'. Did you mean 'bias'?"
    assert said(ValueError, look_up, "group", [], table) == "group must be one of 'weight', 'bias'; got []"


def test_argument():
    argument("Grain", "size", ("size", "colour"))
    message = said(TypeError, argument, "Grain", "color", ("size", "colour"))
    assert message == "Grain takes no argument 'color'. Did you mean 'colour'?"
    assert said(TypeError, argument, "Grain", "x", ("size", "colour")) == (
        "Grain takes no argument 'x'; it takes size, colour"
    )
    assert said(snn.ConfigError, argument, "Grain", "x", (), "key", snn.ConfigError) == "Grain takes no key 'x'"


def test_nearest():
    assert nearest("weigth", ("weight", "bias")) == ". Did you mean 'weight'?"
    assert nearest("xyz", ("weight", "bias")) == ""
    assert nearest(None, (None, "bias")) == ""


def trained(key, value):
    """What building the trainer of a configuration with this value says."""
    return lambda: experiment.build_trainer(
        config.parse(f'[training]\n{key} = "{value}"'), snn.Sequential(snn.Linear(4, 2))
    )


def built(key, value):
    """What building the network of a configuration with this value says."""
    return lambda: experiment.build_network(config.parse(f'[model]\n{key} = "{value}"'), (8, 8, 1), 10)


@pytest.mark.parametrize(
    ("ask", "known", "wrong", "near"),
    [
        (lambda: for_device("cup"), DEVICES, "cup", "cpu"),
        (lambda: snn.PSG("gausian"), FAMILIES, "gausian", "gaussian"),
        (lambda: data.load("mnits"), data.available(), "mnits", "mnist"),
        (lambda: augment.from_string("flplr"), augment.CHANGES, "flplr", "fliplr"),
        (trained("loss", "rates"), experiment.LOSSES, "rates", "rate"),
        (trained("optimizer", "adamv"), experiment.OPTIMIZERS, "adamv", "adam"),
        (trained("schedule", "cosinus"), experiment.SCHEDULES, "cosinus", "cosine"),
        (built("neuron", "lfi"), experiment.NEURONS, "lfi", "lif"),
        (built("reset", "sotf"), experiment.RESETS, "sotf", "soft"),
        (lambda: snn.set_route(snn.Linear(2, 2), "winogard"), None, "winogard", "winograd"),
        (lambda: snn.set_precision(snn.Linear(2, 2), "float23"), None, "float23", "float32"),
        (lambda: look_up("recipe", "digts", recipes.available()), recipes.available(), "digts", "digits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_table_says_the_same_of_an_unknown_name(ask, known, wrong, near):
    message = said(ValueError, ask)
    assert message.endswith(f"; got {wrong!r}. Did you mean {near!r}?")
    listed = ", ".join(map(repr, known)) if known is not None else repr(near)
    assert " must be one of " in message and listed in message


def test_long_names_take_no_time():
    """Looking for the nearest name takes time with the square of its length."""
    with pytest.raises(ValueError, match=r"^it must be one of 'lif', 'plif'; got 'ss*\.\.\.s*s'$"):
        choice("it", "s" * 200_000, ("lif", "plif"))
    with pytest.raises(TypeError) as caught:
        argument("LIF", "tau" * 100_000, ("tau", "reset"))
    assert len(str(caught.value)) < 800
