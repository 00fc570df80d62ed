"""What a neuron is to record, and what it has recorded in its last pass."""

from ..names import nearest
from ..shown import shown


def wanted(kind: str, record) -> tuple[str, ...]:
    """Return the argument `record` of a neuron, one name or several, as a tuple of names.

    Raises:
        ValueError: it is neither; the message begins with `kind`.
    """
    names = (record,) if isinstance(record, str) else record
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{kind}: record must be a name or a list of names, such as 'u'; got {shown(record)}")
    return tuple(names)


class Recorded(dict):
    """A dict of recorded arrays by name. The error for another name says what was recorded, and how to record more."""

    def __missing__(self, name):
        there = ", ".join(map(repr, self)) or "nothing"
        raise KeyError(
            f"{name!r} was not recorded; the neuron's argument record names what a pass records, and the last pass "
            f"recorded {there}{nearest(name, self)}"
        )
