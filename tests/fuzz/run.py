"""Looks for files that a parser does not bear: that crash it, hang it, take its memory or are read as other numbers.

    python tests/fuzz/run.py [--format NAME ...] [--count N] [--seed S] [--minutes M] [--processes P]
    python tests/fuzz/run.py --atheris ...          # guided by coverage; needs: pip install atheris
    python tests/fuzz/run.py --format NAME --file PATH

Every format starts with its good files and with the files of corpus/NAME, which once were counterexamples. A damaged
file is a function of (seed, format, index). It is read in a worker process within 5 s of the processor and 512 MiB; a
worker that crashes or hangs is replaced. Counterexamples are written to the folder --keep; the exit status is then 1.
"""

import argparse
import json
import multiprocessing
import sys
import time
import traceback
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "data"), str(HERE.parent), str(HERE.parents[1])]

import guard  # noqa: E402
from guard import Format, judge  # noqa: E402
from table import table  # noqa: E402

CORPUS = HERE / "corpus"
GROUP = 100
"""Cases that a worker reports at once."""
GRACE = 55.0
"""Seconds on the clock, beyond the limit, after which a worker that does not answer is killed."""
MOST_KEPT = 20
"""Counterexamples of one format that are written; more are only counted."""


@dataclass
class Count:
    """What became of the files of one format."""

    format: str
    checksum: bool
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    errors: Counter = field(default_factory=Counter)
    wall: float = 0.0
    slowest: float = 0.0
    memory: int = 0
    failures: list = field(default_factory=list)
    coverage: str = ""

    @property
    def cases(self) -> int:
        return self.accepted + self.refused + self.failed

    def add(self, index, verdict) -> None:
        setattr(self, verdict.kind, getattr(self, verdict.kind) + 1)
        if verdict.error:
            self.errors[verdict.error] += 1
        self.slowest, self.memory = max(self.slowest, verdict.seconds), max(self.memory, verdict.memory)
        if verdict.kind == "failed":
            self.failures.append((index, verdict.error, verdict.detail))


# --- workers ---


def work(form: Format, seed: int, indices: list[int], place, pipe) -> None:
    """Judge cases; tell `place` which one is being read since when, and the pipe what became of each group."""
    guard.prepare()
    found = []
    for k, index in enumerate(indices):
        place[0], place[1] = index, time.monotonic()
        try:
            case = form.case(seed, index)
        except Exception:
            pipe.send(f"{form.name} {index}: no case was made: {traceback.format_exc()}")
            return
        found.append((index, judge(form, *case)))
        if len(found) == GROUP or k == len(indices) - 1:
            pipe.send(found)
            found = []
    pipe.close()


class Worker:
    """A process that judges some cases of a format, and is replaced when it ends too early or hangs."""

    def __init__(self, form: Format, seed: int, indices: list[int]) -> None:
        self.form, self.seed, self.left = form, seed, deque(indices)
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe(duplex=False)
        self.place = context.RawArray("d", [self.left[0], time.monotonic()])
        arguments = (self.form, self.seed, list(self.left), self.place, other)
        self.process = context.Process(target=work, args=arguments, daemon=True)
        self.process.start()
        other.close()

    def step(self, count: Count) -> bool:
        """Take what the worker has found; return whether cases are left."""
        try:
            if self.pipe.poll(0.05):
                found = self.pipe.recv()
                if isinstance(found, str):
                    raise RuntimeError(found)
                for index, verdict in found:
                    count.add(index, verdict)
                    assert self.left.popleft() == index
            elif time.monotonic() - self.place[1] > self.form.seconds + GRACE:
                self._replace(count, "hang", f"no answer within {self.form.seconds + GRACE:g} s")
        except EOFError:
            self.process.join()
            if self.left:
                self._replace(count, "crash", f"the process ended with status {self.process.exitcode}")
        if not self.left:
            self.process.join()
        return bool(self.left)

    def _replace(self, count: Count, error: str, detail: str) -> None:
        index = int(self.place[0])
        self.process.kill()
        self.process.join()
        count.add(index, guard.Verdict("failed", error, detail, self.form.seconds, 0))
        self.left.remove(index)  # those of its group that were not told are run again
        if self.left:
            self._start()


