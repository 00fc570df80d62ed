"""Makes numsnn/data/files/digits.npz, the pictures of ``numsnn.data.load("digits")``, or a store of them.

    python data_prep/digits.py [OUT.npz | OUT.h5]

The source is the 1,797 pictures of 8 x 8 pixels, with values from 0 to 16, of scikit-learn's ``load_digits``. They are
the test part of UCI "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, CC BY 4.0).

The file holds x_train ``[1437, 8, 8, 1]``, y_train ``[1437]``, x_test ``[360, 8, 8, 1]`` and y_test ``[360]``, all
uint8, each part in the order of the source. The parts are stratified by class (`numsnn.data.samples.stratified`). The
same source gives the same file, byte for byte, with the same version of zlib, because np.savez_compressed writes no
time stamp.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

N_TEST = 360
SEED = 0
DEFAULT_OUT = Path(__file__).resolve().parents[1] / "numsnn" / "data" / "files" / "digits.npz"


def write_npz(out: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the file under a temporary name and rename it when it is complete."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


def write_store(out: Path, x: np.ndarray, y: np.ndarray, test: np.ndarray) -> None:
    """Write a store that ``numsnn.data.open`` reads."""
    from numsnn import data

    classes, source = tuple("0123456789"), "UCI optical recognition of handwritten digits, CC BY 4.0"
    parts = {"train": data.Dataset(x[~test], y[~test], classes, scale=1 / 16)}
    parts["test"] = data.Dataset(x[test], y[test], classes, scale=1 / 16)
    data.save(out, "digits", source, **parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the digits file that ships with numsnn.")
    parser.add_argument("out", metavar="OUT", nargs="?", type=Path, default=DEFAULT_OUT)
    out = parser.parse_args().out
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit('digits.py: scikit-learn is missing: pip install "numsnn[prep]"')

    from numsnn.data.samples import stratified
    from numsnn.tables import be_silent

    source = load_digits()
    x = source.images.astype(np.uint8)[..., None]
    y = source.target.astype(np.uint8)
    if x.shape != (1797, 8, 8, 1) or x.max() > 16 or not np.array_equal(x[..., 0], source.images):
        sys.exit(f"digits.py: expected 1797 pictures of 8 x 8 whole numbers 0..16; got {x.shape}")

    test = stratified(y, N_TEST, np.random.default_rng(SEED))
    if out.suffix == ".h5":
        write_store(out, x, y, test)
    else:
        write_npz(out, {"x_train": x[~test], "y_train": y[~test], "x_test": x[test], "y_test": y[test]})
    told = [f"{out}: {np.sum(~test)} training and {np.sum(test)} test pictures, {out.stat().st_size} bytes"]
    for part, mask in (("training", ~test), ("test", test)):
        told.append(f"  {part:8} per class: {' '.join(map(str, np.bincount(y[mask])))}")
    try:
        print("\n".join(told), flush=True)
    except BrokenPipeError:
        be_silent()


if __name__ == "__main__":
    main()
