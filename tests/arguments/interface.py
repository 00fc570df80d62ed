"""The public interface, found by looking: every class, function and method that takes arguments."""

import inspect
import types
from importlib import import_module

import numsnn as snn

MODULES = (
    "data",
    "data.augment",
    "data.augment_events",
    "data.dvs",
    "data.formats",
    "diagnostics",
    "diagnostics.plots",
    "encode",
    "layers",
    "losses",
    "metrics",
    "models",
    "optim",
    "schedules",
    "testing",
    "training",
)
"""The public modules of the package beside `numsnn` itself."""

RESULTS = {
    "Diagnosis",
    "Evaluation",
    "GradientReport",
    "LoadReport",
    "OperationCount",
    "Recording",
    "diagnostics.GradientRow",
    "diagnostics.LayerRecord",
    "diagnostics.LayerRow",
    "diagnostics.OperationRow",
    "diagnostics.ParameterRow",
    "layers.Trace",
    "metrics.Readout",
    "testing.LayerReport",
    "training.History",
    "data.formats.FormatError",
    "data.formats.Gesture",
    "optim.FlatParameters",
}
"""Classes that only the package makes: their users read them. Their methods are called like all others."""

BASES = {"Layer", "Neuron", "CustomNeuron", "layers.Routed", "losses.Loss", "losses.Pointwise", "metrics.Metric"}
BASES |= {"optim.Optimizer", "schedules.Schedule", "training.Callback", "data.augment.FrameChange"}
BASES |= {"data.augment_events.EventChange", "data.augment_events.Change"}
"""Classes to derive from; the arguments of their constructors are those of the classes that derive from them."""

FOR_AUTHORS = {
    "Layer": "add_parameter as_real buffer carried_state compute construct create enter fixed_array gradient "
    "gradient_of infer keep_start move overwrite own_mode propagate refuse set_statistic forward backward rebuild "
    "create_running moments_of padding_in hand_over create_weight keep kept_weights sense sensed taps joined measure "
    "result receive recall drop need_kept pool",
    "Network": "construct forward",
    "Container": "construct contain",
    "Loss": "evaluate form metrics need pieces predict read scores decide slope value weights_of",
    "Metric": "add better count value",
    "Optimizer": "check_groups check_network decay_of load_state rate_of step update",
    "Schedule": "factor load_state observe",
    "Callback": "after_evaluation before_evaluation load_state on_batch on_epoch on_start",
    "Neuron": "decay scale",
    "Described": "from_description",
    "Parameter": "belong_to move place uses",
    "Value": "check",
    "Mode": "seed_of",
    "Surrogate": "bounds_at",
    "PDA": "corrects of_layer",
    "Loop": "run update",
    "Stream": "advance follow",
    "Trainer": "say",
    "Samples": "placed",
    "Events": "checked",
    "Augmented": "generator",
    "Recordings": "placed packed",
    "Change": "change __call__",
    "LayerRecord": "__getitem__",
}
"""Methods that authors of subclasses write or that the package itself calls, by the base class: their arguments come
from the package."""


def callables() -> dict:
    """Return what takes arguments, by name: "LIF", "encode.delta", "Network.build"."""
    found, classes = {}, {}
    for module in ("", *MODULES):
        space = import_module(f"numsnn.{module}" if module else "numsnn")
        for name in sorted(getattr(space, "__all__", None) or vars(space)):
            value, full = getattr(space, name), f"{module}.{name}" if module else name
            own = hasattr(space, "__all__") or getattr(value, "__module__", "") == space.__name__
            if name.startswith("_") or not own or value in classes or value in found.values():
                continue
            if inspect.isclass(value) and not issubclass(value, Exception):
                classes[value] = full
            elif isinstance(value, types.FunctionType):
                found[full] = value
    found |= {full: cls for cls, full in classes.items() if full not in RESULTS | BASES}
    return {name: value for name, value in (found | _methods(classes)).items() if parameters(value)}


def parameters(value) -> list:
    """Return the parameters of a function, or of the constructor of a class, without self."""
    found = list(inspect.signature(value).parameters.values())
    return found[1:] if found and found[0].name in ("self", "cls") else found


def _methods(classes) -> dict:
    found = {}
    for cls in (*classes, snn.layers.stream.Stream):
        authors = {name for base in cls.__mro__ for name in FOR_AUTHORS.get(base.__name__, "").split()}
        for name in dir(cls):
            special = name in ("__call__", "__getitem__", "__contains__")
            function = inspect.getattr_static(cls, name)
            function = getattr(function, "__func__", function)
            own = isinstance(function, types.FunctionType) and function.__module__.startswith("numsnn")
            helper = any(part.startswith("_") for part in function.__qualname__.split(".")) if own else True
            if own and not (helper and not special) and name not in authors:
                found[function.__qualname__] = function
    return found
