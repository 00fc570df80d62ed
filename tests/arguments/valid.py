"""One valid call of everything that is public: a table from names to functions that return what is called and its
arguments by name. Nothing is shared between calls, everything is small, and networks compute on the reference."""

import math
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn.data import augment, augment_events, dvs, formats
from numsnn.diagnostics import plots
from numsnn.kernels import for_device
from numsnn.training import EarlyStopping, WeightAverage

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

VALID = {
    # --- functions of the package ---
    "check_gradients": of(
        snn.check_gradients,
        net=network,
        x=x,
        y=labels,
        loss=snn.losses.TET,
        lengths=None,
        device=None,
        entries=1,
        step=1e-4,
        tolerance=1e-6,
        seed=0,
    ),
    "convert": of(
        snn.convert,
        net=rectified,
        data=lambda: np.abs(x()),
        steps=None,
        percentile=99.0,
        v_init=0.0,
        batch_size=2,
    ),
    "count_operations": of(snn.count_operations, net=network, x=x),
    "diagnose": of(snn.diagnose, net=network, x=x, y=labels, loss=snn.losses.TET, training=False),
    "load": of(snn.load, path=saved, device="reference"),
    "record": of(snn.record, net=network, x=x, layers=("lif1",), what=("s",)),
    "register_surrogate": lambda: (
        snn.register_surrogate,
        {"name": "bell", "density": density, "cdf": cdf, "reach": 3.0, "compact": False, "breaks": ()},
    ),
    "save": of(snn.save, net=network, path="saved.h5"),
    "set_num_threads": of(snn.set_num_threads, n=1),
    "set_precision": of(snn.set_precision, net=network, precision="float32"),
    "set_route": of(snn.set_route, net=network, route="auto"),
    # --- data ---
    "data.as_dataset": of(snn.data.as_dataset, data=sequences, name="data", timed=True),
    "data.concat": of(snn.data.concat, first=dataset, others=lambda: (dataset(),)),
    "data.load": lambda: (snn.data.load, {"name": "digits", "options": {}}),
    "data.load_recordings": of(snn.data.load_recordings, name="none"),
    "data.open": of(snn.data.open, path=store, memory=2**20),
    "data.save": lambda: (
        snn.data.save,
        {"path": "written.h5", "name": "data", "source": "", "parts": {"train": dataset()}},
    ),
    "data.to_frames": of(snn.data.to_frames, events=events, **FRAMES),
    "data.augment.from_string": of(augment.from_string, text="fliplr"),
    "data.dvs.saccades": of(dvs.saccades, places=((0, 0), (1, 1)), duration=1000, step=500),
    "data.formats.parse_aedat2": of(formats.parse_aedat2, data=AEDAT2, source="s"),
    "data.formats.parse_aedat3": of(formats.parse_aedat3, data=AEDAT3, size=(128, 128), source="s"),
    "data.formats.parse_atis": of(formats.parse_atis, data=ATIS, size=(34, 34), source="s"),
    "data.formats.parse_cifar": of(formats.parse_cifar, data=bytes(3073), classes=10, source="s"),
    "data.formats.parse_dat": of(formats.parse_dat, data=DAT, size=(2, 3), source="s"),
    "data.formats.parse_gestures": of(formats.parse_gestures, data=b"class,startTime_usec,endTime_usec\n1,2,3\n"),
    "data.formats.parse_idx": of(formats.parse_idx, data=IDX, source="s"),
    "data.formats.parse_npy": of(formats.parse_npy, data=lambda: npy(np.zeros((2, 4), int)), source="s", **EVENT_FILE),
    "data.formats.parse_npz": of(formats.parse_npz, data=lambda: npy(None, **COLUMNS), source="s", **NAMED),
    "data.formats.parse_text": of(formats.parse_text, data=b"x,y,t,p\n0,0,5,1\n", source="s", **NAMED),
    "data.formats.read_aedat2": of(formats.read_aedat2, path=lambda: raw("a.aedat", AEDAT2)),
    "data.formats.read_aedat3": of(formats.read_aedat3, path=lambda: raw("a.aedat", AEDAT3), size=(128, 128)),
    "data.formats.read_aedat4": of(formats.read_aedat4, path="none.aedat4", size=None),
    "data.formats.read_atis": of(formats.read_atis, path=lambda: raw("a.bin", ATIS), size=(34, 34)),
    "data.formats.read_cifar": of(formats.read_cifar, path=lambda: raw("c.bin", bytes(3073)), classes=10),
    "data.formats.read_dat": of(formats.read_dat, path=lambda: raw("a.dat", DAT), size=(2, 3)),
    "data.formats.read_events": of(formats.read_events, path=text, group="", **NAMED),
    "data.formats.read_gestures": of(formats.read_gestures, path="none.csv"),
    "data.formats.read_idx": of(formats.read_idx, path=lambda: raw("a.idx", IDX)),
    "data.formats.read_raw": of(formats.read_raw, path="none.raw", size=None),
    "data.formats.read_spike_labels": of(formats.read_spike_labels, path="none.h5"),
    "data.formats.read_spike_names": of(formats.read_spike_names, path="none.h5", classes=2),
    "data.formats.read_spikes": of(formats.read_spikes, path="none.h5", first=0, last=None),
    "data.Augmented": of(snn.data.Augmented, source=dataset, changes=lambda: [augment.Mixup()], seed=0),
    "data.Batch": of(snn.data.Batch, x=x, y=labels, lengths=None, weights=None),
    "data.Dataset": of(
        snn.data.Dataset,
        x=lambda: sequences()[0],
        y=lambda: sequences()[1],
        classes=("a", "b"),
        name="data",
        scale=1.0,
        timed=True,
        target="class",
        per_step=False,
        lengths=lambda: [1, 2, 2, 1],
        weights=lambda: [1.0] * 4,
    ),
    "data.Events": of(snn.data.Events, **COLUMNS, size=(2, 3), polarities=2, skipped=None),
    "data.Frames": of(snn.data.Frames, recordings=recordings, **FRAMES, binary=False),
    "data.Loader": of(
        snn.data.Loader,
        dataset=dataset,
        batch_size=2,
        shuffle=False,
        seed=0,
        drop_last=False,
        workers=0,
        prefetch=None,
    ),
    "data.Recordings": of(
        snn.data.Recordings,
        events=lambda: [events(), events()],
        labels=labels,
        classes=("a", "b"),
        name="r",
        target=None,
        per_step=None,
        weights=None,
    ),
    "data.augment.Cutout": of(augment.Cutout, size=2),
    "data.augment.Mixup": of(augment.Mixup, alpha=0.2),
    "data.augment.RandomCrop": of(augment.RandomCrop, padding=1),
    "data.augment.RandomFlipLR": of(augment.RandomFlipLR, p=0.5),
    "data.augment.RandomFlipUD": of(augment.RandomFlipUD, p=0.5),
    "data.augment.Roll": of(augment.Roll, pixels=1),
    "data.augment.Rotate": of(augment.Rotate, degrees=1.0),
    "data.augment_events.Denoise": of(augment_events.Denoise, filter_time=100),
    "data.augment_events.DropEvent": of(augment_events.DropEvent, p=0.1),
    "data.augment_events.DropEventByArea": of(augment_events.DropEventByArea, area_ratio=0.1),
    "data.augment_events.DropEventByTime": of(augment_events.DropEventByTime, duration_ratio=0.1),
    "data.augment_events.DropPixel": of(augment_events.DropPixel, hot_pixel_frequency=10.0),
    "data.augment_events.FlipEvents": of(augment_events.FlipEvents, p=0.5),
    "data.augment_events.RandomFlipPolarity": of(augment_events.RandomFlipPolarity, p=0.5),
    "data.augment_events.SpatialJitter": of(augment_events.SpatialJitter, std=1.0),
    "data.augment_events.TimeJitter": of(augment_events.TimeJitter, std=1.0),
    "data.dvs.Sensor": of(
        dvs.Sensor, size=(4, 4), threshold=0.3, mismatch=0.1, ambient=0.1, refractory=10, noise=0.5, seed=0
    ),
    "Augmented.at_epoch": on(lambda: snn.data.Augmented(dataset(), [augment.Cutout(1)]), "at_epoch", epoch=1),
    "Augmented.batch": on(lambda: snn.data.Augmented(dataset(), []), "batch", indices=lambda: [0, 1]),
    "Samples.select": on(dataset, "select", indices=lambda: [0, 1]),
    "Samples.split": on(dataset, "split", share=0.5, stratify=True, seed=0),
    "Samples.subset": on(dataset, "subset", classes=lambda: ["0"], n=2, relabel=False, seed=0),
    "Batch.of": of(snn.data.Batch.of, pair=lambda: (x(), labels())),
    "Dataset.batch": on(dataset, "batch", indices=lambda: [0, 1]),
    "Dataset.padded": lambda: (
        snn.data.Dataset.padded,
        {"sequences": [np.ones((1, 3)), np.ones((2, 3))], "y": [0, 1], "options": {"name": "data", "scale": 1.0}},
    ),
    "Events.from_array": of(
        snn.data.Events.from_array, array=lambda: np.zeros((2, 4), int), size=(2, 3), columns="xytp", unit="us"
    ),
    "Events.replace": on(events, "replace", columns=lambda: {"t": [1, 2, 3], "size": (5, 5)}),
    "Events.select": on(events, "select", which=lambda: slice(0, 2)),
    "Frames.batch": on(lambda: recordings().frames(2), "batch", indices=lambda: [0], edit=None),
    "Loader.epoch": on(lambda: snn.data.Loader(dataset(), 2), "epoch", epoch=0, start=0),
    "Recordings.events": on(recordings, "events", index=0),
    "Recordings.frames": on(recordings, "frames", steps=2, options=lambda: {"by": "time", "pool": 1, "binary": False}),
    "Sensor.record": on(
        lambda: dvs.Sensor((4, 4)),
        "record",
        picture=lambda: np.ones((4, 4)),
        motion=lambda: dvs.saccades(((0, 0), (1, 1)), 1000),
        step=500,
        index=0,
    ),
    # --- diagnostics ---
    "diagnostics.record_spikes": of(snn.diagnostics.record_spikes, net=network, x=x, sample=0),
    "diagnostics.write_report": of(
        snn.diagnostics.write_report,
        path="report.html",
        history=list,
        title="run",
        config_text="",
        start=None,
        end=None,
        confusion=None,
        classes=None,
        raster=None,
        test=None,
        version="1",
    ),
    "diagnostics.plots.confusion": of(plots.confusion, matrix=lambda: [[1, 0], [0, 1]], classes=("a", "b"), path=None),
    "diagnostics.plots.learning_curves": of(plots.learning_curves, history=history, path=None),
    "diagnostics.plots.potentials": of(
        plots.potentials, start=lambda: snn.diagnose(network(), x()), end=None, path=None
    ),
    "diagnostics.plots.raster": of(plots.raster, spikes_by_layer=lambda: {"a": np.eye(3)}, path=None, title="t"),
    "diagnostics.plots.recording": of(
        plots.recording, recording=lambda: snn.record(network(), x()), sample=0, path=None
    ),
    "diagnostics.plots.shift": of(plots.shift, diagnosis=lambda: snn.diagnose(network(), x()), path=None),
    "diagnostics.plots.widths": of(plots.widths, history=history, path=None),
    "Diagnosis.from_dict": of(snn.Diagnosis.from_dict, data=lambda: snn.diagnose(network(), x()).to_dict()),
    "Recording.__getitem__": on(lambda: snn.record(network(), x()), "__getitem__", name="lif1"),
    "Recording.of_sample": on(lambda: snn.record(network(), x()), "of_sample", what="s", sample=0),
    "Recording.plot": on(lambda: snn.record(network(), x()), "plot", sample=0, path=None),
    # --- encoders ---
    "encode.delta": of(snn.encode.delta, x=x, threshold=0.1, padding=False, off_spikes="sign", lengths=lambda: [1, 2]),
    "encode.direct": of(snn.encode.direct, x=x, steps=2),
    "encode.latency": of(
        snn.encode.latency, x=x, steps=2, tau=1.0, threshold=0.01, linear=False, normalize=False, clip=False
    ),
    "encode.poisson": of(snn.encode.poisson, x=x, steps=2, seed=0, indices=lambda: [0, 1], device="reference"),
    "encode.population": of(
        snn.encode.population, x=x, steps=2, neurons=3, beta=1.5, code="latency", seed=0, indices=None
    ),
    "encode.receptive_fields": of(snn.encode.receptive_fields, x=x, neurons=3, beta=1.5),
    # --- losses, metrics, models, optimisers, schedules ---
    "losses.balanced": of(snn.losses.balanced, labels=labels, n_classes=2),
    "losses.BinaryCrossEntropy": plain(snn.losses.BinaryCrossEntropy, over="mean"),
    "losses.LossSum": of(snn.losses.LossSum, losses=lambda: (snn.losses.TET(),), weights=(1.0,)),
    "losses.MaxMembraneCrossEntropy": plain(snn.losses.MaxMembraneCrossEntropy, **SMALL_LOSS),
    "losses.MeanSquaredError": plain(snn.losses.MeanSquaredError, over="mean", correct=1.0, incorrect=0.0),
    "losses.MembraneMSE": plain(snn.losses.MembraneMSE, correct=1.0, incorrect=0.0),
    "losses.RateCrossEntropy": plain(snn.losses.RateCrossEntropy, **SMALL_LOSS),
    "losses.SpikeCountMSE": plain(
        snn.losses.SpikeCountMSE, correct_rate=0.9, incorrect_rate=0.1, class_weights=(1.0, 2.0)
    ),
    "losses.StepCrossEntropy": plain(snn.losses.StepCrossEntropy, **SMALL_LOSS),
    "losses.TET": plain(snn.losses.TET, **SMALL_LOSS, regulariser=0.05, target=1.0),
    "losses.TimeToFirstSpike": plain(snn.losses.TimeToFirstSpike, **SMALL_LOSS, temperature=1.0),
    "Loss.__call__": on(snn.losses.TET, "__call__", **LOSS),
    "LossSum.__call__": on(lambda: snn.losses.TET() + snn.losses.TET(), "__call__", **LOSS),
    "metrics.F1": plain(snn.metrics.F1, average="micro"),
    "metrics.TopK": plain(snn.metrics.TopK, k=2),
    "metrics.standard": of(snn.metrics.standard, target="class"),
    "models.count_parameters": of(snn.models.count_parameters, net=network, widths=True),
    "models.densenet_bc": of(
        snn.models.densenet_bc,
        channels=1,
        classes=2,
        steps=2,
        neuron=snn.LIF,
        depth=10,
        growth=2,
        compression=0.5,
        dropout=0.0,
    ),
    "models.dvs_gesture_net": of(
        snn.models.dvs_gesture_net, classes=2, channels=2, size=32, neuron=snn.LIF, dropout=0.5
    ),
    "models.from_string": of(
        snn.models.from_string,
        architecture="2c3-p2-4",
        sample_shape=(4, 4, 1),
        classes=2,
        steps=2,
        neuron=snn.LIF,
        norm="bn",
        spiking_readout=False,
        after_neuron=None,
    ),
    "models.mlp": of(snn.models.mlp, features=3, hidden=(4,), classes=2, steps=2, neuron=snn.LIF),
    "models.resnet19": of(snn.models.resnet19, channels=1, classes=2, steps=2, neuron=snn.LIF, widths=(2, 2, 2)),
    "models.sew_resnet18": of(snn.models.sew_resnet18, channels=1, classes=2, steps=2, neuron=snn.LIF, join="add"),
    "models.shd_net": of(snn.models.shd_net, features=3, hidden=4, classes=2, layers=1, neuron=snn.LIF),
    "models.summary": of(snn.models.summary, net=network, x=x),
    "models.vgg_snn": of(snn.models.vgg_snn, channels=1, classes=2, size=16, steps=2, neuron=snn.LIF),
    "optim.Adam": plain(snn.optim.Adam, lr=1e-3, betas=(0.9, 0.99), eps=1e-8, **RATES),
    "optim.AdamW": plain(snn.optim.AdamW, lr=1e-3, betas=(0.9, 0.99), eps=1e-8, **RATES),
    "optim.SGD": plain(snn.optim.SGD, lr=1e-3, momentum=0.9, nesterov=False, **RATES),
    "optim.clip_global_norm": of(
        snn.optim.clip_global_norm, kernels=kernels, parameters=lambda: network().trainable(), limit=1.0
    ),
    "optim.global_norm": of(snn.optim.global_norm, kernels=kernels, parameters=lambda: network().trainable()),
    "schedules.Constant": plain(snn.schedules.Constant, warmup=0.0),
    "schedules.Cosine": plain(snn.schedules.Cosine, warmup=0.0, final=0.0),
    "schedules.Plateau": plain(
        snn.schedules.Plateau,
        gamma=0.1,
        patience=2,
        metric="valid_loss",
        min_delta=0.0,
        higher=False,
        lowest=0.0,
        warmup=0.0,
    ),
    "schedules.Step": plain(snn.schedules.Step, every=2, gamma=0.1, warmup=0.0),
    # --- layers ---
    "ALIF": leaky(snn.ALIF, tau_adaptation=20.0, strength=1.0, learn_adaptation=False),
    "CubaLIF": leaky(snn.CubaLIF, tau_synapse=2.0, learn_tau_synapse=False),
    "IF": plain(snn.IF, **NEURON),
    "LI": plain(snn.LI, **LEAK, v_init=0.0, learn_v_init=False, record=(), **NAME),
    "LIF": leaky(snn.LIF),
    "PLIF": leaky(snn.PLIF),
    "RecurrentALIF": leaky(snn.RecurrentALIF, tau_adaptation=20.0, strength=1.0, learn_adaptation=False),
    "RecurrentCubaLIF": leaky(snn.RecurrentCubaLIF, tau_synapse=2.0, learn_tau_synapse=False),
    "RecurrentLIF": leaky(snn.RecurrentLIF),
    "AvgPool1d": plain(snn.AvgPool1d, **WINDOW),
    "AvgPool2d": plain(snn.AvgPool2d, **WINDOW),
    "BNTT": plain(snn.BNTT, channels=2, steps=2, eps=1e-5, momentum=0.1, bias=False, **NAME),
    "BatchNorm": plain(snn.BatchNorm, channels=2, v_threshold=1.0, eps=1e-5, momentum=0.1, affine=True, **NAME),
    "Concat": of(snn.Concat, branches=lambda: (snn.LIF(), None), **NAME),
    "Conv1d": plain(snn.Conv1d, **CONV),
    "Conv2d": plain(snn.Conv2d, **CONV),
    "ConvTranspose2d": plain(snn.ConvTranspose2d, **CONV, output_padding=0),
    "Delay": plain(snn.Delay, steps=1, channels=2, **NAME),
    "Divergence": plain(snn.Divergence, weight=1.0, target_mean=0.0, target_var=1.0, eps=1e-3, **NAME),
    "Dropout": plain(snn.Dropout, p=0.5, **NAME),
    "Flatten": plain(snn.Flatten, **NAME),
    "GlobalAvgPool2d": plain(snn.GlobalAvgPool2d, **NAME),
    "Graph": of(snn.Graph, inputs=("x",), nodes=lambda: {"out": (snn.LIF(), "x")}, **NAME),
    "GroupNorm": plain(snn.GroupNorm, groups=1, channels=2, eps=1e-5, affine=True, **NAME),
    "LayerNorm": plain(snn.LayerNorm, channels=2, eps=1e-5, affine=True, **NAME),
    "Linear": plain(snn.Linear, in_features=2, out_features=3, bias=True, **NAME),
    "MaxPool1d": plain(snn.MaxPool1d, **WINDOW),
    "MaxPool2d": plain(snn.MaxPool2d, **WINDOW),
    "Mode": plain(
        snn.Mode,
        training=False,
        store=False,
        track=False,
        relaxed=False,
        inspect=False,
        seed=0,
        lengths=None,
        carried=None,
    ),
    "PDA": plain(snn.PDA, momentum=0.1, correct=True, target=None, divergence=0.0, eps=1e-3),
    "PSG": plain(snn.PSG, family="triangle", width=1.0, per="layer", lr=0.1, bounds=(0.1, 2.0)),
    "Parameter": of(
        snn.Parameter, name="w", value=lambda: np.ones(2, np.float32), group="weight", lr=None, bounds=None
    ),
    "Poisson": plain(snn.Poisson, steps=2, seed=0, **NAME),
    "RateBand": plain(snn.RateBand, low=0.1, high=0.5, weight=1.0, per="neuron", **NAME),
    "ReLU": plain(snn.ReLU, **NAME),
    "Repeat": of(snn.Repeat, steps=2, layers=lambda: (snn.Linear(2, 2),), **NAME),
    "Residual": of(snn.Residual, branch=lambda: (snn.Linear(2, 2),), shortcut=snn.Flatten, join="add", **NAME),
    "Sequential": of(snn.Sequential, layers=lambda: (snn.Linear(2, 2), snn.LIF()), **NAME),
    "SpikePenalty": plain(snn.SpikePenalty, weight=1.0, norm="l1", per="neuron", **NAME),
    "SumPool1d": plain(snn.SumPool1d, **WINDOW),
    "SumPool2d": plain(snn.SumPool2d, **WINDOW),
    "Surrogate": plain(snn.Surrogate, family="triangle", width=1.0),
    "TEBN": plain(snn.TEBN, channels=2, steps=2, eps=1e-5, momentum=0.1, **NAME),
    "Value": plain(snn.Value, start=0.5, constraint="unit", learn=False),
    "Network.__call__": on(network, "__call__", x=x, training=False),
    "Network.__contains__": on(network, "__contains__", name="lif1"),
    "Network.__getitem__": on(lambda: snn.Residual(snn.LIF()), "__getitem__", name="branch"),
    "Network.admit": on(network, "admit", x=x),
    "Network.build": on(lambda: snn.LIF().to("reference"), "build", shape=(2, 2, 3), seed=0),
    "Network.freeze_only": on(network, "freeze_only", names=lambda: ["lif1"]),
    "Network.load_state": on(network, "load_state", state=lambda: network().state(), strict=True),
    "Network.stream": on(network, "stream", samples=2, warm=False),
    "Network.to": on(network, "to", device="reference", dtype="float64"),
    "Sequential.__getitem__": on(network, "__getitem__", key=0),
    "Stream.feed": on(lambda: network().stream(), "feed", x=x),
    "Stream.load_state": on(lambda: network().stream(), "load_state", state=lambda: network().stream().state()),
    "Stream.step": on(lambda: network().stream(), "step", x=lambda: x()[0]),
    "Stream.warm": on(lambda: network().stream(), "warm", shape=(2, 3)),
    # --- training ---
    "Loop": of(snn.Loop, net=network, optimizer=snn.optim.SGD, seed=0, clip_norm=1.0),
    "Loop.backward": on(loop, "backward", dz=lambda: np.ones((2, 2, 2), np.float32)),
    "Loop.forward": on(loop, "forward", x=x, lengths=lambda: [1, 2]),
    "Loop.restore": on(loop, "restore", path=loop_file),
    "Loop.save": on(loop, "save", path="loop.h5", more=lambda: {"epoch": 3}),
    "Loop.step": on(stepped, "step", factor=1.0),
    "Trainer": of(
        snn.Trainer,
        net=network,
        loss=snn.losses.TET,
        optimizer=snn.optim.SGD,
        schedule=snn.schedules.Constant,
        device="reference",
        seed=0,
        batch_size=2,
        truncate=None,
        clip_norm=1.0,
        out=None,
        save_every=60.0,
        on_batch=None,
        on_epoch=None,
        accumulate=1,
        metrics=None,
        callbacks=(),
    ),
    "Examiner.evaluate": on(trainer, "evaluate", data=sequences),
    "Examiner.predict": on(trainer, "predict", x=lambda: sequences()[0], target="class", per_step=False),
    "Examiner.report": on(trainer, "report", path="page.html", data=None, title="run", samples=2),
    "Trainer.fit": on(
        trainer,
        "fit",
        train=sequences,
        valid=sequences,
        epochs=1,
        resume=False,
        progress=False,
        test=None,
    ),
    "Trainer.restore": on(trainer, "restore", path=state_of_trainer, changes=True),
    "Trainer.save": on(trainer, "save", path="kept.h5"),
    "Trainer.start": on(trainer, "start", train=sequences, epochs=1, resume=False, progress=False),
    "training.EarlyStopping": plain(EarlyStopping, patience=2, metric="valid_loss", min_delta=0.0, higher=False),
    "training.WeightAverage": plain(WeightAverage, decay=0.9),
    "EarlyStopping.observe": on(EarlyStopping, "observe", value=1.0),
    "WeightAverage.swap": on(WeightAverage, "swap", net=network),
    "WeightAverage.update": on(WeightAverage, "update", net=network),
}

NOT_VALID = {
    "data.load_recordings",
    "data.formats.read_aedat4",
    "data.formats.read_gestures",
    "data.formats.read_raw",
    "data.formats.read_spike_labels",
    "data.formats.read_spike_names",
    "data.formats.read_spikes",
    "Trainer.save",
    "WeightAverage.swap",
}
"""Calls that end with an error even with these arguments: they need a file of megabytes, or a state that takes time."""