def damage(form: Format, count: Count, options) -> None:
    """Judge `--count` damaged files of a format, or as many as `--minutes` allow."""
    cases = max(1, round(options.count * form.share))
    stop = time.monotonic() + 60 * options.minutes if options.minutes else None
    first = 0
    while first < cases and (stop is None or time.monotonic() < stop):
        last = min(cases, first + (cases if stop is None else 2000))
        ranges = [list(range(first + k, last, options.processes)) for k in range(options.processes)]
        workers = [Worker(form, options.seed, indices) for indices in ranges if indices]
        while workers:
            workers = [worker for worker in workers if worker.step(count)]
        first = last


def kept(form: Format, count: Count) -> None:
    """Judge the good files and the old counterexamples of a format."""
    form.learn()  # also compiles, which must not count as a hang
    guard.alarm()
    for path in sorted((CORPUS / form.name).glob("*")):
        count.add(path.name, judge(form, path.read_bytes()))


# --- the command ---


def write_failures(form: Format, count: Count, seed: int, folder: Path) -> None:
    """Write counterexamples and what happened, and say where they are: one of each kind."""
    kinds = {(error, detail.strip().splitlines()[-1][:50]): index for index, error, detail in count.failures}
    count.failures = [one for one in count.failures if one[0] in kinds.values()]
    for index, error, detail in count.failures[:MOST_KEPT]:
        if isinstance(index, int):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{form.name}-{seed}-{index}.bin"
            path.write_bytes(form.case(seed, index)[0])
            path.with_suffix(".txt").write_text(detail)
        else:
            path = CORPUS / form.name / index
        print(f"{form.name}: {error or 'broken promise'} for {path}: {detail.strip().splitlines()[-1][:300]}")


def report(counts: list[Count]) -> str:
    """Return the counts as a table."""
    rows = [("format", "cases", "accepted", "refused", "failed", "s", "slowest ms", "peak MiB", "numbers", "errors")]
    for one in counts:
        errors = ", ".join(f"{name} {n}" for name, n in one.errors.most_common())
        numbers = "compared" if one.checksum else "no checksum"
        times = f"{one.wall:.0f}", f"{1000 * one.slowest:.1f}", f"{one.memory / 2**20:.0f}"
        rows.append(
            tuple(map(str, (one.format, one.cases, one.accepted, one.refused, one.failed, *times, numbers, errors)))
            if not one.coverage
            else (one.format, str(one.cases), "", "", str(one.failed), f"{one.wall:.0f}", "", "", one.coverage, "")
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def main(arguments: list[str] | None = None) -> int:
    formats = table()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", nargs="+", choices=formats, default=list(formats), help="formats (default: all)")
    parser.add_argument("--count", type=int, default=1000, help="damaged files per format (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all damage (default: 0)")
    parser.add_argument("--minutes", type=float, default=0, help="end each format after this time (default: never)")
    parser.add_argument("--processes", type=int, default=1, help="worker processes (default: 1)")
    parser.add_argument("--atheris", action="store_true", help="let coverage guide the damage")
    parser.add_argument("--behind", action="store_true", help="with --atheris: also damage what lies behind a checksum")
    parser.add_argument("--file", type=Path, help="judge this file only")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder of counterexamples")
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    options = parser.parse_args(arguments)
    counts = []
    for name in options.format:
        form, started = formats[name], time.monotonic()
        count = Count(name, form.checksum)
        if options.file:
            form.learn()
            count.add(str(options.file), judge(form, options.file.read_bytes()))
        elif options.atheris:
            from coverage_guided import hunt

            hunt(form, count, options)
        else:
            kept(form, count)
            damage(form, count, options)
        count.wall = time.monotonic() - started
        write_failures(form, count, options.seed, options.keep)
        counts.append(count)
        print(report(counts[-1:]).splitlines()[-1], flush=True)
    print(report(counts))
    if options.json:
        options.json.write_text(json.dumps([vars(one) for one in counts]))
    return 1 if any(one.failed for one in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
