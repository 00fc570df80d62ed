"""Hints: one line of plain language for each thing in a diagnosis that looks wrong."""

from .text import percent, span, worst

SILENT_RATE, SATURATED_RATE = 1e-3, 0.9
"""Lowest and highest rate. Outside these, a layer transmits almost no information: below, 1,000 neurons fire less than
one spike per step, and above, almost all neurons fire. Layers that work fire at 1 % to 50 %."""

SILENT_SHARE, SATURATED_SHARE = 0.9, 0.5
"""Shares of silent and of saturated units. A few silent units are normal, but not nine in ten. Units that always fire
are constants, and are less likely by chance."""

CHANCES = 16
"""Samples times steps that are needed before these shares are judged: at a rate of 10 %, 81 % of healthy units are
silent in 2 observations, but 19 % in 16."""

UNDESIRED_SHARE = 0.9
"""Share of undesired potentials. Above it, a gradient passes through less than one potential in ten."""

SHIFT = 0.25
"""Shift in thresholds. Above it, a layer does not fire as the normalisation before it intends. Networks with hard
reset, normalisation and no PDA have a shift of about 0.14."""

VANISHING, EXPLODING = 1e-6, 1e3
"""Gradient norms relative to that of the last neuron layer. Smaller ones are hidden by Adam's eps; with larger ones, a
learning rate that suits the last layers is much too large for the first."""

AT_BOUND = 1e-3
"""Relative distance from a bound within which a width counts as being at it; rounding of float32 logarithms is 1e-6."""


def hints_of(rows, parameters, mean_loss, labelled) -> tuple[str, ...]:
    """Return the hints for the `LayerRow`s and `ParameterRow`s of a diagnosis; none for a healthy network.

    Args:
        rows, parameters, mean_loss: as in `Diagnosis`.
        labelled: whether there were labels, and therefore a loss and gradients.
    """
    hints = tuple(_number_hints(rows, parameters, mean_loss, labelled))
    if hints:  # everything else may be a consequence of numbers that are not finite
        return hints
    return (*_firing_hints(rows), *_gradient_hints(rows))


def _number_hints(rows, parameters, mean_loss, labelled):
    """Say where numbers are not finite, so that the user can find the first cause."""
    bad = [f"{p.name} ({percent(p.nonfinite)})" for p in parameters if p.nonfinite]
    if bad:
        yield f"values are not finite in {_listed(bad)}: return to a good checkpoint and lower the learning rate"
    bad = [f"{row.name} ({percent(row.nonfinite)})" for row in rows if row.nonfinite]
    if bad:
        yield f"potentials are not finite in {_listed(bad)}: check the weights and the input of the first of them"
    if labelled and mean_loss is None:
        yield "the loss is not finite: check the readout and the layers before it"
    bad = [p.name for p in parameters if p.gradient_nonfinite]
    if bad:
        yield f"gradients are not finite in {_listed(bad)}: check the last of them first, gradients pass backwards"


def _firing_hints(rows):
    """Hints about layers that fire too little or too much, narrow surrogate windows, and shifted potentials."""
    for row in rows:
        told = row.steps * row.samples >= CHANCES
        share = f"{percent(row.silent)} of its units never fired"
        if row.rate < SILENT_RATE or (told and row.silent > SILENT_SHARE):
            yield (
                f"{row.name} is nearly silent (rate {percent(row.rate)}, {share}): lower v_threshold, normalise before "
                "it (BatchNorm), make the weights larger, or move its potentials to the threshold (PDA(target=0.9))"
            )
        if row.rate > SATURATED_RATE or (told and row.saturated > SATURATED_SHARE):
            yield (
                f"{row.name} is saturated (rate {percent(row.rate)}, {percent(row.saturated)} of its units always "
                "fired): raise v_threshold, normalise before it (BatchNorm), or make the weights smaller"
            )
        if row.undesired_share > UNDESIRED_SHARE:
            yield (
                f"{row.name}'s surrogate window is too narrow: {percent(row.undesired_share)} of the potentials lie "
                f"outside and pass no gradient: start from a larger width (now {span(row.width)}), or let the width "
                'follow the potentials (PSG(rule="window"))'
            )
        yield from _shift_hint(row)
        yield from _bound_hint(row)


def _shift_hint(row):
    largest = worst(row.shift)
    if largest is None or None in row.threshold or row.recurrent:  # a recurrent layer computes with its shift
        return
    threshold = sum(row.threshold) / len(row.threshold)
    if abs(largest) <= SHIFT * threshold:
        return
    advice = "give it pda=PDA(), which tracks the shift and removes it"
    if row.pda:
        advice = "its PDA does not follow fast enough: train for longer, or raise the momentum"
    step = row.shift.index(largest) + 1
    yield (
        f"{row.name}'s mean potential is {abs(largest) / threshold:.2f} thresholds "
        f"{'below' if largest < 0 else 'above'} its mean input current or PDA's target (step {step}): {advice}"
    )


def _bound_hint(row):
    if row.width_bounds is None:
        return
    low, high = row.width_bounds
    for side, bound in (("lower", low), ("upper", high)):
        if bound is None:
            continue
        stuck = sum(abs(width - bound) <= AT_BOUND * bound for width in row.width if width is not None)
        if stuck:
            channels = f" in {stuck} of {len(row.width)} channels" if len(row.width) > 1 else ""
            yield (
                f"{row.name}'s width is at its {side} bound {bound:g}{channels}: widen PSG's bounds, or lower its "
                "learning rate if it got there within one epoch"
            )


def _gradient_hints(rows):
    """Hints about gradients that vanish or explode between the last neuron layer and the first."""
    known = [row for row in rows if row.gradient is not None]
    if not known:
        return
    last = known[-1]
    lost = [row.name for row in known if row.gradient <= VANISHING * last.gradient]
    if lost:
        yield (
            f"almost no gradient reaches {_listed(lost)}: widen the surrogates of these and later layers, make silent "
            "layers fire, or add BatchNorm or Residual"
        )
    blown = [row.name for row in known if row.gradient > EXPLODING * last.gradient > 0]
    if blown:
        yield (
            f"gradients explode towards {_listed(blown)} (over {EXPLODING:g} times {last.name}'s): clip their norm, "
            "normalise between the layers (BatchNorm), or set detach_reset=True"
        )


def _listed(names, most=4):
    """Return the first names, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
