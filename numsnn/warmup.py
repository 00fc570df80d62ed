"""`numsnn warmup`: compile kernels in advance, so that the first run starts at once. Numba stores the machine code on
disk.

JOBS lists what is compiled. Small networks are trained for one step and run once, which compiles every kernel in the
variants that such networks need, in float32. To compile more, add a function to JOBS, which returns a list of tasks,
functions without arguments. If there are cores for it, several processes share the tasks (`ahead`): this one does them
from the first to the last, and another one from the last to the first.
"""

import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from numba.core import event

from . import layers as snn
from . import losses, machine_code, models, optim
from .ahead import Compilers
from .config import read
from .data import Dataset
from .psg import PSG, Surrogate
from .recipes import available
from .training import Trainer

STEPS, SAMPLES, CLASSES = 2, 2, 4


# --- what is compiled ------------------------------------------------------------------------------------------------


def _train(net, shape, loss=None, optimizer=None):
    """Train for one epoch of one batch, and evaluate; shape is that of a sample, with a time axis if the network needs
    it.
    """
    x = np.random.default_rng(0).random((SAMPLES, *shape), np.float32)
    data = Dataset(x, np.arange(SAMPLES), range(CLASSES), timed=not net.takes_pictures)
    optimizer = optim.AdamW(1e-3, weight_decay=0.01) if optimizer is None else optimizer
    trainer = Trainer(net, loss or losses.RateCrossEntropy(0.1), optimizer, batch_size=SAMPLES, clip_norm=1.0)
    trainer.fit(data, data, epochs=1, progress=False)
    return net


def recipes():
    """Train the networks, losses and optimisers of the recipes, on small pictures, and run `digits` for one epoch: the
    routes depend on the size and the activity of the data."""
    return [_run_digits, *(partial(_train_recipe, path) for path in available().values())]


def _run_digits():
    from .experiment import run

    config = read(available()["digits"])
    with tempfile.TemporaryDirectory() as folder:
        run(replace(config, training=replace(config.training, epochs=1)), Path(folder, "run"), progress=False)


def _train_recipe(path):
    from .experiment import build_network, build_trainer

    config = read(path)
    net = build_network(config, (8, 8, 1), CLASSES)
    trainer = build_trainer(config, net)
    _train(net, (8, 8, 1), trainer.loss, trainer.optimizer)


def neurons():
    """Train every kind of reset with the default surrogates, and the other kinds of neurons."""
    surrogates = PSG("triangle"), Surrogate("triangle"), Surrogate("arctan")
    resets = (0.0, False), (0.0, True), (None, False), (None, True), ("none", True)
    plain = [
        snn.LIF(surrogate=surrogate, v_reset=reset, detach_reset=detach, pda=pda)
        for surrogate, (reset, detach), pda in product(surrogates, resets, (False, True))
    ]
    others = [
        snn.IF(),
        snn.PLIF(),
        snn.ALIF(),
        snn.CubaLIF(),
        snn.RecurrentLIF(),
        snn.RecurrentALIF(),
        snn.RecurrentCubaLIF(),
        snn.LIF(refractory=1),
        snn.LIF(learn_threshold=True),
    ]
    return [partial(_train_neuron, neuron) for neuron in plain + others]


def _train_neuron(neuron):
    net = snn.Sequential(snn.Linear(4, 8), neuron, snn.Linear(8, CLASSES)).build((STEPS, SAMPLES, 4))
    z = net.forward(np.ones((STEPS, SAMPLES, 4), np.float32), snn.TRAINING)
    net.backward(np.ones_like(z), need_dx=False)
    net.forward(np.ones((STEPS, SAMPLES, 4), np.float32))


def zoo():
    """Train the networks of `numsnn.models` at their smallest size, and fold them."""
    relu = snn.ReLU()
    nets = [
        (partial(models.mlp, 6, (8,), CLASSES, STEPS), (6,)),
        (partial(models.vgg_snn, 2, CLASSES, 16), (STEPS, 16, 16, 2)),
        (partial(models.resnet19, 3, CLASSES, STEPS, widths=(4, 8, 16)), (8, 8, 3)),
        (partial(models.sew_resnet18, 3, CLASSES, STEPS), (32, 32, 3)),
        (partial(models.densenet_bc, 3, CLASSES, STEPS, depth=10, growth=4, dropout=0.1), (8, 8, 3)),
        (partial(models.dvs_gesture_net, CLASSES, 4, 32), (STEPS, 32, 32, 2)),
        (partial(models.shd_net, 10, 8, CLASSES), (STEPS, 10)),
        (partial(models.from_string, "4c3-p2-8", (8, 8, 1), CLASSES, steps=1, neuron=relu), (8, 8, 1)),
    ]
    return [partial(_train_and_fold, make, shape) for make, shape in nets]


def _train_and_fold(make, shape):
    net = _train(make(), shape)
    x = np.ones((SAMPLES, *shape), np.float32)
    net.fold()(x if net.takes_pictures else np.ascontiguousarray(x.swapaxes(0, 1)))


def training():
    """Train with every loss and every optimiser."""
    criteria = [
        losses.RateCrossEntropy(),
        losses.TET(),
        losses.MaxMembraneCrossEntropy(),
        losses.MembraneMSE(),
    ]
    optimizers = optim.Adam(1e-3), optim.SGD(1e-2), optim.SGD(1e-2, momentum=0.9, nesterov=True)
    return [
        *(partial(_train_small, False, loss) for loss in criteria),
        *(partial(_train_small, True, loss) for loss in (losses.SpikeCountMSE(), losses.TimeToFirstSpike())),
        *(partial(_train_small, False, None, optimizer) for optimizer in optimizers),
    ]


