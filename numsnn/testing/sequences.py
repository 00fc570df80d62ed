"""Checks of time steps and samples: streams, single steps and samples, other shapes, sequences of different length."""

import numpy as np

from ..layers import Mode
from ..layers.inputs import each, timed
from .registry import CLOSE, STORED, Check, into

CHECKS: dict[str, Check] = {}
check = into(CHECKS)


def _any_steps(subject):
    if subject.sequence() is None:
        return "the layer takes pictures without a time axis"
    if subject.fixed_steps:
        return "the layer has parameters for a fixed number of steps"
    return None if subject.sequence()[0] > 1 else "the shape has one step only"


def _several_samples(subject):
    shape = subject.sequence()
    if shape is None:
        return "the layer takes pictures without a time axis"
    return None if min(shape[:2]) > 1 else "the shape has one step or one sample only"


@check()
def stream(subject):
    """A stream of single steps, or of parts, gives what the whole sequence gives."""
    layer, x = subject.layer(), subject.x()
    silent = [name for name, part in layer.named() if not part.container and part.carries is None]
    if silent:
        subject.fail(
            "stream",
            f"{', '.join(silent)} does not say whether it carries something from step to step. Declare carries = False,"
            " or carries = True and use self.carried_state",
        )
    whole, sequence = layer(x), subject.sequence()
    if subject.fixed_steps:
        if sequence is None:
            return
        found = {"output of feed": layer.stream().feed(x)}
    else:
        steps = layer.stream()
        found = {"output of steps": np.stack([steps.step(_part(layer, x, t)) for t in range(len(whole))])}
        if len(whole) > 1 and sequence is not None:
            parts = layer.stream()
            fed = [parts.feed(_part(layer, x, place)) for place in (slice(0, 1), slice(1, None))]
            found["output of parts"] = np.concatenate(fed)
    subject.same(
        "stream",
        found,
        dict.fromkeys(found, whole),
        "a stream must give what the whole sequence gives. What compute carries from step to step must be declared "
        "with carries = True and kept with self.carried_state",
        CLOSE,
    )


def _part(layer, x, place):
    return timed(layer, x, lambda array: array[place])


@check(_any_steps)
def one_step(subject):
    """A sequence of one step gives the first step of a longer one."""
    shape = subject.with_samples(subject.sequence()[1], 1)
    layer, x = subject.layer(), subject.x()
    whole = layer(x)
    subject.same(
        "one_step",
        {"output": layer(_part(layer, x, slice(0, 1)))},
        {"output": whole[:1]},
        "at inference, the first step must not depend on later ones",
        CLOSE,
    )
    _finite(subject, "one_step", shape)


@check()
def one_sample(subject):
    """A batch of one sample gives what the sample gives in a larger batch, at inference."""
    layer, shape = subject.layer(), subject.with_samples(1)
    x, pictures = subject.x(), subject.pictures
    if isinstance(x, dict):
        alone = {name: part[:1] if name in pictures else part[:, :1] for name, part in x.items()}
    else:
        alone = x[:1] if subject.takes_pictures else x[:, :1]
    subject.same(
        "one_sample",
        {"output": layer(alone)},
        {"output": layer(x)[:, :1]},
        "at inference, a sample must not depend on the others of its batch",
        CLOSE,
    )
    _finite(subject, "one_sample", shape)


def _finite(subject, check, shape):
    """Fail if training with an input of this shape gives numbers that are not finite."""
    for name, array in subject.step(subject.layer(), subject.x(shape=shape)).items():
        if not np.isfinite(array).all():
            subject.fail(check, f"with an input of shape {shape}, {name} holds NaN or inf")


@check()
def other_shapes(subject):
    """After an input of another shape, a pass gives what a new layer gives."""
    samples = 2 if subject.with_samples(2) != subject.shape else 3
    steps = None if subject.fixed_steps or subject.sequence() is None else subject.sequence()[0] + 1
    layer, other = subject.layer(), subject.with_samples(samples, steps)
    for shape in (subject.shape, other, subject.shape):
        x = subject.x(shape=shape, seed=4)
        subject.same(
            "other_shapes",
            subject.step(layer, x, STORED),
            subject.step(subject.twin(layer, shape), x, STORED),
            f"after inputs of other shapes, an input of shape {shape} must give what a new layer gives. Derive nothing "
            "but the channels from the shape in create, and ask self.buffer for memory in every pass",
            CLOSE,
        )


@check(_several_samples)
def lengths(subject):
    """In a batch of sequences of different length, what lies beyond a length has no influence."""
    shape = subject.sequence()
    ends = np.array([shape[0], *(1 + k % (shape[0] - 1) for k in range(shape[1] - 1))])
    real = np.arange(shape[0])[:, None] < ends
    mode, found = Mode(training=True, store=True, track=True, lengths=ends), []
    for filling in (0.0, 7.0):
        layer = subject.layer()
        x = timed(layer, subject.x(), lambda part, filling=filling: np.where(_like(real, part), part, filling))
        y = layer.forward(each(x, lambda part, k=layer.kernels: k.from_host(part, part.dtype)), mode)
        if len(y) != shape[0]:
            return  # a layer that changes the number of steps says itself what a length is
        dy = np.where(_like(real, y), subject.dy(y.shape), 0)
        step = subject.step(layer, x, mode, dy=dy)
        step["output"] = np.where(_like(real, step["output"]), step["output"], 0)
        found.append(step)
    subject.same(
        "lengths",
        found[1],
        found[0],
        "other numbers in the padding change it. Statistics must be taken over the real steps only: "
        "self.plan.padding holds them",
        CLOSE,
    )


def _like(real, x):
    """Return the truth values ``[T, N]`` in a form that broadcasts to x."""
    return real.reshape(*real.shape, *(1,) * (x.ndim - 2))
