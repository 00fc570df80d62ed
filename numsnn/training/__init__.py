"""Training: the loop, checkpoints, metrics."""

from .checkpoint import load
from .metrics import Evaluation
from .trainer import Trainer

__all__ = ["Evaluation", "Trainer", "load"]
