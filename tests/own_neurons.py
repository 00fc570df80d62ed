"""Neurons that tests of several folders share: those of example 12, defined as a user would define them."""

import runpy
from functools import cache
from pathlib import Path

import tables

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "12_own_neuron.py"


@cache
def own_neurons():
    """The classes QIF and KLIF of the example, without the surrogate family that the example registers."""
    with tables.kept():
        names = runpy.run_path(str(EXAMPLE))
    return names["QIF"], names["KLIF"]


QIF, KLIF = own_neurons()
