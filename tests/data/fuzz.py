"""What the parsers promise for any bytes, and a coverage-guided fuzzer that looks for a counterexample.

    python tests/data/fuzz.py NAME [SECONDS]        # NAME: idx, cifar, atis, aedat2, aedat3, dat, gestures,
                                                    # npz, npy, text

The fuzzer needs atheris (pip install atheris), which no test needs; `test_fuzz.py` checks the same promise on random
damage. The first counterexample ends the run with a traceback and a file crash-*. HDF5 is not among the formats: its C
library has endless loops, so a separate process reads HDF5, and `test_hdf5.py` damages its files, makes it hang and
kills it.
"""

import gzip
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from data_writers import EVENTS, aedat2, aedat3, atis, cifar, dat, packet

from numsnn.data import formats
from numsnn.data.events import Events
from numsnn.data.formats import FormatError

LABELS = b"class,startTime_usec,endTime_usec\n1,80048239,85092709\n8,9,11\n"
IDX = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(6))


def _npz(save):
    out = io.BytesIO()
    x, y, t, p = (np.array(column) for column in zip(*EVENTS, strict=True))
    save(out, x=x, y=y, t=t, p=p)
    return out.getvalue()


def _npy():
    out = io.BytesIO()
    np.save(out, np.array(EVENTS, [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "i1")]))
    return out.getvalue()


PARSERS = {
    "idx": formats.parse_idx,
    "cifar": formats.parse_cifar,
    "atis": formats.parse_atis,
    "aedat2": formats.parse_aedat2,
    "aedat3": formats.parse_aedat3,
    "dat": formats.parse_dat,
    "gestures": formats.parse_gestures,
    "npz": formats.parse_npz,
    "npy": formats.parse_npy,
    "text": formats.parse_text,
}

SEEDS = {
    "idx": [IDX, gzip.compress(IDX, mtime=0)],
    "cifar": [cifar([(3,)], [[[(r, c, 0) for c in range(32)] for r in range(32)]])],
    "atis": [atis(EVENTS), atis([(1, 1, 5, 0), (2, 2, 8_193, 1)], overflow_at=(1,))],
    "aedat2": [aedat2(EVENTS)],
    "aedat3": [aedat3(packet(EVENTS[:2]), packet([], kind=2, size=36, capacity=0), packet(EVENTS, overflows=1))],
    "dat": [dat(EVENTS), dat(EVENTS, header=b"% Version 2\n", kind=0)],
    "gestures": [LABELS],
    "npz": [_npz(np.savez), _npz(np.savez_compressed)],
    "npy": [_npy()],
    "text": [b"x,y,t,p\n" + b"".join(b"%d,%d,%d,%d\n" % event for event in EVENTS), b"# x y t\n1 2 3\n\n4 5 6\n"],
}


def check(name, data) -> bool:
    """Return whether the parser takes the data. Let every error through that is not a FormatError of one line."""
    try:
        result = PARSERS[name](data)
    except FormatError as error:
        assert "\n" not in str(error) and (error.offset is None or error.offset >= 0)
        return False
    if isinstance(result, Events):
        height, width = result.size
        assert len(result.x) == len(result.y) == len(result.t) == len(result.p)
        if len(result):
            assert result.x.max() < width and result.y.max() < height and result.p.max() < result.polarities
            assert (np.diff(result.t) >= 0).all()
    return True


def main():
    import atheris

    name, seconds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60
    for module in ("aedat2", "aedat3", "atis", "cifar", "dat", "header", "idx", "npz", "text"):
        for function in vars(sys.modules[f"numsnn.data.formats.{module}"]).copy().values():
            if callable(function) and getattr(function, "__module__", "").startswith("numsnn.data.formats."):
                atheris.instrument_func(function) if hasattr(function, "__code__") else None
    with tempfile.TemporaryDirectory() as folder:
        for k, seed in enumerate(SEEDS[name]):
            check(name, seed)  # the first call compiles, which must not count as a hang
            (Path(folder) / f"seed-{k}").write_bytes(seed)
        limits = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=2048"]
        atheris.Setup([sys.argv[0], *limits, folder], lambda data: check(name, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