def _train_small(spiking, loss, optimizer=None):
    readout = snn.Sequential(snn.Repeat(STEPS, snn.Linear(6, CLASSES)), snn.LIF())
    _train(readout if spiking else models.mlp(6, (8,), CLASSES, STEPS), (6,), loss, optimizer)


def benchmarks():
    """Run what `numsnn bench` runs, at its tiny shapes."""
    from .measure import passes
    from .measure.workloads import SURROGATES, workloads

    pairs = product(workloads(quick=True).values(), SURROGATES)
    return [
        *(partial(_run_workload, workload, family) for workload, family in pairs),
        *(partial(_run_layer, case) for case in passes.cases(quick=True)),
        _run_neurons,
    ]


def _run_workload(workload, family):
    from .measure.network import Network, prepare

    subject = Network(*prepare(replace(workload, surrogate=family)))
    subject.train()
    subject.infer()


def _run_layer(case):
    from .measure import passes

    passes.Passes(case, passes.draw(case)).outcome()


def _run_neurons():
    from .measure import neurons

    for step in neurons.steps(quick=True).values():
        step()


JOBS = recipes, neurons, zoo, training, benchmarks


# --- how long it takes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel in one variant.

    Attributes:
        name: its file and function, and what it is specialised for.
        types: types of its array arguments.
        seconds: time of its compilation; None if the machine code was read from the disk.
    """

    name: str
    types: str
    seconds: float | None


def warm_up(jobs=JOBS) -> list[Kernel]:
    """Do the tasks of the jobs; return the kernels that were used for the first time, the slowest first.

    Args:
        jobs: functions that return lists of tasks. Other processes take part if the functions can be pickled.

    Raises:
        ValueError: the environment variable NUMSNN_COMPILERS is not a whole number in 1..1024.
    """
    tasks = dict(enumerate(_tasks(jobs)))
    with Compilers(__name__, lambda: {"jobs": jobs}, stays=True) as compilers:
        claims = compilers.start()
        found = _timed(tasks, claims)
        for answer in compilers.answers():
            found = _joined(found, {key: Kernel(*kernel) for key, kernel in (answer or {}).items()})
        found = _joined(found, _timed(tasks, claims))  # what a process has left that ended early
    kernels = sorted(found.values(), key=lambda kernel: kernel.name)
    return sorted(kernels, key=lambda kernel: -(kernel.seconds or 0))


def compile_ahead(order):
    """Do tasks from the last one on; return the kernels as for `_timed`, as lists.

    Args:
        order: "jobs", as for `warm_up`; "number" and "processes", which of how many processes this is.
    """
    tasks = list(enumerate(_tasks(order["jobs"])))[::-1]
    first = len(tasks) * (order["number"] - 1) // (order["processes"] - 1)
    found = _timed(dict(tasks[first:] + tasks[:first]), machine_code.claims)
    return {key: [kernel.name, kernel.types, kernel.seconds] for key, kernel in found.items()}


def _tasks(jobs):
    return [task for job in jobs for task in job()]


def _timed(tasks, claims):
    """Do those tasks, of a dict by number, that no other process has claimed, and take them out of the dict. Return the
    kernels that this process used for the first time, by a text that is the same in every process."""

    class Timer(event.Listener):
        """The time of every compilation that is not part of another."""

        def __init__(self):
            self.depth, self.found = 0, {}

        def on_start(self, event):
            if self.depth == 0:
                self.began = time.perf_counter()
            self.depth += 1

        def on_end(self, event):
            self.depth -= 1
            if self.depth == 0:
                self.found[event.data["dispatcher"], event.data["args"]] = time.perf_counter() - self.began

    def hits():
        """Every kernel of numsnn that came from the disk, with its argument types."""
        return {(kernel, types) for kernel in machine_code.KERNELS for types in kernel.stats.cache_hits}

    before, timer = hits(), Timer()
    with event.install_listener("numba:compile", timer):
        for number in list(tasks):
            if claims is None or claims.take_free(f"task {number}"):
                tasks.pop(number)()
    used = dict.fromkeys(hits() - before) | timer.found
    return {
        f"{machine_code.digest(kernel.py_func)} {types}": Kernel(*_names(kernel, types), seconds)
        for (kernel, types), seconds in used.items()
    }


def _joined(found, others):
    """Return the kernels of two processes. What one of them has compiled, the other one has read from the disk."""
    compiled = {key: kernel for key, kernel in others.items() if kernel.seconds is not None}
    return others | found | compiled


def _names(dispatcher, types):
    """Return the name of a kernel with the values in its closure, and the types of its arrays."""
    function = dispatcher.py_func
    chosen = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        value = cell.cell_contents
        if value is True:
            chosen.append(name)
        elif callable(value) and hasattr(value, "__name__"):
            chosen.append(value.__name__)
    module = function.__module__.rpartition(".")[2]
    arrays = dict.fromkeys(str(kind.dtype) for kind in types if hasattr(kind, "dtype"))
    return f"{module}.{function.__name__}{f' ({chr(44).join(chosen)})' if chosen else ''}", " ".join(arrays)


def report(kernels: list[Kernel], every: bool = True) -> str:
    """Return one line per kernel, and the sums.

    Args:
        kernels: result of `warm_up`.
        every: list all kernels, not only the sums. Default True.
    """
    compiled = [kernel for kernel in kernels if kernel.seconds is not None]
    lines = []
    if every:
        for kernel in kernels:
            how = "  cached" if kernel.seconds is None else f"{kernel.seconds:6.2f} s"
            lines.append(f"{how}  {kernel.name}  [{kernel.types}]")
    total = sum(kernel.seconds for kernel in compiled)
    cached = len(kernels) - len(compiled)
    lines.append(f"{len(compiled)} kernels compiled in {total:.1f} s, which later runs save; {cached} were cached")
    return "\n".join(lines)
