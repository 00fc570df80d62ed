"""The tables of surrogate families, which a test must leave as it found them."""

from contextlib import contextmanager


@contextmanager
def kept():
    """Put the tables back at the end; yield the table of `numsnn.psg`."""
    from numsnn import psg
    from numsnn.kernels import equations
    from numsnn.kernels.reference import surrogate

    tables = psg.FAMILIES, equations.DENSITY, equations.CDF, surrogate.DENSITY, surrogate.CDF
    before = [dict(table) for table in tables]
    try:
        yield psg.FAMILIES
    finally:
        for table, content in zip(tables, before, strict=True):
            table.clear()
            table.update(content)
