"""Checkpoints and stores: good files, damage behind their seals, and what is true of what is read from them."""

import gzip
import json
import tempfile
import zlib
from pathlib import Path

import containers
import grammars
import numpy as np
from guard import Format, digest
from mutations import Parts as Found
from mutations import damaged, tree
from resealing import Parts

import numsnn as snn
from numsnn import data
from numsnn.data.formats import FormatError
from numsnn.errors import CheckpointError
from numsnn.hdf5.form import LENGTH, SEAL, SEAL_BYTES
from numsnn.training import checkpoint


def _made(write) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "file.h5")
        return (Path(folder) / "file.h5").read_bytes()


def network():
    return snn.Sequential(
        snn.Linear(3, 4),
        snn.BatchNorm(4),
        snn.LIF(tau=2.0, surrogate=snn.PSG("triangle"), pda=snn.PDA(momentum=0.1)),
        snn.Linear(4, 2),
    ).to("reference")


def trainer():
    return snn.Trainer(
        network(), snn.losses.RateCrossEntropy(), snn.optim.AdamW(1e-2), seed=0, batch_size=4, device="reference"
    )


def samples():
    rng = np.random.default_rng(0)
    return data.Dataset(rng.random((8, 2, 3), np.float32), np.arange(8) % 2, timed=True)


def _trained(path):
    one = trainer()
    one.fit(samples(), epochs=1, progress=False)
    for metrics in one.history:  # the same file at every time
        metrics.update({key: 1.0 for key in metrics if "seconds" in key})
    one.save(path)


# --- damage behind the seal ---


def grammar(content: bytes) -> Found:
    """The seal, the text and the table of the index, and HDF5 before them."""
    found = Found([(0, "<Q"), (16, "<Q"), (24, "<Q"), (32, "<I")])
    offset = SEAL.unpack_from(content)[1] if len(content) >= SEAL.size else 0
    if SEAL_BYTES <= offset <= len(content) - LENGTH.size:
        length = LENGTH.unpack_from(content, offset)[0]
        start = offset + LENGTH.size
        words = grammars.text(content, start, min(len(content), start + length))
        table = range(start + min(length, len(content)), len(content), 32)
        found.numbers += [(offset, "<Q"), *((place + more, "<Q") for place in table for more in (0, 8))]
        found.records += [(SEAL_BYTES, offset), *((place, place + 32) for place in table)]
        found.words += words.words[:400]
    return found


OLD = Path(__file__).parents[1] / "old"
TEXTS = ("description", "training", "input_shape", "frozen", "classes")
"""Attributes that hold JSON."""


def inside(content: bytes, rng) -> bytes:
    """Damage the index, the table, a piece or the bytes of HDF5, and make seal and digests valid again."""
    parts = Parts(content)
    for _ in range(rng.choice((1, 1, 2, 3))):
        kind = rng.random()
        if kind < 0.5:
            _attributes(parts, rng)
        elif kind < 0.65:
            parts.index["arrays"] = tree(parts.index["arrays"], rng)
        elif kind < 0.7:
            parts.index = tree(parts.index, rng)
        elif kind < 0.78 and len(parts.table):
            row = parts.table[rng.randrange(len(parts.table))]
            row[rng.choice(("offset", "size"))] = rng.choice(
                (0, 1, 511, 512, 2**31, 2**63, 2**64 - 1, rng.getrandbits(14))
            )
        elif kind < 0.94 and len(parts.table):
            _piece(parts, rng)
        elif kind < 0.97:
            text = json.dumps(parts.index).encode()
            parts.text = damaged(text, grammars.text, (), rng)
        else:
            parts.body = bytearray(damaged(bytes(parts.body), grammars.plain, (), rng))
        if not _whole(parts):
            break
    rest = _whole(parts) and rng.random() < 0.9
    try:
        return parts.sealed(rest)
    except (ValueError, RecursionError, TypeError):  # nothing can be sealed any more
        return content[: rng.randint(0, len(content))]


def _whole(parts) -> bool:
    """Return whether an index still has the form that the next damage needs."""
    index = parts.index
    return (
        isinstance(index, dict)
        and isinstance(index.get("attributes"), dict)
        and isinstance(index.get("arrays"), list)
        and all(
            offset >= SEAL_BYTES and offset + size <= SEAL_BYTES + len(parts.body)
            for offset, size in zip(parts.table["offset"].tolist(), parts.table["size"].tolist(), strict=True)
        )
    )


def _attributes(parts, rng):
    """Damage an attribute, or the JSON in it."""
    attributes = parts.index["attributes"]
    texts = [name for name in TEXTS if isinstance(attributes.get(name), str)]
    if texts and rng.random() < 0.8:
        name = rng.choice(texts)
        try:
            content = tree(json.loads(attributes[name]), rng)
            attributes[name] = json.dumps(content)
        except (ValueError, RecursionError):
            attributes[name] = attributes[name][:-1]
    else:
        parts.index["attributes"] = tree(attributes, rng)


