"""Changing sealed files and giving them a valid seal again, as somebody does who wants to deceive."""

import hashlib
import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from numsnn.hdf5 import opened, sealing
from numsnn.hdf5.form import LENGTH, MAGIC, PIECE, SEAL, SEAL_BYTES, digest


class Content(dict):
    """The arrays of a file by their full names, and its attributes in `attrs`. A group is deleted by its name."""

    def __init__(self, file):
        super().__init__({name: file[name][()] for name in file.names()})
        self.attrs = dict(file.attributes)

    def __delitem__(self, name):
        there = [key for key in self if key == name or key.startswith(f"{name}/")]
        assert there
        for key in there:
            super().__delitem__(key)


@contextmanager
def content(path):
    """Yield the content of a sealed file; what it is at the end of the block is written with a valid seal."""
    with opened(path) as file:
        found = Content(file)
        rows = {name: file[name]._entry.rows for name in file.names()}
    yield found
    with sealing(path, found.attrs) as writer:
        for name, array in found.items():
            if rows.get(name):
                writer.append(name, np.asarray(array), rows[name])
            else:
                writer.put(name, np.asarray(array))


class Parts:
    """The parts of a sealed file: `body` (between seal and index), `index` (JSON as a dict) and `table` of pieces."""

    def __init__(self, data):
        _, offset, _, _ = SEAL.unpack_from(data)
        (length,) = LENGTH.unpack_from(data, offset)
        start = offset + LENGTH.size
        self.body = bytearray(data[SEAL_BYTES:offset])
        self.index = json.loads(data[start : start + length])
        self.table = np.frombuffer(data, PIECE, offset=start + length).copy()
        self.text = None

    def sealed(self, rest=True):
        """Return the bytes of a file with these parts and a valid seal.

        Args:
            rest: whether the digest of HDF5's structures becomes valid, too.
        """
        if rest:
            self.index["rest"] = self._rest()
        text = json.dumps(self.index).encode() if self.text is None else self.text
        index = LENGTH.pack(len(text)) + text + self.table.tobytes()
        offset = SEAL_BYTES + len(self.body)
        seal = SEAL.pack(MAGIC, offset, len(index), hashlib.sha256(index).digest())
        return seal.ljust(SEAL_BYTES, b"\0") + bytes(self.body) + index

    def piece(self, k):
        """Return the bytes of a piece."""
        first = int(self.table["offset"][k]) - SEAL_BYTES
        return bytes(self.body[first : first + int(self.table["size"][k])])

    def replace_piece(self, k, new):
        """Put other bytes behind all others, and let a piece be these."""
        self.table[k] = SEAL_BYTES + len(self.body), len(new), digest(new)
        self.body += new

    def _rest(self):
        free = np.ones(len(self.body), bool)
        for offset, size, _ in self.table:
            free[int(offset) - SEAL_BYTES : int(offset) - SEAL_BYTES + int(size)] = False
        return hashlib.sha256(np.frombuffer(self.body, np.uint8)[free].tobytes()).hexdigest()


@contextmanager
def parts(path, rest=True):
    """Yield the `Parts` of a sealed file, which is written again with a valid seal."""
    path = Path(path)
    found = Parts(path.read_bytes())
    yield found
    path.write_bytes(found.sealed(rest))
