"""Optimisers, parameter groups and gradient clipping."""

import math

from .describe import Described, nearest
from .layers.parameter import GROUPS
from .validate import flag, positive, two, within


class Optimizer(Described):
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

    def __init__(self, lr: float, weight_decay: float = 0.0, groups: dict | None = None):
        kind = type(self).__name__
        self.lr = positive(f"{kind}: lr", lr)
        self.weight_decay = within(f"{kind}: weight_decay", weight_decay, 0, math.inf)
        self.groups = {} if groups is None else groups
        for group, options in self.groups.items():
            if group not in GROUPS:
                known, hint = ", ".join(GROUPS), nearest(group, GROUPS)
                raise ValueError(f"{kind}: unknown parameter group {group!r}; one of {known}.{hint}")
            for key, value in options.items():
                if key not in ("lr", "weight_decay"):
                    raise ValueError(f"{kind}: group {group!r} takes lr and weight_decay; got {key!r}")
                within(f"{kind}: {key} of group {group!r}", value, 0, math.inf)
        self.steps = 0
        self.memory = {}

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
            parameters: (name, `Parameter`) pairs.
            factor: the schedule's, of every learning rate.
        """
        self.steps += 1
        for name, p in parameters:
            memory = self.memory.setdefault(name, {})
            for slot in self.slots:
                if slot not in memory:
                    memory[slot] = kernels.zeros(p.value.shape, p.value.dtype)
            self.update(kernels, p, memory, self.rate_of(p) * factor, self.decay_of(p))
            if p.bounds is not None:
                kernels.clamp(p.value, *p.bounds)

    def update(self, kernels, parameter, memory, lr, decay):
        """Update one parameter."""
        raise TypeError(f"{type(self).__name__} has no update(kernels, parameter, memory, lr, decay)")

    def state(self, kernels) -> dict:
        """Host copies of all moments by "parameter/slot", and the number of steps."""
        arrays = {f"{n}/{slot}": kernels.to_host(x) for n, memory in self.memory.items() for slot, x in memory.items()}
        return {"steps": self.steps, "arrays": arrays}

    def load_state(self, kernels, state) -> None:
        """Set what `state` returned."""
        self.steps, self.memory = int(state["steps"]), {}
        for key, x in state["arrays"].items():
            name, slot = key.rsplit("/", 1)
            self.memory.setdefault(name, {})[slot] = kernels.from_host(x, x.dtype)


class SGD(Optimizer):
    """Stochastic gradient descent.

    Args:
        lr: learning rate. Default 0.1.
        momentum: share of the last step that is kept, in [0, 1). Default 0.9.
        nesterov: look ahead along the momentum. Default False.
        weight_decay, groups: see `Optimizer`.
    """

    def __init__(
        self, lr: float = 0.1, momentum: float = 0.9, nesterov: bool = False, weight_decay: float = 0.0,
        groups: dict | None = None,
    ):  # fmt: skip
        super().__init__(lr, weight_decay, groups)
        self.momentum = within("SGD: momentum", momentum, 0, 1, open_high=True)
        self.nesterov = flag("SGD: nesterov", nesterov)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum greater than 0; got 0")
        self.slots = ("velocity",) if momentum else ()

    def update(self, kernels, parameter, memory, lr, decay):
        kernels.sgd_update(
            parameter.value, parameter.grad, memory.get("velocity"), lr, self.momentum, self.nesterov, decay
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
        self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, groups: dict | None = None,
    ):  # fmt: skip
        super().__init__(lr, weight_decay, groups)
        kind = type(self).__name__
        self.betas = tuple(within(f"{kind}: betas", b, 0, 1, open_high=True) for b in two(f"{kind}: betas", betas))
        self.eps = positive(f"{kind}: eps", eps)

    def update(self, kernels, parameter, memory, lr, decay):
        kernels.adam_update(
            parameter.value, parameter.grad, memory["first"], memory["second"], lr, *self.betas, self.eps, decay,
            self.decoupled, self.steps,
        )  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    Args:
        lr, betas, eps: as for `Adam`.
        weight_decay: share of lr times the value that is taken off at every step. Default 0.01.
        groups: see `Optimizer`.
    """

    decoupled = True

    def __init__(
        self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.01, groups: dict | None = None,
    ):  # fmt: skip
        super().__init__(lr, betas, eps, weight_decay, groups)


def global_norm(kernels, parameters) -> float:
    """Euclidean norm of all gradients together."""
    return math.sqrt(sum(kernels.sum_squares(p.grad) for _, p in parameters))


def clip_global_norm(kernels, parameters, limit: float | None) -> float:
    """Scale all gradients so that their common norm is at most limit (None: leave them); returns the norm before."""
    norm = global_norm(kernels, parameters)
    if limit is not None and math.isfinite(norm) and norm > limit:
        for _, p in parameters:
            kernels.scale(p.grad, limit / norm)
    return norm
