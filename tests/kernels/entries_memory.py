"""Entries of memory, of rows of padded batches, and of questions about routes."""

import numpy as np
from registry import drawn, entry, like, normal, spikes, unset

from numsnn.kernels.types import Geometry, Way

KINDS = {"float32": (np.float32,), "float64": (np.float64,), "uint8": (np.uint8,), "int16": (np.int16,)}
SHAPES = (2, 3, 0, 1), (2, 3), (1,)


def made(k, function, dtype, shapes):
    return {str(shape): k.to_host(getattr(k, function)(shape, dtype)) for shape in shapes}


def shapes_only(arguments, got, want):
    """What is in the memory does not count."""
    for name, array in want.items():
        assert got[name].shape == array.shape and got[name].dtype == array.dtype and got[name].flags.c_contiguous


@entry(cases=KINDS, call=lambda k, **a: made(k, "empty", **a), compare=shapes_only)
def empty(rng, real, dtype):
    return {"dtype": dtype, "shapes": SHAPES}


@entry(cases=KINDS, call=lambda k, **a: made(k, "zeros", **a))
def zeros(rng, real, dtype):
    return {"dtype": dtype, "shapes": SHAPES}


def host_to_device(k, x, dtype):
    """The array on the device, after the one on the host has changed."""
    x = x.copy(order="A")
    there = k.from_host(x, dtype)
    x[...] = 0
    return {"there": k.to_host(there)}


@entry(
    cases={"converted": ("C", np.int64), "in another order": ("F", np.float32), "as it is": ("C", np.float32)},
    call=host_to_device,
)
def from_host(rng, real, order, kind):
    return {"x": np.array(rng.integers(0, 9, (2, 3)), kind, order=order), "dtype": real}


def device_to_host(k, x):
    """What comes back, and again after the copy has changed."""
    there = k.from_host(x, x.dtype)
    first = k.to_host(there)
    kept = first.copy()
    first[...] = 7
    return {"first": kept, "again": k.to_host(there)}


@entry(cases={"matrix": ((2, 3),), "nothing": ((0, 3),)}, call=device_to_host)
def to_host(rng, real, shape):
    return {"x": normal(rng, real, *shape)}


def put_on_device(k, x, array):
    there = k.from_host(array, array.dtype)
    k.put(x, there)
    return {"array": k.to_host(there)}


@entry(
    cases={"plain": ((2, 3), np.float32), "converted": ((4,), np.int64), "nothing": ((0, 3), np.float32)},
    call=put_on_device,
)
def put(rng, real, shape, kind):
    return {"x": rng.integers(0, 9, shape).astype(kind), "array": unset(real, *shape)}


@entry(cases={"counts": (np.uint8,), "numbers": (None,)}, writes="y")
def copy(rng, real, kind):
    return {"x": drawn(rng, kind or real, 3, 5), "y": unset(real, 3, 5)}


@entry(cases={"numbers": (None,), "spikes": (np.uint8,), "nothing": (None, 0)}, writes="x")
def fill(rng, real, kind, rows=5):
    return {"x": unset(kind or real, rows, 3), "value": 3}


def fed(k, batches, dtype):
    """Everything that arrives, copied before the next batch is asked for."""
    found = {}
    for number, (x, y) in enumerate(k.feed(batches, dtype)):
        assert y == batches[number][1]
        parts = x if isinstance(x, dict) else {"x": x}
        found |= {f"{number} {name}": np.array(k.to_host(part)) for name, part in parts.items()}
    return found


@entry(cases={"arrays": (False,), "several inputs": (True,)}, call=fed)
def feed(rng, real, several):
    """More batches than a device has memory for at once, of changing sizes."""
    batches = [rng.integers(0, 9, (n % 3 + 1, 2)) for n in range(5)]
    if several:
        batches = [{"a": x, "b": x[0] + 1} for x in batches]
    return {"batches": list(zip(batches, range(5), strict=True)), "dtype": real}


# --- spikes as bits ---------------------------------------------------------------------------------------------------

COUNTS = {"a byte": (8,), "fewer": (3,), "one more": (65,), "many": (1003,)}
TILES = ((8 * 32768 * 2 + 5,),)


@entry(cases=COUNTS, large=TILES, writes="bits")
def pack_bits(rng, real, count):
    return {"s": spikes(rng, count), "bits": unset(np.uint8, -(-count // 8))}


@entry(cases=COUNTS, large=TILES, writes="s")
def unpack_bits(rng, real, count):
    bits = np.packbits(spikes(rng, count), bitorder="little")
    return {"bits": bits, "s": unset(np.uint8, count)}


# --- rows of padded batches -------------------------------------------------------------------------------------------

ROWS = {
    **{name: (kind, 11, 7) for name, (kind,) in KINDS.items() if kind != np.int16},
    "one number": (np.float64, 1, 1),
    "nothing is real": (np.float32, 5, 3, 0.0),
}
MANY = ((np.float32, 9001, 17),)


def places(rng, rows, share=0.6):
    """The numbers of the real rows, and for every row its number among them or -1."""
    real = rng.random(rows) < share
    real[0] |= share > 0
    return np.flatnonzero(real), np.where(real, np.cumsum(real) - 1, -1)


def numbers(rng, kind, rows, features):
    return rng.integers(1, 100, (rows, features)).astype(kind)


@entry(cases=ROWS, large=MANY, writes="y")
def gather_rows(rng, real, kind, rows, features, share=0.6):
    index, _ = places(rng, rows, share)
    return {"x": numbers(rng, kind, rows, features), "index": index, "y": unset(kind, len(index), features)}


@entry(cases=ROWS, large=MANY, writes="y")
def scatter_rows(rng, real, kind, rows, features, share=0.6):
    index, place = places(rng, rows, share)
    return {"x": numbers(rng, kind, len(index), features), "place": place, "y": unset(kind, rows, features)}


@entry(cases=ROWS, large=MANY, updates="x")
def clear_rows(rng, real, kind, rows, features, share=0.6):
    return {"x": numbers(rng, kind, rows, features), "place": places(rng, rows, share)[1]}


# --- routes -----------------------------------------------------------------------------------------------------------

QUESTIONS = {"any route": (Way(),), "half precision": (Way("auto", "float16"),)}


@entry(
    cases=QUESTIONS,
    call=lambda k, way, dtype: {"message": k.lacks(way, np.dtype(dtype))},
    differs="it says what this device has; test_routes and test_library have the answers",
)
def lacks(rng, real, way):
    return {"way": way, "dtype": real}


@entry(
    call=lambda k, w, geometry: {"limit": k.visible_limit(w, geometry)},
    differs="it depends on the routes of the device; test_routes has the answers",
)
def visible_limit(rng, real):
    return {"w": like(normal(rng, real, 3, 3, 4, 4)), "geometry": Geometry((1, 1), (1, 1))}
