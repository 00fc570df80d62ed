"""What a long-lived process does with numsnn, in rounds that must all give the same numbers and leave nothing behind.

Each function is one kind of work. It takes the folder of the round and a device, makes everything anew, and returns
the numbers that it got, by name.
"""

import contextlib
import hashlib
import os
import shutil
import threading

import numpy as np

import numsnn as snn
from numsnn import data
from numsnn.diagnostics import plots
from numsnn.training import EarlyStopping, WeightAverage

THREADS = 3
SAMPLES = 48
WAIT = 120
"""Seconds after which a thread that has not ended is an error."""


class Stop(Exception):
    """Ends a run in the middle."""


def network():
    """A network with normalisation, a learned width, PDA with its divergence, dropout and a recurrent neuron."""
    return snn.Sequential(
        snn.Flatten(),
        snn.Linear(64, 24),
        snn.BatchNorm(24),
        snn.LIF(surrogate=snn.PSG("triangle", width=1.0), pda=snn.PDA(divergence=0.01)),
        snn.Dropout(0.2),
        snn.Linear(24, 16),
        snn.RecurrentLIF(16),
        snn.Linear(16, 10),
    )


def sequences(part, count=SAMPLES):
    """The first digits as sequences of four brightness thresholds, which take little memory."""
    x = part.x[:count].astype(np.float32) / 16
    frames = np.stack([x > level for level in (0.2, 0.4, 0.6, 0.8)], axis=1).astype(np.uint8)
    return data.Dataset(frames, part.y[:count], timed=True)


def parts():
    train, test = data.load("digits")
    return sequences(train), sequences(test)


def trainer(device, out=None, **options):
    options = {"callbacks": [WeightAverage(0.9), EarlyStopping(patience=9)], **options}
    return snn.Trainer(network(), device=device, out=out, seed=3, batch_size=16, save_every=0, **options)


def train(folder, device):
    """A run with validation, test, checkpoints and a report."""
    learning, valid = parts()
    run = trainer(device, folder / "run")
    run.fit(learning, valid, epochs=2, progress=False, test=valid)
    found = {"weights": digest(run.net.state()), "test": run.test.loss, "classes": digest(run.predict(valid))}
    return found | {
        "evaluated": run.evaluate(valid).loss,
        "loaded": digest(snn.load(folder / "run" / "last.h5").state()),
    }


def resume(folder, device):
    """The same run, stopped in the middle by an error, and resumed by another trainer."""
    learning, valid = parts()

    def stop(run):
        if run.optimizer.steps == 4:
            raise Stop

    with contextlib.suppress(Stop):
        trainer(device, folder / "run", on_batch=stop).fit(learning, valid, epochs=2, progress=False)
    run = trainer(device, folder / "run")
    run.fit(learning, valid, epochs=2, resume=True, progress=False)
    return {"weights": digest(run.net.state())}


def built(device):
    return network().to(device).build((4, 8, 8, 8, 1), seed=5)


def samples(count=8):
    return parts()[1].batch(range(count))


def stream(folder, device):
    """Steps, chunks and a state that another stream goes on from."""
    net = built(device)
    x, _ = samples(1)
    one = net.stream(samples=1, warm=True)
    first = [one.step(x[t % 4]) for t in range(12)]
    np.savez(folder / "state.npz", **one.state())
    other = net.copy().stream()
    with np.load(folder / "state.npz") as state:
        other.load_state(state)
    return {"steps": digest(np.stack(first)), "chunk": digest(other.feed(x))}


def keep(folder, device):
    """Saving, loading, copying and folding a network, and a loop that is saved and restored."""
    net = built(device)
    x, y = samples()
    snn.save(net, folder / "net.h5")
    loaded = snn.load(folder / "net.h5").to(device)
    loop, loss = snn.Loop(loaded, snn.optim.Adam(1e-2), seed=4), snn.losses.TET()
    for _ in range(3):
        loop.backward(loss(loop.forward(x), y)[1])
        loop.step()
    loop.save(folder / "loop.h5", epoch=1)
    other = snn.Loop(net, snn.optim.Adam(1e-2), seed=4)
    other.restore(folder / "loop.h5")
    return {"weights": digest(net.state()), "out": digest(loaded(x)), "folded": digest(loaded.copy().fold()(x))}


def convolve(folder, device):
    """Convolutions, in a network whose layers are made from text."""
    net = snn.models.from_string("8c3-p2-8r3", (8, 8, 1), 10, steps=2).to(device)
    (x, y), _ = (part.select(range(16)).batch(range(16)) for part in data.load("digits"))
    loop, loss = snn.Loop(net, snn.optim.SGD(0.1), seed=2), snn.losses.RateCrossEntropy()
    for _ in range(2):
        loop.backward(loss(loop.forward(x), y)[1])
        loop.step()
    return {"weights": digest(net.state()), "out": digest(net(x[:3]))}


