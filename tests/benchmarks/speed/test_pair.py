"""Two checkouts in turns: here a checkout beside itself, in tiny shapes."""

import json
import subprocess
import sys

import pytest

from benchmarks.common import REPOSITORY
from benchmarks.speed import pair


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks.speed.pair", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=REPOSITORY)


def test_a_checkout_beside_itself(tmp_path, known_kernels):
    file = tmp_path / "pair.json"
    done = run(REPOSITORY, "--quick", "--rounds", 4, "--workload", "fc", "neurons", "--json", file)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert set(found["workloads"]["fc"]) == {"training step", "inference"}
    assert "LIF backward" in found["workloads"]["neurons"]
    for passes in found["workloads"].values():
        for values in passes.values():
            assert len(values["this"]) == len(values["other"]) == len(values["ratios"]) == 4
            assert all(a / b == ratio for a, b, ratio in zip(*values.values(), strict=True))
    assert found["sides"]["this"]["folder"] == found["sides"]["other"]["folder"] == str(REPOSITORY / "numsnn")
    assert "| " not in done.stdout and "fc                 training step" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([REPOSITORY, "--quick", "--workload", "vg"], "unknown workload vg; both sides have vgg, "),
        (["nowhere"], "nowhere has no folder numsnn with source files"),
    ],
)
def test_errors(arguments, message):
    done = run(*arguments)
    assert done.returncode != 0 and message in done.stderr


class Fake:
    """A side that notes when it is asked."""

    def __init__(self, name, order):
        self.name, self.order = name, order

    def ask(self, do, **arguments):
        if do == "load":
            return {"seconds": 1.0}
        self.order.append(self.name)
        return {"seconds": {"train": 2.0 if self.name == "A" else 4.0}}


def test_turns_change_their_order_and_ratios_are_of_this_over_the_other():
    order = []
    found = pair.compare(Fake("A", order), Fake("B", order), "x", 4)
    assert "".join(order) == "ABBABAAB"
    assert found == {"train": {"this": [2.0] * 4, "other": [4.0] * 4, "ratios": [0.5] * 4}}


def test_quartiles():
    assert pair.quartiles([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert pair.quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)
