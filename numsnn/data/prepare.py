"""What the scripts of data_prep share: they turn raw files into one store, in steps that can be interrupted.

A script describes its dataset as a `Plan`: a list of `Job`s, each of which makes some consecutive samples. `run` does
the jobs on several threads and writes the result of each job to the folder OUT.h5.parts. When all results are there,
`run` joins them in the plan's order to the store and removes the folder.

A run that is started again after an interruption at any moment does only the missing jobs and ends in the same file,
byte for byte. Files appear under their names only when they are complete. The folder is used again only if the raw
files are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..cores import available_cores
from ..files import read_file, write_file
from ..locks import Lock
from ..tables import be_silent, escape_unknown_characters, tell
from .events import Events
from .formats import FormatError, parse_arrays
from .recordings import pack
from .store import FORMAT, open_store, writing

_MARK = "fingerprint"
"""Name of the file by which the folder of a run is known; it holds the plan's fingerprint."""
_RESULT, _TEMPORARY = re.compile(r"\d{6}\.npz"), re.compile(r"\..+\.\d+(-\d+)?\.tmp")
"""Names of the other files in the folder of a run that was interrupted."""

STRETCH = 250
"""Recordings per job of `stretches`."""


@dataclass
class Job:
    """Some consecutive samples of one part.

    Attributes:
        part: "train", "valid" or "test".
        key: name of the job within its part.
        make: function that returns the samples, an array or a list of `Events`, and their labels.
    """

    part: str
    key: str
    make: Callable[[], tuple[np.ndarray | list[Events], np.ndarray]]


