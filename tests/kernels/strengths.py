"""Few combinations of options in which every few options meet in all their values."""

from itertools import combinations, product


def covering(factors: dict, *groups) -> list[dict]:
    """Rows, each with a value for every factor. The same arguments give the same rows.

    Args:
        factors: name -> its values.
        groups: pairs (names, strength): in some row, any `strength` of these factors have any values they can have.
    """
    missing = {
        tuple(zip(names, values, strict=True)): None
        for group, strength in groups
        for names in combinations(group, strength)
        for values in product(*(range(len(factors[name])) for name in names))
    }
    rows = []
    while missing:
        row = dict(next(iter(missing)))
        while len(row) < len(factors):
            name = next(n for n in (*_open(missing, row), *factors) if n not in row)
            gains = [_gain(missing, row | {name: value}) for value in range(len(factors[name]))]
            uses = [sum(other[name] == value for other in rows) for value in range(len(gains))]
            row[name] = max(range(len(gains)), key=lambda value, g=gains, u=uses: (g[value], -u[value]))
        for met in [one for one in missing if all(row[name] == value for name, value in one)]:
            del missing[met]
        rows.append(row)
    return [{name: factors[name][row[name]] for name in factors} for row in rows]


def _open(missing, row):
    """The factors of combinations that the row may still meet, in their order."""
    for one in missing:
        if all(row.get(name, value) == value for name, value in one):
            yield from (name for name, _ in one)


def _gain(missing, row):
    """How much the row meets: whole combinations count most, parts of those that it may still meet a little."""
    gain = 0.0
    for one in missing:
        if all(row.get(name, value) == value for name, value in one):
            known = sum(name in row for name, _ in one)
            gain += 1.0 if known == len(one) else 0.05 * known
    return gain
