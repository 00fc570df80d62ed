"""Workers and turns, with a fake side in a process of its own."""

import json
import sys

import pytest

from benchmarks.peers.driver import WARM, Worker, alternate
from benchmarks.process import ProcessError

FAKE = """
import json, sys, time
counts = {"slow": 0}
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "die":
        print("last words", file=sys.stderr)
        sys.exit(3)
    if request["do"] == "time":
        answer = {"seconds": [float(sys.argv[2])] * request["count"], "what": request["what"]}
        with open(sys.argv[1] + ".log", "a") as log:
            log.write(json.dumps([sys.argv[1], request["count"]]) + "\\n")
    elif request["do"] == "fail":
        answer = {"error": "ValueError: no"}
    else:
        answer = {"heard": request}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def fake(tmp_path):
    """fake(name, seconds): a worker that claims to take that long per run."""
    script, made = tmp_path / "fake.py", []
    script.write_text(FAKE)

    def start(name="fake", seconds=1.0):
        made.append(Worker(str(tmp_path / name), sys.executable, seconds, (str(script),)))
        return made[-1]

    yield start
    for worker in made:
        worker.close()


def test_commands_and_arguments_arrive(fake):
    assert fake().ask("hello", a=[1, "x"]) == {"heard": {"do": "hello", "a": [1, "x"]}}


def test_errors_are_told(fake):
    worker = fake()
    with pytest.raises(ProcessError, match="fake: 'fail' failed: ValueError: no"):
        worker.ask("fail")
    assert worker.ask("hello")  # it still answers


def test_a_worker_that_dies(fake):
    worker = fake()
    with pytest.raises(ProcessError, match="fake ended during 'die': last words"):
        worker.ask("die")
    with pytest.raises(ProcessError, match="ended during 'hello'"):
        worker.ask("hello")


def test_turns(fake, tmp_path):
    """Slow sides run once per turn, fast sides as often as fits; the runs before the first turn do not count."""
    workers = {"a": fake("a", 1.0), "b": fake("b", 0.0999)}
    found = alternate(workers, "train", budget=6.0, least=2, most=50, pause=0)
    assert found == {"a": [1.0] * 4, "b": [0.0999] * 12}  # a turn of both takes 1.3 s
    logs = [[json.loads(line)[1] for line in (tmp_path / f"{n}.log").read_text().splitlines()] for n in "ab"]
    assert logs == [[WARM, 1, 1, 1, 1], [WARM, 3, 3, 3, 3]]


def test_least_turns_come_whatever_the_budget(fake):
    assert alternate({"a": fake("a", 100.0)}, "x", budget=1.0, least=3, pause=0) == {"a": [100.0] * 3}
