"""Checks of shapes, types and numbers. The name of a function is what reports show; its docstring says what is
expected."""

import numpy as np

from ..diagnostics import check_gradients
from ..errors import ShapeError
from ..layers import INFERENCE, TRAINING, Mode
from ..layers.inputs import each
from ..losses import MembraneMSE
from .registry import CLOSE, STORED, Check, into

CHECKS: dict[str, Check] = {}
check = into(CHECKS)


def _one_input(subject):
    return "it is for layers with one input" if isinstance(subject.shape, dict) else None


@check()
def output_shape(subject):
    """The output has the shape that `infer` promises, for the shape of the build and for another one."""
    layer = subject.make().to(subject.devices[0]).build(subject.shape)
    if subject.output_shape is not None and layer.output_shape != subject.output_shape:
        subject.fail(
            "output_shape",
            f"infer gives {layer.output_shape} for the input {subject.shape}; expected {subject.output_shape}. Correct "
            "infer",
        )
    shapes = [subject.shape, subject.with_samples(2 if subject.with_samples(2) != subject.shape else 3)]
    for shape in shapes:
        y, promised = layer(subject.x("float32", shape)), layer.infer(shape)
        if y.shape != tuple(promised):
            subject.fail(
                "output_shape",
                f"compute gives {y.shape} for the input {shape}, where infer promises {promised}. Make them agree",
            )


@check()
def dtype_and_layout(subject):
    """Output, gradients, parameters and statistics have the dtype of the network; the layout of an input has no
    influence."""
    for dtype in ("float32", "float64"):
        layer = subject.layer(dtype=dtype)
        x = subject.x(dtype)
        arrays = subject.step(layer, x)
        inside = {f"parameter {name}": p.value for name, p in layer.parameters()} | arrays
        for name, array in inside.items():
            fits = array.dtype == layer.dtype or array.dtype.kind in "iu" or name == "penalty"
            if not fits or (name.startswith("gradient") and array.dtype != layer.dtype):
                subject.fail(
                    "dtype_and_layout",
                    f"{name} has dtype {array.dtype} in a network of {dtype}. Make arrays with the layer's own dtype, "
                    "self.dtype, and register parameters with add_parameter",
                )
        want = {"output": layer(x)}
        for layout, change in (("Fortran", np.asfortranarray), ("strided", _strided), ("read-only", _read_only)):
            subject.same(
                "dtype_and_layout",
                {"output": layer(each(x, change))},
                want,
                f"an input in {layout} layout must give the same bits as one in C order. Do not use strides or memory "
                "order",
            )


