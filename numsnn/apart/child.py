"""The process in which `apart` reads a file. It runs alone, without the rest of the package.

Its argument is a JSON object: "modules" (where modules are found), "path", "what" (one of `TASKS`), "memory" (the bytes
that it may use), "seconds" (the processor time that it may take), and what the task needs. It writes messages to
standard output: a line of JSON that lists arrays as [type, entries], then the bytes of these arrays. The last message
has the key "end", or "error" with the reason why no more messages follow, or "missing" with the reason why the library
of the task cannot be imported.
"""

import importlib
import json
import os
import sys

BLOCK = 64
"""Recordings per message."""
MOST_NAMES = 64
"""Groups that are named for a message."""
MOST_DEPTH = 16
"""Groups that may lie inside each other; a group that lies within itself has no end."""
EVENTS = 1 << 18
"""Events of a camera per message, at least, so that this process needs the memory of one message only."""
WIDEST = (2048, 2048)
"""Columns and rows that RAW can count, for files that do not state a size."""


class Unfit(Exception):
    """The file has the right format, but not the expected content."""


# --- HDF5 ---


def labels(file, order):
    """Make one message with the labels."""
    yield {}, [vector(file, "labels")[()]]


def names(file, order):
    """Make one message with "names", the texts in extra/keys if this array exists."""
    import numpy as np

    array = followed(file, "extra/keys")
    keys = () if array is None else np.ravel(array[()])
    yield {"names": [key.decode() if isinstance(key, bytes) else str(key) for key in keys]}, []


def spikes(file, order):
    """Make one message per `BLOCK` recordings.

    Its arrays are the number of spikes per recording, then the times and the units of all these recordings.
    """
    import numpy as np

    n = len(vector(file, "labels"))
    arrays = [vector(file, f"spikes/{name}") for name in ("times", "units")]
    if any(len(array) != n for array in arrays):
        raise Unfit(f"spikes/times, spikes/units and labels must be equally long; labels has {n}")
    last = n if order["last"] is None else min(n, order["last"])
    for first in range(order["first"], last, BLOCK):
        lists = [[np.asarray(one) for one in array[first : min(last, first + BLOCK)]] for array in arrays]
        for k, (times, units) in enumerate(zip(*lists, strict=True)):
            if times.ndim != 1 or times.shape != units.shape or times.dtype.kind != "f" or units.dtype.kind not in "iu":
                found = f"{times.dtype} {times.shape} and {units.dtype} {units.shape}"
                wanted = "times must be real numbers and units whole numbers, one per spike"
                raise Unfit(f"recording {first + k}: {wanted}; found {found}")
        lengths = np.array([len(times) for times in lists[0]], np.int64)
        yield {}, [lengths, *map(np.concatenate, lists)]


def columns(file, order):
    """Make a message that describes the arrays in a group, or a structured array, and then one per column.

    The order has "group", the path of either, and "wanted", the names of the columns in small letters. The first
    message has "groups" (places in which columns may lie) and, unless there is no such group, "told": dicts with name,
    dtype, shape, bytes, the names of fields, and whether the array holds numbers of fixed size. Nothing but numbers is
    read, because lists lie in the global heap. The others have "name" and "shape", and "field" for a structured array.
    """
    import h5py

    place = followed(file, order["group"])
    if isinstance(place, h5py.Dataset):
        arrays = {"": place}
    else:
        there = [name for name in names_in(place) if place.get(name, getclass=True) is h5py.Dataset]
        arrays = {name: followed(place, name) for name in there}
    told = [described(name, array) for name, array in arrays.items()]
    yield {"groups": groups_in(file)} | ({} if place is None else {"told": told}), []
    for one in told:
        if not one["numbers"] or not (one["name"].lower() in order["wanted"] or one["name"] == ""):
            continue
        values = arrays[one["name"]][()]
        if one["fields"]:
            for field in one["fields"]:
                yield {"name": one["name"], "field": field, "shape": one["shape"]}, [values[field].ravel()]
        else:
            yield {"name": one["name"], "shape": one["shape"]}, [values.ravel()]


def followed(group, name):
    """Return the group or array at a path inside a group; None if it is missing. What leads to another file is refused:
    a file that was sent by somebody else must not show what lies on the reader's disk."""
    import h5py

    item = group
    for part in filter(None, name.split("/")):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise Unfit(f"{name} is a link to another place or file, which is not followed")
        item = item[part]
    if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
        raise Unfit(f"{name} lies in another file, which is not read")
    return item


