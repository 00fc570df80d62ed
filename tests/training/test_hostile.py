"""Checkpoints with a valid seal and impossible content: each is refused in one line, and takes no memory."""

import json
import os
import re
import sys
import tracemalloc

import numpy as np
import pytest
from resealing import content

import numsnn as snn
from numsnn.training import EarlyStopping, WeightAverage

X, Y = np.random.default_rng(0).random((12, 3)).astype(np.float32), np.arange(12) % 2


def trainer(**options):
    net = snn.Sequential(snn.Repeat(2, snn.Linear(3, 4)), snn.LIF(pda=snn.PDA()), snn.BatchNorm(4), snn.Linear(4, 2))
    callbacks = [EarlyStopping(9, "train_loss"), WeightAverage(0.9)]
    schedule = snn.schedules.Plateau(metric="train_loss")
    return snn.Trainer(net, device="reference", batch_size=4, callbacks=callbacks, schedule=schedule, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The bytes of last.h5, of a run that was stopped within its second epoch."""
    path = tmp_path_factory.mktemp("run") / "last.h5"

    def stop(one):
        if (one.epoch, one.batch) == (1, 2):
            one.save(path)

    trainer(on_batch=stop).fit((X, Y), (X, Y), epochs=3, progress=False)
    return path.read_bytes()


@pytest.fixture
def path(run, tmp_path):
    (tmp_path / "last.h5").write_bytes(run)
    return tmp_path / "last.h5"


def refused(path, read, memory=4 << 20):
    """Return the message with which a file is refused: one line, of bounded length, that nothing can control a terminal
    with. Reading takes no memory that the file only states."""
    tracemalloc.start()
    try:
        with pytest.raises(snn.CheckpointError) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.isprintable() and len(message) < len(str(path)) + 1000
    return message


# --- networks ---


def description(change):
    """A function that changes the description of a network."""

    def spoil(file):
        found = json.loads(file.attrs["description"])
        changed = change(found)
        file.attrs["description"] = json.dumps(found if changed is None else changed)

    return spoil


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def array(name, change):
    def spoil(file):
        file[name] = change(file[name])

    return spoil


def deep(levels):
    return lambda found: json.loads('{"type": "Sequential", "layers": [' * levels + "]}" * levels)


HUGE = 10**6
WEIGHT, BIAS = "network/repeat1.linear1.weight", "network/linear1.bias"

NETWORKS = [
    (attribute("format", "numsnn checkpoint 1"), "its format is 'numsnn checkpoint 1', expected 'numsnn checkpoint 2'"),
    (attribute("format", 7), "its format is 7"),
    (lambda file: file.attrs.pop("dtype"), "it must have a text 'dtype'; found None"),
    (attribute("training", [1]), r"it must have a text 'training'; found \[1\]"),
    (attribute("dtype", "float16"), "the dtype must be float32 or float64; found 'float16'"),
    (attribute("input_shape", "[2, 3"), "the network cannot be rebuilt: not JSON"),
    (attribute("input_shape", "[12, -3]"), "the network cannot be rebuilt: "),
    (attribute("input_shape", '{"a": [1, 2, 3]}'), "the network cannot be rebuilt: "),
    (attribute("input_shape", "null"), "the network cannot be rebuilt: "),
    (attribute("frozen", "{}"), "frozen must be a list of names"),
    (attribute("frozen", '["nothing"]'), "has no layer 'nothing'"),
    (attribute("frozen", "[[1]]"), "a layer is found by its full name"),
    (attribute("description", "{"), "the network cannot be rebuilt: not JSON"),
    (attribute("description", "5"), "the network cannot be rebuilt: "),
    (attribute("description", '["Linear"]'), "the network cannot be rebuilt: "),
    (attribute("description", "[" * 10_000), "lie deeper than 200 inside each other"),
    (description(deep(120)), "lie deeper than 200 inside each other"),
    (description(lambda found: {"type": "Adam", "lr": 0.1}), "Adam is no layer"),
    (
        description(lambda found: found.update(type="Sequentiel")),
        "unknown type 'Sequentiel'.* Did you mean 'Sequential'",
    ),
    (description(lambda found: found.update(type=["a"])), "the network cannot be rebuilt: "),
    (description(lambda found: found.update(type="\x1b[2J")), "unknown type '.x1b.2J'"),
    (description(lambda found: found.update(more=1)), "Sequential takes no argument 'more'"),
    (description(lambda found: found.update(layers=5)), "the network cannot be rebuilt: "),
    (description(lambda found: found.update(layers=[1, None, "a"])), "the network cannot be rebuilt: "),
    (description(lambda found: found["layers"][1].update(tau="2")), "the network cannot be rebuilt: "),
    (description(lambda found: found["layers"][1].update(tau={"a": 1})), "the network cannot be rebuilt: "),
    (description(lambda found: found["layers"][1].update(surrogate=3)), "the network cannot be rebuilt: "),
    (description(lambda found: found["layers"][1].update(pda={"type": "Linear"})), "Linear needs the argument"),
    (description(lambda found: found["layers"].append(snn.Linear(2, 2).description())), "'linear2.weight' is missing"),
    (description(lambda found: found["layers"][0]["layers"][0].update(out_features=5)), "BatchNorm|batchnorm"),
    (array(WEIGHT, lambda x: x.astype(bool)), "must be float32; found bool"),
    (array(WEIGHT, lambda x: x.astype(int)), "must be float32; found int64"),
    (
        array(WEIGHT, lambda x: np.full(x.shape, np.nan)),
        "must be finite as float32; found nan",
    ),
    (array(WEIGHT, lambda x: np.full(x.shape, -np.inf)), "must be finite as float32; found -inf"),
    (array(WEIGHT, lambda x: np.full(x.shape, 1e300)), "must be finite as float32; found 1e\\+300"),
    (array(WEIGHT, lambda x: x[:-1]), "must have shape"),
    (array("network/batchnorm1.var", lambda x: x * np.nan), "'batchnorm1.var' must be finite; got nan at"),
    (array("network/batchnorm1.var", lambda x: -x), "'batchnorm1.var' must hold variances of at least 0; found -"),
    (array("network/lif1.batches", lambda x: np.float32(1)), "'lif1.batches' must be int64; found float32"),
    (lambda file: file.pop(BIAS), "'linear1.bias' is missing"),
    (lambda file: file.__setitem__("network/more", np.zeros(3)), "'more' is not part of this network"),
    (
        lambda file: file.__setitem__("more/x", np.zeros(3)),
        "an array 'more/x', which belongs to no checkpoint",
    ),
    (lambda file: file.__setitem__("other", np.zeros(3)), "an array 'other', which belongs to no checkpoint"),
    (lambda file: file.__setitem__("optimizer/x/first", np.array([np.inf])), "holds numbers that are not finite"),
]


def test_changed_bits(path):
    """`tests/hdf5/test_sealed.py` changes every byte."""
    whole = path.read_bytes()
    for place in range(0, len(whole), 211):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(snn.CheckpointError, match=r"last\.h5: "):
            snn.load(path, "reference")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes among its files")
def test_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place, message in (
        (tmp_path / "pipe", "is a named pipe"),
        (tmp_path, "is a folder"),
        ("/dev/zero", "is a device"),
    ):
        for read in (snn.load, snn.data.open):
            with pytest.raises(OSError, match=message):
                read(place)


@pytest.mark.parametrize(("spoil", "message"), NETWORKS)
def test_networks(spoil, message, path):
    with content(path) as file:
        spoil(file)
    found = refused(path, lambda one: snn.load(one, "reference"))
    assert re.search(message, found), found


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (snn.Linear(HUGE, HUGE), (2, 1, HUGE)),
        (snn.Conv2d(HUGE, HUGE, 3), (2, 1, 5, 5, HUGE)),
        (snn.ConvTranspose2d(HUGE, HUGE, 3), (2, 1, 5, 5, HUGE)),
        (snn.RecurrentLIF(), (2, 1, HUGE)),
        (snn.LIF(), (2, 1, HUGE * HUGE)),
        (snn.LI(), (2, 1, HUGE * HUGE)),
        (snn.BatchNorm(HUGE * HUGE), (2, 1, HUGE * HUGE)),
        (snn.BNTT(HUGE, HUGE), (HUGE, 1, HUGE)),
        (snn.TEBN(3, HUGE * HUGE), (HUGE * HUGE, 1, 3)),
        (snn.Sequential(*(snn.LIF() for _ in range(40))), (2, 1, HUGE)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, snn.Layer) else "",
)
def test_sizes_that_the_file_does_not_hold(layer, shape, path):
    """They are compared with the arrays of the file before memory is taken."""
    with content(path) as file:
        file.attrs["description"] = json.dumps(snn.Sequential(layer).description())
        file.attrs["input_shape"] = json.dumps(shape)
    message = refused(path, lambda one: snn.load(one, "reference"), memory=100 << 20)  # vectors of a million numbers
    assert "for which the file holds too few numbers" in message or "this computer has" in message


def test_a_network_that_could_not_be_read_is_not_written(tmp_path):
    net = snn.Linear(3, 2)
    for _ in range(110):
        net = snn.Sequential(net)
    with pytest.raises(
        ValueError, match=r"net.h5 was not written: the network's lists and objects lie deeper than 200"
    ):
        snn.save(net.build((2, 1, 3)), tmp_path / "net.h5")
    assert list(tmp_path.iterdir()) == []


# --- the state of a training ---


def field(*place):
    """A function that returns the change of a field of the state to a value."""

    def to(value):
        def spoil(found):
            for key in place[:-1]:
                found = found[key]
            found[place[-1]] = value

        return spoil

    return to


def without(*place):
    def spoil(found):
        for key in place[:-1]:
            found = found[key]
        del found[place[-1]]

    return spoil


STATES = [
    *((without(key), f"training lacks '{key}'") for key in ("epoch", "batch", "first", "best", "steps", "history")),
    *((field(key)(-1), f"{key} must be a whole number of at least 0; found -1") for key in ("epoch", "first", "steps")),
    *((field(key)(True), f"{key} must be a whole number of at least 0; found True") for key in ("epoch", "batch")),
    (field("epoch")(1.0), "epoch must be a whole number of at least 0; found 1.0"),
    (field("epoch")(1 << 60), "epoch must be a whole number"),
    (field("epoch")(7), "epoch must be between 0 and 3, as first and epochs say; found 7"),
    (field("epochs")(None), "epoch must be between 0 and 0, as first and epochs say; found 1"),
    (field("epochs")(0), "epochs must be a whole number of at least 1, or null; found 0"),
    (field("epochs")("3"), "epochs must be a whole number of at least 1, or null; found '3'"),
    (field("ended")(1), "ended must be true or false; found 1"),
    (field("running")(None), "running must be an object; found None"),
    (field("running", "loss")(float("nan")), "running.loss must be a finite number; found nan"),
    (field("running", "samples")("a\x1b"), r"running.samples must be a whole number of at least 0; found 'a\\x1b'"),
    (field("running", "seconds")(float("inf")), "running.seconds must be a finite number; found inf"),
    (field("running", "counts")([["a"]]), "running.counts must be a list of lists of numbers, or null"),
    (field("best")([]), "best must be an object"),
    (field("best", "epoch")(9), "best.epoch must be at most 1, the epochs of the run; found 9"),
    (field("best", "loss")(None), "best.loss must be a number; found None"),
    (field("best", "value")("high"), "best.value must be a number or null; found 'high'"),
    (field("best", "among")("x"), "best.among must be a whole number of at least 0 or null; found 'x'"),
    (field("counts")({"repeat1.linear1.weight": -3}), "counts must be an object of whole numbers"),
    (field("counts")([1]), "counts must be an object of whole numbers"),
    (field("settings")(4), "settings must be an object"),
    (without("settings", "schedule"), "settings lacks 'schedule'"),
    (field("settings", "schedule")({}), "settings.schedule must be an object with a type"),
    (field("settings", "callbacks")([{}]), r"settings.callbacks\[0\] must be an object with a type"),
    (field("schedule")({}), "a part of the trainer cannot take its state: KeyError 'reduced'"),
    (field("schedule", "reduced")(-1), "cannot take its state: ValueError Plateau: reduced must be a whole number"),
    (field("schedule", "waited")(None), "cannot take its state: ValueError Plateau: waited must be a whole number"),
    (field("callbacks")([]), "callbacks must be 2 states, one per callback of the settings"),
    (field("callbacks")(None), "callbacks must be a list of objects"),
    (field("callbacks", 0, "best")("low"), "ValueError EarlyStopping: best must be a number or None; got 'low'"),
    (field("callbacks", 1, "updates")(2.5), "ValueError WeightAverage: updates must be a whole number"),
    (field("callbacks", 1, "swapped")(0), "ValueError WeightAverage: swapped must be True or False"),
    (
        field("callbacks", 1, "arrays")(["more"]),
        r"callbacks\[1\].arrays must be names of arrays in the file",
    ),
    (field("callbacks", 1, "arrays")(5), r"callbacks\[1\].arrays must be names; found 5"),
    (field("history")([1]), "history must be a list of objects"),
    (field("batch")(4), "batch must be at most 3, the batches of an epoch; found 4"),
    (field("batch")(0), "running.samples must be those of 0 batches; found 8"),
    (field("running", "counts")([]), "running.counts must be 1 lists, one per metric; found 0"),
    (field("history", 0, "train_loss")("low"), r"history[0].train_loss must be a number; found 'low'"),
    (field("history")([{}]), r"history\[0\].epoch must be a whole number of at least 0; found None"),
    (field("history")([{"epoch": 1}] * 3), "history must be a list of at most 1 epochs; found 3"),
]


def restore(path):
    one = trainer()
    one.start((X, Y), epochs=3)
    one.restore(path)


@pytest.mark.parametrize(("spoil", "message"), STATES)
def test_states(spoil, message, path):
    with content(path) as file:
        found = json.loads(file.attrs["training"])
        spoil(found)
        file.attrs["training"] = json.dumps(found)
    assert message.replace("\\", "") in refused(path, restore).replace("\\", "")


@pytest.mark.parametrize("text", ["[1]", '"a"', "{", "[" * 10_000])
def test_no_state(text, path):
    with content(path) as file:
        file.attrs["training"] = text
    assert (
        "state" in refused(path, snn.load)
        or "not JSON" in refused(path, snn.load)
        or "deeper" in refused(path, snn.load)
    )


FIRST = "optimizer/repeat1.linear1.weight/first"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            array(FIRST, lambda x: x[1:]),
            "weight/first' must be real numbers of shape (3, 4)",
        ),
        (array(FIRST, lambda x: x.astype(int)), "must be real numbers of shape (3, 4); found 'int64 (3, 4)'"),
        (
            lambda file: file.__setitem__("optimizer/other/first", np.zeros(3)),
            "moments of the network's parameters",
        ),
        (
            array("optimizer/repeat1.linear1.weight/second", lambda x: x - 1),
            "second moment 'repeat1.linear1.weight/second' must be numbers of at least 0",
        ),
        (lambda file: file.__delitem__(FIRST), "given with the moment 'first'"),
        (
            lambda file: [file.__delitem__(name) for name in list(file) if name.startswith("optimizer/")],
            "given with the moment 'first'",
        ),
    ],
)
def test_moments(spoil, message, path):
    with content(path) as file:
        spoil(file)
    assert message in refused(path, restore)


def test_the_unspoilt_state_is_taken(path):
    with content(path):
        pass
    restore(path)


def test_loops(tmp_path):
    path = tmp_path / "loop.h5"
    loop = snn.Loop(snn.Sequential(snn.Linear(3, 2)).build((2, 1, 3)).to("reference"))
    loop.save(path, note="x")
    before = path.read_bytes()
    for name, value, message in (
        ("seed", -1, "loop.seed must be a whole number of at least 0; found -1"),
        ("passes", "2", "loop.passes must be a whole number of at least 0; found '2'"),
        ("counts", 3, "counts must be an object"),
        ("more", None, "loop.more must be an object; found None"),
    ):
        path.write_bytes(before)
        with content(path) as file:
            state = json.loads(file.attrs["training"])
            state["loop"][name] = value
            file.attrs["training"] = json.dumps(state)
        assert message in refused(path, loop.restore)
