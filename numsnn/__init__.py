"""numsnn: spiking neural networks trained by hand-written BPTT on Numba.

    import numsnn as snn

This module holds layers, PSG and PDA; losses, optimisers, schedules, models and data have their own modules. A name is
loaded when it is first used, so that importing numsnn is fast and loads neither Numba nor HDF5.
"""

from importlib import import_module

from .version import __version__

_NAMES = {
    "layers": (
        "ALIF",
        "IF",
        "LI",
        "LIF",
        "PLIF",
        "CubaLIF",
        "CustomNeuron",
        "Neuron",
        "RecurrentALIF",
        "RecurrentCubaLIF",
        "RecurrentLIF",
        "AvgPool2d",
        "BatchNorm",
        "Conv2d",
        "Dropout",
        "Flatten",
        "GlobalAvgPool2d",
        "Layer",
        "Linear",
        "MaxPool2d",
        "Mode",
        "Parameter",
        "Repeat",
        "Residual",
        "Sequential",
        "AvgPool1d",
        "BNTT",
        "Concat",
        "Conv1d",
        "ConvTranspose2d",
        "Delay",
        "Graph",
        "GroupNorm",
        "LayerNorm",
        "MaxPool1d",
        "ReLU",
        "SumPool1d",
        "SumPool2d",
        "TEBN",
        "Divergence",
        "Poisson",
        "RateBand",
        "SpikePenalty",
        "LoadReport",
        "Value",
        "set_precision",
        "set_route",
    ),
    "models": ("convert",),
    "psg": ("PSG", "Surrogate"),
    "own_surrogate": ("register_surrogate",),
    "pda": ("PDA",),
    "training": ("Evaluation", "Loop", "Trainer", "load", "save"),
    "diagnostics": (
        "Diagnosis",
        "GradientReport",
        "OperationCount",
        "Recording",
        "check_gradients",
        "count_operations",
        "diagnose",
        "record",
    ),
    "errors": (
        "CheckpointError",
        "ConfigError",
        "DeviceError",
        "DeviceMemoryError",
        "DivergenceError",
        "ShapeError",
    ),
    "kernels.cpu.run.launch": ("get_num_threads", "set_num_threads"),
}
_MODULES = (
    "data",
    "diagnostics",
    "encode",
    "kernels",
    "layers",
    "losses",
    "metrics",
    "models",
    "optim",
    "schedules",
    "testing",
    "training",
)

_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_HOME, *_MODULES]


def __getattr__(name):
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    elif name in _MODULES:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'numsnn' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
