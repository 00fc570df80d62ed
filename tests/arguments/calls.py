"""A call with one or two wrong arguments, and what it must do: return, or raise an error of one line."""

import fractions
import inspect
import io
import os
import random
import re
import signal
import threading
import traceback
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn import errors
from numsnn.data.formats import FormatError

from .interface import callables, parameters
from .nasty import POOL
from .valid import VALID

PACKAGE = str(Path(snn.__file__).parent)
OWN = tuple(value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception))
ALLOWED = (ValueError, TypeError, OSError, *OWN)
IN_USE = (RuntimeError, IndexError, KeyError, ImportError)
"""Errors that are allowed, too, where the package itself raises them: the state of an object does not allow the call,
there is nothing under an index or name, or another package is missing."""

LONGEST = 500
"""Characters of the longest message."""

SECONDS = 20
"""Longest time of a call. All calls are quick, but a machine may be busy."""

OTHER_WORDS = {
    "x": ("input", "sequential", "probabilities"),
    "z": ("readout",),
    "y": ("label", "target", "values"),
    "net": ("network", "layer", "input must"),
    "data": ("input", "train", "sample", "x must"),
    "parts": ("train",),
    "shape": ("input must", "takes one input"),
    "layer": ("input must",),
    "names": ("full name", "no layer"),
    "name": ("recorded", "no layer"),
    "losses": ("loss",),
    "key": ("layer",),
    "branch": ("layers of one network",),
    "branches": ("layers of one network",),
    "shortcut": ("layers of one network",),
    "sample_shape": ("architecture",),
}
"""Words in which a message may speak of an argument instead of its name."""

FUNCTIONS = {"edit", "density", "cdf", "on_batch", "on_epoch", "changes"}
"""Arguments that are functions of the user, whose own errors are passed on."""

LONG_WORK = {("Trainer.fit", "epochs"), ("check_gradients", "entries")}
"""Arguments whose large values are right and take long."""

ANYTHING = {("Network.__contains__", "name"), ("EarlyStopping.observe", "value")}
"""Arguments of which every value is taken: Python's `in`, and a metric that diverged."""


class TooSlow(BaseException):
    """The call was stopped."""


@contextmanager
def limited(seconds):
    """Stop what takes longer than some seconds, where the system can do that."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum, frame):
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def in_folder(folder):
    """Work in a folder, into which relative paths lead."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@cache
def known() -> dict:
    return callables()


class Call:
    """A valid call in which some arguments are replaced.

    Args:
        name: name of what is called.
        wrong: name of an argument -> name of its value in the pool.

    Attributes:
        error: what the call raised, or None.
    """

    def __init__(self, name: str, wrong: dict[str, str]):
        self.name, self.wrong, self.error = name, wrong, None

    def __repr__(self):
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.wrong.items())})"

    def run(self) -> str:
        """Make the call, and return what is wrong with it; "" if nothing is."""
        function, arguments = VALID[self.name]()
        signature = parameters(known()[self.name])
        given = {name: POOL[value]() for name, value in self.wrong.items()}
        if any(self._is_work(name, value) for name, value in given.items()):
            return ""
        for p in signature:
            if p.name in given:
                arguments[p.name] = _placed(p, arguments.get(p.name), given[p.name])
        positional, named = _bound(signature, arguments)
        sink = io.StringIO()
        try:
            with limited(SECONDS), redirect_stdout(sink), redirect_stderr(sink), warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", RuntimeWarning)  # numbers too large for a computation
                function(*positional, **named)
        except TooSlow:
            return f"takes longer than {SECONDS} s"
        except BaseException as error:
            self.error = error
            return self._problem(error)
        for p in signature:
            if p.name in given and (self.name, p.name) not in ANYTHING and not fits(p, given[p.name]):
                return f"accepts for {p.name}, which is {p.annotation}"
        return ""

    def _is_work(self, name, value):
        if name in FUNCTIONS and callable(value):
            return True
        return (self.name, name) in LONG_WORK and isinstance(value, int | np.integer) and value > 10

    def _problem(self, error) -> str:
        """Return what is wrong with an error."""
        if isinstance(error, snn.testing.CheckFailed):  # what a layer does wrong, in a line per check
            return ""
        kind = type(error).__name__
        try:
            message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        except BaseException as second:
            return f"untellable {kind}: {type(second).__name__}"
        told = f"{kind}: {message[:200]!r}"
        if isinstance(error, MemoryError) and not isinstance(error, OWN):
            return f"raw {told}"
        if not isinstance(error, (*ALLOWED, *IN_USE)) or not _ours(error):
            return f"raw {told}"
        if not message.isprintable():
            return f"several lines, or characters that cannot be shown: {told}"
        if len(message) > LONGEST:
            return f"long: {len(message)} characters: {told}"
        return "" if self._named(error, message) else f"nameless: {told}"

    def _named(self, error, message):
        """Return whether a message says which argument is wrong, or names the file."""
        if isinstance(error, FormatError | ImportError | OSError | snn.CheckpointError):
            return True
        words = [word for name in self.wrong for word in (name, *OTHER_WORDS.get(name, ()))]
        owners = [part for part in re.split(r"\W|_", self.name) if len(part) > 2]
        return any(re.search(rf"(?<![a-z]){re.escape(word)}", message, re.IGNORECASE) for word in words + owners)


