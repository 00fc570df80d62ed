"""The command line: numsnn train | eval | diagnose | show | bench | warmup | info."""

import os
import platform
import re
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from . import recipes
from .cli_arguments import Parser, whole_number
from .cores import MOST_THREADS
from .errors import CheckpointError, DeviceError
from .kernels import DEVICES, for_device
from .names import choice, look_up
from .shown import one_line
from .tables import be_silent, escape_unknown_characters, tell
from .validate import path_of
from .version import __version__

LONGEST = 1000
"""Characters of the longest message of an error."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: arguments of the command line. Default: those of the process.

    Returns:
        the exit status: 0, or 2 after an error (printed in one line), 130 after Ctrl-C, or 143 after SIGTERM. It is 0,
            too, if the reader of the output has ended, as in ``numsnn info | head -1``.
    """
    escape_unknown_characters()
    try:
        options = _parser().parse_args(arguments)
        options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        be_silent()
        return 0
    except KeyboardInterrupt as interrupt:
        tell(f"\nnumsnn: {interrupt or 'stopped'}")
        return 130
    except SystemExit as stop:  # of --help and --version, or after SIGTERM
        if not stop.code:
            raise
        return int(stop.code)
    except (ValueError, TypeError, LookupError, OSError, ArithmeticError, RuntimeError, MemoryError) as error:
        if os.environ.get("NUMSNN_TRACEBACK"):
            raise
        tell(f"numsnn: error: {_told(error)}")
        return 2
    return 0


def _told(error) -> str:
    """Return the message of an error as one line."""
    if isinstance(error, KeyError) and error.args:  # whose text is the repr of its message
        return one_line(str(error.args[0]), LONGEST)
    if isinstance(error, MemoryError) and not isinstance(error, DeviceError):
        return one_line(f"there is not enough memory: {error}".removesuffix(": "), LONGEST)
    return one_line(str(error) or type(error).__name__, LONGEST)


def _parser():
    parser = Parser(prog="numsnn", description="Train spiking neural networks with PSG and PDA.")
    parser.add_argument("--version", action="version", version=f"numsnn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a network and write a report")
    train.add_argument("what", metavar="NAME|CONFIG.toml", help=f"{', '.join(recipes.available())}, or a TOML file")
    train.add_argument("--data", metavar="DIR", help="folder with the raw data, where they do not ship")
    train.add_argument("--device", choices=DEVICES, help="where to compute (default: cpu)")
    train.add_argument("--epochs", type=whole_number(1), help="number of epochs of the run")
    train.add_argument("--seed", type=whole_number(0), help="seed of all random numbers")
    train.add_argument("--out", metavar="DIR", help="folder of the run (default: runs/NAME)")
    train.add_argument(
        "--resume", action="store_true", help="continue the run in the folder; --epochs changes its length"
    )
    train.add_argument(
        "--changes",
        action="store_true",
        help="with --resume: take the settings of NAME|CONFIG.toml and of the options where they differ from the run's",
    )
    train.add_argument("--threads", type=whole_number(1, MOST_THREADS), help="threads to use (default: every core)")
    train.add_argument("--quiet", action="store_true", help="no progress bars")
    train.set_defaults(command=_train)

    evaluate = commands.add_parser("eval", help="loss and metrics of a checkpoint on a dataset")
    evaluate.add_argument("checkpoint", metavar="CHECKPOINT")
    evaluate.add_argument(
        "dataset",
        metavar="DATA",
        nargs="?",
        help="name of a dataset, a store (.h5), or a run's TOML file (default: the config.toml beside the checkpoint)",
    )
    evaluate.add_argument("--part", default="test", help="part of the dataset: test (default), valid, train")
    evaluate.add_argument("--data", metavar="DIR", help="folder with the raw data, where they do not ship")
    evaluate.add_argument("--device", choices=DEVICES, default="cpu")
    evaluate.set_defaults(command=_evaluate)

    look = commands.add_parser("diagnose", help="show the potentials, spikes and gradients of a checkpoint")
    look.add_argument("checkpoint", metavar="CHECKPOINT")
    look.add_argument(
        "dataset", metavar="DATA", nargs="?", help="as for eval (default: the config.toml beside the checkpoint)"
    )
    look.add_argument("--part", default="test", help="part of the dataset: test (default), valid, train")
    look.add_argument("--data", metavar="DIR", help="folder with the raw data, where they do not ship")
    look.add_argument("--device", choices=DEVICES, default="cpu")
    look.add_argument("--samples", type=whole_number(1), default=256, help="number of samples to use (default: 256)")
    look.set_defaults(command=_diagnose)

    bench = commands.add_parser("bench", help="measure time and memory of numsnn on this machine")
    bench.add_argument("--quick", action="store_true", help="tiny shapes, to check that everything works")
    bench.add_argument("--only", nargs="+", metavar="NAME", help="names of workloads, layers, neurons (default: all)")
    bench.add_argument(
        "--surrogate",
        choices=("arctan", "triangle"),
        default="arctan",
        help="surrogate of all neurons (default: arctan)",
    )
    bench.add_argument("--threads", type=whole_number(1, MOST_THREADS), help="threads to use (default: every core)")
    bench.add_argument("--json", metavar="FILE", help="write the results to this file")
    bench.add_argument("--history", metavar="FILE", help="add a line to this file: ratios to a copy and a product")
    bench.add_argument("--plot", metavar="FILE.png", help="draw the history; its ending says the format")
    bench.add_argument("--no-run", action="store_true", help="measure nothing: show the history that there is")
    bench.set_defaults(command=_bench)

    warm = commands.add_parser("warmup", help="compile in advance the kernels that a typical run needs")
    warm.add_argument("--quiet", action="store_true", help="print only the sums, not every kernel")
    warm.set_defaults(command=_warmup)
    show = commands.add_parser("show", help="show a dataset: counts, rates, and a sample as a picture")
    show.add_argument("dataset", metavar="DATA", help="name of a dataset, a store (.h5), or a TOML file")
    show.add_argument("--index", type=whole_number(0), default=0, help="number of the sample to draw (default: 0)")
    show.add_argument("--part", default="train", help="part of the dataset: train (default), test, ...")
    show.add_argument("--steps", type=whole_number(1), default=10, help="frames per recording (default: 10)")
    show.add_argument("--data", metavar="DIR", help="folder with the raw data, where they do not ship")
    show.add_argument("--out", metavar="DIR", default=".", help="folder for the pictures (default: here)")
    show.add_argument("--gif", action="store_true", help="also write a recording or sequence as an animation")
    show.set_defaults(command=_show)

    info = commands.add_parser("info", help="show versions, threads, processor and caches")
    info.set_defaults(command=_info)
    return parser


