"""Damaged files of every format: a reader takes them or refuses them in one line, within its time and memory.

The fuzzer (`run.py`) judges some hundred files of each format here. That it finds faults is tested on readers that have
some.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FORMATS = (
    *("idx", "idx.gz", "cifar10", "cifar100", "atis", "aedat2", "aedat3", "dat", "gestures", "npz", "npy", "text"),
    *(
        "spikes",
        "events",
        "hdf5",
        "history",
        "config",
        "shd",
        "checkpoint",
        "resume",
        "store",
        "old-checkpoint",
        "old-store",
    ),
)
COUNT = 300


def fuzz(code, *arguments):
    """Run code in a new process, which can import the fuzzer, and return what it prints."""
    code = f"import sys\nsys.path.insert(0, {str(HERE)!r})\nimport run\n{code}"  # run finds the other helpers
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=600)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


CASES = """
import hashlib, json, table
forms = table.table().values()
cases = {form.name: [form.case(seed, k)[0] for seed in (0, 1) for k in range(20)] for form in forms}
print(json.dumps({name: [hashlib.sha256(one).hexdigest() for one in many] for name, many in cases.items()}))
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Counts by format, and the digests of some cases."""
    folder = tmp_path_factory.mktemp("fuzz")
    code = "run.main(sys.argv[1:])\n" + CASES
    files = "--json", str(folder / "counts"), "--keep", str(folder / "kept")
    shown = fuzz(code, "--format", *FORMATS, "--count", str(COUNT), *files)
    counts = {count["format"]: count for count in json.loads((folder / "counts").read_text())}
    return counts, json.loads(shown.splitlines()[-1])


def test_a_case_is_a_function_of_seed_format_and_index(judged):
    borrowed = ("raw", "aedat4")  # other packages read and write them
    here = {name: cases for name, cases in judged[1].items() if name not in borrowed}
    assert set(here) == set(FORMATS)
    assert all(len(set(cases)) > 20 for cases in here.values())
    again = json.loads(fuzz(CASES))
    assert {name: again[name] for name in here} == here


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(name, judged):
    count = judged[0][name]
    assert not count["failures"]
    assert count["accepted"] + count["refused"] > 0
    if name not in ("shd", "hdf5", "old-checkpoint", "old-store"):  # few files
        assert count["accepted"] + count["refused"] >= COUNT
        assert count["accepted"] > 5 and count["refused"] > 50


FAULTS = r"""
import json, os, time
from argparse import Namespace
import guard
from guard import Format, digest
from mutations import Parts

def numbers(data):
    return Parts([(k, "B") for k in range(len(data))])

def wrong(data):
    return sum(data) % 7 == 3

def refuse(error):
    def read(data):
        if wrong(data):
            raise error
        return data
    return read

def act(action):
    def read(data):
        if wrong(data):
            action()
        return data
    return read

def take():
    bytearray(b"x") * (600 << 20)

def swallow():
    try:
        take()
    except MemoryError as error:
        raise ValueError("recording.file: damaged") from error

def sealed(data):
    if len(data) != 8:
        raise ValueError("recording.file: damaged")
    return data

readers = {
    "sound": refuse(ValueError("recording.file: wrong")),
    "crash": act(lambda: os.kill(os.getpid(), 11)),
    "hang": act(lambda: time.sleep(60)),
    "busy": act(lambda: [None for k in iter(int, 1)]),
    "memory": act(take),
    "hidden memory": act(swallow),
    "KeyError": refuse(KeyError("x")),
    "two lines": refuse(ValueError("recording.file: wrong\nhere")),
    "escape": refuse(ValueError("recording.file: \x1b[31m")),
    "no name": refuse(ValueError("wrong")),
    "long": refuse(ValueError("recording.file: " + "x" * 5000)),
    "altered": sealed,
}

def held(data):
    assert isinstance(data, bytes)

guard.SECONDS = 0.5
found = {}
for name, read in readers.items():
    form = Format(name, [bytes(8)], read, held, digest, numbers, (ValueError,), checksum=name == "altered", seconds=0.5)
    count = run.Count(name, form.checksum)
    form.learn()
    run.GRACE = 0.5 if name == "hang" else 60
    n = 25 if name in ("hang", "busy", "crash") else 60
    run.damage(form, count, Namespace(count=n, seed=0, minutes=0, processes=1))
    found[name] = [count.accepted, count.refused, count.failed, count.failures[0][1:] if count.failures else []]
print(json.dumps(found))
"""


def test_every_kind_of_fault_is_found():
    found = json.loads(fuzz(FAULTS))
    assert found.pop("sound")[2:] == [0, []]
    wanted = {
        "crash": "the process ended with status -11",
        "hang": "no answer within 1 s",
        "busy": "Hang: more than 0.5 s",
        "memory": "MemoryError",
        "hidden memory": "MemoryError within: recording.file: damaged",
        "KeyError": "KeyError: 'x'",
        "two lines": "not one line of printable letters",
        "escape": "not one line of printable letters",
        "no name": "does not name the file: wrong",
        "long": "has 5016 letters",
        "altered": "other numbers than those of a good file",
    }
    for name, detail in wanted.items():
        accepted, refused, failed, (_, found_detail) = found[name]
        assert failed and detail in found_detail, name
        assert accepted + refused + failed == (25 if name in ("hang", "busy", "crash") else 60)
