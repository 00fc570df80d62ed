"""Looking into a network: proof of its gradients, what its neurons do, pictures, and the report of a run."""

from .diagnose import Diagnosis, LayerRow, ParameterRow, diagnose, record_spikes
from .gradients import GradientReport, GradientRow, check_gradients
from .plots import PlotsUnavailable
from .report import write_report

__all__ = [
    "Diagnosis", "GradientReport", "GradientRow", "LayerRow", "ParameterRow", "PlotsUnavailable", "check_gradients",
    "diagnose", "record_spikes", "write_report",
]  # fmt: skip
