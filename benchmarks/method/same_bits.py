"""Whether two versions of numsnn train twenty small networks to the same bits.

    PYTHONPATH=CHECKOUT python benchmarks/method/same_bits.py --json BEFORE.json   # the numsnn of another checkout
    PYTHONPATH=. python benchmarks/method/same_bits.py --against BEFORE.json       # this one, compared with that

The networks together contain every neuron, layer, loss and optimiser. Each is trained for five steps on seeded random
data with one and with two threads, through numsnn's public interface only. Every line of the output gives the network,
the number of threads and a SHA-256 of all bits of its parameters, statistics, losses and readout. `--json` also writes
the arrays, to a file of the same name that ends in .npz. The exit status is 1 if something differs: between the two
versions, or between one and two threads.

Older versions of numsnn kept compiled kernels and did not notice when a function in another file that a kernel calls
had changed. This script therefore keeps one cache of kernels for each state of numsnn's source files. It imports
nothing from the other benchmarks, because with PYTHONPATH they would be those of the other checkout.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGE = Path(importlib.util.find_spec("numsnn").origin).parent
SOURCES = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(PACKAGE.rglob("*.py")))).hexdigest()
if __name__ == "__main__":  # Numba reads this when it is imported
    os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / "numsnn-kernels" / SOURCES[:16])

import numpy as np  # noqa: E402  after Numba's setting

import numsnn as snn  # noqa: E402
from numsnn import losses, optim  # noqa: E402

STEPS, FEATURES, CLASSES, UPDATES = 6, 24, 5, 5
THREADS = 1, 2


@dataclass(frozen=True)
class Case:
    """One network and how it is trained.

    Attributes:
        layers: of the network, in their order.
        loss, optimizer: what the Trainer gets.
        shape: of one sample, without time.
        samples: in the only batch.
        data: "spikes" or "currents" (both with a time axis), or "pictures" (without).
        options: further arguments of the Trainer.
    """

    layers: tuple
    loss: Any = field(default_factory=losses.RateCrossEntropy)
    optimizer: Any = field(default_factory=lambda: optim.Adam(5e-3))
    shape: tuple = (FEATURES,)
    samples: int = 16
    data: str = "spikes"
    options: dict = field(default_factory=dict)

    def dataset(self):
        """Seeded random samples and labels."""
        rng = np.random.default_rng(7)
        timed = self.data != "pictures"
        shape = (self.samples, STEPS, *self.shape) if timed else (self.samples, *self.shape)
        if self.data == "spikes":
            x = (rng.random(shape, np.float32) < 0.3).astype(np.uint8)
        elif self.data == "currents":
            x = rng.standard_normal(shape, np.float32)
        else:
            x = rng.random(shape, np.float32)
        names = [str(k) for k in range(CLASSES)]
        return snn.data.Dataset(x, rng.integers(0, CLASSES, self.samples), names, timed=timed)


# --- the networks ----------------------------------------------------------------------------------------------------


def case(*layers, **settings) -> Case:
    """A case with these layers."""
    return Case(layers, **settings)


def dense_cases() -> dict[str, Case]:
    """Networks on feature vectors."""
    linear, surrogate, psg, pda = snn.Linear, snn.Surrogate, snn.PSG, snn.PDA

    def first():
        return linear(FEATURES, 32)

    def middle():
        return linear(32, 32)

    def last():
        return linear(32, CLASSES)

    soft = {"v_reset": None, "decay_input": True, "learn_threshold": "layer", "learn_tau": "channel"}
    adaptive = {"v_reset": None, "refractory": 1, "learn_threshold": "channel", "v_threshold": 0.6}
    attached = {"surrogate": psg("fast_sigmoid", 0.8), "v_reset": None}
    detached = {"surrogate": surrogate("rectangle", 1.2), "detach_reset": True}
    recurrent = {
        "recurrent-lif-soft": snn.RecurrentLIF(tau=4.0, **attached),
        "recurrent-alif": snn.RecurrentALIF(4.0, 0.5, "layer", **detached),
        "recurrent-cuba": snn.RecurrentCubaLIF(2.5, learn_tau_synapse="channel", learn_threshold="layer", **attached),
    }
    both = pda(momentum=0.2, target=0.3, divergence=0.05)
    clipped = {"options": {"clip_norm": 0.5}}
    return {
        "if-wide": case(  # more neurons than one tile holds, so that two threads share the work
            *(linear(FEATURES, 1024), snn.IF(surrogate=surrogate("triangle", 1.5)), linear(1024, CLASSES), snn.LI()),
            loss=losses.RateCrossEntropy(label_smoothing=0.1),
            optimizer=optim.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
            samples=96,
        ),
        "lif-soft-psg-channel": case(
            *(first(), snn.LIF(3.0, v_threshold=0.4, **soft, surrogate=psg("logistic", per="channel")), last()),
            loss=losses.TET(label_smoothing=0.05),
        ),
        "lif-no-reset-refractory": case(
            *(first(), snn.LIF(2.0, v_reset="none", refractory=2, surrogate=surrogate("gaussian", 0.8))),
            *(last(), snn.LIF(beta=0.7, v_threshold=0.5)),
            loss=losses.SpikeCountMSE(),
            optimizer=optim.SGD(0.1),
        ),
        "plif-detached": case(
            *(
                first(),
                snn.PLIF(2.5, "channel", detach_reset=True, v_threshold=0.5, surrogate=psg("arctan", 0.6)),
                last(),
            ),
            loss=losses.RateCrossEntropy() + 0.1 * losses.MembraneMSE(),
            optimizer=optim.AdamW(5e-3, weight_decay=0.05),
        ),
        "alif-soft-refractory": case(
            *(first(), snn.ALIF(5.0, 0.7, "channel", **adaptive, surrogate=surrogate("fast_sigmoid")), last()),
            loss=losses.TET(),
        ),
        "cuba-integrator": case(
            *(
                first(),
                snn.CubaLIF(3.0, learn_tau_synapse="layer", learn_tau="layer", surrogate=psg("laplace")),
                last(),
            ),
            snn.LI(4.0, decay_input=True, learn_tau="channel"),
            loss=losses.MaxMembraneCrossEntropy(),
        ),
        **{
            name: case(linear(FEATURES, 40, bias=False), neuron, linear(40, CLASSES), **clipped)
            for name, neuron in recurrent.items()
        },
        "pda-divergence": case(
            *(first(), snn.LIF(2.0, pda=pda(correct=False, divergence=0.1), surrogate=psg("triangle", 1.5)), middle()),
            snn.LIF(2.0, v_reset=None, pda=both, surrogate=psg("gaussian", per="channel")),
            last(),
        ),
        "delay-truncated": case(
            *(snn.Delay([k % 3 for k in range(FEATURES)]), first(), snn.LIF(4.0, pda=True), middle()),
            *(snn.RecurrentLIF(tau=3.0, surrogate=psg("triangle", 1.5)), last(), snn.LI(3.0)),
            loss=losses.MembraneMSE(),
            options={"truncate": 2, "clip_norm": 1.0},
        ),
        "penalties-poisson": case(
            *(
                snn.Poisson(STEPS, seed=3),
                first(),
                snn.Divergence(0.1),
                snn.LIF(2.0),
                snn.RateBand(0.2, 0.3, weight=2.0),
            ),
            *(
                middle(),
                snn.LIF(2.0),
                snn.SpikePenalty(0.5, "l2", per="channel"),
                last(),
                snn.LIF(2.0, v_threshold=0.5),
            ),
            loss=losses.TimeToFirstSpike(),
            data="pictures",
        ),
    }


def picture_cases() -> dict[str, Case]:
    """Networks on pictures and along sequences."""
    lif, psg, conv, norm = snn.LIF, snn.PSG, snn.Conv2d, snn.BatchNorm

    def head():
        return snn.GlobalAvgPool2d(), snn.Linear(32, CLASSES)

    def same(before, channels, **settings):
        """A convolution that keeps the picture's size."""
        return conv(before, channels, 3, padding=1, **settings)

    def block(join):
        return snn.Residual(same(32, 32), norm(32), lif(2.0, v_threshold=0.5), join=join)

    shortcut = snn.Sequential(conv(32, 32, 1), norm(32))
    branch = snn.Sequential(same(16, 16), norm(16), lif(2.0, v_threshold=0.5))
    fast = {"decay_input": True, "detach_reset": True, "v_threshold": 0.5, "surrogate": psg("arctan", 0.4)}
    return {
        "conv-batchnorm-pools": case(
            *(same(2, 16), norm(16), lif(2.0, **fast), snn.MaxPool2d(2)),
            *(conv(16, 32, 3, stride=2, padding=1), norm(32), lif(2.0, v_threshold=0.5), snn.AvgPool2d(2)),
            *(snn.Flatten(), snn.Dropout(0.3), snn.Linear(128, CLASSES)),
            optimizer=optim.AdamW(5e-3, groups={"norm": {"lr": 1e-3}, "width": {"lr": 0.05}}),
            shape=(16, 16, 2),
        ),
        "pda-batchnorm": case(
            *(same(2, 16), norm(16), lif(2.0, pda=True), conv(16, 32, 1, bias=True), norm(32)),
            lif(2.0, v_reset=None, pda=snn.PDA(divergence=0.02), surrogate=psg("triangle", per="channel")),
            *head(),
            shape=(16, 16, 2),
        ),
        "groupnorm-grouped": case(
            *(same(4, 16, groups=2), snn.GroupNorm(4, 16), lif(2.0)),
            *(same(16, 32), snn.LayerNorm(32), lif(2.0, surrogate=psg("triangle", 1.5)), *head()),
            shape=(8, 8, 4),
        ),
        "bntt-tebn": case(
            *(same(2, 16), snn.BNTT(16, STEPS, bias=True), lif(2.0, v_threshold=0.5)),
            *(same(16, 32), snn.TEBN(32, STEPS), snn.PLIF(2.0, v_threshold=0.5), *head()),
            shape=(8, 8, 2),
        ),
        "residual-repeat": case(
            *(snn.Repeat(STEPS, same(3, 32), norm(32)), lif(2.0, v_threshold=0.5), block("and"), block("iand")),
            *(block("add"), snn.Residual(same(32, 32), norm(32), shortcut=shortcut), lif(2.0), *head()),
            shape=(8, 8, 3),
            data="pictures",
        ),
        "concat-dropout": case(
            *(same(2, 16), norm(16), lif(2.0), snn.Concat(None, branch), snn.Dropout(0.2), *head()), shape=(8, 8, 2)
        ),
        "depthwise-transpose": case(
            *(snn.ConvTranspose2d(2, 16, 3, stride=2, padding=1, output_padding=1), norm(16), lif(2.0)),
            *(same(16, 16, groups=16), norm(16, v_threshold=1.5), snn.CubaLIF(2.0)),
            *(conv(16, 32, 1), norm(32), snn.IF(surrogate=psg("triangle", 1.5)), *head()),
            shape=(6, 6, 2),
            data="currents",
        ),
        "conv1d-pools": case(
            *(snn.Conv1d(3, 16, 3, padding=1), norm(16), lif(2.0, refractory=1), snn.MaxPool1d(2)),
            *(snn.Conv1d(16, 16, 3, padding=1, groups=2, bias=True), lif(2.0, v_threshold=0.5)),
            *(snn.AvgPool1d(2), snn.Flatten(), snn.Linear(64, CLASSES)),
            shape=(16, 3),
        ),
    }


