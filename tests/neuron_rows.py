"""Which of `neuron_options` may stand together, and a covering array of their pairs. The constructors and a pass are
asked what they accept."""

from functools import cache, partial

import covering
from neuron_case import Case
from neuron_options import ABSENT, NEUTRAL, OPTIONS, PARTS, make

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


def completed(part, options=OPTIONS):
    """A complete row that contains this part of a row, or None: parts of a network are added that its options need.

    Args:
        part: the part of a row.
        options: the options from which these are chosen. Default: all.
    """
    needed = {name.partition(".")[0] for name in part} & set(PARTS)
    if "targets" in part:
        needed.add("loss")
    if part.get("frozen") == "norm":
        needed.add("norm")
    return _search(part, [name for name in PARTS if name in needed and name not in part], options)


def _search(part, open_parts, options):
    if not open_parts:
        row = completed_part(part)
        return row if possible(row) else None
    name, *others = open_parts
    for kind in options.get(name, OPTIONS[name]):
        row = _search({**part, name: kind}, others, options)
        if row is not None:
            return row
    return None


def _of(*kinds, **fixed):
    """The options of these neurons, in passes of several steps and samples that hide no gradient."""
    own = {name: values for name, values in OPTIONS.items() if name.partition(".")[0] in ("neuron", "surrogate", "pda")}
    more = {"norm": (ABSENT, "BatchNorm"), "carried": (False, True), "lengths": (False, True), "steps": (4,)}
    return own | more | {"neuron": kinds} | fixed


ARRAYS = {
    "all": OPTIONS,
    "neurons by rule": _of("LIF", "IF", "PLIF", "CubaLIF", "WithAdaptation", **{"neuron.refractory": (ABSENT,)}),
    "neurons with extensions": _of("ALIF", "RecurrentLIF", "RecurrentALIF", "RecurrentCubaLIF"),
}
"""Sets of options whose pairs are covered: all, and those of the neurons that share a kernel. There a pair says more: a
single step, a frozen layer or another kernel cannot hide what is wrong."""


@cache
def pairs(name):
    """The pairs of one of `ARRAYS` that may stand together."""
    return covering.possible_pairs(ARRAYS[name], partial(completed, options=ARRAYS[name]))


@cache
def array(name):
    """The rows of one of `ARRAYS`."""
    found = covering.cover(ARRAYS[name], partial(completed, options=ARRAYS[name]), pairs(name), PARTS)
    return [completed(row) for row in found]


def rows():
    """The rows of all arrays."""
    return [row for name in ARRAYS for row in array(name)]
