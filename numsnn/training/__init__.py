"""Training: the training loop, loops of one's own, callbacks, checkpoints and evaluations."""

from .callbacks import Callback, EarlyStopping, WeightAverage
from .checkpoint import load, save
from .evaluation import Evaluation
from .history import History
from .loop import Loop
from .trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "Evaluation", "History", "Loop", "Trainer", "WeightAverage", "load", "save"]
