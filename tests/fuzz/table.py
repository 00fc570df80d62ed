"""The formats that numsnn reads: good files of each, its reader, and what is true of everything that it accepts."""

import contextlib
import gzip
import io
import json
import os
import struct
import tempfile
from importlib.util import find_spec
from pathlib import Path

import containers
import grammars
import numpy as np
import sealed
from data_writers import EVENTS, aedat2, aedat3, atis, cifar, dat, packet
from guard import SOURCE, Format, digest
from mutations import Parts, tree

from numsnn import apart, config
from numsnn.data import formats
from numsnn.data.formats import FormatError
from numsnn.errors import ConfigError
from numsnn.measure import history

_MEMORY = Path("/dev/shm")
_FOLDER = tempfile.TemporaryDirectory(prefix="numsnn-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None)


def place() -> Path:
    """Return where readers of files find the case, in memory if the system has such a folder. Every process has a place
    of its own, because several may judge at the same time."""
    folder = Path(_FOLDER.name) / str(os.getpid())
    folder.mkdir(exist_ok=True)
    return folder / SOURCE


X, Y, T, P = (np.array(column) for column in zip(*EVENTS, strict=True))
STRUCTURED = np.array(EVENTS, [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "i1")])


def from_file(read):
    """Return a reader of bytes, for a reader of files."""

    def from_bytes(data):
        path = place()
        path.write_bytes(data)
        return read(path)

    return from_bytes


def named(parse, *options):
    """Return a parser that calls the data by the name that messages must hold."""
    return lambda data: parse(data, *options, source=SOURCE)


# --- what is true of results ---


def events_held(events):
    height, width = events.size
    assert 1 <= height <= 1 << 16 and 1 <= width <= 1 << 16 and events.polarities in (1, 2)
    assert [column.dtype for column in (events.x, events.y, events.t, events.p)] == ["u2", "u2", "i8", "u1"]
    assert len(events.x) == len(events.y) == len(events.t) == len(events.p) == len(events)
    if len(events):
        assert events.x.max() < width and events.y.max() < height and events.p.max() < events.polarities
        assert (np.diff(events.t) >= 0).all()
    assert all(isinstance(count, int) and count > 0 for count in events.skipped.values())


def events_digest(events):
    return digest(events.x, events.y, events.t, events.p, events.size, events.polarities, events.skipped)


def idx_held(array):
    assert array.dtype.isnative and array.dtype.str[1:] in ("u1", "i1", "i2", "i4", "f4", "f8")
    assert 1 <= array.ndim <= 32 and array.size and array.flags.writeable


def cifar_held(found):
    pictures, labels = found
    assert pictures.shape == (len(labels), 32, 32, 3) and len(labels) and pictures.dtype == labels.dtype == np.uint8
    assert labels.max() < 100


def gestures_held(gestures):
    assert gestures and all(one.label >= 1 and 0 <= one.start < one.end < 1 << 63 for one in gestures)


def config_held(found):
    text = found.to_toml()
    assert repr(config.parse(text)) == repr(found)


def history_held(entries):
    """What shows a history takes it."""
    assert not entries or history.beside(entries).startswith("| ratio")
    for one in entries:
        assert history.label(one).isprintable() and set(history.ratios(one)) == set(history.PARTS)
        hash(history.setting(one))


def spikes_held(recordings):
    for events in recordings:
        events_held(events)
        assert events.size == (1, 700) and events.polarities == 1


def spikes_digest(recordings):
    return digest(*map(events_digest, recordings))


# --- good files ---


def idx(code, kind, *shape):
    body = np.arange(np.prod(shape)).astype(kind).tobytes()
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body


def saved(save, *arrays, **columns):
    out = io.BytesIO()
    save(out, *arrays, **columns)
    return out.getvalue()