@dataclass
class Plan:
    """A dataset to prepare.

    Attributes:
        name: name of the dataset.
        kind: "pictures" or "events".
        classes: names of the classes in the order of the labels.
        source: who published the data, where, and under which licence if it is known.
        jobs: jobs in the order of the samples.
        inputs: raw files that the result depends on.
        scale, size, polarities: as in the store.
        note: a line for the user, for example about how the data are split.
        settings: everything else that the result depends on, such as numbers that the script uses, by name.
    """

    name: str
    kind: str
    classes: list[str]
    source: str
    jobs: list[Job]
    inputs: list[Path]
    scale: float = 1.0
    size: tuple[int, int] = (0, 0)
    polarities: int = 2
    note: str = ""
    settings: dict = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return a digest of what the result depends on: the plan, and name, size and modification time of each raw
        file.
        """
        files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.inputs]
        plan = (FORMAT, self.name, self.kind, self.classes, self.scale, self.size, self.polarities, self.settings)
        return hashlib.sha256(repr((plan, files, [(job.part, job.key) for job in self.jobs])).encode()).hexdigest()


# --- finding raw files ---


def existing(folder: Path, names: Iterable[str], advice: str) -> list[Path]:
    """Return the paths of the named files of a folder.

    Raises:
        FileNotFoundError: a file is missing. The message ends with the advice on how to get the files.
    """
    found = [Path(folder) / name for name in names]
    missing = [path.name for path in found if not path.exists()]
    if missing:
        many = f"{', '.join(missing[:3])}{f' and {len(missing) - 3} more' if len(missing) > 3 else ''}"
        raise FileNotFoundError(f"{folder}: {many} not found. {advice}")
    return found


def matching(folder: Path, pattern: str, advice: str) -> list[Path]:
    """Return the files of a folder that match a pattern, sorted by name, with numbers in names sorted by value.

    Raises:
        FileNotFoundError: no file matches. The message ends with the advice on how to get the files.
    """
    found = sorted(Path(folder).glob(pattern), key=lambda path: _by_number(path.name))
    if not found:
        raise FileNotFoundError(f"{folder}: no file {pattern} found. {advice}")
    return found


def lines(path: Path) -> list[str]:
    """Return the lines of a text file without those that are blank.

    Raises:
        OSError: the file cannot be read.
        FormatError: the file is not text in UTF-8.
    """
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError as error:
        raise FormatError(str(path), error.start, "not a text of UTF-8") from None
    return [line for line in map(str.strip, text.splitlines()) if line]


def _by_number(name):
    parts = "".join(c if c.isdigit() else f" {c} " for c in name).split()
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def stretches(part: str, files: list[Path], labels: list[int], read: Callable[[Path], Events]) -> list[Job]:
    """Return jobs that read one recording per file, `STRETCH` recordings per job."""

    def job(first):
        paths, rows = files[first : first + STRETCH], np.array(labels[first : first + STRETCH])
        return Job(part, f"{first}", lambda: ([read(path) for path in paths], rows))

    return [job(first) for first in range(0, len(files), STRETCH)]


def by_class(
    part: str, folders: list[Path], pattern: str, advice: str, read: Callable[[Path], Events]
) -> tuple[list[Job], list[Path]]:
    """Return the jobs and the files of a part that has one folder per class, in the order of the labels.

    The other arguments are those of `matching` and `stretches`.
    """
    found = [matching(folder, pattern, advice) for folder in folders]
    labels = [label for label, files in enumerate(found) for _ in files]
    flat = [path for files in found for path in files]
    return stretches(part, flat, labels, read), flat


# --- running ---


def main(description: str, plan: Callable[[Path], Plan], arguments: list[str] | None = None) -> int:
    """Run the command line of a script: RAW OUT.h5 [--workers N] [--force] [--quiet].

    Returns:
        the exit status: 0 when the store is written, 2 after an error (printed in one line), 130 after Ctrl-C and 141
            when the reader of the output ends before the store is written (the same command then continues the run).
    """
    escape_unknown_characters()
    title, _, rest = description.strip().partition("\n")
    parser = argparse.ArgumentParser(
        description=title, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", metavar="RAW", type=Path, help="folder with the published files")
    parser.add_argument("out", metavar="OUT.h5", type=Path, help="store to write")
    parser.add_argument(
        "--workers", type=int, default=available_cores(), help="number of threads (default: one per core)"
    )
    parser.add_argument("--force", action="store_true", help="replace OUT.h5 if it exists")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")
    options = parser.parse_args(arguments)
    try:
        if options.workers < 1:
            raise ValueError(f"--workers must be at least 1; got {options.workers}")
        if not options.raw.is_dir():
            raise FileNotFoundError(f"{options.raw}: no such folder")
        if options.out.exists() and not options.force:
            raise FileExistsError(f"{options.out} exists already; --force replaces it")
        summary = run(plan(options.raw), options.out, options.workers, not options.quiet)
    except KeyboardInterrupt:
        tell(f"\nstopped; the same command continues from {folder_of(options.out)}")
        return 130
    except BrokenPipeError:  # of the progress bar
        be_silent()
        return 141
    except (ValueError, OSError, ImportError) as error:
        tell(f"{Path(sys.argv[0]).name}: error: {error}")
        return 2
    except MemoryError as error:
        tell(f"{Path(sys.argv[0]).name}: error: not enough memory: {error}")
        return 2
    try:
        print(summary, flush=True)
    except BrokenPipeError:
        be_silent()
    except OSError as error:
        tell(f"{Path(sys.argv[0]).name}: error: standard output: {error.strerror}")
        be_silent()
        return 2
    return 0


def folder_of(out: Path) -> Path:
    """Return the folder in which a run for `out` stores the results of finished jobs."""
    return out.with_name(f"{out.name}.parts")


def run(plan: Plan, out: Path, workers: int = 1, progress: bool = True) -> str:
    """Prepare a dataset. Results of finished jobs are kept after an error and after Ctrl-C.

    Args:
        plan: the dataset.
        out: path of the store.
        workers: number of threads. Default 1.
        progress: whether a progress bar is shown. Default True.

    Returns:
        a summary of sizes and speeds, as text.

    Raises:
        BlockingIOError: another process prepares the same file.
        OSError: a file cannot be written, or the folder for the results holds other files. Errors of the jobs are
            raised unchanged.
        FormatError: the result of a finished job is damaged.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with Lock(out):
        return _run(plan, out, workers, progress)


def _run(plan, out, workers, progress):
    started = time.perf_counter()
    folder = _fresh_folder(folder_of(out), plan.fingerprint())
    done = _do_jobs(plan, folder, workers, progress)
    skipped: Counter[str] = Counter()
    with writing(
        out, plan.kind, plan.name, plan.classes, plan.source, plan.scale, plan.size, plan.polarities, folder
    ) as writer:
        for job, path in zip(plan.jobs, done, strict=True):
            columns = _finished(path)
            skipped.update(json.loads(bytes(columns.pop("skipped"))))
            writer.append_packed(job.part, columns, columns.pop("labels"))
    _emptied(folder)
    with suppress(OSError):  # somebody has put a file there
        folder.rmdir()
    return _summary(plan, out, skipped, time.perf_counter() - started)


