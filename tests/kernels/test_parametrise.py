"""Constrained parameters: ranges, gradients, one per layer and one per channel."""

import math

import numpy as np
import pytest
from bounds import REALS, agree
from targets import ALL, REFERENCE

NAMES = {"positive": math.exp, "unit": lambda raw: 1 / (1 + math.exp(-raw)), "free": lambda raw: raw}
KINDS = pytest.mark.parametrize("name", NAMES)
CHANNELS = 4


def pair(k, name):
    return getattr(k, f"{name}_forward"), getattr(k, f"{name}_backward")


@REFERENCE
@KINDS
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("shared", [True, False], ids=["layer", "channel"])
def test_value(k, name, real, shared):
    raw = np.random.default_rng(1).normal(0, 2, 1 if shared else CHANNELS).astype(real)
    natural = np.full(CHANNELS, np.nan, real)
    pair(k, name)[0](raw, natural)
    want = np.array([NAMES[name](float(raw[0 if shared else c])) for c in range(CHANNELS)])
    agree(natural, want.astype(real), 4, want)


@ALL
@KINDS
def test_one_channel(k, name):
    """[1] is one per layer and one per channel at once."""
    forward, backward = pair(k, name)
    natural, draw = np.empty(1), np.empty(1)
    forward(np.zeros(1), natural)
    backward(np.full(1, 3.0), natural, draw)
    assert natural == {"positive": 1, "unit": 0.5, "free": 0}[name]
    assert draw == {"positive": 3, "unit": 0.75, "free": 3}[name]


@ALL
@pytest.mark.parametrize("real", REALS)
def test_unit_stays_within_its_bounds(k, real):
    """The raw value may go as far as it likes, and there is no warning on the way."""
    raw = np.array([-math.inf, -1000, -30, 30, 1000, math.inf], real)
    natural = np.empty_like(raw)
    k.unit_forward(raw, natural)
    assert (natural >= 0).all() and (natural <= 1).all()
    assert natural[0] == natural[1] == 0 and natural[4] == natural[5] == 1