def _placed(parameter, before, value):
    """Return an argument with the value in it: ``*args`` and ``**options`` get it as one of several."""
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return (*(before or ())[:1], value)
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        before = before or {}
        return before | {next(iter(before), "unheard_of"): value}
    return value


def _bound(signature, arguments):
    """Return arguments by name as those of a call."""
    positional, named = [], {}
    for p in signature:
        if p.kind is inspect.Parameter.VAR_POSITIONAL:
            positional, named = [*named.values(), *arguments.get(p.name, ())], {}
        elif p.kind is inspect.Parameter.VAR_KEYWORD:
            named |= arguments.get(p.name, {})
        elif p.name in arguments:
            named[p.name] = arguments[p.name]
    return positional, named


def _ours(error) -> bool:
    """Return whether a statement of the package raised an error, or it is one of the system that names a file."""
    if isinstance(error, OSError) and error.filename is not None:
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.filename.startswith(PACKAGE) and (last.line or "").lstrip().startswith("raise ")


PLAIN = {
    "bool": (bool, np.bool_),
    "int": (int, np.integer),
    "float": (int, float, np.integer, np.floating, fractions.Fraction),
    "str": (str,),
    "None": (type(None),),
    "Layer": (snn.Layer,),
    "Loss": (snn.losses.Loss,),
    "Neuron": (snn.Neuron,),
    "Optimizer": (snn.optim.Optimizer,),
    "Schedule": (snn.schedules.Schedule,),
}
"""What an annotation says -> the classes of values that may be taken."""


def fits(parameter, value) -> bool:
    """Return whether a value is of a kind that the annotation names; True if the annotation names other kinds, too."""
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    kinds = [part.strip().rsplit(".", 1)[-1] for part in text.split("|")]
    if not all(kind in PLAIN for kind in kinds):
        return True
    if isinstance(value, bool | np.bool_):
        return "bool" in kinds
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        return False
    if "int" in kinds and isinstance(value, int) and abs(value) > 2**64:
        return False
    if "float" in kinds and isinstance(value, int | float) and abs(value) > np.finfo(np.float32).max:
        return False
    return isinstance(value, tuple(cls for kind in kinds for cls in PLAIN[kind]))


def every_single():
    """Yield every call with one wrong argument."""
    for name, value in known().items():
        for p in parameters(value):
            for key in POOL:
                yield Call(name, {p.name: key})


def drawn(seed, count):
    """Yield random calls with one or two wrong arguments."""
    rng = random.Random(seed)
    for _ in range(count):
        name = rng.choice(list(known()))
        ps = [p.name for p in parameters(known()[name])]
        some = rng.sample(ps, min(len(ps), rng.choice((1, 1, 2))))
        yield Call(name, {p: rng.choice(list(POOL)) for p in some})