# --- train ---


def _train(options):
    from . import config as configuration
    from .ahead.run import compilers_for
    from .experiment import run

    out = (
        path_of("--out", options.out)
        if options.out is not None
        else _default_folder(Path(options.what).stem, options.resume)
    )
    kept = out / "config.toml"
    if options.changes and not options.resume:
        raise ValueError("--changes needs --resume: it says with which settings a run continues")
    if options.resume and kept.exists() and not options.changes:
        config = configuration.read(kept)
        _tell_edits(options.what, _recipe(options.what), config)
    else:
        config = _recipe(options.what)
    overrides = {
        ("data", "dir"): options.data,
        ("training", "device"): options.device,
        ("training", "epochs"): options.epochs,
        ("training", "seed"): options.seed,
        ("training", "threads"): options.threads,
    }
    for (section, key), value in overrides.items():
        if value is not None:
            configuration.set_key(config, section, key, value)
    again = f"continue: numsnn train {options.what} --out {out} --resume"
    try:
        changes = options.changes or (options.resume and options.epochs is not None)
        resume = "changes" if changes else options.resume
        outcome = run(config, out, resume, progress=not options.quiet, within=compilers_for)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"{interrupt}\n{again}") from None
    except SystemExit:
        tell(again)
        raise
    except CheckpointError as error:
        raise CheckpointError(str(error).replace('resume="changes"', "--changes")) from error
    except FileExistsError:
        raise FileExistsError(
            f"{out} already holds a run; continue it with --resume, or choose another --out"
        ) from None
    if outcome.best:
        best = outcome.history[outcome.best - 1]
        values = ", ".join(f"{key} {best[key]:.4f}" for key in best if key.startswith("valid_"))
        print(
            f"best epoch {outcome.best} of {len(outcome.history)}: {values.replace('_', ' ')} ({out / 'checkpoint.h5'})"
        )
    last, planned = outcome.history[-1]["epoch"], config.training.epochs
    if last < planned:
        print(f"ended by early stopping after epoch {last} of {planned}; early_stopping = 0 and --changes go on")
    if outcome.test is not None:
        print(f"test, told once: {outcome.test}")
    print(f"report: {outcome.report}{f' ({outcome.note})' if outcome.note else ''}")


def _tell_edits(what, written, kept):
    """Say which keys of a file differ from those of the run that goes on, which are not taken over."""
    keys = [
        f"{section}.{key}"
        for section, part in vars(written).items()
        for key, value in vars(part).items()
        if getattr(getattr(kept, section), key) != value and key not in ("dir", "device", "threads")
    ]
    if keys and what.endswith(".toml"):
        print(f"{what} differs from the run's config.toml, which goes on: {', '.join(keys)}; --changes takes them over")


def _recipe(what):
    """Return the configuration of a recipe or of a TOML file."""
    from . import config as configuration

    if what.endswith(".toml") or os.sep in what:
        return configuration.read(what)
    return configuration.read(look_up("recipe", what, recipes.available(), other="a TOML file"))


def _default_folder(name, resume):
    """Return runs/NAME, or runs/NAME-2 and so on if it exists; to resume a run, the newest of these folders."""
    base = Path("runs") / name
    taken = [base] if base.exists() else []
    if base.parent.exists():
        numbered = (path for path in base.parent.glob(f"{name}-*") if re.fullmatch(r"\d+", path.name[len(name) + 1 :]))
        taken += sorted(numbered, key=lambda path: int(path.name[len(name) + 1 :]))
    if resume:
        return taken[-1] if taken else base
    number = int(taken[-1].name[len(name) + 1 :] or 1) + 1 if taken else 1
    return base if number == 1 else base.with_name(f"{name}-{number}")


