"""Tables as lines of text and as HTML, for terminals, notebooks and reports.

A table is a header and rows of text. Every module may use this one.
"""

import io
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from html import escape
from numbers import Integral
from typing import Any, NamedTuple

from .shown import printable

NOWRAP = "white-space: nowrap"
"""Style of every cell, because notebooks set their own style for cells."""


class Table(NamedTuple):
    """A table of text.

    Attributes:
        header: titles of the columns.
        rows: one list of text per line, each as long as the header.
        left: number of columns that are aligned left; the others are aligned right. Default 1.
    """

    header: list[str]
    rows: list[list[str]]
    left: int = 1


def aligned(table: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a table, whose first line is the header, as lines of text in aligned columns.

    The first `left` columns (default 1) are aligned left and the others right.
    """
    table = [[printable(text) for text in line] for line in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for line in table:
        cells = zip(line, widths, strict=True)
        lines.append("  ".join(c.ljust(w) if k < left else c.rjust(w) for k, (c, w) in enumerate(cells)).rstrip())
    return "\n".join(lines)


def html_table(header: Iterable[Any], rows: Iterable[Iterable[Any]], left: int = 1) -> str:
    """Return a table as HTML. All text is escaped, so that it may hold any character.

    Args:
        header: titles of the columns.
        rows: cells of every line; each is converted to text as `cell` does.
        left: number of columns that are aligned left; the others are aligned right. Default 1.
    """
    head = _line("th", header, left)
    lines = "\n".join(_line("td", row, left) for row in rows)
    return f"<table><thead>{head}</thead>\n<tbody>{lines}</tbody></table>"


def html_tables(tables: Iterable[Table], notes: Iterable[str] = ()) -> str:
    """Return tables and, below them, lines of text as HTML: what a notebook shows of a report (``_repr_html_``)."""
    parts = [html_table(*table) for table in tables]
    parts += [f"<p>{escape(note)}</p>" for note in notes]
    return f'<div style="overflow-x: auto">{"".join(parts)}</div>'


def text_tables(tables: Iterable[Table], notes: Iterable[str] = ()) -> str:
    """Return tables and, below them, lines of text for a terminal."""
    texts = [aligned([header, *rows], left) for header, rows, left in tables]
    return "\n".join([*texts, *(printable(note, lines=True) for note in notes)])


class TableText(str):
    """A string with tables and, below them, lines of text. A notebook and an interactive session show the tables.

    Args:
        tables: the tables.
        notes: the lines of text. Default: none.
    """

    _html: str

    def __new__(cls, tables: Sequence[Table], notes: Sequence[str] = ()):
        self = super().__new__(cls, text_tables(tables, notes))
        self._html = html_tables(tables, notes)
        return self

    def __reduce__(self):
        return str, (str(self),)

    def __repr__(self):
        return str(self)

    def _repr_html_(self):
        return self._html


def records(entries: Iterable[Mapping[str, Any]]) -> Table:
    """Return records, such as the metrics of a run by epoch, as a table with one line per record.

    There is one column per key, in the order in which the keys appear. Keys under which no record has a number or text,
    such as dictionaries of widths, are left out.
    """
    entries = list(entries)
    keys = list(dict.fromkeys(key for entry in entries for key in entry))
    shown = [key for key in keys if any(_is_cell(entry.get(key)) for entry in entries)]
    rows = [[cell(value) if _is_cell(value := entry.get(key)) else "-" for key in shown] for entry in entries]
    return Table([str(key).replace("_", " ") for key in shown], rows)


def cell(value: Any) -> str:
    """Return a value as text: floats with four significant digits, and None as "-"."""
    if value is None:
        return "-"
    if isinstance(value, str | Integral) or not hasattr(value, "__float__"):
        return str(value)
    return f"{float(value):.4g}"


def _is_cell(value):
    return isinstance(value, str) or hasattr(value, "__float__")


def _line(tag, cells, left):
    parts = (
        f'<{tag} style="{NOWRAP}; text-align: {"left" if k < left else "right"}">{escape(cell(value))}</{tag}>'
        for k, value in enumerate(cells)
    )
    return f"<tr>{''.join(parts)}</tr>"


def escape_unknown_characters() -> None:
    """Let standard output and standard error write a character that their encoding lacks as an escape, such as
    ``\\xfc``. A name that a terminal cannot show would otherwise end a command with an error after all its work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def tell(message: str) -> None:
    """Print lines to standard error, even if nobody reads them any more. They may quote what a file holds."""
    try:
        print(printable(message, lines=True), file=sys.stderr, flush=True)
    except BrokenPipeError:
        be_silent()


def be_silent() -> None:
    """Lead standard output and standard error to nowhere, because their reader has ended, as in ``numsnn info | head
    -1``. Python would otherwise complain when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # a notebook's output is no file
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
