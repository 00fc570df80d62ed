"""The state of a run: how it begins, how it continues, and how it is kept in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..errors import CheckpointError
from ..files import remove_temporaries
from ..locks import Lock
from ..shown import shown
from ..validate import truth
from . import checkpoint
from .best import Best
from .checks import difference, plain
from .interrupt import DelayedInterrupt
from .training_state import checked_best, checked_run

if TYPE_CHECKING:
    from .callbacks import Callback
    from .trainer import Trainer

BEST, LAST, METRICS = "checkpoint.h5", "last.h5", "metrics.jsonl"
"""Files in the folder of a run: the best epoch, the last state, and the metrics of every epoch."""


def new_epoch() -> dict[str, Any]:
    """Return the sums of an epoch in which nothing has happened yet."""
    return {"loss": 0.0, "samples": 0, "seconds": 0.0, "counts": None}


def begin(trainer: Trainer, epochs: int, resume: bool | str) -> None:
    """Begin a run of this length, continue one, or restore one from its folder; see `Trainer.fit`."""
    if not truth(resume) and not (isinstance(resume, str) and resume == "changes"):
        raise ValueError(f'Trainer.fit: resume must be True, False or "changes"; got {shown(resume)}')
    fresh = trainer.epochs is None
    if resume:
        trainer.stopped = False
    if trainer.unsaved:  # writing it has failed before
        trainer.log.rewrite(trainer.history)
        keep_epoch(trainer)
    if fresh and trainer.out is not None:
        remove_temporaries(trainer.out)
        last = trainer.out / LAST
        if resume and last.exists():
            restore(trainer, last, resume == "changes")
            if resume == "changes":
                _need_best(trainer)
        elif resume:
            trainer.say(f"{trainer.out} holds no run to resume: a new one begins")
        elif _holds_run(trainer.out):
            raise FileExistsError(f"{trainer.out} already holds a run; use resume=True or choose another folder")
    if trainer.epochs is None:
        trainer.epochs = epochs
        _restart(trainer)
        save_last(trainer)
        trainer.log.rewrite([])
    elif trainer.finished and not resume:
        trainer.first, trainer.epochs, trainer.batch = trainer.epoch, epochs, 0
        trainer.ended = trainer.stopped = False
        _restart(trainer)
        trainer.say(f"the run goes on for {epochs} epochs after epoch {trainer.epoch}; the schedule begins anew")
        save_last(trainer)
    elif trainer.epochs != epochs:
        _change_length(trainer, epochs, resume)
    elif trainer.finished and fresh:
        early = f", which a callback ended after epoch {trainer.epoch}," if trainer.epoch < trainer.epochs else ""
        trainer.say(f"the run of {trainer.epochs} epochs{early} is complete")


def _restart(trainer):
    """Let schedule and callbacks forget another run, of this trainer or of one that had them before."""
    for part in (trainer.schedule, *trainer.callbacks):
        part.restart()


def _need_best(trainer):
    """Choose the best epoch anew if its network is gone. A run that is killed between the writing of its two files has
    a later one in checkpoint.h5, which it makes again, but not with other settings."""
    path = trainer.out / BEST
    if trainer.best.epoch and path.exists():
        _, _, training = checkpoint.read(path)
        found = (training or {}).get("best")
        if found is not None:
            checked_best(path, found)
        if found is not None and found["epoch"] > trainer.epoch:
            trainer.say(f"the best epoch is chosen anew: that before is not in {path}, which was written later")
            trainer.best = Best()


def _holds_run(folder):
    """Return whether there is a file of a run in a folder."""
    return any((folder / name).exists() for name in (BEST, LAST, METRICS))


def keep_epoch(trainer: Trainer) -> None:
    """Write the checkpoint of the best epoch if it is the one that has just ended, and last.h5; its metrics are on disk
    already.

    A run that is killed in between continues from the last.h5 before it and comes here again. In another order,
    last.h5 might speak of a best epoch whose network is nowhere.
    """
    if trainer.out is not None and trainer.best.epoch == trainer.epoch:
        with trainer.evaluated():
            trainer.save(trainer.out / BEST)
    save_last(trainer)
    trainer.unsaved = False


def save_last(trainer: Trainer) -> None:
    """Write last.h5, if the trainer has a folder."""
    if trainer.out is not None:
        trainer.save(trainer.out / LAST)


def stop(trainer: Trainer, interrupt: DelayedInterrupt) -> NoReturn:
    """End the run after Ctrl-C or SIGTERM: save, and say how to continue."""
    position = f"stopped at epoch {trainer.epoch + 1}, batch {trainer.batch}"
    if trainer.out is None:
        interrupt.stop(f"{position}; not saved, because the Trainer has no folder (out=...)")
    save_last(trainer)
    interrupt.stop(f"{position}; saved {trainer.out / LAST}, from which resume=True continues")


def need_lock(trainer: Trainer) -> None:
    """Refuse to go on in a process that was forked during a run, because the run is its parent's."""
    if isinstance(trainer.lock, Lock) and not trainer.lock.held:
        raise BlockingIOError(f"{trainer.out} is in use by the process that this one was forked from")