def _fresh_folder(folder, fingerprint):
    """Return the folder of finished jobs. Results of another plan or of other raw files are removed first."""
    mark = folder / _MARK
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FileExistsError(f"{folder} is no folder; results of finished jobs would be kept there. Move it away")
    folder.mkdir(parents=True, exist_ok=True)
    known = re.fullmatch(rb"[0-9a-f]{64}", read_file(mark)) if mark.is_file() else None
    if not all(_is_own(path, known is not None) for path in folder.iterdir()):
        raise FileExistsError(f"{folder} holds other files; results of finished jobs would be kept there. Move it away")
    if known is None or known[0] != fingerprint.encode():
        _emptied(folder)
        write_file(mark, fingerprint.encode())
    for rest in folder.iterdir():
        if _TEMPORARY.fullmatch(rest.name):  # left by a run that was killed
            rest.unlink(missing_ok=True)
    return folder


def _is_own(path, marked):
    """Return whether a run has made a file. Without a mark there are no results, because the mark is written first."""
    if path.is_symlink() or not path.is_file():
        return False
    return bool(_TEMPORARY.fullmatch(path.name) or (marked and (path.name == _MARK or _RESULT.fullmatch(path.name))))


def _emptied(folder):
    """Remove what a run has left in its folder; the mark last, so that the folder is known until then."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == _MARK):
        if _is_own(path, True):
            path.unlink()


def _do_jobs(plan, folder, workers, progress):
    """Do all jobs whose results are missing; return the paths of all results in order."""
    from tqdm import tqdm

    paths = [folder / f"{k:06d}.npz" for k in range(len(plan.jobs))]
    missing = [k for k, path in enumerate(paths) if not path.exists()]
    with (
        tqdm(total=len(paths), initial=len(paths) - len(missing), desc=plan.name, disable=not progress) as bar,
        ThreadPoolExecutor(workers, thread_name_prefix="numsnn-prepare") as pool,
    ):
        futures = [pool.submit(_do, plan, plan.jobs[k], paths[k]) for k in missing]
        try:
            for future in as_completed(futures):
                future.result()
                bar.update()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return paths


def _finished(path):
    """Return the arrays that a finished job has written."""
    try:
        return parse_arrays(read_file(path), str(path))
    except FormatError as error:
        raise FormatError(
            str(path), error.offset, f"{error.reason}. Remove it; the same command makes it again"
        ) from error


def _do(plan, job, path):
    samples, labels = job.make()
    skipped: Counter[str] = Counter()
    if plan.kind == "events":
        for recording in samples:
            skipped.update(recording.skipped)
        columns = pack(samples, plan.size, plan.polarities)
    else:
        columns = {"x": samples}
    out = io.BytesIO()
    text = np.frombuffer(json.dumps(skipped).encode(), np.uint8)
    arrays: dict[str, Any] = {**columns, "labels": np.asarray(labels), "skipped": text}
    np.savez(out, **arrays)
    write_file(path, out.getbuffer())


def _summary(plan, out, skipped, seconds):
    raw, size = sum(path.stat().st_size for path in plan.inputs), out.stat().st_size
    lines = [f"{out}: {size / 1e6:.1f} MB of {raw / 1e6:.1f} MB raw, in {seconds:.1f} s"]
    with open_store(out) as store:
        for part, samples in store.parts.items():
            counts = np.bincount(samples.y, minlength=len(plan.classes))
            line = f"  {part}: {len(samples)} samples, {counts.min()} to {counts.max()} per class"
            if plan.kind == "events":
                events = int(samples.counts().sum())
                line += f", {events:,} events, {events / len(samples):.0f} per recording"
            lines.append(line)
        if plan.kind == "events":
            total = sum(int(samples.counts().sum()) for samples in store.parts.values())
            rest = f"{size / max(1, total):.2f} bytes per event, {total / seconds / 1e6:.2f} million events per second"
        else:
            total = sum(map(len, store.parts.values()))
            rest = f"{size / total:.0f} bytes per picture, {total / seconds:.0f} pictures per second"
    lines.append(f"  {rest}")
    lines += [f"  left out or corrected: {count:,} {reason}" for reason, count in sorted(skipped.items())]
    return "\n".join([*lines, *([f"  {plan.note}"] if plan.note else [])])
