"""Training: the training loop, checkpoints and metrics."""

from .checkpoint import load, save
from .metrics import Evaluation
from .trainer import Trainer

__all__ = ["Evaluation", "Trainer", "load", "save"]
