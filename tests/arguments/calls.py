"""A call with one or two wrong arguments, and what it must do: return, or raise an error of one line."""

import inspect
import io
import os
import random
import re
import signal
import traceback
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np

import numsnn as snn
from numsnn import errors

from .interface import callables, parameters
from .nasty import POOL
from .valid import VALID

PACKAGE = str(Path(snn.__file__).parent)
OWN = tuple(value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception))
ALLOWED = (ValueError, TypeError, OSError, *OWN)
RAISED = (RuntimeError, IndexError, KeyError, ImportError)
"""Errors that are allowed where the package itself raises them: the state of an object does not allow the call, or
there is nothing under an index or a name."""

LONGEST = 500
"""Characters of the longest message."""

SECONDS = 10
"""Longest time of a call. All calls are quick, but a machine may be busy."""


class TooSlow(BaseException):
    """The call was stopped."""


@contextmanager
def limited(seconds):
    def stop(signum, frame):
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Call:
    """A valid call in which some arguments are replaced.

    Args:
        name: name of what is called.
        wrong: name of an argument -> name of its value in the pool.
    """

    def __init__(self, name: str, wrong: dict[str, str]):
        self.name, self.wrong = name, wrong
        self.error = None

    def __repr__(self):
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.wrong.items())})"

    def run(self) -> str:
        """Make the call, and return what is wrong with it; "" if nothing is."""
        function, arguments = VALID[self.name]()
        signature = parameters(callables_()[self.name])
        kinds = {p.name: p.kind for p in signature}
        for name, value in self.wrong.items():
            made = POOL[value]()
            if kinds[name] is inspect.Parameter.VAR_POSITIONAL:
                made = (*arguments.get(name, ())[:1], made)
            elif kinds[name] is inspect.Parameter.VAR_KEYWORD:
                made = {**arguments.get(name, {}), next(iter(arguments.get(name, {})), "unheard_of"): made}
            arguments[name] = made
        positional, named, spread = [], {}, None
        for p in signature:
            if p.kind is inspect.Parameter.VAR_POSITIONAL:
                positional = [named.pop(q.name) for q in signature[: signature.index(p)]]
                spread = arguments.pop(p.name, ())
            elif p.kind is inspect.Parameter.VAR_KEYWORD:
                named |= arguments.pop(p.name, {})
            elif p.name in arguments:
                named[p.name] = arguments[p.name]
        sink = io.StringIO()
        try:
            with limited(SECONDS), redirect_stdout(sink), redirect_stderr(sink), warnings.catch_warnings():
                warnings.simplefilter("error")
                function(*positional, *(spread or ()), **named)
        except TooSlow:
            return f"takes longer than {SECONDS} s"
        except BaseException as error:
            self.error = error
            return self.problem(error)
        return self.nonsense(signature)

    def problem(self, error) -> str:
        """Return what is wrong with an error."""
        kind = type(error).__name__
        try:
            message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        except BaseException as second:
            return f"untellable {kind}: its message cannot be made: {type(second).__name__}"
        if not isinstance(error, (*ALLOWED, *RAISED)) or (isinstance(error, MemoryError) and type(error) not in OWN):
            return f"raw {kind}: {short(message)}"
        if not ours(error):
            return f"raw {kind}: {short(message)}"
        if "\n" in message or "\r" in message:
            return f"lines: {kind}: {short(message)}"
        if not message.isprintable():
            return f"unprintable: {kind}: {short(message)}"
        if len(message) > LONGEST:
            return f"long ({len(message)}): {kind}: {short(message)}"
        known = [*self.wrong, *self.name.split("."), *self.name.rsplit(".", 1)[-1].split("_")]
        if not any(re.search(rf"(?<![a-z]){re.escape(name)}", message) for name in known) and not any(
            word in message for word in ALSO.get(self.name, ())
        ):
            return f"nameless: {kind}: {short(message)}"
        return ""

    def nonsense(self, signature) -> str:
        """Return what was accepted although it is nonsense: texts for numbers, numbers for truth values, and so on."""
        for p in signature:
            if p.name in self.wrong and not fits(p, POOL[self.wrong[p.name]]()):
                return f"accepted {p.name}: {p.annotation}"
        return ""


ALSO: dict = {}


def short(text):
    return text.replace("\n", "\\n")[:160]


def ours(error) -> bool:
    """Return whether a statement of the package raised the error, or it is one of a file that names the file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, OSError) and error.filename is not None:
        return True
    return last.filename.startswith(PACKAGE) and (last.line or "").lstrip().startswith("raise ")


PLAIN = {
    "bool": (bool, np.bool_),
    "int": (int, np.integer),
    "float": (int, float, np.integer, np.floating),
    "str": (str,),
    "None": (type(None),),
    "Layer": (snn.Layer,),
    "Loss": (snn.losses.Loss,),
    "Optimizer": (snn.optim.Optimizer,),
    "Schedule": (snn.schedules.Schedule,),
}


def fits(parameter, value) -> bool:
    """Return whether a value is of a kind that the annotation names; True if the annotation names other kinds."""
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    if annotation is inspect.Parameter.empty:
        text = ""
    text = re.sub(r"numsnn\.[\w.]*\.", "", text)
    kinds = [part.strip() for part in text.split("|")]
    if parameter.name == "name" and not text:
        kinds = ["str", "None"]
    if not all(kind in PLAIN for kind in kinds):
        return True
    allowed = tuple(cls for kind in kinds for cls in PLAIN[kind])
    if isinstance(value, bool | np.bool_):
        return "bool" in kinds
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        return False
    if parameter.name == "name" and isinstance(value, str) and not value.isprintable():
        return False
    return isinstance(value, allowed)


_CALLABLES: dict = {}


def callables_():
    if not _CALLABLES:
        _CALLABLES.update(callables())
    return _CALLABLES


def every_single():
    """Yield every call with one wrong argument."""
    for name, value in callables_().items():
        if name in VALID:
            for p in parameters(value):
                for key in POOL:
                    yield Call(name, {p.name: key})


def drawn(seed, count):
    """Yield random calls with one or two wrong arguments."""
    rng = random.Random(seed)
    names = [name for name in callables_() if name in VALID]
    keys = list(POOL)
    for _ in range(count):
        name = rng.choice(names)
        ps = [p.name for p in parameters(callables_()[name])]
        some = rng.sample(ps, min(len(ps), rng.choice((1, 1, 2))))
        yield Call(name, {p: rng.choice(keys) for p in some})


@contextmanager
def in_folder(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