def look(folder, device):
    """Recordings, diagnoses, a gradient check and counts of operations."""
    net = built(device)
    x, y = samples()
    diagnosis, recording = snn.diagnose(net, x, y), snn.record(net, x)
    checked = snn.check_gradients(net, x[:, :2], y[:2])
    operations = snn.count_operations(net, x)
    return {"text": digest(str(diagnosis) + str(operations)), "agrees": checked.ok, "out": digest(recording.output)}


def draw(folder, device):
    """All kinds of pictures, and the report of a run."""
    learning, valid = parts()
    run = trainer(device)
    run.fit(learning, valid, epochs=1, progress=False)
    run.report(folder / "report.html", valid, samples=8)
    x, y = samples()
    diagnosis, recording = snn.diagnose(run.net, x, y), snn.record(run.net, x)
    raster = snn.diagnostics.record_spikes(run.net, x[:, :1])
    plots.potentials(diagnosis, path=folder / "potentials.png")
    plots.shift(diagnosis, folder / "shift.png")
    plots.raster(raster, folder / "raster.png")
    plots.recording(recording, path=folder / "recording.png")
    plots.confusion(np.eye(3, dtype=int), path=folder / "confusion.png")
    plots.raster(raster)  # a figure that nobody saves or closes
    return {"pictures": len(list(folder.iterdir()))}


def stores(folder, device):
    """Stores of sequences and of events: written, read from memory and from the file, closed or left open."""
    learning, valid = parts()
    data.save(folder / "digits.h5", train=learning, test=valid)
    rng, found = np.random.default_rng(0), []
    events = [
        data.Events(*rng.integers(0, 8, (2, n)), np.sort(rng.integers(0, 9_000, n)), rng.integers(0, 2, n), (8, 8))
        for n in (40, 50, 60)
    ]
    data.save(folder / "events.h5", train=data.Recordings(events, [0, 1, 0]))
    for memory in (0, 1 << 24):
        with data.open(folder / "digits.h5", memory) as store:
            found += [x for x, _ in data.Loader(store.train, 16, shuffle=True, workers=2).epoch(1)]
        left = data.open(folder / "events.h5", memory)  # which is not closed
        found.append(np.asarray(left.train.frames(3).batch([0, 2])[0]))
        batches = data.Loader(left.train.frames(3), 1, workers=2).epoch()
        found.append(np.asarray(next(batches)[0]))  # an epoch that is not read to its end
    return {"samples": digest(*found)}


def at_once(folder, device):
    """Threads that start and stop: each trains, evaluates and streams a network of its own."""
    found, before = {}, snn.get_num_threads()

    def work(number):
        found[number] = resume(folder / str(number), device) | stream(folder / str(number), device)

    snn.set_num_threads(2)
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(THREADS)]
    for number, thread in enumerate(threads):
        (folder / str(number)).mkdir()
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    snn.set_num_threads(before)
    alone = work_alone(folder, device)
    return {"alike": sorted(found) == list(range(THREADS)) and all(one == alone for one in found.values())}


def work_alone(folder, device):
    (folder / "alone").mkdir()
    return resume(folder / "alone", device) | stream(folder / "alone", device)


def mistakes(folder, device):
    """Errors of all kinds, of which nothing must stay behind either."""
    net, seen = built(device), []
    (folder / "bad.h5").write_bytes(os.urandom(512))
    wrong = [
        lambda: net(np.zeros((4, 2, 5, 5, 1), np.float32)),
        lambda: net(np.full((4, 2, 8, 8, 1), np.nan, np.float32)),
        lambda: snn.load(folder / "bad.h5"),
        lambda: data.open(folder / "bad.h5"),
        lambda: net.load_state({}),
        lambda: trainer(device).fit((np.zeros((3, 4)), [0, 1, 2]), progress=False),
        lambda: net.backward(np.zeros((4, 8, 10), np.float32)),
    ]
    for call in wrong:
        try:
            call()
        except (ValueError, RuntimeError, OSError) as error:
            seen.append(type(error).__name__)
    return {"errors": seen}


KINDS = (train, resume, stream, keep, convolve, look, stores, at_once, mistakes, draw)


def round_of_work(folder, device, kinds=KINDS) -> dict:
    """Do some kinds of work, each in a folder of its own, which is removed, and return their numbers by name."""
    found = {}
    for kind in kinds:
        place = folder / kind.__name__
        place.mkdir(parents=True)
        found |= {f"{kind.__name__}: {name}": value for name, value in kind(place, device).items()}
        shutil.rmtree(place)
    return found


def digest(*values) -> str:
    """A hash of arrays, of dicts of arrays, and of texts."""
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, dict):
            for name in sorted(value):
                found.update(f"{name} {digest(value[name])};".encode())
        elif isinstance(value, str):
            found.update(value.encode())
        else:
            array = np.ascontiguousarray(value)
            found.update(f"{array.dtype} {array.shape};".encode() + array.tobytes())
    return found.hexdigest()[:16]
