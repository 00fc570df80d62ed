"""Values that are wrong for almost every argument. Each is made anew for every call, because a call may change it."""

import decimal
import fractions
import os
from pathlib import Path

import numpy as np

import numsnn as snn


class Ugly:
    """An object whose text has several lines."""

    def __repr__(self):
        return "Ugly(\n  of two lines\n)"


class Broken:
    """An object that cannot be shown."""

    def __repr__(self):
        raise RuntimeError("no text")


def _recursive():
    one: list = []
    one.append(one)
    return one


def _deep():
    one: list = []
    for _ in range(5000):
        one = [one]
    return one


def _read_only():
    array = np.ones((2, 3))
    array.flags.writeable = False
    return array


def _built():
    return snn.Sequential(snn.Linear(5, 2), snn.LIF()).to("reference").build((2, 2, 5))


NUMBERS = {
    "True": lambda: True,
    "False": lambda: False,
    "0": lambda: 0,
    "-1": lambda: -1,
    "7": lambda: 7,
    "1.5": lambda: 1.5,
    "-0.5": lambda: -0.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "1e300": lambda: 1e300,
    "1e-50": lambda: 1e-50,
    "10**9": lambda: 10**9,
    "10**12": lambda: 10**12,
    "2**63": lambda: 2**63,
    "10**30": lambda: 10**30,
    "-10**30": lambda: -(10**30),
    "10**5000": lambda: 10**5000,
    "1j": lambda: 1j,
    "Decimal": lambda: decimal.Decimal("1.5"),
    "Fraction": lambda: fractions.Fraction(10**400, 3),
    "np.float32": lambda: np.float32(0.5),
    "np.float64 nan": lambda: np.float64("nan"),
    "np.int8": lambda: np.int8(-1),
    "np.uint64": lambda: np.uint64(2**64 - 1),
    "np.bool_": lambda: np.True_,
}

OBJECTS = {
    "None": lambda: None,
    "''": lambda: "",
    "'x'": lambda: "x",
    "'a.b'": lambda: "a.b",
    "two lines": lambda: "a\nb",
    "NUL": lambda: "a\0b",
    "surrogate": lambda: "\udcff",
    "long": lambda: "x" * 100_000,
    "b''": lambda: b"",
    "b'x'": lambda: b"\xff\x00",
    "[]": list,
    "[1]": lambda: [1],
    "[1, 2]": lambda: [1, 2],
    "[1.5, -2]": lambda: [1.5, -2],
    "[nan, inf]": lambda: [float("nan"), float("inf")],
    "[1, 'x']": lambda: [1, "x"],
    "['a', 'b']": lambda: ["a", "b"],
    "ragged": lambda: [[1], [1, 2]],
    "recursive": _recursive,
    "deep": _deep,
    "()": tuple,
    "(0, 0)": lambda: (0, 0),
    "(3, 3)": lambda: (3, 3),
    "(2, 2, 3)": lambda: (2, 2, 3),
    "(10**12, 10**12, 3)": lambda: (10**12, 10**12, 3),
    "{}": dict,
    "{'a': 1}": lambda: {"a": 1},
    "{'type': 'LIF'}": lambda: {"type": "LIF"},
    "{1: None}": lambda: {1: None},
    "set": lambda: {1, 2},
    "object": object,
    "Ugly": Ugly,
    "Broken": Broken,
    "class": lambda: int,
    "layer class": lambda: snn.LIF,
    "lambda": lambda: lambda: None,
    "lambda of two": lambda: lambda a, b: a,
    "generator": lambda: (k for k in (1, 2)),
    "range": lambda: range(3),
    "slice": lambda: slice(None),
    "Ellipsis": lambda: ...,
    "module": lambda: os,
    "path": lambda: Path("no/such/place"),
    "folder": lambda: Path("."),
    "layer": lambda: snn.LIF().to("reference"),
    "network": lambda: snn.Sequential(snn.Linear(3, 2), snn.LIF()).to("reference"),
    "other network": _built,
    "PSG": snn.PSG,
    "PDA": snn.PDA,
    "Mode": snn.Mode,
    "loss": snn.losses.TET,
    "optimizer": snn.optim.SGD,
    "schedule": snn.schedules.Constant,
    "metric": snn.metrics.Accuracy,
    "callback": snn.training.EarlyStopping,
    "trainer": lambda: snn.Trainer(snn.Sequential(snn.Linear(3, 2)), device="reference"),
    "dataset": lambda: snn.data.Dataset(np.ones((2, 5), np.float32), [0, 1]),
    "events": lambda: snn.data.Events([0], [0], [0], [0], (2, 2)),
}

ARRAYS = {
    "0-d": lambda: np.array(1.0),
    "empty": lambda: np.array([]),
    "floats": lambda: np.full(3, 0.5),
    "matrix": lambda: np.full((2, 3), 0.5, np.float32),
    "read-only": _read_only,
    "no rows": lambda: np.zeros((0, 3), np.float32),
    "sequence": lambda: np.ones((2, 2, 5), np.float32),
    "spikes": lambda: np.ones((2, 2, 3), np.uint8),
    "float16": lambda: np.ones((2, 2, 3), np.float16),
    "picture": lambda: np.ones((2, 4, 4, 1), np.float32),
    "six axes": lambda: np.ones((1, 2, 1, 2, 1, 2)),
    "NaN": lambda: np.full((2, 2, 3), np.nan, np.float32),
    "large": lambda: np.full((2, 2, 3), 1e300),
    "ints": lambda: np.arange(3),
    "bools": lambda: np.array([True, False, True]),
    "complex": lambda: np.ones(3, complex),
    "objects": lambda: np.array([None, 1, "x"], object),
    "texts": lambda: np.array(["a", "b"]),
    "times": lambda: np.array(["2020-01-01"], "datetime64[s]"),
    "records": lambda: np.zeros(3, [("x", "i4"), ("y", "f4")]),
    "masked": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "np.str_": lambda: np.str_("x"),
    "np.datetime64": lambda: np.datetime64("2020-01-01"),
}

POOL = NUMBERS | OBJECTS | ARRAYS
