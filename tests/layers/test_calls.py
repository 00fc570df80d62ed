"""What a small network costs besides its arithmetic: calls of Python functions per step, and memory per step.

The bounds are about a tenth above what was counted. Whoever exceeds one has made every step of every small network
slower.
"""

import sys
import tracemalloc

import numpy as np
import pytest

import numsnn as snn
from numsnn.kernels.cpu.run import launch


def calls(step):
    """The number of Python functions that one step calls, after steps in which choices of routes become known, for each
    share of active inputs."""
    for _ in range(100):
        step()
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        step()
    finally:
        sys.setprofile(before)
    return count


def block(inputs, outputs):
    return snn.Conv2d(inputs, outputs, 3, padding=1), snn.BatchNorm(outputs), snn.LIF()


def training_step():
    """A training step of four narrow convolutions, 24-P-32-P-32-40-P-10, on one sample."""
    rng = np.random.default_rng(0)
    pools = [snn.AvgPool2d(2) for _ in range(3)]
    net = snn.Sequential(
        *(*block(2, 24), pools[0], *block(24, 32), pools[1], *block(32, 32), *block(32, 40), pools[2]),
        *(snn.Flatten(), snn.Linear(40 * 16, 10)),
    ).build((10, 1, 32, 32, 2))
    x = (rng.random((10, 1, 32, 32, 2)) < 0.05).astype(np.uint8)
    loop, loss = snn.Loop(net, snn.optim.Adam(1e-4)), snn.losses.RateCrossEntropy()

    def step():
        _, dz = loss(loop.forward(x), [3])
        loop.backward(dz)
        loop.step()

    return step


def stream_step(net, shape):
    """A step of a stream of one sample."""
    stream = net.build((1, *shape)).fold().stream(samples=1)
    x = (np.random.default_rng(0).random(shape) < 0.05).astype(np.uint8)
    return lambda: stream.step(x)


def sound():
    """A step of a recurrent network, 700-256-20."""
    layers = snn.Linear(700, 256), snn.RecurrentLIF(tau=10.0), snn.Linear(256, 20), snn.LI(tau=10.0)
    return stream_step(snn.Sequential(*layers), (1, 700))


def camera():
    """A step of two convolutions, 16-P-32-P-10."""
    layers = *block(2, 16), snn.MaxPool2d(2), *block(16, 32), snn.MaxPool2d(2), snn.Flatten(), snn.Linear(32 * 64, 10)
    return stream_step(snn.Sequential(*layers), (1, 32, 32, 2))


STEPS = {
    "training of four narrow convolutions": (training_step, 2030),
    "stream of a recurrent network": (sound, 130),
    "stream of two convolutions": (camera, 270),
}
"""Step -> (function that makes it, largest number of calls)."""


@pytest.mark.parametrize("name", STEPS)
def test_calls_of_a_step(threads, monkeypatch, name):
    monkeypatch.setattr(launch, "CHECK_ROLES", False)
    threads(1)
    make, most = STEPS[name]
    found = calls(make())
    assert found <= most
    assert found > most / 2  # otherwise the bound is out of date


def test_a_training_step_allocates_no_large_array():
    """The currents of the neurons alone are 1.5 MB. What a step allocates are numbers per channel, and the readout."""
    step = training_step()
    for _ in range(3):
        step()
    tracemalloc.start()
    try:
        step()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - before < 300_000
