"""One long run on CIFAR-10 in the time that is given: its learning curve, and how long a full run would take.

    python -m benchmarks.accuracy.cifar10 --data FILE [--minutes 60] [--out FOLDER]

--data is the store that data_prep/cifar10.py makes. The schedule is laid out for as many epochs as fit into --minutes,
estimated from a few batches. A run that was stopped continues with the same command. Writes metrics.jsonl, checkpoints,
summary.json and curve.png to --out.
"""

import argparse
import json
import time
from contextlib import suppress
from pathlib import Path

import numsnn as snn
from numsnn.measure.host import machine
from numsnn.measure.table import table
from numsnn.models import from_string
from numsnn.version import __version__

from ..common import RESULTS, save_figure, write_json

OUT = RESULTS / "cifar10"
PUBLISHED = {"LTMD, DenseNet, T = 4": 94.19, "PSG, ResNet-19, T = 6": 95.35}
"""Accuracy in per cent on all 10,000 test pictures, as the papers report it."""

PAPER_EPOCHS = 300
"""Epochs of a full run, as published recipes train."""

VALID = 0.04
"""Share of the training pictures that is set apart for the learning curve."""

TRIED = 30
"""Batches whose speed is measured, after the same number of batches that do not count."""


def trainer_of(chosen, out=None, **callbacks):
    """A trainer with a network as the options say."""
    neuron = snn.LIF(tau=2.0, surrogate=snn.PSG("triangle"), pda=snn.PDA())
    net = from_string(chosen.architecture, (32, 32, 3), 10, chosen.steps, neuron)
    return snn.Trainer(
        net,
        loss=snn.losses.TET(label_smoothing=0.1) if chosen.tet else snn.losses.RateCrossEntropy(label_smoothing=0.1),
        optimizer=snn.optim.AdamW(chosen.lr, weight_decay=chosen.weight_decay),
        schedule=snn.schedules.Cosine(warmup=1.0),
        batch_size=chosen.batch,
        seed=chosen.seed,
        out=out,
        **callbacks,
    )


def augmented(pictures, seed):
    """Training pictures, flipped, shifted and partly covered."""
    augment = snn.data.augment
    changes = [augment.RandomFlipLR(), augment.RandomCrop(padding=4), augment.Cutout(8)]
    return snn.data.Augmented(pictures, changes, seed=seed)


class _Enough(Exception):
    """Ends the measurement of the speed."""


def speed(chosen, store) -> float:
    """Training pictures per second."""
    marks = []

    def note(trainer):
        marks.append(time.perf_counter())
        if len(marks) == 2 * TRIED:
            raise _Enough

    with suppress(_Enough):
        trainer_of(chosen, on_batch=note).fit(augmented(store.train, chosen.seed), epochs=1, progress=False)
    return TRIED * chosen.batch / (marks[-1] - marks[-1 - TRIED])


def plot(history, summary):
    """Accuracy and widths over epochs, with the published results."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    epochs = [m["epoch"] for m in history]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    left.plot(epochs, [100 * m["valid_accuracy"] for m in history], "o-", markersize=3, label="validation")
    left.plot(epochs, [100 * m["train_accuracy"] for m in history], "-", label="training (augmented)")
    for k, (name, value) in enumerate(PUBLISHED.items()):
        left.axhline(value, linestyle=":", color=f"C{k + 2}", label=f"{name}: {value} %")
    left.set_ylabel("accuracy, %")
    left.legend(fontsize=8)
    for layer in history[0]["widths"]:
        right.plot(epochs, [m["widths"][layer] for m in history], label=layer)
    right.set_ylabel("surrogate width")
    right.legend(fontsize=8)
    for panel in (left, right):
        panel.set_xlabel("epoch")
        panel.grid(alpha=0.3)
    figure.suptitle(f"CIFAR-10, {summary['architecture']}, T = {summary['steps']}")
    return figure


def report(summary) -> str:
    """The run beside the published results."""
    hours = summary["seconds"] / 3600
    rows = [
        [
            f"numsnn, {summary['architecture']}, T = {summary['steps']}",
            f"{100 * summary['accuracy']:.2f}",
            f"{summary['epochs']}",
            f"{summary['pictures_per_second']:.0f}",
            f"{hours:.2f} h",
        ]
    ]
    full = PAPER_EPOCHS * summary["train"] / summary["pictures_per_second"] / 3600
    rows.append([f"the same for {PAPER_EPOCHS} epochs", "not run", str(PAPER_EPOCHS), "", f"{full:.0f} h"])
    rows += [[name, f"{value:.2f}", "", "", ""] for name, value in PUBLISHED.items()]
    return table(["", "test accuracy, %", "epochs", "pictures per second", "training time"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="the store that data_prep/cifar10.py makes")
    parser.add_argument("--architecture", default="64c3-64c3-p2-128c3-128c3-p2-256c3-256c3-p2")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--tet", action="store_true", help="the loss of every step, not of the mean over steps")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--epochs", type=int, help="in place of the number that fits into --minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    snn.set_num_threads(chosen.threads)
    store = snn.data.open(chosen.data)
    plan = chosen.out / "plan.json"
    if not plan.exists():
        epochs = chosen.epochs
        if epochs is None:  # test pictures are a tenth, and have no backward pass
            epochs = max(1, int(60 * chosen.minutes * speed(chosen, store) / (1.04 * len(store.train))))
        write_json(plan, {"epochs": epochs})
    epochs = json.loads(plan.read_text())["epochs"]
    print(f"{epochs} epochs")

    def show(trainer, metrics):
        rate = (1 - VALID) * len(store.train) / metrics["seconds"]
        print(
            f"epoch {metrics['epoch']}: loss {metrics['train_loss']:.4f}, training {metrics['train_accuracy']:.4f}, "
            f"validation {metrics['valid_accuracy']:.4f}, {rate:.0f} pictures per second",
            flush=True,
        )

    trainer = trainer_of(chosen, chosen.out, on_epoch=show)
    train, valid = store.train.split(1 - VALID)
    history = trainer.fit(augmented(train, chosen.seed), valid, epochs=epochs, resume=True, progress=False)
    seconds = sum(m["seconds"] for m in history)
    summary = {
        "version": __version__,
        "machine": machine(),
        "threads": chosen.threads,
        "architecture": chosen.architecture,
        "steps": chosen.steps,
        "epochs": epochs,
        "seed": chosen.seed,
        "train": len(store.train),
        "test": len(store.test),
        "parameters": snn.models.count_parameters(trainer.net),
        "seconds": seconds,
        "accuracy": trainer.evaluate(store.test).accuracy,
        "pictures_per_second": epochs * len(store.train) / seconds,
    }
    write_json(chosen.out / "summary.json", summary)
    save_figure(plot(history, summary), chosen.out / "curve.png")
    print(report(summary))


if __name__ == "__main__":
    main()
