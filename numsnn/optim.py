"""Optimisers, parameter groups and gradient clipping."""

import math
from typing import Any, ClassVar

import numpy as np

from .describe import Described
from .kernels import types
from .layers.flat import FlatParameters
from .layers.parameter import GROUPS
from .names import argument, choice
from .portable import Portable, nothing
from .validate import flag, positive, two, within


class Optimizer(Described, Portable):
    """Base of the optimisers.

    Every parameter belongs to a group ("weight", "bias", "norm", "width", "threshold", "leak"). Its learning rate is
    the group's where ``groups`` names one, else the parameter's own (a `PSG` brings one for its width), else the
    optimiser's; the schedule scales all of them. Weight decay acts on the group "weight" alone unless ``groups`` says
    otherwise.

    Args:
        lr: learning rate.
        weight_decay: factor of the value in the gradient. Default 0.
        groups: {group: {"lr": ..., "weight_decay": ...}}, either key optional.
    """

    slots: tuple[str, ...] = ()
    transient: ClassVar = {"_flat": nothing, "_memory": dict, "_settings": nothing}

    def __init__(self, lr: float, weight_decay: float = 0.0, groups: dict | None = None):
        kind = type(self).__name__
        self.lr = positive(f"{kind}: lr", lr)
        self.weight_decay = within(f"{kind}: weight_decay", weight_decay, 0, math.inf)
        self.groups = {} if groups is None else groups
        for group, options in self.groups.items():
            choice(f"{kind}: parameter group", group, GROUPS)
            for key, value in options.items():
                argument(f"{kind}: group {group!r}", key, ("lr", "weight_decay"), kind="key", error=ValueError)
                within(f"{kind}: {key} of group {group!r}", value, 0, math.inf)
        self.steps = 0
        self._saved: dict[str, np.ndarray] = {}
        self._flat: Any = None
        self._memory: dict[str, Any] = {}
        self._settings: Any = None

    def __getstate__(self):
        return super().__getstate__() | {"_saved": self._saved | self._moments()}

    def rate_of(self, parameter) -> float:
        """A parameter's learning rate before the schedule."""
        own = self.lr if parameter.lr is None else parameter.lr
        return self.groups.get(parameter.group, {}).get("lr", own)

    def decay_of(self, parameter) -> float:
        """A parameter's weight decay."""
        own = self.weight_decay if parameter.group == "weight" else 0.0
        return self.groups.get(parameter.group, {}).get("weight_decay", own)

    def step(self, kernels, parameters, factor: float = 1.0) -> None:
        """Update all parameters from their gradients, and bring bounded ones back into their bounds.

        Args:
            kernels: functions of the parameters' target.
            parameters: (name, `Parameter`) pairs; they become parts of one `FlatParameters`.
            factor: the schedule's, of every learning rate.
        """
        self.steps += 1
        if not parameters:
            return
        flat = FlatParameters.of(kernels, parameters)
        if flat is not self._flat:
            self._settle(flat)
        self.update(kernels, flat, self._memory, self._settings_of(parameters), factor)

    def update(self, kernels, flat, memory, settings, factor):
        """Update all parameters: flat is their `FlatParameters`, memory a vector a slot, settings as kernels take
        them."""
        raise TypeError(f"{type(self).__name__} has no update(kernels, flat, memory, settings, factor)")

    def _settle(self, flat):
        """Make vectors for the moments of these parameters, and fill in what is known of them."""
        known = self._moments()
        self._saved |= known
        self._flat, self._settings = flat, None
        self._memory = {slot: flat.vector(flat.value.dtype) for slot in self.slots}
        for slot, vector in self._memory.items():
            for name, part in zip(flat.names, flat.parts(vector), strict=True):
                if (saved := self._saved.pop(f"{name}/{slot}", None)) is not None:
                    flat.kernels.put(saved, part)

    def _settings_of(self, parameters):
        """Rates, decays and bounds as kernels take them; copied to the target when they change."""
        bounds = [(-math.inf, math.inf) if p.bounds is None else p.bounds for _, p in parameters]
        lows, highs = zip(*bounds, strict=True)
        rows = [self.rate_of(p) for _, p in parameters], [self.decay_of(p) for _, p in parameters], lows, highs
        if self._settings is None or self._settings[0] != rows:
            self._settings = rows, self._flat.kernels.from_host(np.array(rows), self._flat.value.dtype)
        return self._settings[1]

    def _moments(self):
        """Host copies of the moments of all parameters that were ever updated, by "parameter/slot"."""
        if self._flat is None:
            return {}
        to_host = self._flat.kernels.to_host
        return {
            f"{name}/{slot}": to_host(part)
            for slot, vector in self._memory.items()
            for name, part in zip(self._flat.names, self._flat.parts(vector), strict=True)
        }

    def state(self) -> dict:
        """Host copies of all moments by "parameter/slot", and the number of steps."""
        return {"steps": self.steps, "arrays": self._saved | self._moments()}

    def load_state(self, state) -> None:
        """Set what `state` returned."""
        self.steps, self._saved = int(state["steps"]), dict(state["arrays"])
        self._flat, self._memory = None, {}


