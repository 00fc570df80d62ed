"""Covering arrays: few rows of options in which every two values that may stand together do so at least once.

Rows are built one after another, as in AETG (Cohen et al. 1997, doi:10.1109/32.605761): a row starts from a pair that
no row has yet, and takes, option by option, the value that adds most new pairs to it; chance decides between equals.
"""

import random
from itertools import combinations


def pairs_of(row):
    """The pairs of a row, which is a dict from names of options to values: tuples (name, value, name, value)."""
    return {(*one, *other) for one, other in combinations(sorted(row.items(), key=lambda item: item[0]), 2)}


def possible_pairs(options, completed):
    """All pairs of values of different options for which there is a complete row.

    Args:
        options: dict from names to tuples of values.
        completed: function of a part of a row; it returns a complete row that contains the part, or None if there is
            none.
    """
    return {
        (one, value, other, second)
        for one, other in combinations(sorted(options), 2)
        for value in options[one]
        for second in options[other]
        if completed({one: value, other: second}) is not None
    }


def cover(options, completed, pairs, first=(), seed=0):
    """Rows that contain every possible pair.

    Args:
        options, completed: as for `possible_pairs`.
        pairs: what `possible_pairs` returns.
        first: names of options that are chosen before the others, because what the others may be depends on them.
        seed: the order of options is drawn with it.
    """
    rng = random.Random(seed)
    items = [(name, value) for name in sorted(options) for value in options[name]]
    number = {item: k for k, item in enumerate(items)}
    missing = {(number[pair[:2]], number[pair[2:]]) for pair in pairs}
    missing |= {(second, one) for one, second in missing}  # both ways round, so that no look-up has to sort
    rows = []
    while missing:
        row, chosen = dict(items[k] for k in min(missing)), list(min(missing))
        rest = [name for name in sorted(options) if name not in row]
        rng.shuffle(rest)
        rest.sort(key=lambda name: name not in first)
        for name in rest:
            new = {value: sum((number[name, value], k) in missing for k in chosen) for value in options[name]}
            values = list(new)
            rng.shuffle(values)
            for value in sorted(values, key=new.get, reverse=True):
                if completed({**row, name: value}) is not None:
                    row[name] = value
                    chosen.append(number[name, value])
                    break
        rows.append(row)
        missing.difference_update((one, other) for one in chosen for other in chosen)
    return rows
