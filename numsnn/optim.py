"""Optimisers, parameter groups and gradient clipping."""

import math
import weakref
from typing import Any, ClassVar

import numpy as np

from .describe import Described
from .kernels import types
from .kernels.contract import Device
from .layers.flat import FlatParameters
from .layers.parameter import GROUPS, Parameter
from .names import argument, nearest
from .portable import Portable, nothing
from .shown import shown
from .validate import at_least, flag, instance, positive, two, within

AHEAD = 64
"""Number of updates whose bias corrections are copied to the device at once."""


class Optimizer(Described, Portable):
    """Base of the optimisers.

    Every parameter belongs to a kind ("weight", "bias", "norm", "width", "threshold" or "leak"). Its learning rate is
    the one that ``groups`` gives to its name or its layer's name, otherwise to its kind, otherwise its own (a `PSG`
    sets one for its width), otherwise that of the optimiser. The schedule scales all learning rates. Weight decay acts
    on the kind "weight" only, unless ``groups`` says otherwise.

        snn.optim.AdamW(1e-3, groups={"bias": {"weight_decay": 0.01}, "features": {"lr": 1e-5}})

    Args:
        lr: learning rate, a positive number.
        weight_decay: factor with which the value of a parameter enters its gradient, at least 0. Default 0.
        groups: {group: {"lr": ..., "weight_decay": ...}}; both keys are optional. A group is a kind of parameters, the
            full name of a layer, whose parameters and those of the layers inside it belong to the group, or the full
            name of a parameter, such as "conv2d1.weight". Of several names, the longest decides. Default None: no group
            has settings of its own.

    Attributes:
        steps: number of updates so far.
        counts: number of updates of each parameter so far, by its full name; those in which it was frozen do not count.

    Raises:
        ValueError: a value is out of range, a key is unknown or, in an update, no parameter belongs to a group.
    """

    slots: tuple[str, ...] = ()
    transient: ClassVar = {"_flat": nothing, "_memory": dict, "_settings": nothing, "_updated": nothing}

    def __init__(self, lr: float, weight_decay: float = 0.0, groups: dict | None = None):
        kind = type(self).__name__
        self.lr = positive(f"{kind}: lr", lr)
        self.weight_decay = at_least(f"{kind}: weight_decay", weight_decay, 0)
        self.groups = {} if groups is None else groups
        example = "such as {'bias': {'lr': 0.01}}"
        if not isinstance(self.groups, dict):
            raise ValueError(f"{kind}: groups must be a dict of dicts, {example}; got {shown(groups)}")
        for group, options in self.groups.items():
            if not isinstance(group, str) or not isinstance(options, dict):
                got = f"{shown(group)}: {shown(options)}"
                raise ValueError(f"{kind}: groups must be a dict of dicts, {example}; got {got}")
            for key, value in options.items():
                argument(f"{kind}: group {shown(group)}", key, ("lr", "weight_decay"), kind="key", error=ValueError)
                at_least(f"{kind}: {key} of group {shown(group)}", value, 0)
        self.steps = 0
        self.counts: dict[str, int] = {}
        self._saved: dict[str, np.ndarray] = {}
        self._flat: Any = None
        self._memory: dict[str, Any] = {}
        self._settings: Any = None
        self._updated: Any = None

    def __getstate__(self):
        return super().__getstate__() | {"_saved": self._saved | self._moments()}

    def rate_of(self, name: str, parameter) -> float:
        """Return the learning rate of a parameter before the schedule scales it."""
        return self._setting("lr", name, parameter, self.lr if parameter.lr is None else parameter.lr)

    def decay_of(self, name: str, parameter) -> float:
        """Return the weight decay of a parameter."""
        own = self.weight_decay if parameter.group == "weight" else 0.0
        return self._setting("weight_decay", name, parameter, own)

    def _setting(self, key, name, parameter, own):
        """Return what the groups say about a parameter, otherwise its own setting."""
        if not self.groups:
            return own
        named = [group for group in self.groups if _belongs(name, group) and key in self.groups[group]]
        group = max(named, key=len) if named else parameter.group
        return self.groups.get(group, {}).get(key, own)

    def check_groups(self, names) -> None:
        """Refuse groups to which no parameter belongs.

        Args:
            names: full names of all parameters of the network.

        Raises:
            ValueError: a group is neither a kind nor the name of a layer or parameter.
        """
        names = list(names)
        for group in self.groups:
            if group not in GROUPS and not any(_belongs(name, group) for name in names):
                known = dict.fromkeys([*GROUPS, *names, *(name.rpartition(".")[0] for name in names)])
                raise ValueError(
                    f"{type(self).__name__}: group {group!r} is neither a kind of parameters ({', '.join(GROUPS)}) nor "
                    f"the name of a layer or parameter{nearest(group, known)}"
                )

    def check_network(self, parameters) -> None:
        """Refuse another network than that of the updates so far, because the moments belong to its parameters.

        Args:
            parameters: pairs (name, `Parameter`) of the network.

        Raises:
            ValueError: the moments are those of other parameters.
        """
        if not self.slots or self._updated is None:
            return
        known = {id(parameter) for parameter in (reference() for reference in self._updated) if parameter is not None}
        if known.isdisjoint(id(parameter) for _, parameter in parameters):
            raise ValueError(
                f"{type(self).__name__}: has made {self.steps} updates of another network, whose moments it has; give "
                "every network an optimiser of its own"
            )

    def step(self, kernels, parameters, factor: float = 1.0) -> None:
        """Update all parameters from their gradients, and limit bounded parameters to their bounds.

        Args:
            kernels: kernels of the parameters' device.
            parameters: pairs (name, `Parameter`); they become parts of one `FlatParameters`.
            factor: factor of the schedule, which scales every learning rate. Default 1.
        """
        self.steps += 1
        if not parameters:
            return
        flat = FlatParameters.of(kernels, parameters)
        if flat is not self._flat:
            self._settle(flat)
            self._updated = [weakref.ref(parameter) for _, parameter in parameters]
        for name in flat.names:
            self.counts[name] = self.counts.get(name, 0) + 1
        self.update(kernels, flat, self._memory, self._settings_of(parameters), factor)

    def update(self, kernels, flat, memory, settings, factor):
        """Update all parameters. flat is their `FlatParameters`, memory holds one vector per slot, and settings are in
        the form that the kernels take."""
        raise TypeError(f"{type(self).__name__} has no update(kernels, flat, memory, settings, factor)")

    def _settle(self, flat):
        """Make vectors for the moments of these parameters, and fill in the moments that are known."""
        known = self._moments()
        self._saved |= known
        self._flat, self._settings = flat, None
        self._memory = {slot: flat.vector(flat.value.dtype) for slot in self.slots}
        for slot, vector in self._memory.items():
            for name, part in zip(flat.names, flat.parts(vector), strict=True):
                if (saved := self._saved.pop(f"{name}/{slot}", None)) is not None:
                    flat.kernels.put(saved, part)

    def _settings_of(self, parameters):
        """Return rates, decays and bounds as the kernels take them; copy them to the device if they changed."""
        bounds = [(-math.inf, math.inf) if p.bounds is None else p.bounds for _, p in parameters]
        lows, highs = zip(*bounds, strict=True)
        rates = [self.rate_of(name, p) for name, p in parameters]
        rows = rates, [self.decay_of(name, p) for name, p in parameters], lows, highs
        if self._settings is None or self._settings[0] != rows:
            self._settings = rows, self._flat.kernels.from_host(np.array(rows), self._flat.value.dtype)
        return self._settings[1]

    def _moments(self):
        """Return host copies of the moments of all parameters that were updated so far, by "parameter/slot"."""
        if self._flat is None:
            return {}
        to_host = self._flat.kernels.to_host
        return {
            f"{name}/{slot}": to_host(part)
            for slot, vector in self._memory.items()
            for name, part in zip(self._flat.names, self._flat.parts(vector), strict=True)
        }

    def state(self) -> dict:
        """Return {"steps": number of updates, "counts": number of updates by parameter, "arrays": host copies of all
        moments by "parameter/slot"}."""
        return {"steps": self.steps, "counts": dict(self.counts), "arrays": self._saved | self._moments()}

    def load_state(self, state) -> None:
        """Restore a state that `state` returned. If "counts" is missing or None, as in older files, all steps count as
        updates of every parameter that has moments."""
        self.steps, self._saved = int(state["steps"]), dict(state["arrays"])
        counts = state.get("counts")
        if counts is None:
            counts = dict.fromkeys((key.rpartition("/")[0] for key in self._saved), self.steps)
        self.counts = dict(counts)
        self._flat, self._updated, self._memory = None, None, {}