def _strided(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def _read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


@check()
def inputs_unchanged(subject):
    """Neither pass writes into the input or into the gradient of the output."""
    passes = [(device, mode) for device in subject.devices if device != "cuda" for mode in (INFERENCE, TRAINING)]
    for device, mode in [*passes, (subject.devices[0], Mode(training=True, store=True, relaxed=True))]:
        layer, x = subject.layer(device), subject.x()
        if device == "cuda":
            x = each(x, lambda part, layer=layer: layer.kernels.from_host(part, part.dtype))
        before = each(x, lambda part, layer=layer: np.array(layer.kernels.to_host(part)))
        y = layer.forward(x, mode)
        dy = layer.kernels.from_host(subject.dy(y.shape), layer.dtype)
        if mode.store:
            layer.backward(dy)
        subject.same(
            "inputs_unchanged",
            _named(each(x, layer.kernels.to_host)),
            _named(before),
            "a pass wrote into it. Other layers still need it: make a new array instead of writing x[...] or x += ...",
        )
        subject.same(
            "inputs_unchanged",
            {"dL/dy": layer.kernels.to_host(dy)},
            {"dL/dy": subject.dy(y.shape)},
            "propagate wrote into it. Make a new array, or ask self.overwrite(dy) for one that may be written",
        )


def _named(x):
    """Return an input as arrays by name."""
    return {f"the input {name}": part for name, part in x.items()} if isinstance(x, dict) else {"the input": x}


@check()
def spikes_as_numbers(subject):
    """Spikes (uint8) give what the same numbers as floats give, or are refused with a ShapeError."""
    spikes = subject.x(spikes=True)
    numbers = each(spikes, lambda part: part.astype(np.float64))
    want = subject.step(subject.layer("reference"), numbers)
    try:
        got = subject.step(subject.layer("reference"), spikes)
    except ShapeError:
        return
    subject.same(
        "spikes_as_numbers",
        got,
        want,
        "spikes arrive as uint8, in which -x and 2 * x overflow. Begin compute with x = self.as_real(x)",
        CLOSE,
    )


@check(_one_input)
def wrong_shape(subject):
    """An input of another rank or number of channels is refused with a ShapeError that names the layer, or computed
    with the shape that `infer` promises."""
    shape = subject.shape
    shapes = [shape[:-1], (*shape, 2), (*shape[:-1], shape[-1] + 1), shape[-1:]]
    for built in (False, True):
        for wrong in shapes:
            layer = subject.layer("reference") if built else subject.make().to("reference", "float64")
            try:
                y = layer(subject.x(shape=wrong))
                if y.shape == tuple(layer.output_shape):
                    continue
                problem = f"gives {y.shape}, where infer promises {layer.output_shape}"
            except ShapeError as error:
                if any(name in str(error) for name, _ in layer.named()):
                    continue
                problem = f"raises a ShapeError that does not name the layer ({layer.path}): {error}"
            except Exception as error:
                problem = f"raises {type(error).__name__}: {error}"
            state = f"built for {shape}, it" if built else "it"
            subject.fail(
                "wrong_shape",
                f"for an input of shape {wrong}, {state} {problem}. Refuse what does not fit in infer: "
                'self.refuse(shape, "[T, N, C]")',
            )


@check(lambda subject: None if len(subject.devices) > 1 else "there is one device only")
def targets(subject):
    """All targets compute the same, forward and backward."""
    found = {}
    for device in subject.devices:
        layer = subject.layer(device)
        found[device] = [subject.step(layer, subject.x(seed=k)) for k in range(2)]
        found[device].append({"output at inference": layer(subject.x())})
    first, *others = found
    for device in others:
        for got, want in zip(found[device], found[first], strict=True):
            subject.same(
                "targets",
                got,
                want,
                f"{device} and {first} must agree. Use self.kernels and nothing that depends on the device",
                CLOSE,
            )


@check()
def gradients(subject):
    """Every gradient agrees with finite differences (`check_gradients`)."""
    layer, x = subject.layer(), subject.x("float64")
    wanted = np.random.default_rng(subject.seed).normal(size=layer.output_shape)
    device = "reference" if layer.device == "cuda" else None
    report = check_gradients(layer, x, wanted, MembraneMSE(), tolerance=subject.tolerance, device=device, entries=3)
    wrong = [row for row in report.rows if row.known > report.tolerance]
    if wrong:
        told = ", ".join(f"{row.name} by {row.known:.1e}" for row in wrong)
        subject.fail(
            "gradients",
            f"these gradients differ from finite differences: {told} (relative). Correct propagate; compute everything "
            "in the layer's dtype, also in float64",
        )
    unknown = [row.name for row in report.rows if np.isnan(row.known)]
    if unknown:
        subject.fail(
            "gradients",
            f"these could not be compared: {', '.join(unknown)}. Every increment crossed a kink; give other data with "
            "draw, or correct pieces()",
        )


@check()
def without_input_gradient(subject):
    """The gradients of parameters do not depend on whether the gradient of the input is needed."""
    layer, x = subject.layer("reference"), subject.x()
    want = subject.step(layer, x, STORED)
    for _, parameter in layer.parameters():
        parameter.grad = np.full(parameter.grad.shape, np.nan)
    got = subject.step(layer, x, STORED, need_dx=False)
    subject.same(
        "without_input_gradient",
        got,
        {name: array for name, array in want.items() if not name.startswith("gradient of the input")}
        if not isinstance(x, dict)
        else {name: array for name, array in want.items() if not name.startswith("gradient of input")},
        "with need_dx=False, propagate must set the same gradients of parameters",
    )


@check()
def repeatable(subject):
    """Equal passes give equal bits: a pass depends on nothing that the pass before left, and gradients are set, not
    added."""
    layer, x = subject.layer(), subject.x()
    mode = Mode(training=True, store=True, seed=3)
    first = subject.step(layer, x, mode)
    subject.step(layer, subject.x(seed=5), mode)
    subject.same(
        "repeatable",
        subject.step(layer, x, mode),
        first,
        "two equal passes must give equal bits. Set parameter.grad instead of adding to it, take random numbers from "
        "mode.seed_of(self.path), and remember nothing between passes but what mode.track allows",
    )


@check(lambda subject: None if "cpu" in subject.devices else "the cpu is not among the devices")
def threads(subject):
    """One thread and two give the same bits."""
    from ..kernels.cpu.run.launch import get_num_threads, set_num_threads

    before, found = get_num_threads(), []
    try:
        for count in (1, 2):
            set_num_threads(count)
            found.append(subject.step(subject.layer("cpu"), subject.x()))
    finally:
        set_num_threads(before)
    subject.same("threads", found[1], found[0], "the result must not depend on the number of threads")
