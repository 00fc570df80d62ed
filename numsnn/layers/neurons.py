"""The neurons IF, LIF, PLIF, ALIF and CubaLIF, their recurrent versions, and the leaky integrator LI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

import numpy as np

from ..kernels import rules
from ..names import choice
from . import initial
from .base import Layer
from .neuron import LEAK_BOUNDS, Neuron
from .neuron_arguments import (
    Learned,
    LIFOptions,
    NeuronOptions,
    Numbers,
    PLIFOptions,
    decay_of,
    granularity,
    leak_of,
    positive_numbers,
    tau_of,
)
from .parameter import ConstrainedValue
from .recorded import Recorded, wanted
from .shapes import need_features


class _Leaky(Neuron):
    """Base of the neurons whose potential leaks: the leak beta and, for neurons without extensions, the rules."""

    decay_input = False
    learn_tau: Learned = False

    def rule(self):
        if self.refractory or self.recurrent or self.adaptive:
            return None
        return rules.SCALED if self.decay_input else rules.LEAKY

    def create_values(self):
        return {"beta": self.decay("beta", self._starts["leak"], self.learn_tau)}

    @property
    def leak(self) -> ConstrainedValue:
        """The leak factor beta."""
        return self.own_values["beta"]


class LIF(_Leaky):
    """Leaky integrate-and-fire neurons, one neuron per feature. One pass computes all T steps and starts from v_init.

        charge   u[t] = beta v[t-1] + i[t] - d[t]        beta = 1 - 1/tau, d = PDA correction
        fire     s[t] = H(u[t] - v_threshold)
        reset    v[t] = u[t] - s[t] (u[t] - v_reset)     hard;  v[t] = u[t] - s[t] v_threshold  soft
                 v[t] = u[t] - s[t] v_threshold / beta   delayed

    The input is ``[T, N, C]``, ``[T, N, L, C]`` or ``[T, N, H, W, C]``; the output holds spikes (uint8) of the same
    shape. Source: docs/method.md, N1, N2, N3, N4, N18, N21.

    Args:
        tau: time constant in steps, at least 1; one number, or one number per channel. Default 2.
        beta: leak factor in [0, 1], given instead of tau; the potential does not leak if it is 1 (see `IF`). Default
            None: beta follows from tau.
        decay_input: whether to scale the input current by 1/tau, as SpikingJelly does by default. Default False.
        learn_tau: False (default), True or "layer" (one time constant per layer), or "channel" (one time constant per
            channel). The logit of beta is trained, so that beta stays between 0 and 1.
        options: the arguments of `Neuron`.

    Parameters, if they are learned: logit_beta, log_threshold, log_width and v_init, each ``[1]`` or ``[C]``.
    Statistics, with PDA: correction ``[T, C]``, target ``[2, C]``, batches ``[1]``.

    Raises:
        ValueError: tau and beta are given together, tau is below 1, beta is outside [0, 1], or a learned beta starts at
            0 or 1.
        ShapeError: on building, the input has another rank, or the values per channel do not fit its channels.
    """

    def __init__(
        self,
        tau: Numbers | None = None,
        beta: Numbers | None = None,
        decay_input: bool = False,
        learn_tau: Learned = False,
        **options: Unpack[NeuronOptions],
    ):
        super().__init__(**options)
        self.tau, self.beta, self.decay_input, self.learn_tau, self._starts["leak"] = leak_of(
            type(self).__name__, tau, beta, decay_input, learn_tau
        )
        self.check_options()


class IF(_Leaky):
    """Integrate-and-fire neurons: `LIF` without a leak (beta = 1). Shapes and errors are those of `LIF`.

    Args:
        options: the arguments of `Neuron`.
    """

    def __init__(self, **options: Unpack[NeuronOptions]):
        super().__init__(**options)
        self._starts["leak"] = np.ones(())
        self.check_options()


class PLIF(LIF):
    """`LIF` with a learned time constant that also scales the input by 1/tau (Fang et al. 2021, arXiv:2007.05785).

    Shapes and errors are those of `LIF`.

    Args:
        tau: start value of the time constant, in steps. Default 2.
        learn_tau: "layer" (default; one time constant per layer) or "channel" (one time constant per channel).
        decay_input: whether to scale the input current by 1/tau. Default True, as in the paper.
        options: as for `LIF`, except beta.
    """

    def __init__(
        self,
        tau: Numbers = 2.0,
        learn_tau: Learned = "layer",
        decay_input: bool = True,
        **options: Unpack[PLIFOptions],
    ):
        super().__init__(tau=tau, learn_tau=learn_tau, decay_input=decay_input, **options)


class ALIF(LIF):
    """`LIF` with a threshold that rises with the neuron's own spikes (Bellec et al. 2018, arXiv:1803.09574).

        a[t] = rho a[t-1] + (1 - rho) s[t]        theta[t] = v_threshold + strength a[t-1]

    A soft or delayed reset subtracts theta[t]. Shapes are those of `LIF`.

    Args:
        tau_adaptation: time constant of a in steps, rho = 1 - 1/tau_adaptation; one number, or one number per channel.
            Default 20.
        strength: limit of the rise of the threshold for a neuron that fires at every step, in units of the potential;
            one positive number, or one positive number per channel. Default 1.
        learn_adaptation: False (default), True or "layer" (one rho and one strength per layer), or "channel" (one of
            both per channel). The logit of rho and the logarithm of strength are trained.
        options: as for `LIF`.

    Parameters, if they are learned, in addition to those of `LIF`: logit_rho and log_strength, each ``[1]`` or ``[C]``.

    Raises:
        ValueError: as for `LIF`; also if tau_adaptation is below 1, or strength is not positive.
    """

    adaptive = True

    def __init__(
        self,
        tau_adaptation: Numbers = 20.0,
        strength: Numbers = 1.0,
        learn_adaptation: Learned = False,
        **options: Unpack[LIFOptions],
    ):
        super().__init__(**options)
        kind = type(self).__name__
        self.tau_adaptation, self.strength = tau_adaptation, strength
        self.learn_adaptation = granularity(f"{kind}: learn_adaptation", learn_adaptation, strength)
        granularity(f"{kind}: learn_adaptation", learn_adaptation, tau_adaptation)
        rho = decay_of(kind, tau_adaptation, None, self.learn_adaptation, ("tau_adaptation", "rho"))
        positive_numbers(f"{kind}: strength", strength)
        self._starts |= {"adaptation": rho, "strength": np.asarray(strength)}

    def recordable(self):
        return (*super().recordable(), "a")

    def create_values(self):
        rho = self.decay("rho", self._starts["adaptation"], self.learn_adaptation)
        kappa = self.scale("strength", "threshold", self._starts["strength"], self.learn_adaptation)
        return super().create_values() | {"rho": rho, "kappa": kappa}

    rho = property(lambda self: self.own_values["rho"], doc="Decay of the adaptation.")
    kappa = property(lambda self: self.own_values["kappa"], doc="Strength of the adaptation.")


class CubaLIF(LIF):
    """`LIF` that is charged by a synaptic current with its own decay (current-based; "Synaptic" in snnTorch).

        j[t] = gamma j[t-1] + i[t]        u[t] = beta v[t-1] + j[t] - d[t]

    Shapes are those of `LIF`.

    Args:
        tau_synapse: time constant of the synaptic current in steps, gamma = 1 - 1/tau_synapse; one number, or one
            number per channel. Default 2.
        gamma_synapse: gamma in [0, 1], given instead of tau_synapse. Default None: gamma follows from tau_synapse.
        learn_tau_synapse: False (default), True or "layer" (one gamma per layer), or "channel" (one gamma per channel).
            The logit of gamma is trained.
        options: as for `LIF`.

    Parameters, if they are learned, in addition to those of `LIF`: logit_gamma, ``[1]`` or ``[C]``.

    Raises:
        ValueError: as for `LIF`; also if tau_synapse and gamma_synapse are given together or are out of range.
    """

    def __init__(
        self,
        tau_synapse: Numbers | None = None,
        gamma_synapse: Numbers | None = None,
        learn_tau_synapse: Learned = False,
        **options: Unpack[LIFOptions],
    ):
        super().__init__(**options)
        kind = type(self).__name__
        names = "tau_synapse", "gamma_synapse"
        self.tau_synapse, self.gamma_synapse = tau_of(kind, tau_synapse, gamma_synapse, names), gamma_synapse
        start = self.tau_synapse if gamma_synapse is None else gamma_synapse
        self.learn_tau_synapse = granularity(f"{kind}: learn_tau_synapse", learn_tau_synapse, start)
        gamma = decay_of(kind, self.tau_synapse, gamma_synapse, self.learn_tau_synapse, names)
        self._starts |= {"synapse": gamma}

    def rule(self):
        if super().rule() is None:
            return None
        return rules.SCALED_SYNAPTIC if self.decay_input else rules.SYNAPTIC

    def recordable(self):
        return ("j", *super().recordable())

    def create_values(self):
        gamma = self.decay("gamma", self._starts["synapse"], self.learn_tau_synapse)
        return super().create_values() | {"gamma": gamma}

    gamma = property(lambda self: self.own_values["gamma"], doc="Decay of the synaptic current.")


class RecurrentLIF(LIF):
    """`LIF` with dense lateral weights: the current of a step is i[t] + s[t-1] W.

    The input must be ``[T, N, C]``; the output holds spikes (uint8) of the same shape.

    Args:
        options: as for `LIF`.

    Parameters, in addition to those of `LIF`: lateral ``[C, C]`` (from, to), uniform with variance 1 / C.
    """

    recurrent = True


class RecurrentALIF(ALIF):
    """`ALIF` with the dense lateral weights of `RecurrentLIF`: the neuron of LSNNs (Bellec et al. 2018,
    arXiv:1803.09574). The input must be ``[T, N, C]``.

    Args:
        options: as for `ALIF`.
    """

    recurrent = True


class RecurrentCubaLIF(CubaLIF):
    """`CubaLIF` with dense lateral weights, which act on the synaptic current. The input must be ``[T, N, C]``, and the
    lateral weights are those of `RecurrentLIF`.

    Args:
        options: as for `CubaLIF`.
    """

    recurrent = True


class _Integrated(NamedTuple):
    """What a pass keeps: its input, the potentials, the state that it started from (None: from rest), and whether this
    was the initial potential."""

    x: np.ndarray
    u: np.ndarray
    start: np.ndarray | None
    begins: bool


class LI(Layer):
    """Leaky integrator: u[t] = beta u[t-1] + i[t], a readout that does not spike; u[0] is v_init.

    The input is ``[T, N, C]``, ``[T, N, L, C]`` or ``[T, N, H, W, C]``; the output holds the potentials u, of the same
    shape.

    Args:
        tau: time constant in steps, at least 1; one number, or one number per channel. Default 2.
        beta: leak factor in [0, 1], given instead of tau; 1 means no leak, so that the output is the sum over time.
            Default None: beta follows from tau.
        decay_input: whether to scale the input by 1/tau, so that the output is a running mean. Default False.
        learn_tau: False (default), True or "layer" (one beta per layer), or "channel" (one beta per channel). The logit
            of beta is trained.
        name: shown in reports and errors. Default: the class's name and a number.
        v_init: potential before the first step of a sequence; one number, or one number per channel. Default 0.
        learn_v_init: False (default), True or "layer" (one initial potential per layer), or "channel" (one per
            channel).
        record: "u" or "v", which name the same potential here, to copy the output of every pass into ``recorded`` as a
            NumPy array. Default: nothing.

    Parameters, if they are learned: logit_beta and v_init, each ``[1]`` or ``[C]``.

    Raises:
        ValueError: tau and beta are given together, or a value is out of range.
        ShapeError: on building, the input has another rank, or the values per channel do not fit its channels.
    """

    carries = True
    transient = Layer.transient | {"recorded": Recorded}

    def __init__(
        self,
        tau: Numbers | None = None,
        beta: Numbers | None = None,
        decay_input: bool = False,
        learn_tau: Learned = False,
        name: str | None = None,
        v_init: Numbers = 0.0,
        learn_v_init: Learned = False,
        record: str | Sequence[str] = (),
    ):
        super().__init__(name)
        self.v_init, self.learn_v_init = initial.arguments("LI", v_init, learn_v_init)
        self.record = wanted("LI", record)
        for key in self.record:
            choice("LI: record", key, ("u", "v"))
        self.recorded: dict[str, np.ndarray] = Recorded()
        self.initial: Any = None
        self.tau, self.beta, self.decay_input, self.learn_tau, self._leak = leak_of(
            "LI", tau, beta, decay_input, learn_tau
        )

    def infer(self, shape):
        need_features(self, shape, (3, 4, 5), {"leak": self._leak, "v_init": np.asarray(self.v_init)})
        return shape

    def create(self, shape, rng):
        self.leak = ConstrainedValue(
            "beta", "leak", self._leak, "unit", self.learn_tau, shape[-1], self.kernels, self.dtype, bounds=LEAK_BOUNDS
        )
        self.initial = initial.potential(self, shape[-1])
        self.constrained = [self.leak] if self.initial is None else [self.leak, self.initial]
        for value in self.constrained:
            if value.parameter is not None:
                self.add_parameter(value.parameter)

    def compute(self, x, mode):
        shape = x.shape[0], -1, x.shape[-1]
        u = self.buffer("u", x.shape)
        for value in self.constrained:
            if value.parameter is not None:
                value.refresh()
        state, _, begins = initial.state(self, mode, u.reshape(shape).shape[1:], x.shape[0])
        start = self.keep_start(state, mode) if mode.store else None
        self.kernels.integrator_forward(x.reshape(shape), self.leak.natural, self.decay_input, u.reshape(shape), state)
        self.kept = _Integrated(x, u, start, begins) if mode.store else None
        if self.record:
            self.recorded = Recorded(dict.fromkeys(self.record, self.kernels.to_host(u)))
        return u

    def propagate(self, dy, need_dx):
        x, u, start, begins = self.kept
        shape = x.shape[0], -1, x.shape[-1]
        dx = self.gradient(x.shape)
        dstart = initial.gradient_array(self, begins, u.reshape(shape).shape[1:])
        self.kernels.integrator_backward(
            dy.reshape(shape),
            x.reshape(shape),
            u.reshape(shape),
            self.leak.natural,
            self.decay_input,
            dx.reshape(shape),
            self.leak.gradient if self.learn_tau and not self.frozen else None,
            start,
            dstart,
        )
        initial.sum_gradient(self, dstart)
        if not self.frozen:
            for value in self.constrained:
                value.collect()
        return dx

    def move(self, kernels, dtype):
        if self.built:
            for value in self.constrained:
                value.move(kernels, self.kernels, dtype)
        super().move(kernels, dtype)