def cases() -> dict[str, Case]:
    """All networks by name. They are made anew by every call, as training changes them."""
    return dense_cases() | picture_cases()


# --- training and comparing ------------------------------------------------------------------------------------------


def trained(case: Case, device: str = "cpu") -> dict[str, np.ndarray]:
    """Everything that training computed: parameters and statistics, losses, and the readout of the folded network."""
    data = case.dataset()
    net = snn.Sequential(*case.layers)
    options = {"seed": 5, "batch_size": case.samples, "device": device} | case.options
    trainer = snn.Trainer(net, case.loss, case.optimizer, **options)
    history = trainer.fit(data, data, epochs=UPDATES, progress=False)
    found = {name: np.array(value) for name, value in net.state().items()}
    found["train losses"] = np.array([epoch["train_loss"] for epoch in history])
    found["valid losses"] = np.array([epoch["valid_loss"] for epoch in history])
    x, _ = data.batch(np.arange(case.samples))
    return found | {"folded readout": np.array(net.fold().forward(x))}


def digest(value: np.ndarray) -> str:
    """SHA-256 of an array's type, shape and bits."""
    head = f"{value.dtype.str} {value.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()


def summary(arrays: dict[str, np.ndarray]) -> dict:
    """Hashes of a network's arrays, one hash of them all, and the last loss."""
    hashes = {name: digest(value) for name, value in sorted(arrays.items())}
    whole = hashlib.sha256("".join(f"{name}={hashed};" for name, hashed in hashes.items()).encode()).hexdigest()
    return {"sha256": whole, "loss": float(arrays["train losses"][-1]), "arrays": hashes}


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of two arrays, relative to the largest number in either; inf for different shapes."""
    if a.shape != b.shape:
        return float("inf")
    a, b = a.astype(np.float64), b.astype(np.float64)
    largest = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return float(np.abs(a - b).max(initial=0) / largest) if largest else 0.0


def differences(title: str, mine: dict[str, np.ndarray], other: dict[str, np.ndarray], shown: int = 3) -> list[str]:
    """One line if two results of one network differ, with the first arrays that do; no line if none does."""
    found = []
    for name in sorted(mine.keys() | other.keys()):
        if name not in mine or name not in other:
            found.append(f"{name} is on one side only")
        elif digest(mine[name]) != digest(other[name]):
            found.append(f"{name} by {distance(mine[name], other[name]):.2g}")
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return [f"{title}: {', '.join(found[:shown])}{more}"] if found else []


def arrays_beside(path: Path) -> Path:
    """Where the arrays of a JSON file are."""
    return path.with_suffix(".npz")


def read(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """The arrays that were written beside a JSON file: network and threads -> name -> array."""
    found = {key: {} for key in json.loads(path.read_text())["networks"]}
    with np.load(arrays_beside(path)) as stored:
        for full in stored.files:
            key, _, name = full.partition("|")
            found[key][name] = stored[full]
    return found


def write(path: Path, results: dict[str, dict[str, np.ndarray]]) -> None:
    """Write hashes and losses as JSON, and the arrays beside it."""
    networks = {key: summary(arrays) for key, arrays in results.items()}
    path.write_text(json.dumps({"numsnn": snn.__version__, "sources": SOURCES, "networks": networks}, indent=1) + "\n")
    stored = {f"{key}|{name}": value for key, arrays in results.items() for name, value in arrays.items()}
    np.savez_compressed(arrays_beside(path), **stored)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write hashes to FILE and arrays beside it")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with what --json wrote to FILE")
    parser.add_argument("--only", nargs="+", choices=list(cases()), metavar="NAME", help="some networks only")
    arguments = parser.parse_args()
    print(f"numsnn {snn.__version__} in {PACKAGE}, sources {SOURCES[:16]}", flush=True)
    before = read(arguments.against) if arguments.against else None
    results, different = {}, []
    for name in arguments.only or cases():
        for threads in THREADS:
            snn.set_num_threads(threads)
            key = f"{name}, threads={threads}"
            results[key] = trained(cases()[name])
            found = summary(results[key])
            print(f"{name:<24} threads={threads} loss={found['loss']:.6f} {found['sha256']}", flush=True)
            if before is not None:
                different += differences(key, results[key], before.get(key, {}))
        first, *others = (f"{name}, threads={threads}" for threads in THREADS)
        for other in others:
            different += differences(f"{name}, {THREADS[0]} thread against more", results[first], results[other])
    if arguments.json:
        write(arguments.json, results)
    for line in different:
        print(f"DIFFERENT {line}")
    if before is not None and not different:
        print(f"the same bits as in {arguments.against}, in all {len(results)} results")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
