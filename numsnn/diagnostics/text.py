"""A diagnosis as text."""

from ..shown import printable
from ..tables import Table, html_tables, text_tables


def percent(share: float) -> str:
    """Return a share in per cent with one decimal, or with more if it would look like 0 or 100 %: "0.02 %"."""
    value = 100 * share
    if 0 < value < 0.05:
        return f"{value:.1g} %"
    return f"{value:.3f} %" if 99.95 <= value < 100 else f"{value:.1f} %"


def layer_table(diagnosis) -> list[list[str]]:
    """Return the neuron layers of a `Diagnosis` as rows of text, with a header.

    Shifts are those of the step at which they are largest; "uncorrected" is without PDA's correction.
    "if normal" is the share of undesired potentials that normal distributions would have (docs/method.md, D10).
    """
    rows = diagnosis.layers
    corrected = any(row.shift_uncorrected is not None for row in rows)
    labelled = any(row.gradient_steps is not None for row in rows)
    columns = {
        "layer": [row.name for row in rows],
        "rate": [percent(row.rate) for row in rows],
        "silent": [percent(row.silent) for row in rows],
        "saturated": [percent(row.saturated) for row in rows],
        "potential": ["not finite" if row.mean is None else f"{_plain(row.mean)} ± {_plain(row.std)}" for row in rows],
        "shift": [_signed(worst(row.shift)) for row in rows],
        "uncorrected": [_signed(worst(row.shift_uncorrected or ())) for row in rows] if corrected else None,
        "undesired": [percent(row.undesired_share) for row in rows],
        "if normal": [_outside(row.window_normal_share) for row in rows],
        "width": [span(row.width) for row in rows],
        "threshold": [span(row.threshold) for row in rows],
        "leak": [span(row.leak) for row in rows],
        "gradient": [_small(row.gradient) for row in rows] if labelled else None,
    }
    shown = {title: column for title, column in columns.items() if column is not None}
    return [list(shown), *map(list, zip(*shown.values(), strict=True))]


def parameter_table(diagnosis) -> list[list[str]]:
    """Return the parameters of a `Diagnosis` as rows of text, with a header."""
    table = [["parameter", "shape", "norm", "gradient", "not finite"]]
    for row in diagnosis.parameters:
        shape = " x ".join(map(str, row.shape))
        table.append([row.name, shape, _small(row.norm), _small(row.gradient), percent(row.nonfinite)])
    return table


def product_table(diagnosis) -> list[list[str]]:
    """Return how the convolutions and linear layers of a `Diagnosis` were computed, as rows of text with a header."""
    table = [["computed by", "active", "forward", "weight gradient", "input gradient"]]
    for row in diagnosis.products:
        active = "-" if row.density is None else percent(row.density)
        table.append([row.name, active, *(way or "-" for way in (row.forward, row.weight, row.input))])
    return table


def report_text(diagnosis) -> str:
    """Return tables and hints of a `Diagnosis`, for a terminal, in characters that every terminal has."""
    parts = [text_tables([_in_ascii(table)]) for table in _tables(diagnosis)]
    if diagnosis.loss is not None:
        parts.append(f"loss {diagnosis.loss:.4g}")
    parts.append("\n".join(f"- {printable(hint)}" for hint in diagnosis.hints) or "Nothing looks wrong.")
    return "\n\n".join(parts)


def report_html(diagnosis) -> str:
    """Return tables and hints of a `Diagnosis`, for a notebook."""
    notes = [] if diagnosis.loss is None else [f"loss {diagnosis.loss:.4g}"]
    return html_tables(_tables(diagnosis), [*notes, *(diagnosis.hints or ["Nothing looks wrong."])])


def _in_ascii(table):
    """Return a table whose cells hold no character that only some terminals have."""
    return table._replace(rows=[[cell.replace("±", "+-") for cell in row] for row in table.rows])


def _tables(diagnosis):
    """Return the tables of a `Diagnosis` that have at least one line."""
    tables = [layer_table(diagnosis), parameter_table(diagnosis), product_table(diagnosis)]
    return [Table(table[0], table[1:]) for table in tables if len(table) > 1]


def worst(values) -> float | None:
    """Return the entry with the largest magnitude, ignoring None; None if there is no other entry."""
    return max((value for value in values if value is not None), key=abs, default=None)


def span(values) -> str:
    """Return one number, or the smallest and largest of several, as text."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    low, high = f"{min(known):.3g}", f"{max(known):.3g}"
    return low if low == high else f"{low} to {high}"


def _outside(share):
    """Return the share outside a window from that inside it, as text."""
    return "-" if share is None else percent(1 - share)


def _plain(value):
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:.1e}"


def _signed(value):
    if value is None:
        return "-"
    return f"{round(value, 3) + 0.0:+.3f}" if abs(value) < 1000 else f"{value:+.1e}"  # + 0.0: no "-0.000"


def _small(value):
    return "-" if value is None else f"{value:.2e}"
