"""What is checked of a random network: each check returns one line about what is wrong, or None."""

import copy
import io
import pickle
import sys
import tempfile
from contextlib import nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
from random_networks.networks import Case, as_float64, built, inputs, targets

import numsnn as snn
from numsnn.layers import INFERENCE, TRAINING, Mode
from numsnn.layers.arena import Arena
from numsnn.layers.carry import stepped
from numsnn.layers.inputs import each, first_timed, timed

CLOSE = 1e-9
"""Largest difference of two targets or two ways in float64, as a share of the largest number of an array."""

STEPS = (1e-4, 1e-5, 1e-6)
"""Increments of finite differences, one after the other. A wrong gradient is wrong at each of them. Differences with a
large increment suffer from curvature and those with a small one from rounding, which differs from array to array."""


# --- one pass after the other -----------------------------------------------------------------------------------------


def _arrays(x, name):
    return {f"{name} {key}": np.array(part) for key, part in x.items()} if isinstance(x, dict) else {name: np.array(x)}


def _step(case, net, x, mode, name):
    """Return what a forward and a backward pass give: readout, loss, penalty and all gradients."""
    z = net.forward(x, mode)
    wanted = targets(case, z.shape)
    loss = case.loss
    losses, dz = loss(z, wanted, net.kernels, mode.lengths, dtype=net.dtype)
    found = {"z": net.kernels.to_host(z), "losses": net.kernels.to_host(losses), "dz": net.kernels.to_host(dz)}
    found["penalty"] = np.array(net.total_penalty())
    dx = net.backward(dz)
    found |= {f"d {key}": net.kernels.to_host(p.grad) for key, p in net.trainable()}
    found |= _arrays(each(dx, net.kernels.to_host), "dx")
    return {f"{name}: {key}": np.array(value, np.float64) for key, value in found.items()}


def _mode(case, mode):
    return replace(mode, lengths=None if case.lengths is None else np.array(case.lengths), seed=case.seed)


def passes(case: Case, net, relaxed: bool = True, inspect: bool = False, recompute: bool = False) -> dict:
    """Return what two tracked steps of training give, and a step in relaxed mode and an inference, by name.

    Args:
        case, net: the case and its network, built, on any device, in float64.
        relaxed: whether to include relaxed mode and inference, which need kernels of their own. Default True.
        inspect: whether to run the layers one by one. Default False.
        recompute: whether passes drop outputs and compute them again. Default False.
    """
    found: dict = {}
    for k in range(2):
        x = each(as_float64(inputs(case, k)), lambda part: net.kernels.from_host(part, part.dtype))
        mode = replace(_mode(case, TRAINING), inspect=inspect, recompute=recompute)
        found |= _step(case, net, x, mode, f"step {k}")
    if relaxed:
        found |= _step(
            case, net, x, Mode(**{**vars(_mode(case, TRAINING)), "track": False, "relaxed": True}), "relaxed"
        )
    if relaxed:
        found["inference"] = net.kernels.to_host(net.forward(x, _mode(case, INFERENCE))).astype(np.float64)
    return found | {name: np.asarray(value, np.float64) for name, value in net.statistics().items()}


def differing(got: dict, want: dict, promise: float = CLOSE) -> str | None:
    """Return a line that names the first array in which two results differ, and None if there is none."""
    if got.keys() != want.keys():
        return f"other arrays: {sorted(got.keys() ^ want.keys())}"
    for name, expected in want.items():
        if got[name].shape != expected.shape:
            return f"{name} has shape {got[name].shape} and {expected.shape}"
        if not np.isfinite(expected).all():
            return f"{name} is not finite"
        apart = np.abs(got[name].astype(np.float64) - expected).max(initial=0)
        bound = promise * max(1.0, np.abs(expected).max(initial=0))
        if not apart <= bound:
            return f"{name} differs by {apart:.3g} of {np.abs(expected).max(initial=0):.3g}"
    return None


# --- the checks -------------------------------------------------------------------------------------------------------


def gradients(case: Case, device: str = "reference", entries: int = 1) -> str | None:
    """Compare all gradients with finite differences."""
    net, x = built(case), inputs(case)
    net.forward(each(inputs(case, 1), np.array), _mode(case, TRAINING))
    wanted = targets(case, net.output_shape)
    wrong: dict[str, float] = {}
    for step in STEPS:
        report = snn.check_gradients(
            net, x, wanted, case.loss, lengths=case.lengths, device=device, entries=entries, step=step
        )
        found = {row.name: row.known for row in report.rows if row.known > report.tolerance}
        wrong = {name: known for name, known in found.items() if name in wrong or step == STEPS[0]}
        if not wrong:
            return None
    noise, largest = _noise(case, net.to(device, "float64"), wanted)
    least = 1e-15 / step / report.tolerance
    wrong = {name: known for name, known in wrong.items() if known * max(least, largest[name]) > noise / step}
    told = ", ".join(f"{name} by {known:.1e}" for name, known in wrong.items())
    return f"gradients disagree with finite differences: {told}" if wrong else None


