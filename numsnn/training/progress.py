"""Progress bars, in terminals and notebooks."""

import sys
import warnings

from ..metrics import Metric
from ..shown import printable
from .evaluation import Tally


def _tqdm():
    """Return the class of the bars, and the file that they are written to; None stands for stderr."""
    from tqdm import TqdmWarning, tqdm

    if "ipykernel" not in sys.modules:
        return tqdm, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # without ipywidgets, the bar is text
        from tqdm.auto import tqdm as bar
    return bar, sys.stdout  # notebooks show stderr on a red background


def bar_of(title: str, done: int, total: int, shown: bool):
    """Return the progress bar of an epoch; without `shown` it shows nothing.

    Args:
        title: text in front of the bar.
        done, total: number of batches that are done, and of all.
        shown: whether to show the bar.
    """
    bar, file = _tqdm()
    return bar(total=total, initial=done, desc=title, unit="batch", file=file, disable=not shown)


def say(text: str) -> None:
    """Show a line of text without disturbing a bar."""
    _tqdm()[0].write(printable(text, lines=True))


def summary(running: dict, metrics: tuple[Metric, ...]) -> str:
    """Return what the bar says about the epoch so far: loss, metrics and speed.

    Args:
        running: sums of the epoch, see `run_state.new_epoch`.
        metrics: metrics of the run.
    """
    values = Tally(metrics, running["counts"]).values()
    parts = [f"loss {running['loss'] / running['samples']:.4f}", *(f"{name} {v:.4f}" for name, v in values.items())]
    return ", ".join([*parts, f"{running['samples'] / running['seconds']:.0f} samples/s"])
