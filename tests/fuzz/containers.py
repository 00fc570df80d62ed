"""Damage behind a checksum: contents are damaged and packed again, so that the checksum is right; and bombs."""

import gzip
import random
import struct
import warnings
import zipfile
import zlib
from io import BytesIO

import grammars
import numpy as np
from mutations import damaged

BOMB = 3 << 30
"""Bytes into which a bomb of about 3 MB unpacks."""
_BLOCK = 1 << 20


def deflated_zeros(start: bytes, size: int) -> bytes:
    """Return raw deflate data of `start` and this many zero bytes, of which a block is packed once and repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(_BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    return out + block * (size // _BLOCK) + packer.flush(zlib.Z_FINISH)


def gzip_bomb(start: bytes, size: int = BOMB) -> bytes:
    """Return gzip of `start` and zeros. The checksum is wrong, which only shows at the end."""
    header = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return header + deflated_zeros(start, size) + struct.pack("<II", 0, (len(start) + size) % 2**32)


def zip_bomb(names: tuple[str, ...], start: bytes, size: int = BOMB) -> bytes:
    """Return an archive of entries that each unpack to `start` and zeros."""
    packed = deflated_zeros(start, size)
    out, directory = b"", b""
    for name in names:
        sizes = struct.pack("<IIIHH", 0, len(packed), min(len(start) + size, 2**32 - 2), len(name), 0)
        about = struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes
        directory += b"PK\x01\x02\x14\0" + about + struct.pack("<HHHII", 0, 0, 0, 0, len(out)) + name.encode()
        out += b"PK\x03\x04" + about + name.encode() + packed
    count = len(names)
    return out + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(out), 0)


def npy_header(descr: str, shape: tuple[int, ...]) -> bytes:
    """Return the start of an .npy file."""
    out = BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()


def npz_bomb(names: tuple[str, ...] = ("x", "y", "t", "p")) -> bytes:
    """Return an .npz archive whose columns unpack to gigabytes of zeros, and say so."""
    size = BOMB // len(names) // _BLOCK * _BLOCK
    return zip_bomb(tuple(f"{name}.npy" for name in names), npy_header("|u1", (size,)), size)


def idx_bomb() -> bytes:
    return gzip_bomb(struct.pack(">HBBII", 0, 8, 2, BOMB // 1024, 1024))


# --- contents that are damaged and packed again ---


def inside_gzip(data: bytes, rng: random.Random) -> bytes:
    """Damage the numbers in a gzip file, or its members."""
    if rng.random() < 0.002:
        return idx_bomb()
    content = damaged(gzip.decompress(data), grammars.idx, (), rng)
    kind = rng.random()
    if kind < 0.1:
        half = rng.randint(0, len(content))
        return gzip.compress(content[:half], mtime=0) + gzip.compress(
            content[half:], mtime=0
        )  # several members are one
    if kind < 0.2:
        return gzip.compress(content, mtime=0) + rng.choice((bytes(3), b"\x1f\x8b", b"left over", gzip.compress(b"")))
    return gzip.compress(content, rng.choice((0, 1, 9)), mtime=rng.choice((0, 2**32 - 1)))


_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def inside_zip(data: bytes, rng: random.Random) -> bytes:
    """Damage the arrays in an .npz file, or the names and the number of its entries."""
    if rng.random() < 0.002:
        return npz_bomb(rng.choice((("x", "y", "t", "p"), ("x",), ("events",))))
    with zipfile.ZipFile(BytesIO(data)) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    for _ in range(rng.choice((1, 1, 2, 3))):
        k = rng.randrange(len(entries)) if entries else 0
        kind = rng.random()
        if kind < 0.6 and entries:
            name, body = entries[k]
            entries[k] = name, damaged(body, grammars.npy, [one for _, one in entries], rng)
        elif kind < 0.7 and entries:
            entries[k] = rng.choice(_NAMES), entries[k][1]
        elif kind < 0.8 and entries:
            entries.pop(k)
        elif kind < 0.9 and entries:
            entries.insert(k, (rng.choice(_NAMES), entries[k][1]))
        else:
            entries.append((rng.choice(_NAMES), _array(rng)))
    out = BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice(_METHODS)) as archive:
        archive.comment = rng.choice((b"", b"", b"PK\x05\x06" + bytes(18)))
        for name, body in entries:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = archive.compression
            with warnings.catch_warnings(action="ignore"):  # a name that is there twice
                archive.writestr(entry, body)
    return out.getvalue()


_NAMES = (
    *(
        "x.npy",
        "y.npy",
        "t.npy",
        "p.npy",
        "X.npy",
        "ts.npy",
        "label.npy",
        "x",
        "",
        ".npy",
        "a/b.npy",
        "../x.npy",
        "dir/",
    ),
    *("x.npy.npy", "\x1b[31m.npy", "a\nb.npy", "ü.npy", "x" * 60_000),
)
_SHAPES = ((), (0,), (1,), (5,), (1 << 62,), (1 << 31, 1 << 31), (-1,), (0, 1 << 62), (5, 1), (2**70,), (1,) * 80)
_KINDS = ("<u2", "|i1", ">i8", "<f8", "<f2", "|b1", "|O", "|V0", "|V8", "<U1", "|S0", "<c16", "<M8[us]", "<u8")


def _array(rng: random.Random) -> bytes:
    """Return an .npy file of any kind and shape with too few, too many or as many bytes."""
    header = npy_header(rng.choice(_KINDS), rng.choice(_SHAPES))
    return header + rng.randbytes(rng.choice((0, 1, 5, 8, 10, 40)))
