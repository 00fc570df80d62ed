"""Described objects: their descriptions, and the objects that are rebuilt from them."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import numsnn as snn
from numsnn.describe import Described


class Grain(Described):
    """Two arguments, one with a default."""

    def __init__(self, size, colour="grey"):
        self.size, self.colour = size, colour


class Heap(Described):
    """One before, some positional and one keyword-only argument, as a `Repeat` has."""

    def __init__(self, height, *grains, name=None):
        self.height, self.grains, self.name = height, grains, name


def through_json(described):
    return Described.from_description(json.loads(json.dumps(described.description())))


def test_description_is_the_class_and_its_arguments():
    assert Grain(3).description() == {"type": "Grain", "size": 3, "colour": "grey"}
    assert Heap(2, Grain(1), Grain(2, "red"), name="h").description() == {
        "type": "Heap",
        "height": 2,
        "grains": [
            {"type": "Grain", "size": 1, "colour": "grey"},
            {"type": "Grain", "size": 2, "colour": "red"},
        ],
        "name": "h",
    }


@pytest.mark.parametrize(
    "described",
    [Grain(3), Grain((1, 2), None), Heap(1), Heap(2, Grain(1), Heap(3, Grain(4)), name="h"), Grain({"a": {"b": [1]}})],
    ids=repr,
)
def test_round_trip(described):
    again = through_json(described)
    assert type(again) is type(described)
    assert again.description() == described.description()


def test_what_comes_back():
    """Lists as tuples, dictionaries as dictionaries, described objects as objects, all the way down."""
    again = through_json(Grain({"a": [1, (2, 3)], "b": {"c": None}}, [Grain(1.5), True, "x"]))
    assert again.size == {"a": (1, (2, 3)), "b": {"c": None}}
    inner, truth, text = again.colour
    assert isinstance(inner, Grain) and inner.size == 1.5
    assert truth is True and text == "x"


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([1.0, 2.0]), [1.0, 2.0]),
        (np.array(2.5), 2.5),
        ((1, (2, 3)), [1, [2, 3]]),
    ],
    ids=repr,
)
def test_numpy_values_become_plain_data(value, encoded):
    found = Grain(value).description()["size"]
    assert found == encoded and type(found) is type(encoded)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", 1j, object, print])
def test_values_that_cannot_be_described(value):
    """The message names the class and the argument, also of a value deep inside a list."""
    for hidden in (value, [1, {"a": value}]):
        with pytest.raises(TypeError, match=rf"^Grain: size must be .*, to be saved; got {type(value).__name__}$"):
            Grain(hidden).description()


def test_repr_leaves_defaults_out():
    assert repr(Grain(3)) == "Grain(3)"
    assert repr(Grain(3, "red")) == "Grain(3, colour='red')"
    assert repr(Grain((1, 2))) == "Grain((1, 2))"
    assert repr(Grain(np.int64(3), np.str_("grey"))) == "Grain(3)"  # numbers of NumPy are written as Python's
    assert repr(snn.LIF(tau=np.float32(2), v_reset=np.float64(0))) == "LIF(tau=2.0, surrogate=PSG())"
    assert repr(Heap(2)) == "Heap(2)"
    assert repr(Heap(2, Grain(1), name="h")) == "Heap(2, Grain(1), name='h')"


def test_a_network_has_one_line_per_layer():
    net = snn.models.resnet19(3, 10, 4, widths=(4, 8, 16))
    lines = repr(net).splitlines()
    assert lines[:4] == [
        "Sequential(",
        "    Repeat(4, Conv2d(3, 4, (3, 3), padding=(1, 1)), BatchNorm(4)),",
        "    LIF(tau=2.0, surrogate=PSG()),",
        "    Residual(",
    ]
    assert lines[4] == "        Conv2d(4, 4, (3, 3), padding=(1, 1))," and lines[-1] == ")"
    assert max(map(len, lines)) <= 100
    again = eval(repr(net), {name: getattr(snn, name) for name in snn.__all__})
    assert again.description() == net.description()


def test_repr_shows_what_equals_a_default_but_is_of_another_type():
    assert repr(snn.Linear(1, 2, bias=True)) == "Linear(1, 2)"
    assert repr(snn.LIF(v_reset=0)) == "LIF(tau=2.0, v_reset=0, surrogate=PSG())"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "Grian"}, "unknown type 'Grian': import the module that defines it first. Did you mean 'Grain'?"),
        ({"type": "Zzzzzz"}, "unknown type 'Zzzzzz': import the module that defines it first"),
        ({"type": "Grain", "size": 1, "color": "red"}, "Grain takes no argument 'color'. Did you mean 'colour'?"),
        ({"type": "Grain", "size": 1, "weight": 2}, "Grain takes no argument 'weight'; it takes size, colour"),
        (
            {"type": "Heap", "height": 1, "grains": [{"type": "Grain", "mass": 2}]},
            "Grain takes no argument 'mass'; it takes size, colour",
        ),
    ],
)
def test_descriptions_that_are_refused(data, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Described.from_description(data)


def test_a_description_without_a_type():
    with pytest.raises(ValueError, match=r"^unknown type None: import the module that defines it first"):
        Described.from_description({"size": 1})


@pytest.mark.parametrize("data", [{"type": "Grain", "colour": "red"}, {"type": "Heap", "grains": []}], ids=str)
def test_a_description_with_an_argument_missing(data):
    """A damaged file must not end in a KeyError."""
    with pytest.raises(ValueError, match=f"^{data['type']}.*(size|height)"):
        Described.from_description(data)


def test_the_description_that_is_given_is_left_alone():
    data = Heap(2, Grain(1)).description()
    copy = json.loads(json.dumps(data))
    Described.from_description(data)
    assert data == copy


def test_two_classes_of_one_name_are_refused():
    message = r"^a class named 'Grain' is already registered by .*test_describe; choose another name$"
    with pytest.raises(TypeError, match=message):
        type("Grain", (Described,), {"__module__": "elsewhere"})
    assert type(through_json(Grain(1))) is Grain


def test_a_file_that_is_imported_by_two_names(tmp_path):
    """The message of a class whose file Python has loaded twice says so; another name for it would not help."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "mine.py").write_text("import numsnn as snn\n\n\nclass Mine(snn.Layer):\n    pass\n")
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nsys.path.insert(0, sys.argv[1])\nimport mine\ntry:\n    import package.mine\n"
        "except TypeError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, script, tmp_path / "package"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.startswith("the class 'Mine' is imported twice, from mine and from package.mine, which are one ")


