"""Tables as text and as HTML: cells are aligned and escaped, and records become one line each."""

import copy
import pickle

import numpy as np
import pytest

from numsnn.tables import Table, TableText, aligned, cell, html_table, html_tables, printable, records, text_tables

HISTORY = [
    {"epoch": 1, "train_loss": 0.123456, "valid_mae": None, "seconds": 2.0, "widths": {"lif1": 1.0}},
    {"epoch": 2, "train_loss": np.float32(1e-9), "valid_mae": 3, "seconds": float("nan"), "note": "<b>"},
]


def test_columns_are_aligned():
    assert aligned([["name", "n"], ["a", "100"]]) == "name    n\na     100"
    assert aligned([["name", "n"], ["a", "1"]], left=2) == "name  n\na     1"


def test_records_have_one_line_each_and_leave_out_what_is_no_number():
    table = records(HISTORY)
    assert table.header == ["epoch", "train loss", "valid mae", "seconds", "note"]
    assert table.rows == [["1", "0.1235", "-", "2", "-"], ["2", "1e-09", "3", "nan", "<b>"]]
    assert records([]) == ([], [], 1)
    assert records([{"epoch": 1, "valid_loss": None}]).header == ["epoch"]


def test_html_is_escaped_and_aligned():
    page = html_table(["a&b", "n"], [["<i>", 0.5]])
    left, right = (f'style="white-space: nowrap; text-align: {side}"' for side in ("left", "right"))
    assert page == (
        f"<table><thead><tr><th {left}>a&amp;b</th><th {right}>n</th></tr></thead>\n"
        f"<tbody><tr><td {left}>&lt;i&gt;</td><td {right}>0.5</td></tr></tbody></table>"
    )
    assert html_tables([Table(["a"], [["1"]])], ["x < y"]).endswith("</table><p>x &lt; y</p></div>")
    assert text_tables([Table(["a"], [["1"]])], ["x < y"]) == "a\n1\nx < y"


def test_text_cannot_control_a_terminal():
    """Escapes of both kinds, a return, a tab, a bell and marks that turn the direction of writing."""
    text = "\x1b[31mred\x9b2J\r\t\a\u202eé 漢"
    assert printable(text) == "?[31mred?2J????é 漢"
    assert printable("a\nb\x1b") == "a?b?" and printable("a\nb\x1b", lines=True) == "a\nb?"
    shown = text_tables([Table(["name\x1b"], [["a\nb"], ["\x1b]0;title\a"]])], ["two\nlines\x1b"])
    assert shown == "name?\na?b\n?]0;title?\ntwo\nlines?"


def test_text_with_tables():
    text = TableText([Table(["a"], [["<1>"]])], ["x"])
    assert text == repr(text) == "a\n<1>\nx" and text.splitlines()[0] == "a"
    assert "<td" in text._repr_html_() and "&lt;1&gt;" in text._repr_html_()
    assert pickle.loads(pickle.dumps(text)) == copy.deepcopy(text) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (3, "3"), (True, "True"), (0.98765, "0.9877"), (np.float32(0.5), "0.5"), (np.int64(71234), "71234")],
)
def test_cells(value, text):
    assert cell(value) == text
