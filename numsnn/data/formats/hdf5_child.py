"""The process in which `hdf5_apart` reads a file. It runs alone, without the rest of the package.

Its argument is a JSON object: "modules" (where modules are found), "path", "what" (one of `TASKS`), "first", "last",
"memory" (the bytes that it may use) and "seconds" (the processor time that it may take). It writes messages to standard
output: a line of JSON that lists arrays as [type, entries], then the bytes of these arrays. The last message has the
key "end", or "error" with the reason why no more messages follow.
"""

import json
import os
import sys

BLOCK = 64
"""Recordings per message."""


class Unfit(Exception):
    """The file is HDF5, but does not have the expected content."""


def labels(file, order):
    """Make one message with the labels."""
    yield {}, [vector(file, "labels")[()]]


def names(file, order):
    """Make one message with "names", the texts in extra/keys if this array exists."""
    import numpy as np

    keys = np.ravel(file["extra/keys"][()]) if "extra/keys" in file else ()
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


TASKS = {"labels": labels, "names": names, "spikes": spikes}


def vector(file, name):
    """Return the array of this name, which has one entry per recording."""
    import h5py

    array = file.get(name)
    if not isinstance(array, h5py.Dataset) or array.ndim != 1:
        raise Unfit(f"no array {name!r} with one entry per recording: not a file of SHD or SSC")
    return array


def limit(memory, seconds):
    """Limit this process to `memory` bytes beyond its present use, where the system tells it, and to `seconds`.

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
    import h5py

    try:
        limit(order["memory"], order["seconds"])
        with h5py.File(order["path"], "r") as file:
            for header, arrays in TASKS[order["what"]](file, order):
                send(out, header, arrays)
        send(out, {"end": True})
    except Unfit as error:
        send(out, {"error": str(error)})
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        send(out, {"error": f"not HDF5, or damaged: {reason}"})


if __name__ == "__main__":
    main()