def _belongs(name, group):
    """Return whether a parameter has this name, or is part of the layer of this name."""
    return name == group or name.startswith(f"{group}.")


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (docs/method.md, O2, O3).

    Args:
        lr: learning rate. Default 0.1.
        momentum: share of the velocity that is kept from one update to the next, in [0, 1). Default 0.9.
        nesterov: whether to use Nesterov momentum. Default False.
        weight_decay, groups: see `Optimizer`.

    Raises:
        ValueError: a value is out of range, nesterov is set without momentum, or a key of a group is unknown.
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
    """Adam (Kingma and Ba 2015, arXiv:1412.6980); the weight decay is added to the gradient.

    The bias correction of a parameter depends on the number of its own updates, so that a layer that is unfrozen during
    training begins like one that is trained from the start.

    Args:
        lr: learning rate. Default 1e-3.
        betas: decay rates of the first and the second moment, each in [0, 1). Default (0.9, 0.999).
        eps: added to the root of the second moment. Default 1e-8.
        weight_decay, groups: see `Optimizer`.

    Raises:
        ValueError: a value is out of range, or a key of a group is unknown.
    """

    slots = ("first", "second")
    decoupled = False
    transient: ClassVar = Optimizer.transient | {"_ahead": nothing}

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
        self._ahead: Any = None

    def _settle(self, flat):
        super()._settle(flat)
        self._ahead = None

    def update(self, kernels, flat, memory, settings, factor):
        adam = types.Adam(self.betas[0], self.betas[1], self.eps, self.decoupled)
        kernels.adam_update(
            flat.value,
            flat.grad,
            memory["first"],
            memory["second"],
            types.Segments(flat.ends, settings),
            factor,
            adam,
            self._corrections(flat, adam),
        )

    def _corrections(self, flat, adam):
        """Return the bias corrections ``[2, P]`` of this update.

        Those of the next updates are copied to the device with them. All parameters of a vector are updated together,
        so that the count of the first one tells which corrections are due.
        """
        count = self.counts[flat.names[0]]
        if self._ahead is None or self._ahead[0] != adam or not 0 <= count - self._ahead[1] < AHEAD:
            counts, places = np.unique([self.counts[name] for name in flat.names], return_inverse=True)
            ahead = [[adam.corrections(first + k) for first in counts.tolist()] for k in range(AHEAD)]
            table = np.moveaxis(np.array(ahead)[:, places], 2, 1)
            self._ahead = adam, count, flat.kernels.from_host(table, flat.value.dtype)
        return self._ahead[2][count - self._ahead[1]]


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    Args:
        lr, betas, eps: as for `Adam`.
        weight_decay: every update subtracts lr times weight_decay times the value. Default 0.01.
        groups: see `Optimizer`.

    Raises:
        ValueError: a value is out of range, or a key of a group is unknown.
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
    """Return the Euclidean norm of all gradients together; 0 without parameters.

    Args:
        kernels: kernels of the device of the parameters.
        parameters: pairs (name, `Parameter`), as `Layer.trainable` returns them.

    Raises:
        TypeError: an argument is something else.
    """
    instance("global_norm: kernels", kernels, Device, "those of a device, such as net.kernels")
    instance("global_norm: parameters", parameters, list, "a list of pairs (name, parameter), such as net.trainable()")
    for pair in parameters:
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[1], Parameter):
            raise TypeError(
                f"global_norm: parameters must be pairs (name, parameter), such as net.trainable(); got {shown(pair)}"
            )
    return math.sqrt(kernels.sum_squares(FlatParameters.of(kernels, parameters).grad)) if parameters else 0.0


def clip_global_norm(kernels, parameters, limit: float | None) -> float:
    """Scale all gradients so that their common norm is at most limit (None: do not scale); return the norm before.

    Args:
        kernels, parameters: as for `global_norm`.
        limit: a positive number, or None.

    Raises:
        ValueError: limit is not a positive number.
        TypeError: as for `global_norm`.
    """
    if limit is not None:
        limit = positive("clip_global_norm: limit", limit)
    norm = global_norm(kernels, parameters)
    if limit is not None and math.isfinite(norm) and norm > limit:
        kernels.scale(FlatParameters.of(kernels, parameters).grad, limit / norm)
    return norm
