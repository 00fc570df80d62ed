"""Kills a short training run at every system call that touches its folder, and fills its disk there.

    python tests/kill/run.py --count 2000       # 2,200 kills and 1,000 errors of the disk: three minutes
    python tests/kill/run.py --plant in-place   # writes checkpoints in an unsafe way: failures are expected

After each trial every file is whole, and the run, continued, ends in the bytes of an undisturbed one. The status is 0
if that holds for all trials. Processes can be stopped at system calls on Linux, unless ptrace is forbidden; elsewhere
they are killed at random moments.
"""

import argparse
import errno
import gc
import itertools
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process with threads is not to be forked

import tracing
import trials

ERRORS = errno.ENOSPC, errno.EIO
CHAIN = 0.25
"""Share of the trials in which the continued run is hit, too."""


def faults(calls, kinds, count, rng):
    """Return faults, as many as are asked for: of every kind at every system call in turns, because most calls are
    writes, each time at another place of the run, in random order; and how many different ones there are."""
    every = [
        tracing.Fault(at, kind, code)
        for at, call in enumerate(calls)
        for kind in kinds
        for code in {"error": ERRORS, "full": ERRORS[:1]}.get(kind, (0,))
        if call.size > 1 or kind not in ("part", "short")
    ]
    rng.shuffle(every)
    by_call = {}
    for fault in every:
        by_call.setdefault((fault.kind, calls[fault.at].name), []).append(fault)
    chosen = itertools.chain.from_iterable(zip(*map(itertools.cycle, by_call.values()), strict=True))
    return list(itertools.islice(chosen, count)), len(every)


class Harness:
    """Trials with their counts."""

    def __init__(self, folder, seed, command=False):
        self.trials, self.rng = trials.Trials(folder, command), random.Random(seed)
        self.counts = Counter()
        gc.freeze()  # a collection in a forked process would copy the memory of everything that it goes through
        gc.disable()
        self.traced = tracing.available()
        self.calls, self.seconds = [], 0.0
        if self.traced:
            self.trials.fresh()
            self.calls = self.follow(None).calls
            self.trials.end(0)
        self.trials.fresh()
        started = time.monotonic()
        tracing.run(self.trials.work)
        self.seconds = time.monotonic() - started

    def follow(self, fault):
        return tracing.Tracer(self.trials.work, self.trials.run, fault).run()

    def hit(self, fault):
        """Let a fault happen to the run, and check the folder."""
        outcome = self.follow(fault)
        if outcome.reached:
            call = outcome.calls[fault.at]
            self.counts[f"{fault.kind}{f' {errno.errorcode[fault.error]}' if fault.error else ''}", call.name] += 1
        if outcome.reached and (fault.kind in ("entry", "exit", "part")) != (outcome.status == -9):
            raise AssertionError(f"ended with {outcome.status}: {self.trials.output.read_text()}")
        self.trials.between(outcome.status)
        return outcome.reached

    def trial(self, name, *hits):
        """Do one trial: hits, the continued run, and the comparison."""
        self.trials.fresh()
        try:
            for hit in hits:
                hit()
            self.trials.end(tracing.run(self.trials.work))
        except Exception as error:
            self.trials.failures.append(f"{name}: {type(error).__name__}: {error}")

    def at_calls(self, kinds, count):
        """Do trials with faults at system calls; return how many different ones there are."""
        chosen, different = faults(self.calls, kinds, count, self.rng)
        for fault in chosen:
            hits = [lambda fault=fault: self.hit(fault)]
            if self.rng.random() < CHAIN:
                again = self.rng.choice(chosen)
                hits.append(lambda again=again: self.hit(again))
            self.trial(f"{fault.kind} at {self.calls[fault.at]} (call {fault.at})", *hits)
        return different

    def at_moments(self, count):
        """Do trials with kills at random moments."""

        def kill():
            status = tracing.killed_later(self.trials.work, self.rng.random() * self.seconds)
            self.counts["moment", "killed" if status == -9 else "too late"] += 1
            self.trials.between(status)

        for _ in range(count):
            self.trial("kill at a random moment", *[kill] * self.rng.choice((1, 1, 2)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--count",
        type=int,
        default=200,
        help="number of kills at system calls (default: 200), with a tenth as many at random moments",
    )
    parser.add_argument("--errors", type=int, help="number of errors of the disk (default: half of the kills)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plant", choices=("in-place", "removed-first"), help="write in an unsafe way")
    parser.add_argument("--command", action="store_true", help="run `numsnn train`, not a Trainer")
    parser.add_argument("--moments", action="store_true", help="kill at random moments only")
    options = parser.parse_args()
    trials.without_clock()
    memory = Path("/dev/shm")  # a file system in memory, where the disk does not set the speed
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        harness = Harness(folder, options.seed, options.command)
        if options.plant:
            trials.plant(options.plant)
        if harness.traced and not options.moments:
            kills = harness.at_calls(("entry", "exit", "part"), options.count)
            harness.at_moments(options.count // 10)
            errors = options.count // 2 if options.errors is None else options.errors
            disks = harness.at_calls(("error", "full", "short"), errors)
            print(f"{len(harness.calls)} calls touch the folder: {kills} different kills, {disks} different errors")
        else:
            print("processes cannot be stopped at system calls here; they are killed at random moments")
            harness.at_moments(options.count)
    for (kind, call), number in sorted(harness.counts.items()):
        print(f"{kind:<14} {call:<12} {number:>6}")
    for failure in harness.trials.failures:
        print(f"FAILED {failure}")
    seconds = time.monotonic() - started
    print(f"{sum(harness.counts.values())} hits, {len(harness.trials.failures)} failures, {seconds:.0f} s")
    return 1 if harness.trials.failures else 0


if __name__ == "__main__":
    sys.exit(main())
