"""Docstrings of neurons: the arguments that a class passes on to its base class are written once, in the base class."""

import inspect
import re

_OPTIONS = re.compile(r"^    options: .*(?:\n {8}.*)*\n", re.MULTILINE)
_ARGUMENT = re.compile(r"^    (\w+): .*(?:\n {8}.*)*\n", re.MULTILINE)
_EXCEPT = re.compile(r"except `*(\w+)")


def complete(cls) -> None:
    """Replace the entry "options" in the docstring of a class by the arguments that its base class documents.

    A name behind the word "except" in that entry, and arguments that the class documents itself, are left out.
    """
    text = inspect.cleandoc(vars(cls).get("__doc__") or "") + "\n"
    found = _OPTIONS.search(text)
    if found is None:
        return
    own, left_out = _arguments(text), _EXCEPT.findall(found[0])
    texts = (inspect.cleandoc(one.__doc__ or "") for one in cls.__mro__[1:])
    base: dict[str, str] = next((known for one in texts if (known := _arguments(one))), {})
    passed_on = [entry for name, entry in base.items() if name not in (*own, *left_out)]
    cls.__doc__ = (text[: found.start()] + "".join(passed_on) + text[found.end() :]).rstrip()


def _arguments(text):
    """Return the entries of the section "Args" of a docstring, by name."""
    _, there, section = text.partition("\nArgs:\n")
    section = section.partition("\n\n")[0] + "\n" if there else ""
    return {entry[1]: entry[0] for entry in _ARGUMENT.finditer(section)}