NUDGE = 1e-13
"""Relative change of all numbers that stands for rounding: large enough to move the last digits of sums, too."""


def _noise(case, net, wanted):
    """Return how much the loss may differ by rounding alone, and the largest gradient of every array by name.

    A normalisation of numbers that are all equal, for example, multiplies their rounding by up to 1 / sqrt(eps)."""
    mode = Mode(training=True, store=True, relaxed=True, lengths=_mode(case, INFERENCE).lengths)
    x, rng, values = as_float64(inputs(case)), np.random.default_rng(0), []
    for k in range(24):
        moved, scale = net.copy(), NUDGE if k else 0.0
        for _, p in moved.parameters():
            p.value[...] += scale * rng.normal(size=p.value.shape) * np.abs(p.value)
        z = moved.forward(each(x, lambda part, scale=scale: part * (1 + scale * rng.normal(size=part.shape))), mode)
        losses, dz = case.loss(z, wanted, net.kernels, mode.lengths)
        values.append(losses.mean() + moved.total_penalty())
        if not k:
            dx = moved.backward(dz)
            arrays = {key: p.grad for key, p in moved.trainable()}
            arrays |= {f"input {key}": part for key, part in dx.items()} if isinstance(dx, dict) else {"input": dx}
            largest = {key: float(np.abs(array).max()) for key, array in arrays.items()}
    return 20 * float(np.ptp(values)), largest


def unchecked(case: Case) -> tuple[int, int]:
    """Return how many arrays finite differences could not reach, because of kinks, and how many there are."""
    net, x = built(case), inputs(case)
    wanted = targets(case, net.output_shape)
    report = snn.check_gradients(net, x, wanted, case.loss, lengths=case.lengths, device="reference", entries=1)
    return len(report.unchecked), len(report.rows)


def one_by_one(case: Case) -> str | None:
    """Layers that run one by one give what fused layers and masked gradients give."""
    net = built(case).to(dtype="float64")
    return differing(passes(case, net.copy(), inspect=True), passes(case, net))


def recomputed(case: Case, device: str = "reference") -> str | None:
    """What is dropped and computed again gives the same bits: whole sequences, two parts of them, and an inference. A
    network is compared twice, because most of what is dropped stays as long as nothing else needs its memory."""
    net = built(case).to(device, "float64")
    found = []
    for one, recompute, at_once in ((net.copy(), False, False), (net.copy(), True, False), (net, True, True)):
        with mock.patch.object(Arena, "lay_by", Arena.give) if at_once else nullcontext():
            found.append(_steps(case, one, recompute))
    return differing(found[1], found[0], promise=0.0) or differing(found[2], found[0], promise=0.0)


