"""The comparison of bits: what it writes, finds again and finds different; and that its networks learn."""

import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.common import REPOSITORY
from benchmarks.method import same_bits
from numsnn.layers import Neuron

CASES = same_bits.cases()

HELD = {
    "pda-divergence": {"lif1.correction"},  # this PDA does not correct
    "residual-repeat": {"lif2.log_width"},  # these widths start at their lower bound, and the gradient keeps them there
    "concat-dropout": {"lif1.log_width"},
    "depthwise-transpose": {"cubalif1.log_width"},
}
"""What training does not change."""


@pytest.mark.parametrize("name", CASES)
def test_every_neuron_fires_and_every_array_changes(name):
    """A part of a network that does nothing would hide a change of its code. This is true on every device; on the
    reference nothing has to be compiled."""
    case = same_bits.cases()[name]
    x, _ = case.dataset().batch(np.arange(case.samples))
    net = same_bits.snn.Sequential(*case.layers).to("reference").build(x.shape, 5)
    before = {name: np.array(value) for name, value in net.state().items()}
    net.forward(x)
    assert all(layer.output.mean() > 0 for layer in net.walk() if isinstance(layer, Neuron))
    after = same_bits.trained(same_bits.cases()[name], "reference")
    assert {key for key in before if np.array_equal(before[key], after[key])} == HELD.get(name, set())
    assert len(set(after["train losses"])) == same_bits.UPDATES and np.isfinite(after["train losses"]).all()


def test_a_difference_of_one_bit_is_found(tmp_path):
    arrays = {"a": np.ones(3, np.float32), "b": np.arange(2)}
    other = {"a": np.array([1, 1, np.nextafter(np.float32(1), np.float32(2))]), "b": np.arange(2)}
    assert same_bits.differences("net", arrays, dict(arrays)) == []
    assert same_bits.differences("net", arrays, other) == ["net: a by 1.2e-07"]
    assert same_bits.differences("net", arrays, {"a": arrays["a"]}) == ["net: b is on one side only"]
    assert (
        same_bits.summary(arrays | {"train losses": np.ones(1)})["sha256"]
        != (same_bits.summary(other | {"train losses": np.ones(1)})["sha256"])
    )
    assert same_bits.distance(np.ones(2), np.ones(3)) == float("inf")


def test_the_command(tmp_path, known_kernels):
    """Run twice, the second time against the first; then against one whose numbers were changed."""
    file = tmp_path / "bits.json"
    script = REPOSITORY / "benchmarks" / "method" / "same_bits.py"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}

    def run(*arguments):
        command = [sys.executable, str(script), "--only", "plif-detached", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)

    first = run("--json", str(file))
    assert first.returncode == 0, first.stderr
    again = run("--against", str(file))
    assert again.returncode == 0 and "the same bits" in again.stdout
    stored = same_bits.read(file)
    stored["plif-detached, threads=2"]["train losses"][0] += 1
    same_bits.write(file, stored)
    changed = run("--against", str(file))
    assert changed.returncode == 1
    assert "DIFFERENT plif-detached, threads=2: train losses by " in changed.stdout
