"""What a neuron has recorded in its last pass."""

from ..names import nearest


class Recorded(dict):
    """A dict of recorded arrays by name. The error for another name says what was recorded, and how to record more."""

    def __missing__(self, name):
        there = ", ".join(map(repr, self)) or "nothing"
        raise KeyError(
            f"{name!r} was not recorded; the neuron's argument record names what a pass records, and the last pass "
            f"recorded {there}{nearest(name, self)}"
        )
