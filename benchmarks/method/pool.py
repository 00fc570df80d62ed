"""What studies and the tournament share: several processes of one thread each, and logs that grow run by run."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from numsnn.measure.host import processor
from numsnn.version import __version__

from ..common import append, commit


def run_all(work: Callable[[dict, dict], dict], jobs: list[tuple[Path, dict]], folders: dict, processes: int) -> None:
    """Do all jobs, and write a line into the log of each when it ends.

    Args:
        work: function of a job's settings and the folders that returns its line.
        jobs: path of the log and settings, as plain data, of every job.
        folders: where data are, by option.
        processes: number of jobs at a time; each has one thread.
    """
    os.environ["NUMSNN_NUM_THREADS"] = "1"  # of every process of the pool
    by = {"version": __version__, "commit": commit(), "processor": processor()}
    # processes of their own from the start: one forked from a process that has threads can wait for ever
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(work, settings, folders): path for path, settings in jobs}
        for future in tqdm(as_completed(futures), total=len(futures), unit="run", smoothing=0):
            append(futures[future], future.result() | {"by": by})
