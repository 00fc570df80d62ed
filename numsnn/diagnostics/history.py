"""The metrics of a run by name: what is in its history, and how it is told.

A history has one record per epoch. A key such as "train_loss" or "valid_mae" names a part of the data and a metric; any
metric may appear. Other keys, such as "seconds" and "widths", are not metrics.
"""

import re
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np

from ..shown import shown
from ..validate import LARGEST_WHOLE

PARTS = "train", "valid", "test"

SHARES = re.compile(r"(.*accuracy|top\d+|exact_match)$")
"""Names of the metrics that are shares of samples or steps, of which more is better; they are told in per cent."""

RISING = re.compile(r"(f1.*|r2)$")
"""Names of the other metrics of which more is better."""

LONGEST_ACRONYM = 4


def epochs_of(what: str, history) -> np.ndarray:
    """Return the numbers of the epochs.

    Args:
        what: who asks; the message of an error begins with it.
        history: one record per epoch.

    Raises:
        TypeError: the history has another form.
        ValueError: it is empty.
    """
    if not isinstance(history, list | tuple) or not all(isinstance(one, Mapping) and "epoch" in one for one in history):
        raise TypeError(
            f"{what}: history must be what Trainer.fit returns, one dict per epoch with a key 'epoch'; "
            f"got {shown(history)}"
        )
    if not history:
        raise ValueError(f"{what}: the history is empty")
    for metrics in history:
        epoch = metrics["epoch"]
        if isinstance(epoch, bool) or not isinstance(epoch, Integral) or abs(int(epoch)) > LARGEST_WHOLE:
            raise TypeError(f"{what}: history: 'epoch' must be a whole number; got {shown(epoch)}")
        if bad := next((key for key in metrics if not isinstance(key, str)), None):
            raise TypeError(f"{what}: history: the name of a metric must be a text; got {shown(bad)}")
        if not isinstance(metrics.get("widths") or {}, Mapping):
            raise TypeError(f"{what}: history: 'widths' must be a dict; got {shown(metrics['widths'])}")
    return np.array([metrics["epoch"] for metrics in history])


def metrics_of(history) -> dict[str, list[str]]:
    """Return metric -> parts of the data for which the history knows it, with the loss first.

    A metric that is None in all epochs is left out.
    """
    found: dict[str, list[str]] = {"loss": []}
    for part in PARTS:
        for key in dict.fromkeys(key for entry in history for key in entry):
            if key.startswith(f"{part}_") and any(entry.get(key) is not None for entry in history):
                found.setdefault(key.removeprefix(f"{part}_"), []).append(part)
    return {metric: parts for metric, parts in found.items() if parts}


def column(history, key) -> np.ndarray:
    """Return the values of all epochs under a key, with NaN where the value is None or missing."""
    values = [np.nan if entry.get(key) is None else entry[key] for entry in history]
    for value in values:
        if not isinstance(value, Real):
            raise TypeError(f"history: {key!r} must be a number; got {shown(value)}")
    return np.array(values, float)


def is_share(metric: str) -> bool:
    """Return whether a metric is a share of which more is better."""
    return SHARES.match(metric) is not None


def best_of(history, part: str, metric: str) -> int | None:
    """Return the number of the record with the best value of a metric of which more is better; of equal values, the one
    with the lower loss, as in `Trainer.fit`. None for another metric, or if it was never measured."""
    values, losses = column(history, f"{part}_{metric}"), column(history, f"{part}_loss")
    if not (is_share(metric) or RISING.match(metric)) or not np.isfinite(values).any():
        return None
    order = np.lexsort((np.nan_to_num(losses, nan=np.inf), -np.nan_to_num(values, nan=-np.inf)))
    return int(order[0])


def told(metric: str, value: float) -> str:
    """Return the value of a metric as text."""
    return f"{100 * value:.2f} %" if is_share(metric) else f"{value:.4g}"


def titled(metric: str) -> str:
    """Return the name of a metric as the beginning of a title: "Loss", "MAE", "Accuracy"."""
    name = metric.replace("_", " ")
    return name.upper() if len(name) <= LONGEST_ACRONYM and name != "loss" else name[:1].upper() + name[1:]
