"""Diagnosis of a network: a proof of its gradients, what its neurons do, pictures, and the report of a run."""

from .diagnose import Diagnosis, LayerRow, ParameterRow, diagnose, record_spikes
from .figures import PlotsUnavailable
from .gradients import GradientReport, GradientRow, check_gradients
from .operations import OperationCount, OperationRow, count_operations
from .report import write_report

__all__ = [
    "Diagnosis",
    "GradientReport",
    "GradientRow",
    "LayerRow",
    "OperationCount",
    "OperationRow",
    "ParameterRow",
    "PlotsUnavailable",
    "check_gradients",
    "count_operations",
    "diagnose",
    "record_spikes",
    "write_report",
]