def names_in(item):
    """Return the names in a group that are no links to another place or file; an array, or nothing, has none."""
    import h5py

    if not isinstance(item, h5py.Group):
        return []
    return [name for name in item if isinstance(item.get(name, getlink=True), h5py.HardLink)]


def groups_in(file):
    """Return the names of some groups, down to two levels, and of the structured arrays in them."""
    import h5py

    found = []
    for name in names_in(file)[:MOST_NAMES]:
        for inner in [name, *(f"{name}/{key}" for key in names_in(file[name])[:MOST_NAMES])]:
            one = file[inner]
            if isinstance(one, h5py.Group) or (isinstance(one, h5py.Dataset) and one.dtype.names):
                found.append(inner)
    return found[:MOST_NAMES]


def described(name, array):
    """Return what a message tells of an array."""
    kinds = [array.dtype[field] for field in array.dtype.names] if array.dtype.names else [array.dtype]
    return {
        "name": name,
        "dtype": str(array.dtype),
        "fields": list(array.dtype.names or ()),
        "shape": None if array.shape is None else list(array.shape),
        "bytes": array.size * array.dtype.itemsize if array.shape is not None else 0,
        "numbers": array.shape is not None and all(kind.kind in "biuf" for kind in kinds),
    }


def index(file, order):
    """Make one message with the attributes of the file, and where its arrays lie.

    Its arrays are the positions and the lengths of the pieces of all arrays, one array after another; the header has
    "attributes" and, as the index of a sealed file, "entries". Nothing but hard links to arrays that lie in the file
    itself is followed, so that a file shows nothing of its reader's disk.
    """
    import numpy as np

    attributes = {name: plain(name, value) for name, value in file.attrs.items()}
    entries, places = [], []
    for name, array in arrays_in(file, "", 0):
        found, pieces = place_of(name, array)
        entries.append(found)
        places += pieces
    yield {"attributes": attributes, "entries": entries}, [np.array([p[k] for p in places], np.int64) for k in (0, 1)]


def plain(name, value):
    """Return an attribute as data that JSON can hold."""
    import numpy as np

    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str | int | float | bool | list):
        raise Unfit(f"the attribute {name!a} must be text or numbers; found {type(value).__name__}")
    return value


def arrays_in(group, prefix, depth):
    """Yield pairs (name, array) of all arrays in a group and in the groups inside it."""
    import h5py

    if depth > MOST_DEPTH:
        raise Unfit(f"its groups lie more than {MOST_DEPTH} deep inside each other")
    for key in group:
        name = prefix + key
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise Unfit(f"{name!a} is a link to another place or file, which is not followed")
        item = group[key]
        if isinstance(item, h5py.Group):
            yield from arrays_in(item, f"{name}/", depth + 1)
        elif isinstance(item, h5py.Dataset):
            yield name, item
        else:
            raise Unfit(f"{name!a} is no array and no group")


