"""Errors of constructors of layers: one line that names the layer, the given value and what was expected."""

import numpy as np
import pytest

import numsnn as snn
from numsnn.psg import FAMILIES

NAMES = "{FAMILIES}"
"""Stands for the families that there are when a test runs: other tests register some of their own."""

WHOLE = "must be a whole number of at least"
PAIR = "must be a whole number or a pair of them; got"

CONSTRUCTORS = [
    (lambda: snn.Linear(0, 3), f"Linear: in_features {WHOLE} 1; got 0"),
    (lambda: snn.Linear(3, 2.0), f"Linear: out_features {WHOLE} 1; got 2.0"),
    (lambda: snn.Linear(3, True), f"Linear: out_features {WHOLE} 1; got True"),
    (lambda: snn.Linear(3, 2, bias=1), "Linear: bias must be True or False; got 1"),
    (lambda: snn.Conv2d(-1, 3, 1), f"Conv2d: in_channels {WHOLE} 1; got -1"),
    (lambda: snn.Conv2d(1, "3", 1), f"Conv2d: out_channels {WHOLE} 1; got '3'"),
    (lambda: snn.Conv2d(1, 3, 0), f"Conv2d: kernel_size {WHOLE} 1; got 0"),
    (lambda: snn.Conv2d(1, 3, (3, 3, 3)), f"Conv2d: kernel_size {PAIR} (3, 3, 3)"),
    (lambda: snn.Conv2d(1, 3, 1.5), f"Conv2d: kernel_size {PAIR} 1.5"),
    (lambda: snn.Conv2d(1, 3, 3, stride=(1, 0)), f"Conv2d: stride {WHOLE} 1; got 0"),
    (lambda: snn.Conv2d(1, 3, 3, padding=-1), f"Conv2d: padding {WHOLE} 0; got -1"),
    (lambda: snn.Conv2d(2, 4, 3, groups=0), f"Conv2d: groups {WHOLE} 1; got 0"),
    (lambda: snn.Conv2d(3, 4, 3, groups=2), "Conv2d: groups must divide the channels; got 2 for 3 in, 4 out"),
    (lambda: snn.Conv2d(4, 3, 3, groups=2), "Conv2d: groups must divide the channels; got 2 for 4 in, 3 out"),
    (lambda: snn.Conv2d(2, 4, 3, bias=None), "Conv2d: bias must be True or False; got None"),
    (lambda: snn.Conv2d(1, 3, 3, dilation=0), f"Conv2d: dilation {WHOLE} 1; got 0"),
    (lambda: snn.Conv1d(1, 3, 3, dilation=(1, 2)), f"Conv1d: dilation {WHOLE} 1; got (1, 2)"),
    (lambda: snn.ConvTranspose2d(1, 3, 3, dilation=1.5), f"ConvTranspose2d: dilation {PAIR} 1.5"),
    (
        lambda: snn.Conv2d(1, 3, 3, padding="sane"),
        "Conv2d: padding must be one of 'same', 'valid', or whole numbers; got 'sane'. Did you mean 'same'?",
    ),
    (
        lambda: snn.Conv1d(1, 3, 3, 2, "same"),
        "Conv1d: padding 'same' needs stride 1; got stride 2. Give the padding as a number",
    ),
    (
        lambda: snn.Conv2d(1, 3, 3, (1, 2), "same"),
        "Conv2d: padding 'same' needs stride 1; got stride (1, 2). Give the padding as a number",
    ),
    (lambda: snn.ConvTranspose2d(1, 3, 3, padding="same"), f"ConvTranspose2d: padding {PAIR} 'same'"),
    (lambda: snn.BatchNorm(0), f"BatchNorm: channels {WHOLE} 1; got 0"),
    (lambda: snn.BatchNorm(3, v_threshold=0), "BatchNorm: v_threshold must be positive; got 0"),
    (lambda: snn.BatchNorm(3, eps=-1e-5), "BatchNorm: eps must be positive; got -1e-05"),
    (lambda: snn.BatchNorm(3, momentum=0.0), "BatchNorm: momentum must lie in (0, 1]; got 0.0"),
    (lambda: snn.BatchNorm(3, momentum=1.5), "BatchNorm: momentum must lie in (0, 1]; got 1.5"),
    (lambda: snn.BatchNorm(3, affine="yes"), "BatchNorm: affine must be True or False; got 'yes'"),
    (lambda: snn.AvgPool2d(0), f"AvgPool2d: kernel_size {WHOLE} 1; got 0"),
    (lambda: snn.AvgPool2d("2"), f"AvgPool2d: kernel_size {PAIR} '2'"),
    (lambda: snn.MaxPool2d(2, stride=0), f"MaxPool2d: stride {WHOLE} 1; got 0"),
    (lambda: snn.MaxPool2d(2, padding=(0, -1)), f"MaxPool2d: padding {WHOLE} 0; got -1"),
    (lambda: snn.AvgPool2d(3, padding=2), "AvgPool2d: padding must be at most half the kernel (3, 3); got (2, 2)"),
    (
        lambda: snn.MaxPool2d((4, 1), padding=(2, 1)),
        "MaxPool2d: padding must be at most half the kernel (4, 1); got (2, 1)",
    ),
    (lambda: snn.Dropout(1.0), "Dropout: p must lie in [0, 1); got 1.0"),
    (lambda: snn.Dropout(-0.1), "Dropout: p must lie in [0, 1); got -0.1"),
    (lambda: snn.Dropout(np.nan), "Dropout: p must be a finite number; got nan"),
    (lambda: snn.Repeat(0), f"Repeat: steps {WHOLE} 1; got 0"),
    (lambda: snn.Sequential(), "Sequential: needs at least one layer"),
    (lambda: snn.Residual(), "Residual: needs at least one layer in the branch"),
    (
        lambda: snn.Residual(snn.Flatten(), join="concatenate"),
        "Residual: join must be one of 'add', 'and', 'iand'; got 'concatenate'",
    ),
    (lambda: snn.Concat(), "Concat: needs at least one layer"),
    (lambda: snn.Concat(None), "Concat: needs at least one layer"),
    (lambda: snn.Conv1d(2, 4, (3,)), f"Conv1d: kernel_size {WHOLE} 1; got (3,)"),
    (lambda: snn.Conv1d(2, 4, 3, padding=-1), f"Conv1d: padding {WHOLE} 0; got -1"),
    (lambda: snn.Conv1d(3, 4, 3, groups=2), "Conv1d: groups must divide the channels; got 2 for 3 in, 4 out"),
    (lambda: snn.ConvTranspose2d(2, 4, 0), f"ConvTranspose2d: kernel_size {WHOLE} 1; got 0"),
    (
        lambda: snn.ConvTranspose2d(2, 4, 3, stride=(2, 1), output_padding=(1, 1)),
        "ConvTranspose2d: output_padding must be less than stride (2, 1); got (1, 1)",
    ),
    (lambda: snn.SumPool1d((2,)), f"SumPool1d: kernel_size {WHOLE} 1; got (2,)"),
    (lambda: snn.SumPool2d(3, padding=2), "SumPool2d: padding must be at most half the kernel (3, 3); got (2, 2)"),
    (lambda: snn.AvgPool1d((2,)), f"AvgPool1d: kernel_size {WHOLE} 1; got (2,)"),
    (lambda: snn.MaxPool1d(3, padding=2), "MaxPool1d: padding must be at most half the kernel 3; got 2"),
    (lambda: snn.BNTT(0, 4), f"BNTT: channels {WHOLE} 1; got 0"),
    (lambda: snn.BNTT(3, 2.0), f"BNTT: steps {WHOLE} 1; got 2.0"),
    (lambda: snn.BNTT(3, 4, bias=None), "BNTT: bias must be True or False; got None"),
    (lambda: snn.TEBN(3, 0), f"TEBN: steps {WHOLE} 1; got 0"),
    (lambda: snn.TEBN(3, 4, eps=0.0), "TEBN: eps must be positive; got 0.0"),
    (lambda: snn.GroupNorm(0, 4), f"GroupNorm: groups {WHOLE} 1; got 0"),
    (lambda: snn.GroupNorm(3, 4), "GroupNorm: groups must divide the channels; got 3 for 4"),
    (lambda: snn.LayerNorm(0), f"LayerNorm: channels {WHOLE} 1; got 0"),
    (lambda: snn.Delay(-1), f"Delay: steps {WHOLE} 0; got -1"),
    (lambda: snn.Delay((1, 0.5)), f"Delay: steps {WHOLE} 0; got 0.5"),
    (lambda: snn.Delay((1, 2), channels=3), "Delay: steps must hold one number per channel; got 2 for 3 channels"),
    (lambda: snn.LIF(tau=2.0, beta=0.5), "LIF: give tau or beta, not both; got tau=2.0, beta=0.5"),
    (lambda: snn.LIF(tau=0.5), "LIF: tau must be at least 1 (steps); got 0.5"),
    (lambda: snn.LIF(tau=[2.0, 0.9]), "LIF: tau must be at least 1 (steps); got [2.0, 0.9]"),
    (lambda: snn.LIF(tau=np.inf), "LIF: tau must be one finite number or one per channel; got inf"),
    (lambda: snn.LIF(tau="2"), "LIF: tau must be one finite number or one per channel; got '2'"),
    (lambda: snn.LIF(tau=[[2.0]]), "LIF: tau must be one finite number or one per channel; got [[2.0]]"),
    (lambda: snn.LIF(beta=1.1), "LIF: beta must lie in [0, 1]; got 1.1"),
    (lambda: snn.LIF(beta=(0.5, -0.1)), "LIF: beta must lie in [0, 1]; got (0.5, -0.1)"),
    (lambda: snn.LIF(beta=True), "LIF: beta must be one finite number or one per channel; got True"),
    (lambda: snn.LIF(v_threshold=0.0), "LIF: v_threshold must be positive; got 0.0"),
    (lambda: snn.LIF(v_threshold=(1, -1)), "LIF: v_threshold must be positive; got (1, -1)"),
    (lambda: snn.LIF(v_threshold=None), "LIF: v_threshold must be one finite number or one per channel; got None"),
    (lambda: snn.LIF(v_reset=1.0), "LIF: v_reset must lie below v_threshold; got v_reset=1.0, v_threshold=1.0"),
    (
        lambda: snn.LIF(v_reset=0.5, v_threshold=(1.0, 0.5)),
        "LIF: v_reset must lie below v_threshold; got v_reset=0.5, v_threshold=(1.0, 0.5)",
    ),
    (
        lambda: snn.LIF(v_reset=(0.0, 0.1)),
        "LIF: v_reset must be one number, None (soft), 'delayed' or 'none'; got (0.0, 0.1)",
    ),
    (lambda: snn.LIF(v_reset=np.nan), "LIF: v_reset must be one finite number or one per channel; got nan"),
    (lambda: snn.LIF(detach_reset="no"), "LIF: detach_reset must be True or False; got 'no'"),
    (lambda: snn.LIF(decay_input=0), "LIF: decay_input must be True or False; got 0"),
    (lambda: snn.LIF(learn_tau="neuron"), "LIF: learn_tau must be False, True, 'layer' or 'channel'; got 'neuron'"),
    (lambda: snn.LIF(learn_threshold=2), "LIF: learn_threshold must be False, True, 'layer' or 'channel'; got 2"),
    (
        lambda: snn.LIF(tau=(2.0, 3.0), learn_tau=True),
        "LIF: learn_tau must be 'channel' if there is one start value per channel; got 'layer'",
    ),
    (
        lambda: snn.LIF(v_threshold=(1.0, 2.0), learn_threshold="layer"),
        "LIF: learn_threshold must be 'channel' if there is one start value per channel; got 'layer'",
    ),
    (
        lambda: snn.LIF(beta=1.0, learn_tau=True),
        "LIF: a learned leak must start strictly between beta = 0 (tau = 1) and beta = 1",
    ),
    (
        lambda: snn.LIF(tau=(1.0, 2.0), learn_tau="channel"),
        "LIF: a learned leak must start strictly between beta = 0 (tau = 1) and beta = 1",
    ),
    (
        lambda: snn.LIF(beta=(0.5, 1.0), decay_input=True),
        "LIF: decay_input scales the input by 1 - beta, which is 0 for beta = 1",
    ),
    (lambda: snn.LIF(surrogate=1.0), "LIF: surrogate must be a Surrogate, a PSG or a family's name; got 1.0"),
    (
        lambda: snn.LIF(surrogate="triangel"),
        f"Surrogate: family must be one of {NAMES}; got 'triangel'. Did you mean 'triangle'?",
    ),
    (lambda: snn.LIF(pda="on"), "LIF: pda must be a PDA, True, False or None; got 'on'"),
    (lambda: snn.LIF(pda=0), "LIF: pda must be a PDA, True, False or None; got 0"),
    (lambda: snn.LIF(learn_tau=0), "LIF: learn_tau must be False, True, 'layer' or 'channel'; got 0"),
    (lambda: snn.LIF(record=True), "LIF: record must be a name or a list of names, such as 'u'; got True"),
    (lambda: snn.LI(record=["u", 1]), "LI: record must be a name or a list of names, such as 'u'; got ['u', 1]"),
    (lambda: snn.LIF(record="w"), "LIF: record takes 'u', 'v', 's'; got 'w'"),
    (lambda: snn.LIF(record=("u", "i")), "LIF: record takes 'u', 'v', 's'; got 'i'"),
]


@pytest.mark.parametrize(("make", "message"), CONSTRUCTORS, ids=[message for _, message in CONSTRUCTORS])
def test_constructors(refuses, make, message):
    with refuses(ValueError, message.replace(NAMES, ", ".join(map(repr, FAMILIES)))):
        make()


@pytest.mark.parametrize(
    ("container", "what"),
    [
        (snn.Sequential, "Sequential: layers"),
        (lambda layer: snn.Repeat(2, layer), "Repeat: layers"),
        (snn.Residual, "Residual: branch"),
        (lambda layer: snn.Residual(snn.LIF(), shortcut=layer), "Residual: branch and shortcut"),
        (snn.Concat, "Concat: branches"),
    ],
)
def test_what_is_not_a_layer(refuses, container, what):
    with refuses(TypeError, f"{what} must be layers, such as snn.LIF(); got 'Linear(3, 3)'"):
        container("Linear(3, 3)")
    with refuses(TypeError, f"{what} must be layers, such as snn.LIF(); got {snn.LIF!r}. Make one: LIF(...)"):
        container(snn.LIF)