def begin_epoch_anew(trainer: Trainer) -> None:
    """Forget the batches of the current epoch, because those that follow do not go on from them."""
    trainer.say(f"epoch {trainer.epoch + 1} begins anew, because its batches are not the same")
    trainer.batch, trainer.running = 0, new_epoch()
    trainer.loop.reset()


def _change_length(trainer, epochs, resume):
    """Give an unfinished or restored run another length."""
    if resume != "changes":
        error = ValueError if not resume else CheckpointError
        raise error(
            f"the run has a length of {trainer.epochs} epochs; it cannot continue with {epochs}. "
            'resume="changes" changes its length'
        )
    if trainer.first + epochs < trainer.epoch:
        raise CheckpointError(f"the run has {trainer.epoch - trainer.first} epochs already; got epochs={epochs}")
    trainer.say(f"the run's length changes from {trainer.epochs} to {epochs} epochs; the schedule follows it")
    trainer.epochs, trainer.ended = epochs, False


def _settings(trainer):
    """Return the settings that must be equal for a run to be resumed with the same bits."""
    described = {name: getattr(trainer, name).description() for name in ("loss", "optimizer", "schedule")}
    shared = ("seed", "batch_size", "accumulate", "truncate", "clip_norm")
    found = described | {name: getattr(trainer, name) for name in shared}
    found["callbacks"] = [callback.description() for callback in trainer.callbacks]
    found["metrics"] = [metric.description() for metric in trainer.metrics or ()]
    found["samples"] = None if trainer.source is None else len(trainer.source.data)
    return found


def write(trainer: Trainer, path) -> None:
    """Write a checkpoint with everything that a run needs to continue; see `Trainer.save`."""
    optimizer = trainer.optimizer.state()
    states = [_state_of(callback) for callback in trainer.callbacks]
    arrays: dict[str, Any] = {}
    for k, state in enumerate(states):
        if "arrays" in state:
            arrays |= {f"{k}/{name}": value for name, value in state["arrays"].items()}
            state["arrays"] = list(state["arrays"])
    counts = trainer.running["counts"]
    training = {
        "epoch": trainer.epoch,
        "batch": trainer.batch,
        "first": trainer.first,
        "epochs": trainer.epochs,
        "ended": trainer.ended,
        "running": trainer.running | {"counts": counts and [np.asarray(count).tolist() for count in counts]},
        "best": trainer.best.plain(),
        "steps": optimizer["steps"],
        "counts": optimizer["counts"],
        "settings": _settings(trainer),
        "schedule": trainer.schedule.state(),
        "callbacks": states,
        "history": trainer.history,
    }
    groups = {"optimizer": optimizer["arrays"], "callbacks": arrays}
    by_name = {group: dict(sorted(found.items())) for group, found in groups.items()}  # whether resumed or not
    checkpoint.write(path, trainer.net, by_name, training)


def _state_of(callback):
    """Return the state of a callback; refuse one that a checkpoint cannot hold."""
    kind, state = type(callback).__name__, callback.state()
    if not isinstance(state, dict):
        raise TypeError(f"{kind}: state() must return a dictionary; got {shown(state)}")
    found = {name: value for name, value in state.items() if name != "arrays"}
    try:
        plain(found)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{kind}: state() must hold plain data, and arrays under the key 'arrays'; got {shown(state)}"
        ) from error
    if "arrays" in state:
        found["arrays"] = {name: np.asarray(value) for name, value in state["arrays"].items()}
        for name, value in found["arrays"].items():
            if value.dtype.kind not in "biuf":
                raise TypeError(f"{kind}: the array {name!r} of state() must hold numbers; got {value.dtype}")
    return found


