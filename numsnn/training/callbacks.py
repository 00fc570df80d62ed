"""Callbacks: objects that act during a run, and whose state is saved and resumed with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..describe import Described
from ..layers import Layer
from ..layers.flat import FlatParameters
from ..patience import Patience
from ..portable import Portable, nothing
from ..validate import flag, instance, whole, within

if TYPE_CHECKING:
    from .trainer import Trainer


class Callback(Described):
    """Base of the callbacks of a `Trainer`. All methods do nothing unless a subclass writes them.

    A subclass must store the arguments of its constructor in attributes of the same names. What it learns during a run
    belongs into `state`, so that a resumed run goes on in the same way.
    """

    def on_start(self, trainer: Trainer) -> None:
        """Act at the beginning of a run or of its continuation, after the network is built."""

    def restart(self) -> None:
        """Act, before `on_start`, when a run begins: forget another run, of the same trainer or of one that had this
        callback before. A run that is resumed does not call this method."""

    def on_batch(self, trainer: Trainer) -> None:
        """Act after every training step."""

    def before_evaluation(self, trainer: Trainer) -> None:
        """Act before the validation data are evaluated, and again before the best checkpoint is written."""

    def after_evaluation(self, trainer: Trainer) -> None:
        """Act after the validation data were evaluated, and again after the best checkpoint was written."""

    def on_epoch(self, trainer: Trainer, metrics: dict) -> bool | None:
        """Act after every epoch; True ends the run.

        Args:
            trainer: the trainer.
            metrics: metrics of the epoch, such as {"train_loss": 0.3, "valid_accuracy": 0.9}. Entries that are added
                here become part of the history.
        """
        return None

    def state(self) -> dict[str, Any]:
        """Return numbers, strings, lists, dictionaries, and arrays under the key "arrays", from which `load_state`
        restores the callback."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore a state that `state` returned. With ``resume="changes"``, it may come from a callback of the same
        class with other arguments."""


class EarlyStopping(Callback):
    """End a run when a metric has not improved for some epochs.

    In a loop of one's own, `observe` takes the place of the trainer:

        stopping = snn.training.EarlyStopping(patience=3)
        ...
        if stopping.observe(valid_loss):
            break

    Args:
        patience: number of epochs without an improvement after which the run ends, at least 1. Default 5.
        metric: name of the metric in the history. Default "valid_loss".
        min_delta: an improvement must be larger than this number, at least 0. Default 0.
        higher: whether a higher number is better. Default False, as for a loss.

    Raises:
        ValueError: an argument is out of range or, in a run, an epoch has no such metric.
    """

    def __init__(self, patience: int = 5, metric: str = "valid_loss", min_delta: float = 0.0, higher: bool = False):
        self.patience, self.metric, self.min_delta, self.higher = patience, metric, min_delta, higher
        self._patience = Patience("EarlyStopping", patience, metric, min_delta, higher)

    @property
    def best(self) -> float | None:
        """The best number so far, or None."""
        return self._patience.best

    def observe(self, value: float) -> bool:
        """Take the metric of one more epoch, and return whether to stop."""
        return self._patience.exhausted(value)

    def on_epoch(self, trainer, metrics):
        return self.observe(self._patience.read(metrics))

    def state(self):
        return self._patience.state()

    def load_state(self, state):
        self._patience.load_state(state)

    def restart(self):
        self._patience.restart()


class WeightAverage(Callback, Portable):
    """An exponential moving average of the parameters (EMA, Polyak and Juditsky 1992), which is evaluated and saved as
    the best network in place of the trained parameters. Training itself goes on with the trained ones.

        average <- d average + (1 - d) parameters        d = min(decay, (1 + k) / (10 + k)) after k updates

    Running statistics are not averaged, because they are averages already. In a loop of one's own, call `update(net)`
    after every step, and `swap(net)` before and after an evaluation.

    Args:
        decay: share of the average that is kept in an update, in [0, 1). Default 0.999.

    Attributes:
        updates: number of updates so far.

    Raises:
        ValueError: decay is out of range.
        RuntimeError: in a call, the network is not built.
    """

    transient: ClassVar = {"_flat": nothing, "_average": nothing, "_names": list}

    def __init__(self, decay: float = 0.999):
        self.decay = within("WeightAverage: decay", decay, 0, 1, open_high=True)
        self.updates = 0
        self._swapped = False
        self._names: list[str] = []
        self._flat: Any = None
        self._average: Any = None
        self._saved: dict[str, np.ndarray] = {}

    def __getstate__(self):
        return super().__getstate__() | {"_saved": self._arrays()}

    def update(self, net: Layer) -> None:
        """Take the parameters of the network into the average. Those of frozen layers do not change, and are left
        out."""
        flat, share = self._settle(net), self._share()
        self.updates += 1
        if flat is not None:
            net.kernels.running_update(self._average, flat.value, share)

    def swap(self, net: Layer) -> None:
        """Exchange the parameters of the network and their average; a second call exchanges them back."""
        flat = self._settle(net)
        self._swapped = not self._swapped
        if flat is None:
            return
        kept = flat.vector(flat.value.dtype)
        for source, place in ((flat.value, kept), (self._average, flat.value), (kept, self._average)):
            net.kernels.copy(source, place)

    def _share(self):
        """Return the share of the parameters in the next update."""
        if not self.updates:
            return 1.0
        return 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))

    def _settle(self, net):
        """Return the parameters as one vector, beside which the average lies in the same order; None if all are
        frozen. They are those of the optimiser, whose vector this is, too."""
        instance("WeightAverage: net", net, Layer, "a network, such as snn.Sequential(...)")
        if not net.built:
            raise RuntimeError(
                "WeightAverage: the network is not built yet; call net.build(shape) or run it once first"
            )
        parameters = net.trainable()
        if not parameters:
            return None
        flat = FlatParameters.of(net.kernels, parameters)
        if self._average is None or self._names != flat.names:
            saved = self._saved = self._arrays()
            self._average, self._names = flat.vector(flat.value.dtype), flat.names
            net.kernels.copy(flat.value, self._average)
            for name, place in zip(flat.names, flat.parts(self._average), strict=True):
                if name in saved:
                    net.kernels.put(saved[name], place)
            self._flat = flat
        return flat

    def _arrays(self):
        """Return host copies of the averages by the names of their parameters."""
        if self._average is None:
            return self._saved
        parts = zip(self._names, self._flat.parts(self._average), strict=True)
        return self._saved | {name: self._flat.kernels.to_host(part) for name, part in parts}

    def on_start(self, trainer):
        if self._swapped:  # the checkpoint was written during an evaluation
            self.swap(trainer.net)

    def on_batch(self, trainer):
        if trainer.updated:
            self.update(trainer.net)

    def restart(self):
        self.load_state({"updates": 0, "swapped": False})  # of the weights with which the run begins

    def before_evaluation(self, trainer):
        self.swap(trainer.net)

    def after_evaluation(self, trainer):
        self.swap(trainer.net)

    def state(self):
        return {"updates": self.updates, "swapped": self._swapped, "arrays": self._arrays()}

    def load_state(self, state):
        self.updates = whole("WeightAverage: updates", state["updates"], 0)
        self._swapped = flag("WeightAverage: swapped", state["swapped"])
        self._saved = dict(state.get("arrays", {}))
        self._names, self._average = [], None
