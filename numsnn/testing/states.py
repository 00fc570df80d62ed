"""Checks of parameters and statistics: names, tracking, freezing, moving, descriptions, files and copies."""

import json
import pickle
import tempfile
from copy import deepcopy
from pathlib import Path

from ..layers import TRAINING, Layer, Mode
from ..layers.inputs import each
from .registry import STORED, Check, into

CHECKS: dict[str, Check] = {}
check = into(CHECKS)


@check()
def state(subject):
    """Parameters and statistics have names of their own, and can be loaded into another layer."""
    layer = subject.layer()
    arrays, names = layer.state(), [name for name, _ in layer.parameters()] + list(layer.statistics())
    if twice := sorted({name for name in names if names.count(name) > 1}):
        subject.fail("state", f"two arrays are named {twice[0]!r}. Give every parameter and statistic its own name")
    for _, parameter in layer.parameters():
        if not parameter.name or not set(parameter.name).isdisjoint("./"):
            subject.fail("state", f"a parameter is named {parameter.name!r}. Use a name without '.' and '/'")
        if parameter.grad.shape != parameter.value.shape:
            subject.fail("state", f"the gradient of {parameter.name} has shape {parameter.grad.shape}")
    other = subject.twin(layer)
    advice = (
        "load_state(state()) must give an equal layer. Register parameters with add_parameter, and return tracked "
        "arrays from own_statistics and take them in set_statistic"
    )
    subject.same("state", other.state(), arrays, advice)
    subject.same("state", {"output": other(subject.x())}, {"output": layer(subject.x())}, advice)
    for array in arrays.values():
        array[...] = 0
    subject.same("state", layer.state(), other.state(), "state() must return copies of the arrays")


@check()
def tracking(subject):
    """A pass changes statistics only if it is told to (`Mode.track`)."""
    layer, x = subject.layer(), subject.x()
    before = layer.state()
    layer(x)
    layer(x, training=True)
    for mode in (STORED, Mode(training=True, store=True)):
        subject.step(layer, x, mode)
    subject.same(
        "tracking", layer.state(), before, "a pass without mode.track changed it; update it with mode.track only"
    )


@check()
def freeze(subject):
    """A frozen layer computes as at inference, and nothing in it changes."""
    layer, x = subject.layer().freeze(), subject.x()
    before, want = layer.state(), layer(x)
    layer.forward(each(x, lambda part: layer.kernels.from_host(part, part.dtype)), TRAINING)
    found = {"output": layer.kernels.to_host(layer.output)} if layer.output is not None else {"output": layer(x, True)}
    layer.backward(layer.kernels.from_host(subject.dy(want.shape), layer.dtype))
    advice = "frozen, a layer must compute as at inference. Follow the mode that compute gets, and keep no other switch"
    subject.same("freeze", layer.state(), before, advice)
    subject.same("freeze", found, {"output": want}, advice)
    if layer.trainable():
        subject.fail("freeze", "a frozen layer must have no trainable parameters. Keep them in own_parameters")


@check()
def moving(subject):
    """Parameters and statistics move to another dtype and target and back."""
    layer = subject.layer(dtype="float32")
    before, x = layer.state(), subject.x("float32")
    want = layer(x)
    layer.to(dtype="float64")
    advice = "moving must take all arrays along. Arrays other than parameters and statistics need a method move"
    layer(subject.x())
    for device in (*subject.devices, subject.devices[0]):
        layer.to(device)
        layer(subject.x())
    layer.to(dtype="float32")
    subject.same("moving", layer.state(), before, advice)
    subject.same("moving", {"output": layer(x)}, {"output": want}, advice)


@check()
def description(subject):
    """The description is plain data, from which the same layer can be made again."""
    layer = subject.layer()
    told = layer.description()
    advice = "the constructor must store every argument, unchanged, under its own name"
    if json.loads(json.dumps(told)) != told:
        subject.fail("description", f"JSON does not keep the description; {advice}")
    again = Layer.from_description(told)
    if type(again) is not type(layer) or again.description() != told:
        subject.fail("description", f"from_description makes {again!r}, which is not described alike; {advice}")
    again.to(layer.device, layer.dtype).build(subject.shape).load_state(layer.state())
    subject.same("description", {"output": again(subject.x())}, {"output": layer(subject.x())}, advice)


@check()
def save_and_load(subject):
    """A saved and loaded layer gives the same bits."""
    from ..training import load, save

    layer, x = subject.layer(dtype="float32"), subject.x("float32")
    with tempfile.TemporaryDirectory() as folder:
        save(layer, Path(folder) / "layer.h5")
        again = load(Path(folder) / "layer.h5", device=layer.device)
    advice = "a loaded layer must equal the saved one. What a file cannot hold must follow from the constructor"
    subject.same("save_and_load", again.state(), layer.state(), advice)
    subject.same("save_and_load", {"output": again(x)}, {"output": layer(x)}, advice)


@check()
def copies(subject):
    """Copies and pickles are equal to the layer and independent of it."""
    layer, x = subject.layer(), subject.x()
    want, before = layer(x), layer.state()
    made = {}
    for name, copying in (("copy.deepcopy", deepcopy), ("pickle", lambda one: pickle.loads(pickle.dumps(one)))):
        try:
            made[name] = copying(layer)
        except Exception as error:
            subject.fail(
                "copies",
                f"{name} raised {type(error).__name__}: {error}. Define the class in a module, and name what cannot be "
                "copied in the class attribute transient",
            )
    for name, other in made.items():
        subject.same("copies", {"output": other(x)}, {"output": want}, f"{name} must give an equal layer")
        subject.step(other, subject.x(seed=6), TRAINING)
        for _, parameter in other.parameters():
            parameter.value[...] = 0
        advice = f"a change of what {name} gives must not change the layer. Keep arrays in the object, not in its class"
        subject.same("copies", layer.state(), before, advice)
        subject.same("copies", {"output": layer(x)}, {"output": want}, advice)
