"""Results as Markdown tables."""


def table(header, rows) -> str:
    """A Markdown table; all columns but the first are aligned to the right.

    Args:
        header: names of the columns.
        rows: lists with one string per column.
    """
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in [list(header), *rows]) for k in range(len(header))]
    right = [k > 0 for k in range(len(header))]

    def line(cells):
        padded = (cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(cells, widths, right, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True))
    return "\n".join([line(header), f"|{rule}|", *map(line, rows)])


def time_text(seconds: float | None) -> str:
    """A time with three digits and its unit; "" for None."""
    if seconds is None:
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds * 1e6)} us"


def bytes_text(count: int | None) -> str:
    """A number of bytes in MB; "" for None."""
    return "" if count is None else f"{count / 1e6:.0f} MB"


def _digits(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
