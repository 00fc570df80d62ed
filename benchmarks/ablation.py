"""What PSG and PDA do, on real data: runs the studies of `studies.py`, and goes on where it was stopped.

    python benchmarks/ablation.py [STUDY ...] --mnist FOLDER --cifar FILE [--jobs 2]

--mnist is a folder with the four IDX files, --cifar the store that data_prep/cifar10.py makes. Studies whose data are
not named are left out. Every run is one line of <out>/<study>.jsonl, written when it ends; what stands there already is
not run again. Runs share the cores: each has one thread. `evidence.py` makes tables and plots of the logs.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

from runs import append, commit, read
from studies import STUDIES
from tasks import TASKS, Run, work
from tqdm import tqdm

from numsnn.bench.measure import processor
from numsnn.version import __version__

OUT = Path(__file__).with_name("results") / "ablation"

FOLDERS = {"mnist": "mnist", "cifar10": "cifar"}
"""Data that are not there by themselves -> the option that says where they are."""


def wanted(study: str, seeds: int | None, path: Path) -> list[Run]:
    """The runs of a study that its log does not have."""
    runs_of, usual = STUDIES[study]
    done = {Run.from_dict(line["run"]).key() for line in read(path)}
    runs = [run for seed in range(usual if seeds is None else seeds) for run in runs_of(seed)]
    return [run for run in runs if run.key() not in done]


def options(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"{', '.join(STUDIES)} (default: all)")
    parser.add_argument("--mnist", metavar="FOLDER", help="with the four IDX files")
    parser.add_argument("--cifar", metavar="FILE", help="the store that data_prep/cifar10.py makes")
    parser.add_argument("--seeds", type=int, help="how many (default: the study's)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time (default: one a core)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the logs (default: results/ablation)")
    chosen = parser.parse_args(arguments)
    for study in chosen.studies:
        if study not in STUDIES:
            parser.error(f"unknown study {study!r}; one of {', '.join(STUDIES)}")
    for name in ("jobs", "seeds"):
        if getattr(chosen, name) is not None and getattr(chosen, name) < 1:
            parser.error(f"--{name} must be a positive whole number; got {getattr(chosen, name)}")
    return chosen


def main(arguments=None):
    chosen = options(arguments)
    folders = {"mnist": chosen.mnist, "cifar": chosen.cifar}
    os.environ["NUMSNN_NUM_THREADS"] = "1"  # of every process of the pool
    by = {"version": __version__, "commit": commit(), "processor": processor()}
    jobs = []
    for study in chosen.studies or STUDIES:
        path = chosen.out / f"{study}.jsonl"
        runs = wanted(study, chosen.seeds, path)
        needed = {FOLDERS[TASKS[run.task].data] for run in runs if TASKS[run.task].data in FOLDERS}
        if lacking := sorted(option for option in needed if not folders[option]):
            options_text = " and ".join(f"--{option}" for option in lacking)
            print(f"{study}: left out, as it needs {options_text}", file=sys.stderr)
            continue
        jobs += [(path, run) for run in runs]
    # processes of their own from the start: one forked from a process that has threads may wait for ever
    with ProcessPoolExecutor(chosen.jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(work, asdict(run), folders): path for path, run in jobs}
        for future in tqdm(as_completed(futures), total=len(futures), unit="run", smoothing=0):
            append(futures[future], future.result() | {"by": by})


if __name__ == "__main__":
    main()
