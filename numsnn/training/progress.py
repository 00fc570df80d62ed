"""Progress bars."""

from tqdm import tqdm

from ..metrics import Metric
from .evaluation import Tally


def bar_of(title: str, done: int, total: int, shown: bool) -> tqdm:
    """Return the progress bar of an epoch; without `shown` it shows nothing.

    Args:
        title: text in front of the bar.
        done, total: number of batches that are done, and of all.
        shown: whether to show the bar.
    """
    return tqdm(total=total, initial=done, desc=title, unit="batch", disable=not shown)


def say(text: str) -> None:
    """Show a line of text without disturbing a bar."""
    tqdm.write(text)


def summary(running: dict, metrics: tuple[Metric, ...]) -> str:
    """Return what the bar says about the epoch so far: loss, metrics and speed.

    Args:
        running: sums of the epoch, see `run_state.new_epoch`.
        metrics: metrics of the run.
    """
    values = Tally(metrics, running["counts"]).values()
    parts = [f"loss {running['loss'] / running['samples']:.4f}", *(f"{name} {v:.4f}" for name, v in values.items())]
    return ", ".join([*parts, f"{running['samples'] / running['seconds']:.0f} samples/s"])