def place_of(name, array):
    """Return the entry of an array, and its pieces as pairs (position, length)."""
    import h5py

    if array.is_virtual or array.external:
        raise Unfit(f"{name!a} lies in another file, which is not read")
    if array.shape is None or array.dtype.kind not in "biuf":
        raise Unfit(f"{name!a} must hold real numbers; found {array.dtype}")
    settings = array.id.get_create_plist()
    shape, pieces, rows = list(array.shape), [], 0
    filters = [settings.get_filter(k)[0] for k in range(settings.get_nfilters())]
    if settings.get_layout() == h5py.h5d.CHUNKED:
        rows = array.chunks[0]
        chunks = array.id.get_num_chunks() if array.size else 0
        if array.chunks[1:] != array.shape[1:] or chunks != (-(-shape[0] // rows) if array.size else 0):
            raise Unfit(f"{name!a} must be divided into pieces of whole rows, of which none is missing")
        found: dict = {}
        array.id.chunk_iter(lambda one: found.__setitem__(one.chunk_offset[0] // rows, one))
        for k in range(chunks):
            if k not in found or found[k].filter_mask:
                raise Unfit(f"{name!a} lacks a piece, or a filter of a piece was left out")
            pieces.append((found[k].byte_offset, found[k].size))
    elif settings.get_layout() == h5py.h5d.CONTIGUOUS:
        if array.size:
            if array.id.get_offset() is None:
                raise Unfit(f"{name!a} was never written")
            pieces.append((array.id.get_offset(), array.id.get_storage_size()))
    else:
        raise Unfit(f"{name!a} has another layout than arrays of numsnn")
    names = {h5py.h5z.FILTER_SHUFFLE: "shuffle", h5py.h5z.FILTER_DEFLATE: "deflate"}
    names[h5py.h5z.FILTER_FLETCHER32] = "fletcher32"
    listed = [names.get(number, str(number)) for number in filters]
    kind = array.dtype.str
    entry = {"name": name, "dtype": kind, "shape": shape, "rows": rows, "filters": listed, "pieces": len(pieces)}
    return entry, pieces


def vector(file, name):
    """Return the array of this name, which has one entry per recording."""
    import h5py

    array = followed(file, name)
    if not isinstance(array, h5py.Dataset) or array.ndim != 1:
        raise Unfit(f"no array {name!r} with one entry per recording: not a file of SHD or SSC")
    return array


def in_hdf5(task):
    """Return the task of an order, for a task of the open HDF5 file and the order."""

    def run(order):
        import h5py

        with h5py.File(order["path"], "r") as file:
            yield from task(file, order)

    return run


# --- cameras ---


def aedat4(order):
    """Make the messages of `recording` for the first stream of events in an AEDAT 4 file."""
    from pathlib import Path

    import aedat

    decoder = aedat.Decoder(Path(order["path"]))
    streams = {k: about for k, about in decoder.id_to_stream().items() if about["type"] == "events"}
    if not streams:
        raise Unfit("the file has no stream of events")
    first = min(streams)
    packets = (packet["events"] for packet in decoder if packet["stream_id"] == first and "events" in packet)
    yield from recording((streams[first]["height"], streams[first]["width"]), packets)


def raw(order):
    """Make the messages of `recording` for a RAW file of Prophesee. If it states no size, "size" is `WIDEST`."""
    from pathlib import Path

    import faery

    decoder = faery.file_decoder.Decoder(Path(order["path"]), dimensions_fallback=WIDEST, file_type="evt")
    width, height = decoder.dimensions()
    yield from recording((height, width), decoder)


def recording(size, packets):
    """Make a message with "size", the height and width of the sensor, and then messages with events.

    Their arrays are the columns t, x, y and on of one packet, or of several packets one after another.
    """
    import numpy as np

    def joined(waiting):
        return {}, [np.concatenate([packet[name] for packet in waiting]) for name in ("t", "x", "y", "on")]

    yield {"size": [int(side) for side in size]}, []
    waiting, count = [], 0
    for packet in packets:
        waiting.append(packet)
        count += len(packet)
        if count >= EVENTS:
            yield joined(waiting)
            waiting, count = [], 0
    if waiting:
        yield joined(waiting)


# --- the process ---

TASKS = {
    **{one.__name__: ("h5py", "HDF5", in_hdf5(one)) for one in (labels, names, spikes, columns, index)},
    "aedat4": ("aedat", "AEDAT 4", aedat4),
    "raw": ("faery", "RAW", raw),
}
"""Per task the module that it needs, the format, and the function that makes its messages."""


def limit(memory, seconds):
    """Limit this process to `memory` bytes beyond its present use, where the system tells it, and to `seconds`. A crash
    must not leave a copy of its memory on the disk.

    The time limit is needed because the parent process may be killed and can then no longer end a child that hangs.
    """
    try:
        import resource
    except ImportError:  # Windows
        return

    def lower(what, most):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))

    lower(resource.RLIMIT_CPU, seconds)
    lower(resource.RLIMIT_CORE, 0)
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            lower(resource.RLIMIT_AS, memory + int(file.read().split()[0]) * resource.getpagesize())


def send(out, header, arrays=()):
    import numpy as np

    for array in arrays:
        if array.dtype.kind not in "biuf":
            raise Unfit(f"an array must hold real numbers; found {array.dtype}")
    listed = [[array.dtype.str, array.size] for array in arrays]
    out.write(json.dumps({**header, "arrays": listed}).encode() + b"\n")
    for array in arrays:
        out.write(np.ascontiguousarray(array).view(np.uint8).data)
    out.flush()


def main():
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # text that a library prints must not mix with the messages
    order = json.loads(sys.argv[1])
    sys.path[:] = order["modules"]
    module, kind, task = TASKS[order["what"]]
    try:
        importlib.import_module(module)  # before the limit, which is for the file and not for the library
    except Exception as error:
        send(out, {"missing": in_one_line(error)})
        return
    try:
        limit(order["memory"], order["seconds"])
        for header, arrays in task(order):
            send(out, header, arrays)
        send(out, {"end": True})
    except Unfit as error:
        send(out, {"error": str(error)})
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # libraries written in Rust raise PanicException, which is no Exception
        send(out, {"error": f"not {kind}, or damaged: {in_one_line(error)}"})


def in_one_line(error):
    """Return the message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    main()