class SGD(Optimizer):
    """Stochastic gradient descent.

    Args:
        lr: learning rate. Default 0.1.
        momentum: share of the last step that is kept, in [0, 1). Default 0.9.
        nesterov: look ahead along the momentum. Default False.
        weight_decay, groups: see `Optimizer`.
    """

    def __init__(
        self,
        lr: float = 0.1,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        groups: dict | None = None,
    ):
        super().__init__(lr, weight_decay, groups)
        self.momentum = within("SGD: momentum", momentum, 0, 1, open_high=True)
        self.nesterov = flag("SGD: nesterov", nesterov)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum greater than 0; got 0")
        self.slots = ("velocity",) if momentum else ()

    def update(self, kernels, flat, memory, settings, factor):
        kernels.sgd_update(
            flat.value,
            flat.grad,
            memory.get("velocity"),
            types.Segments(flat.ends, settings),
            factor,
            types.Momentum(self.momentum, self.nesterov),
        )


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980), weight decay added to the gradient.

    Args:
        lr: learning rate. Default 1e-3.
        betas: decay of the first and second moment, each in [0, 1). Default (0.9, 0.999).
        eps: added to the root of the second moment. Default 1e-8.
        weight_decay, groups: see `Optimizer`.
    """

    slots = ("first", "second")
    decoupled = False

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        groups: dict | None = None,
    ):
        super().__init__(lr, weight_decay, groups)
        kind = type(self).__name__
        self.betas = tuple(within(f"{kind}: betas", b, 0, 1, open_high=True) for b in two(f"{kind}: betas", betas))
        self.eps = positive(f"{kind}: eps", eps)

    def update(self, kernels, flat, memory, settings, factor):
        kernels.adam_update(
            flat.value,
            flat.grad,
            memory["first"],
            memory["second"],
            types.Segments(flat.ends, settings),
            factor,
            types.Adam(self.betas[0], self.betas[1], self.eps, self.decoupled),
            self.steps,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    Args:
        lr, betas, eps: as for `Adam`.
        weight_decay: share of lr times the value that is taken off at every step. Default 0.01.
        groups: see `Optimizer`.
    """

    decoupled = True

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        groups: dict | None = None,
    ):
        super().__init__(lr, betas, eps, weight_decay, groups)


def global_norm(kernels, parameters) -> float:
    """Euclidean norm of all gradients together; 0 without parameters."""
    return math.sqrt(kernels.sum_squares(FlatParameters.of(kernels, parameters).grad)) if parameters else 0.0


def clip_global_norm(kernels, parameters, limit: float | None) -> float:
    """Scale all gradients so that their common norm is at most limit (None: leave them); returns the norm before."""
    norm = global_norm(kernels, parameters)
    if limit is not None and math.isfinite(norm) and norm > limit:
        kernels.scale(FlatParameters.of(kernels, parameters).grad, limit / norm)
    return norm