IDX = [idx(8, ">u1", 2, 3), idx(11, ">i2", 3, 1, 2), idx(13, ">f4", 4), idx(14, ">f8", 2, 2)]
PICTURE = [[[(r, c, 0) for c in range(32)] for r in range(32)]]
DAT = [dat(EVENTS), dat(EVENTS, header=b"% Version 2\n", kind=0), dat(EVENTS, header=b"% Data file\n% Width 304\n")]
AEDAT3 = [aedat3(packet(EVENTS[:2]), packet([], kind=2, size=36, capacity=0), packet(EVENTS, overflows=1)), aedat3()]
ATIS = [atis(EVENTS), atis([(1, 1, 5, 0), (2, 2, 8_193, 1)], overflow_at=(1,))]
LABELS = [b"class,startTime_usec,endTime_usec\n1,80048239,85092709\n8,9,11\n"]
COLUMNS = {"x": X, "y": Y, "t": T, "p": P}
NPZ = [
    saved(np.savez, **COLUMNS),
    saved(np.savez_compressed, x=X.astype("u2"), y=Y.astype("f4"), timestamp=T, on=P.astype(bool)),
    saved(np.savez_compressed, events=STRUCTURED),
]
NPY = [saved(np.save, STRUCTURED), saved(np.save, np.zeros(0, STRUCTURED.dtype))]
TEXT = [
    b"x,y,t,p\n" + b"".join(b"%d,%d,%d,%d\n" % event for event in EVENTS),
    b"# x y t\n1 2 3\n\n4 5 6\n",
    b'% made by a test\n"X";"Y";"time";"polarity"\n1;2;3;true\n4;5;6;False\n',
]
TOML = [
    config.Config().to_toml().encode(),
    b"[model]\nsteps = 4 # T\nnorm = 'none'\n[method]\nwidth_bounds = [0.1, 8]\npda_target = 1\n[training]\nlr = 1e-3",
    b'data.name = "digits"\ndata.steps = 1_0\nmodel = {tau = 2, neuron = "lif"}\n',
]

ENTRY = {
    "form": history.FORM,
    "date": "2030-01-31T23:59:59+00:00",
    "version": "1.0",
    "commit": "0123456789ab-dirty",
    "machine": {"processor": "X", "cores": 2},
    "threads": 2,
    "surrogate": "arctan",
    "quick": False,
    "product": 1e11,
    "copy": 5e10,
    "workloads": {"vgg": {"train": 1.5, "infer": 2.0}},
    "layers": {"conv 5%": {"forward": 2.0, "weight_gradient": 1.5}},
    "neurons": {"LIF forward": 0.8},
}
HISTORY = [
    b"".join(json.dumps(ENTRY | change).encode() + b"\n" for change in changes)
    for changes in ([{}, {"commit": None, "product": None, "workloads": {}, "layers": {}}], [{"threads": 1}])
]


def message(header, *arrays):
    listed = [[array.dtype.str, array.size] for array in arrays]
    return json.dumps({**header, "arrays": listed}).encode() + b"\n" + b"".join(array.tobytes() for array in arrays)


def spikes_message(lengths, times, units):
    return message({}, np.array(lengths, np.int64), np.array(times, np.float16), np.array(units, np.uint16))


SPIKES = [
    spikes_message([3, 0, 1], [0.0, 0.25, 0.5, 1.0], [699, 0, 12, 5]) + message({"end": True}),
    spikes_message([1], [0.5], [1]) + spikes_message([0], [], []) + message({"end": True}),
]


class Child:
    """Stands in for the process that reads HDF5: its output is any bytes."""

    data = b""

    def __init__(self, *arguments, **options):
        self.stdout = io.BytesIO(self.data)

    def kill(self):
        pass

    def wait(self):
        return 0


def spikes_read(data):
    """Return the recordings in what a child process has sent."""
    path = place()
    path.touch()
    Child.data, process = data, apart.subprocess.Popen
    apart.subprocess.Popen = Child
    try:
        return list(formats.read_spikes(path))
    finally:
        apart.subprocess.Popen = process


def spikes_inside(data, rng):
    """Damage the JSON of a message, whose arrays stay."""
    lines = data.split(b"\n", 1)
    header = tree(json.loads(lines[0]), rng)
    with contextlib.suppress(RecursionError):
        return json.dumps(header).encode() + b"\n" + lines[1]
    return data


def hdf5(write):
    """Return the bytes of an HDF5 file that the function fills."""
    import h5py

    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        write(file)
    return out.getvalue()


def _columns(file):
    for name, column in COLUMNS.items():
        file[f"events/{name}"] = column
        file[name] = column


def _packed(file):
    options = {"chunks": (2,), "compression": "gzip", "fletcher32": True}
    for name, column in COLUMNS.items():
        file.create_dataset(name, data=column, **options)


def _spikes(file):
    import h5py

    for name, kind, lists in (("times", "f2", [[0.0, 0.25], [], [1.0]]), ("units", "u2", [[699, 0], [], [5]])):
        array = file.create_dataset(f"spikes/{name}", (3,), h5py.vlen_dtype(kind))
        for k, values in enumerate(lists):
            array[k] = np.array(values, kind)
    file["labels"] = np.array([3, 19, 0], "u2")


HDF5 = [hdf5(_columns), hdf5(_packed)]