def restore(trainer: Trainer, path, changes: bool) -> None:
    """Take everything from a checkpoint; see `Trainer.restore`."""
    with trainer.lock:  # it writes the metrics
        _restore(trainer, path, changes)


def _restore(trainer, path, changes):
    out = trainer.out
    if trainer.epochs is None and out is not None and Path(path).resolve().parent != out.resolve() and _holds_run(out):
        raise FileExistsError(f"{out} already holds another run than {path}; choose another folder")
    net, arrays, training = checkpoint.read(path)
    if training is None or "ended" not in training:
        raise CheckpointError(f"{path}: holds a network but no training state to resume")
    if net.description() != trainer.net.description():
        raise CheckpointError(f"{path}: belongs to another network: {difference(net, trainer.net)}")
    checked_run(path, training, net, arrays, trainer.optimizer)
    settings = training["settings"]
    changed = {key: mine for key, mine in _compared(trainer, settings).items() if settings.get(key) != plain(mine)}
    for key, mine in changed.items():
        theirs = settings.get(key)
        if not changes:
            raise CheckpointError(
                f"{path}: the run's {key} was {shown(theirs)}; it cannot continue with {mine!r}. "
                'resume="changes" continues with another one'
            )
        trainer.say(f"{key} changes from {shown(theirs)} to {mine!r}")
    try:
        _take(trainer, net, arrays, training, changed)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise CheckpointError(f"{path}: a part of the trainer cannot take its state: {reason}") from error


def _compared(trainer, settings):
    """Return the settings that are compared with those of a file; metrics and data may not be known yet."""
    unknown = {"metrics": trainer.metrics is None, "samples": trainer.source is None or settings.get("samples") is None}
    return {key: mine for key, mine in _settings(trainer).items() if not unknown.get(key)}


def _take(trainer, net, arrays, training, changed):
    """Give the trainer the state of a checkpoint, as far as it fits the settings that changed."""
    if not trainer.net.built:
        trainer.net.build(net.input_shape)
    trainer.net.load_state(net.state())
    trainer.net.freeze_only(net.frozen_layers())
    if "optimizer" not in changed or set(training["settings"]["optimizer"]) == set(trainer.optimizer.description()):
        counters = {"steps": training["steps"], "counts": training.get("counts")}
        trainer.optimizer.load_state(counters | {"arrays": arrays["optimizer"]})
    trainer.loop.reset()
    if training["settings"]["schedule"]["type"] == type(trainer.schedule).__name__:
        trainer.schedule.load_state(training["schedule"])
    for callback, k in _same_callbacks(trainer.callbacks, training["settings"]["callbacks"]):
        state = training["callbacks"][k]
        if "arrays" in state:
            state["arrays"] = {name: arrays["callbacks"][f"{k}/{name}"] for name in state["arrays"]}
        callback.load_state(state)
    trainer.ended, trainer.unsaved = training["ended"] and not changed, False
    trainer.first, trainer.epoch, trainer.epochs = training["first"], training["epoch"], training["epochs"]
    trainer.batch, trainer.running, trainer.best = training["batch"], training["running"], Best.of(training["best"])
    if trainer.batch and {"batch_size", "accumulate", "samples", "seed", "loss", "metrics"} & set(changed):
        begin_epoch_anew(trainer)
    if "metrics" in changed or "loss" in changed:
        trainer.best = Best()
    trainer.log.rewrite(training["history"])


def _same_callbacks(callbacks, theirs):
    """Return pairs (callback, number of the callback in a checkpoint whose state it takes): one with the same
    arguments, otherwise one of the same class."""
    pairs: list[tuple[Callback, int]] = []
    left = dict(enumerate(theirs))
    for same in (lambda a, b: a == b, lambda a, b: a["type"] == b["type"]):
        for callback in callbacks:
            mine = plain(callback.description())
            found = [k for k, other in left.items() if same(other, mine)]
            if found and not any(callback is paired for paired, _ in pairs):
                pairs.append((callback, found[0]))
                del left[found[0]]
    return pairs
