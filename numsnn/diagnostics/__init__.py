"""Diagnosis of a network: a proof of its gradients, what its neurons do, pictures, and the report of a run."""

from .diagnose import Diagnosis, LayerRow, ParameterRow, diagnose
from .figures import PlotsUnavailable
from .gradients import GradientReport, GradientRow, check_gradients
from .operations import OperationCount, OperationRow, count_operations
from .recording import LayerRecord, Recording, record, record_spikes
from .report import write_report

__all__ = [
    "Diagnosis",
    "GradientReport",
    "GradientRow",
    "LayerRecord",
    "LayerRow",
    "OperationCount",
    "OperationRow",
    "ParameterRow",
    "PlotsUnavailable",
    "Recording",
    "check_gradients",
    "count_operations",
    "diagnose",
    "record",
    "record_spikes",
    "write_report",
]