def borrowed(name, **options):
    """Return the bytes of a file that the package faery writes, or none where it is missing."""
    if not find_spec("faery"):
        return b""
    import faery

    rows = np.array([(t, x, y, bool(p)) for x, y, t, p in EVENTS], faery.EVENTS_DTYPE)
    path = place().with_name(name)
    faery.events_stream_from_array(rows, dimensions=(64, 48)).to_file(path, **options)
    return path.read_bytes()


def both(*grammars_):
    """A grammar of a format that may be several formats: what each of them finds."""

    def grammar(data):
        found = Parts()
        for one in grammars_:
            parts = one(data)
            found.numbers += parts.numbers[:200]
            found.records += parts.records[:200]
            found.words += parts.words[:200]
        return found

    return grammar


# --- the table ---

_EVENTS = {"held": events_held, "digest": events_digest, "errors": (FormatError,)}
_SPIKES = {"held": spikes_held, "digest": spikes_digest, "errors": (FormatError,)}
_IDX = {"read": named(formats.parse_idx), "held": idx_held, "digest": digest, "errors": (FormatError,)}


def _cifar(classes):
    labels = [(3,)] if classes == 10 else [(19, 99)]
    read = named(formats.parse_cifar, classes)
    held = {"held": cifar_held, "digest": lambda found: digest(*found), "errors": (FormatError,)}
    return Format(f"cifar{classes}", [cifar(labels, PICTURE)], read, grammar=grammars.cifar(len(labels[0])), **held)


def table() -> dict[str, Format]:
    """Return the formats by name."""
    found = [
        Format("idx", IDX, grammar=grammars.idx, **_IDX),
        Format(
            "idx.gz",
            [gzip.compress(one, mtime=0) for one in IDX],
            grammar=grammars.gzipped,
            inside=containers.inside_gzip,
            checksum=True,
            **_IDX,
        ),
        _cifar(10),
        _cifar(100),
        Format("atis", ATIS, named(formats.parse_atis), grammar=grammars.atis, **_EVENTS),
        Format("aedat2", [aedat2(EVENTS)], named(formats.parse_aedat2), grammar=grammars.aedat2, **_EVENTS),
        Format("aedat3", AEDAT3, named(formats.parse_aedat3), grammar=grammars.aedat3, **_EVENTS),
        Format("dat", DAT, named(formats.parse_dat), grammar=grammars.dat, **_EVENTS),
        Format(
            "gestures",
            LABELS,
            named(formats.parse_gestures),
            gestures_held,
            lambda found: digest(*found),
            grammars.text,
            (FormatError,),
        ),
        Format(
            "npz",
            NPZ,
            named(formats.parse_npz),
            grammar=grammars.zipped,
            inside=containers.inside_zip,
            checksum=True,
            **_EVENTS,
        ),
        Format("npy", NPY, named(formats.parse_npy), grammar=grammars.npy, **_EVENTS),
        Format("text", TEXT, named(formats.parse_text), grammar=grammars.text, **_EVENTS),
        Format("spikes", SPIKES, spikes_read, grammar=grammars.text, inside=spikes_inside, **_SPIKES),
        Format(
            "events",
            [*NPZ, *NPY, *TEXT, aedat2(EVENTS), *AEDAT3, *DAT],
            from_file(formats.read_events),
            grammar=both(grammars.text, grammars.zipped, grammars.aedat3, grammars.dat),
            **_EVENTS | {"errors": (FormatError, ValueError, OSError, ImportError)},
        ),
        Format(
            "hdf5", HDF5, from_file(formats.read_events), grammar=grammars.plain, share=0.003, seconds=150.0, **_EVENTS
        ),
        Format("history", HISTORY, from_file(history.read), history_held, digest, grammars.text, (ValueError, OSError)),
        Format("config", TOML, from_file(config.read), config_held, digest, grammars.text, (ConfigError,)),
        Format(
            "shd",
            [hdf5(_spikes)],
            from_file(lambda path: list(formats.read_spikes(path))),
            grammar=grammars.plain,
            share=0.003,
            seconds=150.0,
            **_SPIKES,
        ),
    ]
    found += sealed.formats(from_file)
    if find_spec("faery") and find_spec("aedat"):
        lend = {"share": 0.003, "seconds": 150.0, **_EVENTS}
        raw = [borrowed("a.raw", version="evt2"), borrowed("b.raw", version="evt3")]
        found.append(Format("raw", raw, from_file(formats.read_raw), grammar=grammars.raw, **lend))
        aedat4 = [borrowed("a.aedat4"), borrowed("b.aedat4", compression=None)]
        found.append(Format("aedat4", aedat4, from_file(formats.read_aedat4), grammar=grammars.plain, **lend))
    return {one.name: one for one in found}