def _piece(parts, rng):
    """Damage the content of a piece, and pack it again as it was."""
    k = rng.randrange(len(parts.table))
    old = parts.piece(k)
    try:
        inner, pack = zlib.decompress(old), zlib.compress
    except zlib.error:
        inner, pack = old, bytes
    if rng.random() < 0.02:
        return parts.replace_piece(k, b"\x78\xda" + containers.deflated_zeros(b"", 1 << 26))
    return parts.replace_piece(k, pack(damaged(inner, grammars.plain, (), rng)))


# --- reading ---


def checkpoint_held(found):
    net, arrays, training = found
    assert net.built and isinstance(training, dict | None)
    everything = [*net.state().values(), *(array for group in arrays.values() for array in group.values())]
    assert all(np.isfinite(array).all() for array in everything)


def checkpoint_digest(found):
    net, arrays, training = found
    groups = [one for group in arrays.values() for item in sorted(group.items()) for one in item]
    return digest(net.description(), training, *(one for item in net.state().items() for one in item), *groups)


def restored(path):
    """Return a trainer that goes on from a checkpoint, after one epoch."""
    one = trainer()
    one.restore(path)
    return one


def restored_held(one):
    checkpoint_held((one.net, {"optimizer": one.optimizer.state()["arrays"]}, None))
    assert 0 <= one.epoch <= (one.epochs or 0) and one.batch >= 0 and isinstance(one.history, list)


def restored_digest(one):
    optimizer = one.optimizer.state()
    arrays = {"optimizer": optimizer.pop("arrays")}
    return checkpoint_digest((one.net, arrays, [optimizer, one.history, one.epoch, one.epochs, one.schedule.state()]))


def read_store(path):
    """Return everything that a store holds, as plain data and arrays."""
    with data.open(path) as store:
        found = [store.kind, store.name, store.source, store.classes]
        for name, part in store.parts.items():
            found += [name, part.target, part.per_step, part.y, part.lengths, part.weights]
            if isinstance(part, data.Recordings):
                found += [part.size, part.polarities]
                for k in range(len(part)):
                    one = part.events(k)
                    found += [one.x, one.y, one.t, one.p]
            else:
                found += [part.sample_shape, part.batch(range(len(part))).x]
    return found


def store_held(found):
    kind, name, source, classes = found[:4]
    assert kind in ("pictures", "sequences", "events") and len(found) > 4
    assert all(isinstance(one, str) and one.isprintable() for one in (name, source, *classes))
    for array in found:
        assert not isinstance(array, np.ndarray) or array.dtype.kind != "f" or np.isfinite(array).all()


def store_digest(found):
    return digest(*found)


# --- good files ---


def _pictures(path):
    rng = np.random.default_rng(0)
    train = data.Dataset(rng.integers(0, 255, (5, 2, 3, 1), np.uint8), [0, 1, 2, 0, 1], ("a", "b", "c"), scale=1 / 255)
    data.save(path, "pictures", "tests", train=train, test=train.select([0, 1]))


def _sequences(path):
    rng = np.random.default_rng(0)
    labels = np.arange(8).reshape(4, 2) % 2
    one = data.Dataset(
        rng.random((4, 2, 3), np.float32),
        labels,
        timed=True,
        per_step=True,
        lengths=[2, 1, 2, 2],
        weights=[1, 2, 0.5, 1],
    )
    data.save(path, "sequences", train=one)


def _events(path):
    rng = np.random.default_rng(0)
    recordings = []
    for n in (3, 0, 7):
        x, y, p = rng.integers(0, 6, n), rng.integers(0, 4, n), rng.integers(0, 2, n)
        recordings.append(data.Events(x, y, np.sort(rng.integers(0, 10**6, n)), p, (4, 6)))
    data.save(path, "events", train=data.Recordings(recordings, [0, 1, 0], ("a", "b")))


def _old(name: str) -> bytes:
    """Return a file that an earlier version wrote."""
    return gzip.decompress((OLD / f"{name}.h5.gz").read_bytes())


def formats(from_file) -> list[Format]:
    """Return the formats of this file; `from_file` makes a reader of bytes of a reader of files."""
    network_ = {"held": checkpoint_held, "digest": checkpoint_digest, "errors": (CheckpointError, OSError)}
    store = {"held": store_held, "digest": store_digest, "errors": (FormatError, OSError)}
    seal = {"grammar": grammar, "inside": inside, "checksum": True}
    apart = {"grammar": grammars.plain, "share": 0.003, "seconds": 60.0}
    trained, stores = _made(_trained), [_made(one) for one in (_pictures, _sequences, _events)]
    go_on = {"held": restored_held, "digest": restored_digest, "errors": (CheckpointError, OSError)}
    return [
        Format("checkpoint", [trained, _made(_only_weights)], from_file(checkpoint.read), **seal, **network_),
        Format("resume", [trained], from_file(restored), **seal, **go_on),
        Format("store", stores, from_file(read_store), **seal, **store),
        Format(
            "old-checkpoint",
            [_old("net"), _old("last")],
            from_file(checkpoint.read),
            checksum=True,
            **apart,
            **network_,
        ),
        Format(
            "old-store", [_old("pictures"), _old("sequences"), _old("events")], from_file(read_store), **apart, **store
        ),
    ]


def _only_weights(path):
    net = network()
    net.build((2, 1, 3))
    snn.save(net, path)
