"""What a process does that compiles for a training run: it finds out which functions of the kernels the run will call,
and calls them from the last one to the first.

It does in small what the run does, on the device "reference", which compiles nothing, and keeps the functions that were
called with their arguments. The same calls on the device "cpu" compile the same kernels as the run. What they compute
is of no use.
"""

import warnings
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .. import machine_code
from ..config import Config
from ..diagnostics import diagnose, record_spikes
from ..experiment import Experiment, build_network, build_trainer
from ..kernels import for_device
from ..kernels.contract import ROOMS
from . import Compilers

MOST_NUMBERS = 1 << 21
"""Number of outputs of all layers in a pass, beyond which the pass has fewer samples than that of the run."""
FEWEST = 2
"""Least number of samples of such a pass: one sample alone takes ways of its own."""
FEWER = 0.03
"""Share of inputs that stay active where a call is made once more with fewer of them."""
WITH_INPUTS = "conv2d_forward", "conv2d_backward_weight", "linear_forward", "linear_backward_weight"
"""Functions whose route follows the share of active inputs, which falls during training."""


def compilers_for(experiment: Experiment) -> AbstractContextManager:
    """Return the block in which other processes compile for a run, on the device "cpu"."""
    if experiment.config.training.device != "cpu":
        return nullcontext()
    return Compilers(__name__, lambda: _order(experiment))


def _order(experiment):
    """Return what the processes need: the configuration, and a few samples."""
    train, net = experiment.data.train, experiment.trainer.net
    samples = net.output_shape[1]
    outputs = sum(prod(layer.output_shape) for layer in net.walk()) // samples
    few = max(FEWEST, min(samples, MOST_NUMBERS // outputs))
    return {"config": experiment.config, "samples": train.select(np.arange(min(few, len(train))))}


class Call(NamedTuple):
    """A call of a function of the contract."""

    name: str
    arguments: tuple
    named: dict[str, Any]


def compile_ahead(order: dict[str, Any]) -> None:
    """Compile what a run needs, from the end.

    Args:
        order: "config", the configuration of the run; "samples", a few samples of the training part; "number" and
            "processes", which of how many processes this is, where 0 is that of the run. If there are several others,
            each begins at another place.
    """
    warnings.filterwarnings("error", "numsnn: ", RuntimeWarning)
    calls = recorded(order["config"], order["samples"])[::-1]
    first = len(calls) * (order["number"] - 1) // (order["processes"] - 1)
    calls = calls[first:] + calls[:first]
    for call in calls + [with_fewer_inputs(call) for call in calls if call.name in WITH_INPUTS]:
        try:
            getattr(for_device("cpu"), call.name)(*call.arguments, **call.named)
        except RuntimeWarning:  # machine code cannot be kept, so that the run would gain nothing
            return
        except Exception:  # the run will meet it, too, and tell it
            machine_code.claims.release_all()


def recorded(config: Config, samples) -> list[Call]:
    """Return the first of all calls of one kind that a run makes, in their order: what the run needs first comes first.
    From then on the device "reference" records."""
    calls: dict[Any, Call] = {}

    def recording(name, function):
        def record(*arguments, **named):
            calls.setdefault((name, _kind(arguments), _kind(tuple(named.items()))), Call(name, arguments, named))
            return function(*arguments, **named)

        return record

    device = for_device("reference")
    names = [name for room, names in ROOMS.items() if room != "array" for name in names]
    functions = {name: recording(name, getattr(device, name)) for name in names}
    functions["visible_limit"] = for_device("cpu").visible_limit  # it decides which functions a layer calls
    for name, function in functions.items():
        setattr(device, name, function)
    config.training.device = device.name
    _run_in_small(config, samples)
    return list(calls.values())


def _kind(value):
    """Return what calls of one kind have in common in an argument."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.strides
    if isinstance(value, tuple | list):
        return tuple(map(_kind, value))
    if isinstance(value, dict):  # in which weights are kept: the kernels are those of a call without it
        return None
    if isinstance(value, bool | int | float | str | None):
        return value
    return getattr(value, "__name__", type(value).__name__)


def _run_in_small(config, samples):
    """Do what `experiment.run` does, for a few samples and without a folder."""
    x, y = samples.batch(np.arange(len(samples)))
    shape = (x.shape[1], x.shape[0], *x.shape[2:]) if samples.timed else x.shape
    net = build_network(config, samples.sample_shape, samples.n_outputs, samples.timed)
    net.to(config.training.device).build(shape, config.training.seed)
    trainer = build_trainer(config, net, train=samples)
    diagnose(net, x, y, trainer.loss, training=True)
    trainer.fit(samples, samples, 1, progress=False)
    diagnose(net, x, y, trainer.loss)
    record_spikes(net, x[:, :1] if samples.timed else x[:1])


def with_fewer_inputs(call: Call) -> Call:
    """Return a call of a function of `WITH_INPUTS` in which most inputs are zero."""
    x = call.arguments[0]
    active = np.random.default_rng(0).random(x.shape, np.float32) < FEWER
    return call._replace(arguments=(x * active, *call.arguments[1:]))
