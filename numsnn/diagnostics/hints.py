"""What is wrong with a network, in plain language: one line for everything a diagnosis shows."""

from .text import percent, span, worst

SILENT_RATE, SATURATED_RATE = 1e-3, 0.9
"""Outside, a layer passes hardly anything on: it takes 1,000 neurons for a spike a step, or what it says is in the
spikes it leaves out. Working layers fire at 1 % to 50 %."""

SILENT_SHARE, SATURATED_SHARE = 0.9, 0.5
"""A few dead units are normal, nine in ten waste the layer. Units that always fire are constants, rarer by chance."""

CHANCES = 16
"""Samples times steps from which on the shares above are judged: at a rate of 10 %, 81 % of healthy units stay silent
in 2 chances, but 19 % in 16."""

UNDESIRED_SHARE = 0.9
"""Above it fewer than one potential in ten learns anything."""

SHIFT = 0.25
"""Shift, in thresholds, above which the layer no longer fires as the normalisation before it prescribes; networks with
hard reset, normalisation and no PDA sit at about 0.14."""

VANISHING, EXPLODING = 1e-6, 1e3
"""Gradient norms relative to the last neuron layer's: below, Adam's eps hides them; above, a learning rate that fits
the last layers is far too large for the first."""

AT_BOUND = 1e-3
"""Relative distance from a bound within which a width is stuck there; rounding of float32 logarithms is 1e-6."""


def hints_of(rows, parameters, mean_loss, labelled) -> tuple[str, ...]:
    """The hints for the `LayerRow`s and `ParameterRow`s of a diagnosis; none for a healthy network.

    Args:
        rows, parameters, mean_loss: as in `Diagnosis`.
        labelled: whether there were labels, and with them a loss and gradients.
    """
    hints = tuple(_number_hints(rows, parameters, mean_loss, labelled))
    if hints:  # among numbers that are not finite everything else is a consequence
        return hints
    return (*_firing_hints(rows), *_gradient_hints(rows))


def _number_hints(rows, parameters, mean_loss, labelled):
    """Numbers that are not finite: where they are, so that the first cause can be found."""
    bad = [f"{p.name} ({percent(p.nonfinite)})" for p in parameters if p.nonfinite]
    if bad:
        yield f"values are not finite in {_listed(bad)}: go back to a good checkpoint and lower the learning rate"
    bad = [f"{row.name} ({percent(row.nonfinite)})" for row in rows if row.nonfinite]
    if bad:
        yield f"potentials are not finite in {_listed(bad)}: look at the weights and the input in front of the first"
    if labelled and mean_loss is None:
        yield "the loss is not finite: look at the readout and the layers in front of it"
    bad = [p.name for p in parameters if p.gradient_nonfinite]
    if bad:
        yield f"gradients are not finite in {_listed(bad)}: start with the last of them, gradients travel backwards"


def _firing_hints(rows):
    """Layers that say too little, surrogates that see too little, potentials in the wrong place."""
    for row in rows:
        told = row.steps * row.samples >= CHANCES
        share = f"{percent(row.silent)} of its units never fired"
        if row.rate < SILENT_RATE or (told and row.silent > SILENT_SHARE):
            yield (
                f"{row.name} is nearly silent (rate {percent(row.rate)}, {share}): lower v_threshold, normalise before "
                "it (BatchNorm), raise the weights' scale, or bring its potentials to the threshold (PDA(target=0.9))"
            )
        if row.rate > SATURATED_RATE or (told and row.saturated > SATURATED_SHARE):
            yield (
                f"{row.name} is saturated (rate {percent(row.rate)}, {percent(row.saturated)} of its units always "
                "fired): raise v_threshold, normalise before it (BatchNorm), or lower the weights' scale"
            )
        if row.undesired_share > UNDESIRED_SHARE:
            yield (
                f"{row.name}'s surrogate sees too little: {percent(row.undesired_share)} of the potentials lie outside "
                f"its reach and learn nothing: start from a larger width (now {span(row.width)})"
            )
        yield from _shift_hint(row)
        yield from _bound_hint(row)


def _shift_hint(row):
    largest = worst(row.shift)
    if largest is None or None in row.threshold:
        return
    threshold = sum(row.threshold) / len(row.threshold)
    if abs(largest) <= SHIFT * threshold:
        return
    advice = "give it pda=PDA(), which tracks the shift and takes it out"
    if row.pda:
        advice = "its PDA has not caught up: train on, or raise the momentum"
    step = row.shift.index(largest) + 1
    yield (
        f"{row.name}'s potentials sit {abs(largest) / threshold:.2f} thresholds {'below' if largest < 0 else 'above'} "
        f"where its input puts them (step {step}): {advice}"
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
                "learning rate if it ran there within an epoch"
            )


def _gradient_hints(rows):
    """Gradients that die or blow up on the way from the last neuron layer to the first."""
    known = [row for row in rows if row.gradient is not None]
    if not known:
        return
    last = known[-1]
    lost = [row.name for row in known if row.gradient <= VANISHING * last.gradient]
    if lost:
        yield (
            f"hardly any gradient reaches {_listed(lost)}: widen the surrogates there and behind, wake up silent "
            "layers, or add BatchNorm or Residual"
        )
    blown = [row.name for row in known if row.gradient > EXPLODING * last.gradient > 0]
    if blown:
        yield (
            f"gradients explode towards {_listed(blown)} (over {EXPLODING:g} times {last.name}'s): clip their norm, "
            "normalise between the layers (BatchNorm), or set detach_reset=True"
        )


def _listed(names, most=4):
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
