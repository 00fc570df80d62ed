"""What valid calls are made of: small networks, data and files, and the forms of an entry in the tables of calls."""

import math
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn.kernels import for_device

NAME = {"name": "layer"}
NEURON = {
    "v_threshold": 1.0,
    "v_reset": 0.0,
    "v_init": 0.0,
    "learn_v_init": False,
    "detach_reset": False,
    "learn_threshold": False,
    "refractory": 0,
    "surrogate": "triangle",
    "pda": None,
    "record": (),
    **NAME,
}
LEAK = {"tau": 2.0, "decay_input": False, "learn_tau": False}
WINDOW = {"kernel_size": 2, "stride": 2, "padding": 0, **NAME}
CONV = {
    "in_channels": 2,
    "out_channels": 2,
    "kernel_size": 3,
    "stride": 1,
    "padding": 1,
    "groups": 1,
    "bias": False,
    "dilation": 1,
    **NAME,
}
FRAMES = {"steps": 2, "by": "time", "pool": 1}


def x():
    """Return an input of the networks below, ``[2, 2, 3]``."""
    return np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 2, 3)


def labels():
    return np.array([0, 1])


def network():
    layers = snn.Linear(3, 4), snn.LIF(record="s"), snn.Linear(4, 2)
    return snn.Sequential(*layers).to("reference").build((2, 2, 3))


def rectified():
    layers = snn.Linear(3, 4), snn.ReLU(), snn.Linear(4, 2)
    return snn.Sequential(*layers).to("reference").build((2, 2, 3))


def dataset(samples=6):
    pictures = np.arange(samples * 3, dtype=np.float32).reshape(samples, 3) / 10
    return snn.data.Dataset(pictures, np.arange(samples) % 2)


def sequences():
    return np.arange(24, dtype=np.float32).reshape(4, 2, 3) / 10, np.arange(4) % 2


def events():
    return snn.data.Events([0, 1, 2], [0, 1, 1], [5, 9, 12], [0, 1, 0], (2, 3))


def recordings():
    return snn.data.Recordings([events(), events()], [0, 1])


def trainer(**options):
    return snn.Trainer(network(), device="reference", batch_size=2, **options)


def fitted():
    one = trainer()
    one.fit(sequences(), sequences(), 1, progress=False)
    return one


def loop():
    one = snn.Loop(network())
    one.forward(x())
    return one


def stepped():
    one = loop()
    one.backward(np.ones((2, 2, 2), np.float32))
    return one


def saved():
    path = Path("net.h5")
    snn.save(network(), path)
    return path


def state_of_trainer():
    path = Path("trainer.h5")
    if not path.exists():
        fitted().save(path)
    return path


def loop_file():
    path = Path("loop.h5")
    stepped().save(path)
    return path


def store():
    path = Path("store.h5")
    snn.data.save(path, train=dataset())
    return path


def text():
    path = Path("events.csv")
    path.write_text("x,y,t,p\n0,0,5,1\n1,1,9,0\n")
    return path


def raw(name, data):
    path = Path(name)
    path.write_bytes(data)
    return path


def npy(data, **keys):
    import io

    file = io.BytesIO()
    if keys:
        np.savez(file, **keys)
    else:
        np.save(file, data)
    return file.getvalue()


IDX = b"\0\0\x08\x01\0\0\0\x02\x01\x02"
ATIS = bytes([3, 5, 0x80, 0, 100])
AEDAT2 = b"#!AER-DAT2.0\r\n" + bytes([0, 0, 0, 1, 0, 0, 0, 9])
AEDAT3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
DAT = b"% Version 2\n" + bytes([0, 8]) + bytes([0] * 8)
COLUMNS = {"x": [0, 1], "y": [0, 1], "t": [5, 9], "p": [0, 1]}


def history():
    return [{"epoch": k, "train_loss": 1.0 / k, "valid_loss": 1.1 / k, "widths": {"lif1": 1.0}} for k in (1, 2)]


def kernels():
    return for_device("reference")


def leaky(cls, **more):
    return lambda: (cls, {**LEAK, **NEURON, **more})


def plain(cls, **arguments):
    return lambda: (cls, dict(arguments))


def on(make, method, **arguments):
    """Return an entry for a method of what `make` returns; functions among the arguments make their values."""

    def entry():
        given = {name: value() if callable(value) else value for name, value in arguments.items()}
        return getattr(make(), method), given

    return entry


def of(function, **arguments):
    """The same for a function or class."""
    return lambda: (function, {name: value() if callable(value) else value for name, value in arguments.items()})


def density(x):
    return 0.5 * math.exp(-abs(x))


def cdf(x):
    return 0.5 * math.exp(x) if x < 0.0 else 1.0 - 0.5 * math.exp(-x)


LOSS = {"z": x, "y": labels, "kernels": kernels, "lengths": None, "mask": None, "weights": None, "dtype": "float32"}
SMALL_LOSS = {"label_smoothing": 0.1, "class_weights": (1.0, 2.0)}
RATES = {"weight_decay": 0.0, "groups": None}
EVENT_FILE = {"size": (2, 3), "unit": "us", "columns": "xytp"}
NAMED = EVENT_FILE | {"columns": {"t": "t"}}
