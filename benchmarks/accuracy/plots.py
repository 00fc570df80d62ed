"""Plots of accuracy over training time."""

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from ..peers.colours import COLOURS
from .report import by_variant, groups, seconds

METHODS = COLOURS | {"numsnn PSG+PDA": "#cc0000"}


def accuracy(runs):
    """A picture of runs: test accuracy over seconds of training, one panel per task."""
    tasks = groups(runs)
    figure, panels = plt.subplots(1, len(tasks), figsize=(6.5 * len(tasks), 4.6), layout="constrained", squeeze=False)
    for panel, (name, group) in zip(panels.flat, tasks.items(), strict=True):
        for variant, those in by_variant(group).items():
            at = np.mean([seconds(run) for run in those], 0)
            reached = np.array([[100 * epoch["accuracy"] for epoch in run["epochs"]] for run in those])
            label = f"{variant} ({len(those)} seed{'s'[: len(those) > 1]})"
            panel.plot(at, reached.mean(0), "o-", markersize=3.5, color=METHODS[variant], label=label)
            panel.fill_between(at, reached.min(0), reached.max(0), color=METHODS[variant], alpha=0.15, linewidth=0)
        settings = group[0]["settings"]
        panel.set_title(f"{name}: {settings['network']}, {settings['threads']} threads")
        panel.set_xlim(left=0)
        panel.set_xlabel("seconds of training")
        panel.set_ylabel("test accuracy, per cent: mean, lowest to highest")
        panel.grid(alpha=0.3)
        panel.legend(frameon=False, loc="lower right")
    return figure