def test_an_argument_that_is_not_stored_is_refused():
    """When the object is made, and not when a trained network is to be saved."""

    class ScaleNotStored(snn.Layer):
        def __init__(self, factor, name=None):
            super().__init__(name)
            self.scale = factor

    with pytest.raises(
        TypeError, match=r"^ScaleNotStored: the constructor must store its argument 'factor' as self\.factor, "
    ):
        ScaleNotStored(2.0)

    class LIFWithExtra(snn.LIF):
        def __init__(self, extra, **options):
            super().__init__(**options)

    with pytest.raises(TypeError, match=r"^LIFWithExtra: the constructor must store its argument 'extra' "):
        LIFWithExtra(1, tau=3.0)


def test_a_class_may_be_defined_again():
    """A cell of a notebook that is run twice."""
    again = type("Grain", (Described,), {"__module__": __name__, "__init__": Grain.__init__})
    try:
        assert type(through_json(Grain(1))) is again
    finally:
        Described._registry["Grain"] = Grain


def test_layers_losses_optimisers_and_schedules_are_described():
    for described in (
        snn.LIF(),
        snn.PDA(),
        snn.losses.TET(0.1),
        snn.optim.AdamW(groups={"width": {"lr": 0.1}}),
        snn.optim.Adam(betas=(0.8, 0.9)),
        snn.schedules.Step(3),
    ):
        again = through_json(described)
        assert again.description() == described.description()
        assert repr(again) == repr(described)
