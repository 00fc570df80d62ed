"""What PSG and PDA do, on real data: runs the studies of `studies.py`, and continues where it was stopped.

    python -m benchmarks.method.ablation [STUDY ...] --mnist FOLDER --cifar FILE [--jobs 2]

--mnist is a folder with the four IDX files, --cifar the store that data_prep/cifar10.py makes. A study whose data are
not given is left out. Every run is one line of <out>/<study>.jsonl, written when it ends; runs that are there already
are not run again. Runs share the cores: each has one thread. `evidence.py` makes tables and plots from the logs.
"""

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from .. import datasets
from ..common import RESULTS, need_positive, progress, read
from ..tasks import STUDY_TASKS
from .pool import run_all
from .runs import Run, work
from .studies import STUDIES

OUT = RESULTS / "ablation"


def wanted(study: str, seeds: int | None, path: Path) -> list[Run]:
    """The runs of a study that its log does not have."""
    runs_of, usual = STUDIES[study]
    done = {Run.from_dict(line["run"]).key() for line in read(path)}
    runs = [run for seed in range(usual if seeds is None else seeds) for run in runs_of(seed)]
    return [run for run in runs if run.key() not in done]


def data_of(run: Run) -> str:
    """The name of the data that a run needs."""
    return STUDY_TASKS[run.task].data


def options(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"{', '.join(STUDIES)} (default: all)")
    datasets.add_options(parser)
    parser.add_argument("--seeds", type=int, help="number of seeds (default: the study's)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time (default: one per core)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the logs (default: results/ablation)")
    chosen = parser.parse_args(arguments)
    for study in chosen.studies:
        if study not in STUDIES:
            parser.error(f"unknown study {study!r}; one of {', '.join(STUDIES)}")
    need_positive(parser, chosen, "jobs", "seeds")
    return chosen


def main(arguments=None):
    chosen = options(arguments)
    folders = {"mnist": chosen.mnist, "cifar": chosen.cifar}
    jobs = []
    for study in chosen.studies or STUDIES:
        path = chosen.out / f"{study}.jsonl"
        runs = wanted(study, chosen.seeds, path)
        needed = {datasets.OPTIONS[data] for data in map(data_of, runs) if data in datasets.OPTIONS}
        if lacking := sorted(option for option in needed if not folders[option]):
            options_text = " and ".join(f"--{option}" for option in lacking)
            progress(f"{study}: left out, as it needs {options_text}")
            continue
        jobs += [(path, asdict(run)) for run in runs]
    run_all(work, jobs, folders, chosen.jobs)


if __name__ == "__main__":
    main()
