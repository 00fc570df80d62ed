"""Which of `neuron_options` may stand together, and a covering array of their pairs. The constructors and a pass are
asked what they accept."""

from functools import cache

import covering
from neuron_case import Case
from neuron_options import NEUTRAL, OPTIONS, PARTS, make

NAMES = {part: tuple(name for name in OPTIONS if name.partition(".")[0] in (part, "steps")) for part in PARTS}
"""Part of a network -> the options of which it is constructed."""


@cache
def _constructed(part, values):
    """Whether the part's constructor accepts these values of its options."""
    try:
        make(part, dict(zip(NAMES[part], values, strict=True)))
    except (TypeError, ValueError):
        return False
    return True


@cache
def _runs(names, values):
    """Whether a pass runs with these values of options, where parts have no other arguments."""
    try:
        case = Case.of(completed_part(dict(zip(names, values, strict=True))), "reference")
        case.gradients()
    except (TypeError, ValueError):
        return False
    return True


PLAIN = {name: values[0] for name, values in OPTIONS.items()}
"""The first value of every option."""

TOGETHER = (
    ("neuron", "places"),
    ("norm", "places", "carried", "frozen"),
    ("penalty", "places"),
    ("readout", "loss"),
    ("loss", "loss.over", "targets", "steps"),
)
"""Options of several parts that may exclude each other: whether they do is found by a pass."""


def completed_part(part):
    """The row that has the values of a part of a row, and takes the others from `NEUTRAL` or does without them."""
    row = dict(PLAIN)
    for name in PARTS:
        row |= NEUTRAL.get((name, part.get(name, row[name])), {})
    return row | part


def possible(row):
    """Whether constructors and a pass accept a complete row."""
    if not all(_constructed(part, tuple(row[name] for name in NAMES[part])) for part in PARTS):
        return False
    return all(_runs(names, tuple(row[name] for name in names)) for names in TOGETHER)


def completed(part):
    """A complete row that contains this part of a row, or None: parts of a network are added that its options need."""
    needed = {name.partition(".")[0] for name in part} & set(PARTS)
    if "targets" in part:
        needed.add("loss")
    if part.get("frozen") == "norm":
        needed.add("norm")
    open_parts = [name for name in PARTS if name in needed and name not in part]
    return _search(part, open_parts)


def _search(part, open_parts):
    if not open_parts:
        row = completed_part(part)
        return row if possible(row) else None
    name, *others = open_parts
    for kind in OPTIONS[name]:
        row = _search({**part, name: kind}, others)
        if row is not None:
            return row
    return None


@cache
def rows():
    """The covering array."""
    return covering.cover(OPTIONS, completed, PARTS)
