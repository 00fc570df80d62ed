"""Objects that can be described as plain data and rebuilt from the description.

A description holds the name of a class and the arguments of its constructor. A checkpoint stores it in place of a
pickle.
"""

import inspect
import sys
from textwrap import indent
from typing import Any, ClassVar

import numpy as np

from .names import argument, nearest

LONGEST_LINE, INDENT = 100, "    "


class _Complete(type):
    """The class of `Described` and its subclasses. It refuses an object whose constructor did not store an argument,
    when the object is made and not only when it is saved."""

    __signature__: inspect.Signature

    def __call__(cls, *args, **kwargs):
        made = super().__call__(*args, **kwargs)
        for name in cls.__signature__.parameters:
            if not hasattr(made, name):
                raise TypeError(
                    f"{cls.__name__}: the constructor must store its argument {name!r} as self.{name}, from which the "
                    "object is printed and saved"
                )
        return made


class Described(metaclass=_Complete):
    """Base of all objects that a description may contain.

    A subclass must store every argument of its constructor in an attribute of the same name (``*args`` as a sequence).
    Its objects can then be described, printed and rebuilt.
    """

    _registry: ClassVar[dict[str, type]] = {}
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        known = Described._registry.get(cls.__name__)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(_taken(cls, known))
        Described._registry[cls.__name__] = cls
        cls.__signature__ = _full_signature(cls)

    def description(self) -> dict[str, Any]:
        """Return the name of the class under "type" and the constructor's arguments, as data that JSON can hold.

        Raises:
            TypeError: an argument is no number, text, array or described object, nor a list or dictionary of these.
        """
        kind = type(self).__name__
        names = inspect.signature(type(self)).parameters
        return {"type": kind, **{name: _plain(f"{kind}: {name}", getattr(self, name)) for name in names}}

    @staticmethod
    def from_description(data: dict[str, Any]) -> Any:
        """Build an object from the data that `description` returned.

        Raises:
            ValueError: the class is unknown, or its constructor does not take an argument or lacks one.
        """
        data = dict(data)
        kind = data.pop("type", None)
        cls = Described._registry.get(kind)
        if cls is None:
            hint = nearest(kind, Described._registry)
            raise ValueError(f"unknown type {kind!r}: import the module that defines it first{hint}")
        parameters = inspect.signature(cls).parameters
        for name in data:
            argument(str(kind), name, parameters, error=ValueError)
        for name, parameter in parameters.items():
            optional = parameter.kind is inspect.Parameter.VAR_POSITIONAL
            if name not in data and not optional and parameter.default is inspect.Parameter.empty:
                raise ValueError(f"{kind} needs the argument {name!r}")
        positional = []
        for name, parameter in parameters.items():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                positional.extend(data.pop(name, ()))
            elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY or _before_varargs(name, parameters):
                positional.append(data.pop(name))
        return cls(*map(_decode, positional), **{name: _decode(value) for name, value in data.items()})

    def __repr__(self):
        """Return the call of the constructor, without arguments that have their default values. A long call with parts,
        such as that of a network, has one line per argument."""
        arguments: list[str] = []
        parted = False
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name)
            value = value.item() if isinstance(value, np.generic) else value
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                arguments.extend(map(repr, value))
                parted |= any(isinstance(part, Described) for part in value)
            elif parameter.default is inspect.Parameter.empty:
                arguments.append(repr(value))
            elif not _same(value, parameter.default):
                arguments.append(f"{name}={value!r}")
        call = f"{type(self).__name__}({', '.join(arguments)})"
        if not parted or ("\n" not in call and len(call) <= LONGEST_LINE):
            return call
        lines = "".join(f"{indent(argument, INDENT)},\n" for argument in arguments)
        return f"{type(self).__name__}(\n{lines})"


def _full_signature(cls):
    """Return the constructor's signature, with the keyword arguments of the base class in place of ``**options``."""
    definer = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if definer is object:
        return inspect.Signature()
    own = list(inspect.signature(definer.__init__).parameters.values())[1:]
    if not own or own[-1].kind is not inspect.Parameter.VAR_KEYWORD:
        return inspect.Signature(own)
    taken = {parameter.name for parameter in own}
    inherited = _full_signature(cls.__mro__[cls.__mro__.index(definer) + 1]).parameters.values()
    passed_on = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in inherited if p.name not in taken]
    return inspect.Signature([*own[:-1], *passed_on])


def _before_varargs(name, parameters):
    names = list(parameters)
    kinds = [parameter.kind for parameter in parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return False
    return names.index(name) < kinds.index(inspect.Parameter.VAR_POSITIONAL)


def _same(value, default):
    """Return whether a value equals a default; a default of one whole number equals a pair of this number."""
    if isinstance(value, tuple) and isinstance(default, int):
        return value == (default, default)
    return type(value) is type(default) and bool(np.all(value == default))


def _taken(cls, known):
    """Return the message for a class whose name another class has."""
    files = [getattr(sys.modules.get(one.__module__), "__file__", None) for one in (cls, known)]
    if files[0] is not None and files[0] == files[1] and cls.__qualname__ == known.__qualname__:
        return (
            f"the class {cls.__qualname__!r} is imported twice, from {known.__module__} and from {cls.__module__}, "
            "which are one file; import it by one name everywhere (a script that runs is __main__: put its classes "
            "into a module of their own)"
        )
    return f"a class named {cls.__name__!r} is already registered by {known.__module__}; choose another name"


def _plain(what: str, value) -> Any:
    """Return a value as data that JSON can hold: arrays and tuples as lists, described objects as their descriptions.

    Args:
        what: begins the error message.
        value: any value.

    Raises:
        TypeError: the value, or one inside it, is of a type that JSON cannot hold.
    """
    if isinstance(value, Described):
        return value.description()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_plain(what, item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(what, item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"{what} must be a number, text, an array, an object of numsnn, or a list or dictionary of these, to be saved; "
        f"got {type(value).__name__}"
    )


def _decode(value):
    if isinstance(value, dict):
        if "type" in value:
            return Described.from_description(value)
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_decode(item) for item in value)
    return value