# --- eval and diagnose ---


def _load(options):
    """Return the network of a checkpoint, the part of the data to use with it, and the configuration."""
    from . import config as configuration
    from . import data, experiment
    from .training import load

    if Path(options.checkpoint).is_dir() or options.checkpoint.endswith(".toml"):
        there = Path(options.checkpoint) if Path(options.checkpoint).is_dir() else Path(options.checkpoint).parent
        raise ValueError(f"{options.checkpoint} is no checkpoint; name a file such as {there / 'checkpoint.h5'}")
    net = load(options.checkpoint, options.device)
    dataset = options.dataset
    beside = Path(options.checkpoint).with_name("config.toml")
    if dataset is None:
        if not beside.exists():
            raise FileNotFoundError(f"{beside} does not exist; name the dataset: numsnn ... CHECKPOINT DATA")
        dataset = str(beside)
    config = configuration.read(beside) if beside.exists() else configuration.Config()
    if dataset.endswith(".toml"):
        config = configuration.read(dataset)
    elif dataset.endswith((".h5", ".hdf5")):
        config.data = replace(config.data, name=configuration.DataConfig.name, dir="", file=dataset)
    else:
        choice("dataset", dataset, data.available(), other="a store (.h5) or a run's TOML file")
        config.data = configuration.DataConfig(name=dataset)
    if options.data:
        config.data.dir = options.data
    config.training.device = options.device  # a trainer moves its network there
    return net, _part(config, options.part, experiment), config, experiment


def _part(config, name, experiment):
    """Return a part of the data; a share of the training part is "valid" if the data have no such part, as in
    training."""
    config.data.augment = ""
    parts = experiment.load_parts(config)
    if "train" in parts:
        parts |= {part: found for part, found in experiment.load_data(config)._asdict().items() if found is not None}
    return look_up("--part", name, parts)


def _evaluate(options):
    net, part, config, experiment = _load(options)
    result = experiment.build_trainer(config, net).evaluate(part)
    print(f"{options.part}, {result.samples} samples: {result}; {result.seconds:.2f} s")


def _diagnose(options):
    import numpy as np

    from .diagnostics import diagnose
    from .validate import whole

    net, part, config, experiment = _load(options)
    x, y = part.batch(np.arange(min(whole("--samples", options.samples), len(part))))
    print(diagnose(net, x, y, experiment.build_trainer(config, net).loss))


# --- bench and warmup ---


def _bench(options):
    from .kernels.cpu.run.launch import set_num_threads
    from .measure import command

    if options.threads is not None:
        set_num_threads(options.threads)
    measured = options.quick, options.only, options.surrogate
    command.bench(None if options.no_run else measured, options.json, options.history, options.plot)


def _warmup(options):
    from .warmup import report, warm_up

    print(report(warm_up(), every=not options.quiet))


# --- show and info ---


def _show(options):
    from . import show

    part = show.find(options.dataset, options.part, options.data)
    print(show.summary(part))
    for path in show.draw(part, options.index, options.out, options.steps, options.gif):
        print(path)


def _info(options):
    import llvmlite.binding as llvm
    from numba import config as numba_config

    from . import machine_code
    from .kernels.cpu.run import launch
    from .measure import host

    for_device("cpu")  # imports the kernels, so that their folders are known
    features = [name for name in ("avx2", "fma", "avx512f", "neon", "sve") if llvm.get_host_cpu_features().get(name)]
    rows = {
        "numsnn": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in ("numpy", "numba", "scipy", "h5py", "matplotlib")),
        "processor": f"{llvm.get_host_cpu_name()} ({', '.join(features)})",
        "threads": f"{launch.get_num_threads()} (NUMSNN_NUM_THREADS or --threads changes it)",
        "threading": "compiled range kernels without the interpreter lock, on a pool of Python threads",
        "registers": f"{host.registers()} are compiled for; no BLAS is used",
        "CUDA": _cuda(),
        "Numba cache": numba_config.CACHE_DIR or f"{', '.join(machine_code.folders())} (NUMBA_CACHE_DIR moves it)",
    }
    for name, value in rows.items():
        print(f"{name:<12} {value}")


def _cuda():
    """Describe the CUDA device and the library for matrix products in one line."""
    try:
        for_device("cuda")
    except DeviceError as error:
        return str(error).removeprefix("device 'cuda': ").removesuffix("; use device='cpu'")
    from .kernels.cuda.run.api import device_info
    from .kernels.cuda.ways import library

    info, gigabytes = device_info(), 2**30
    capability = ".".join(map(str, info["capability"]))
    own = f"by numsnn's own kernels (cuBLAS cannot be used: {library.reason()})"
    by = f"by cuBLAS {library.version()}" if library.available() else own
    return (
        f"{info['name']}, compute capability {capability}, {info['memory'][1] / gigabytes:.0f} GiB; "
        f"matrix products {by}"
    )


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


if __name__ == "__main__":
    sys.exit(main())
