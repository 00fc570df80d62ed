"""Valid calls of layers, networks and streams; see `valid`."""

import numpy as np

import numsnn as snn

from .made import CONV, LEAK, NAME, NEURON, WINDOW, leaky, network, of, on, plain, x

CHECKED = {"layer": lambda: snn.Flatten, "shape": (4, 3, 5), "output_shape": (4, 3, 5), "devices": ("reference",)}
CHECKED |= {"skip": ("gradients",), "draw": None, "tolerance": 1e-6, "seed": 0}

VALID = {
    # --- layers ---
    "testing.check_layer": of(snn.testing.check_layer, **CHECKED),
    "testing.layer_checks": of(snn.testing.layer_checks, **CHECKED),
    "ALIF": leaky(snn.ALIF, tau_adaptation=20.0, strength=1.0, learn_adaptation=False),
    "CubaLIF": leaky(snn.CubaLIF, tau_synapse=2.0, learn_tau_synapse=False),
    "IF": plain(snn.IF, **NEURON),
    "LI": plain(snn.LI, **LEAK, v_init=0.0, learn_v_init=False, record=(), **NAME),
    "LIF": leaky(snn.LIF),
    "PLIF": leaky(snn.PLIF),
    "RecurrentALIF": leaky(snn.RecurrentALIF, tau_adaptation=20.0, strength=1.0, learn_adaptation=False),
    "RecurrentCubaLIF": leaky(snn.RecurrentCubaLIF, tau_synapse=2.0, learn_tau_synapse=False),
    "RecurrentLIF": leaky(snn.RecurrentLIF),
    "AvgPool1d": plain(snn.AvgPool1d, **WINDOW),
    "AvgPool2d": plain(snn.AvgPool2d, **WINDOW),
    "BNTT": plain(snn.BNTT, channels=2, steps=2, eps=1e-5, momentum=0.1, bias=False, **NAME),
    "BatchNorm": plain(snn.BatchNorm, channels=2, v_threshold=1.0, eps=1e-5, momentum=0.1, affine=True, **NAME),
    "Concat": of(snn.Concat, branches=lambda: (snn.LIF(), None), **NAME),
    "Conv1d": plain(snn.Conv1d, **CONV),
    "Conv2d": plain(snn.Conv2d, **CONV),
    "ConvTranspose2d": plain(snn.ConvTranspose2d, **CONV, output_padding=0),
    "Delay": plain(snn.Delay, steps=1, channels=2, **NAME),
    "Divergence": plain(snn.Divergence, weight=1.0, target_mean=0.0, target_var=1.0, eps=1e-3, **NAME),
    "Dropout": plain(snn.Dropout, p=0.5, **NAME),
    "Flatten": plain(snn.Flatten, **NAME),
    "GlobalAvgPool2d": plain(snn.GlobalAvgPool2d, **NAME),
    "Graph": of(snn.Graph, inputs=("x",), nodes=lambda: {"out": (snn.LIF(), "x")}, **NAME),
    "GroupNorm": plain(snn.GroupNorm, groups=1, channels=2, eps=1e-5, affine=True, **NAME),
    "LayerNorm": plain(snn.LayerNorm, channels=2, eps=1e-5, affine=True, **NAME),
    "Linear": plain(snn.Linear, in_features=2, out_features=3, bias=True, **NAME),
    "MaxPool1d": plain(snn.MaxPool1d, **WINDOW),
    "MaxPool2d": plain(snn.MaxPool2d, **WINDOW),
    "Mode": plain(
        snn.Mode,
        training=False,
        store=False,
        track=False,
        relaxed=False,
        inspect=False,
        seed=0,
        lengths=None,
        carried=None,
        recompute=False,
    ),
    "PDA": plain(snn.PDA, momentum=0.1, correct=True, target=None, divergence=0.0, eps=1e-3),
    "PSG": plain(
        snn.PSG, family="triangle", width=1.0, per="layer", lr=0.1, bounds=(0.1, 2.0), rule="window", share=0.4
    ),
    "Parameter": of(
        snn.Parameter, name="w", value=lambda: np.ones(2, np.float32), group="weight", lr=None, bounds=None
    ),
    "Poisson": plain(snn.Poisson, steps=2, seed=0, **NAME),
    "RateBand": plain(snn.RateBand, low=0.1, high=0.5, weight=1.0, per="neuron", **NAME),
    "ReLU": plain(snn.ReLU, **NAME),
    "Repeat": of(snn.Repeat, steps=2, layers=lambda: (snn.Linear(2, 2),), **NAME),
    "Residual": of(snn.Residual, branch=lambda: (snn.Linear(2, 2),), shortcut=snn.Flatten, join="add", **NAME),
    "Sequential": of(snn.Sequential, layers=lambda: (snn.Linear(2, 2), snn.LIF()), **NAME),
    "SpikePenalty": plain(snn.SpikePenalty, weight=1.0, norm="l1", per="neuron", **NAME),
    "SumPool1d": plain(snn.SumPool1d, **WINDOW),
    "SumPool2d": plain(snn.SumPool2d, **WINDOW),
    "Surrogate": plain(snn.Surrogate, family="triangle", width=1.0),
    "TEBN": plain(snn.TEBN, channels=2, steps=2, eps=1e-5, momentum=0.1, **NAME),
    "Value": plain(snn.Value, start=0.5, constraint="unit", learn=False),
    "Network.__call__": on(network, "__call__", x=x, training=False),
    "Network.__contains__": on(network, "__contains__", name="lif1"),
    "Network.__getitem__": on(lambda: snn.Residual(snn.LIF()), "__getitem__", name="branch"),
    "Network.admit": on(network, "admit", x=x),
    "Network.build": on(lambda: snn.LIF().to("reference"), "build", shape=(2, 2, 3), seed=0),
    "Network.freeze_only": on(network, "freeze_only", names=lambda: ["lif1"]),
    "Network.load_state": on(network, "load_state", state=lambda: network().state(), strict=True),
    "Network.stream": on(network, "stream", samples=2, warm=False),
    "Network.to": on(network, "to", device="reference", dtype="float64"),
    "Sequential.__getitem__": on(network, "__getitem__", key=0),
    "Stream.feed": on(lambda: network().stream(), "feed", x=x),
    "Stream.load_state": on(lambda: network().stream(), "load_state", state=lambda: network().stream().state()),
    "Stream.step": on(lambda: network().stream(), "step", x=lambda: x()[0]),
    "Stream.warm": on(lambda: network().stream(), "warm", shape=(2, 3)),
}