def _steps(case, one, recompute):
    """Return what `recomputed` compares."""
    arrays = passes(case, one, relaxed=False, recompute=recompute)
    x, mode = as_float64(inputs(case)), replace(_mode(case, TRAINING), recompute=recompute)
    steps = len(one.output)
    fixed = any(getattr(layer, "fixed_steps", False) for _, layer in stepped(one))
    if steps > 1 and not (case.lengths or fixed or one.picture_inputs) and first_timed(one, x) is not None:
        mode = replace(mode, carried={})
        for name, part in (("first", slice(0, steps // 2)), ("second", slice(steps // 2, None))):
            arrays |= _step(case, one, timed(one, x, lambda array, part=part: array[part]), mode, name)
    arrays["inference"] = one.forward(x, replace(_mode(case, INFERENCE), recompute=recompute)).copy()
    return arrays


def targets_agree(case: Case, device: str = "cpu", relaxed: bool = True) -> str | None:
    """Compare a compiled target with the reference."""
    net = built(case)
    want = passes(case, net.copy().to("reference", "float64"), relaxed)
    return differing(passes(case, net.to(device, "float64"), relaxed), want)


def stream(case: Case, device: str = "reference") -> str | None:
    """A stream of single steps, and one of two parts, gives what the whole sequence gives."""
    net, x = _trained(case, device)
    whole = net(x)

    def part(place):
        return timed(net, x, lambda array: array[place])

    fixed = any(getattr(layer, "fixed_steps", False) for _, layer in stepped(net))
    if fixed and first_timed(net, x) is None:
        return None  # such a network takes all steps in one call, and a picture stands for one step
    if fixed:
        return differing({"fed": net.stream().feed(x)}, {"fed": whole})
    steps = net.stream()
    found = {"steps": np.stack([steps.step(part(t)) for t in range(len(whole))])}
    if len(whole) > 1 and first_timed(net, x) is not None and not net.picture_inputs:
        cut, parts = len(whole) // 2, net.stream()
        found["parts"] = np.concatenate([parts.feed(part(slice(0, cut))), parts.feed(part(slice(cut, None)))])
    return differing(found, dict.fromkeys(found, whole))


def _trained(case, device):
    """Return a network in float64 whose statistics have seen two batches, and an input."""
    net = built(case).to(device, "float64")
    for k in range(2):
        net.forward(as_float64(inputs(case, k)), _mode(case, TRAINING))
    return net, as_float64(inputs(case))


def copies(case: Case, device: str = "reference") -> str | None:
    """Copies, pickles, saved and loaded networks, and networks made from the printed text give the same bits."""
    net, x = _trained(case, device)
    net.to(dtype="float32")
    x = inputs(case)
    want = {"output": net(x)} | net.state()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.h5"
        snn.save(net, path)
        loaded = snn.load(path, device=device)
    rebuilt = snn.Layer.from_description(net.description()).to(device).build(case.shape)
    rebuilt.load_state(net.state())
    others = {
        "copy": copy.deepcopy(net),
        "pickle": pickle.loads(pickle.dumps(net)) if _importable(net) else net,
        "file": loaded,
        "description": rebuilt,
    }
    for name, other in others.items():
        if other.description() != net.description():
            return f"{name}: another description"
        if name != "description" and other.frozen_layers() != net.frozen_layers():
            return f"{name}: other layers are frozen"
        if wrong := differing({"output": other(x)} | other.state(), want, 0.0):
            return f"{name}: {wrong}"
    return None


def _importable(net):
    """Return whether the class of every layer can be found by a pickle; those of an example that was run cannot."""
    return all(type(layer).__module__ in sys.modules for layer in net.tree())


def folded(case: Case, device: str = "reference") -> str | None:
    """The folded network gives the same readout."""
    net, x = _trained(case, device)
    return differing({"folded": net.fold()(x)}, {"folded": net(x)}, 1e-8)


def printed(case: Case) -> str | None:
    """The text of a case makes the same case, and text about the network can be printed."""
    from random_networks.networks import read

    again = read(repr(case))
    if again.net.description() != case.net.description() or repr(again) != repr(case):
        return "the printed text makes another network"
    with redirect_stdout(io.StringIO()):
        print(snn.models.summary(built(case), inputs(case)))
    return None


def same_bits(case: Case, device: str = "reference") -> str | None:
    """Two runs give the same bits, and the compiled kernels also with one thread and two."""
    net = built(case)
    found = []
    for threads in (1, 2):
        with _threads(threads, device):
            found.append(passes(case, net.copy().to(device, "float64"), relaxed=False))
    return differing(*found, promise=0.0)


class _threads:
    """Sets the number of threads of the compiled kernels for a while."""

    def __init__(self, count, device):
        self.count, self.used = count, device == "cpu"

    def __enter__(self):
        if self.used:
            self.before = snn.get_num_threads()
            snn.set_num_threads(self.count)

    def __exit__(self, *_):
        if self.used:
            snn.set_num_threads(self.before)


ON_REFERENCE = {
    "printed": printed,
    "gradients": gradients,
    "one by one": one_by_one,
    "recomputed": recomputed,
    "stream": stream,
    "copies": copies,
    "folded": folded,
}
"""Checks that compile nothing."""

COMPILED = {
    "targets": targets_agree,
    "recomputed": lambda case: recomputed(case, "cpu"),
    "stream": lambda case: stream(case, "cpu"),
    "same bits": lambda case: same_bits(case, "cpu"),
}
"""Checks of the compiled kernels of the CPU."""


def failures(case: Case, checks: dict) -> dict[str, str]:
    """Return what each of these checks says, by name, for those that fail. An error in a check is a failure, too."""
    found = {}
    for name, check in checks.items():
        try:
            wrong = check(case)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong is not None:
            found[name] = wrong
    return found
