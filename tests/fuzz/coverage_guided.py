"""Damage that coverage guides: atheris keeps every file that reaches new code and damages it further.

Half of the damage is atheris's own, the other half knows the format (see `mutations`). For a format with a checksum
all of it lies before the checksum, unless `--behind` lets it lie behind.
"""

import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import guard
from guard import Format, judge
from mutations import damaged

MODULES = "numsnn.data", "numsnn.hdf5", "numsnn.config", "numsnn.training.checkpoint", "numsnn.training.training_state"
OTHERS = "zipfile", "tomllib._parser", "json.decoder", "numpy.lib._format_impl"
"""Modules whose coverage guides the damage: those of the readers, and those of Python that they rest on."""
LARGEST = 1 << 16
"""Bytes of a file."""


def functions() -> Iterator[FunctionType]:
    """Yield all functions and methods of the modules that are loaded."""
    for name, module in list(sys.modules.items()):
        if module is None or not (name.startswith(MODULES) or name in OTHERS):
            continue
        for one in list(vars(module).values()):
            inside = vars(one).values() if isinstance(one, type) else (one,)
            yield from (f for f in inside if isinstance(f, FunctionType) and f.__module__ == name)


def hunt(form: Format, count, options) -> None:
    """Judge `--count` files in a process of their own, and add what became of them to the counts."""
    form.learn()
    with tempfile.TemporaryDirectory() as folder:
        for k, seed in enumerate(form.seeds):
            (Path(folder) / f"seed-{k}").write_bytes(seed)
        log = Path(folder).with_suffix(".log")
        started = time.monotonic()
        process = os.fork()
        if not process:
            _child(form, folder, log, options)
        status = os.waitpid(process, 0)[1]
        text = log.read_text(errors="replace")
        log.unlink()
    runs = [int(number) for number in re.findall(r"#(\d+)\s", text)]
    covered = re.findall(r"cov: (\d+)", text)
    count.coverage = (
        f"{covered[-1] if covered else 0} edges, {len(runs) and runs[-1] / (time.monotonic() - started):.0f} per s"
    )
    count.accepted = runs[-1] if runs else 0
    if status:
        crash = re.search(r"Test unit written to (\S+)", text)
        count.failed = 1
        count.failures.append((crash[1] if crash else "?", "atheris", text[-4000:]))


def _child(form, folder, log, options):
    """Run atheris, which ends this process."""
    import atheris

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    guard.alarm()
    for function in functions():
        atheris.instrument_func(function)

    def one(data):
        verdict = judge(form, data, resealed=options.behind)
        if verdict.kind == "failed":
            raise RuntimeError(verdict.detail)

    def mutate(data, most, seed):
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return atheris.Mutate(data, len(data))[:most]
        if options.behind and form.inside is not None:
            return form.inside(rng.choice(form.seeds), rng)[:most]
        return damaged(data, form.grammar, form.seeds, rng)[:most]

    options.keep.mkdir(parents=True, exist_ok=True)
    limits = [f"-runs={round(options.count * form.share)}", f"-max_len={LARGEST}", "-rss_limit_mb=2048", "-timeout=10"]
    limits += [f"-seed={options.seed + 1}", f"-artifact_prefix={options.keep}/{form.name}-"]
    if options.minutes:
        limits.append(f"-max_total_time={round(60 * options.minutes)}")
    atheris.Setup(["fuzz", *limits, folder], one, custom_mutator=mutate)
    atheris.Fuzz()
    os._exit(0)
