"""Checks a promise of kernels to the compiler: arrays of different roles do not overlap (see `inline.access`).

A kernel names the role of an array where it reads or writes an element. This module finds the roles of the kernel's
arguments in its source text, so that roles are stated only once. It follows names through assignments, slices and the
package's own functions, and skips branches that the values in the kernel's closure exclude. `check` then compares the
roles with the addresses of the arrays of a launch.
"""

import ast
import inspect
import textwrap
from functools import cache
from itertools import combinations
from types import FunctionType, ModuleType
from typing import NamedTuple

import numpy as np

from ..inline import access
from ..inline.local import local

WRITES = {
    access.read: False,
    access.read_all: False,
    access.write: True,
    access.write_all: True,
    access.add_all: True,
}
"""Functions that take a role -> whether they write to the array."""

ALLOCATES = (local, np.empty, np.empty_like, np.zeros, np.zeros_like)
"""Functions by which kernels make arrays of their own. Such an array overlaps with no argument."""

PACKAGE = __package__.partition(".")[0]


class Use(NamedTuple):
    """One way in which a kernel uses an argument."""

    argument: str
    role: str
    writes: bool


def check(range_kernel, arguments) -> None:
    """Check the arguments of a compiled kernel for arrays of different roles that overlap.

    Raises:
        RuntimeError: two arrays of different roles share memory, and the kernel writes to one of them.
    """
    function = getattr(range_kernel, "py_func", None)
    if function is None:
        return
    given = dict(zip(_parameters(function), arguments, strict=False))
    arrays = tuple(name for name, value in given.items() if isinstance(value, np.ndarray))
    for one, other in combinations(uses(function, arrays), 2):
        if one.argument == other.argument or one.role == other.role or not (one.writes or other.writes):
            continue
        if np.shares_memory(given[one.argument], given[other.argument]):
            raise RuntimeError(
                f"kernel {function.__name__}: {one.argument} ({one.role!r}) and {other.argument} ({other.role!r}) "
                "overlap in memory; arrays of different roles must not"
            )


@cache
def uses(function, arrays: tuple[str, ...]) -> tuple[Use, ...]:
    """How a kernel uses its arguments `arrays`, which are names of array arguments. The result is sorted by name."""
    found: set[Use] = set()
    _follow(function, {name: {name} for name in arrays}, found)
    return tuple(sorted(found))


@cache
def _parameters(function):
    return tuple(inspect.signature(function).parameters)


@cache
def _text(function):
    """The statements of a function."""
    return ast.parse(textwrap.dedent(inspect.getsource(function))).body[0].body


def _follow(function, arrays, found):
    """Add the uses in one function to `found`.

    arrays maps each parameter of the function to the set of the kernel's arguments that it may be, or be a part of.
    """
    reader = _Reader(function, arrays, found)
    for _ in range(2):  # twice, because a name bound at the end of a loop may be read at the loop's beginning
        for statement in _text(function):
            reader.visit(statement)


class _Reader(ast.NodeVisitor):
    """Goes through the statements of one function."""

    def __init__(self, function, arrays, found):
        variables = inspect.getclosurevars(function)
        self.names = variables.globals | variables.nonlocals
        self.arrays, self.found = dict(arrays), found

    def visit_If(self, node):
        self.visit(node.test)
        for statement in self._branches(node.test, node.body, node.orelse):
            self.visit(statement)

    def visit_IfExp(self, node):
        self.visit(node.test)
        for part in self._branches(node.test, [node.body], [node.orelse]):
            self.visit(part)

    def visit_Assign(self, node):
        self.visit(node.value)
        for target in node.targets:
            self._bind(target, node.value)

    def visit_Call(self, node):
        self.generic_visit(node)
        called = self._value(node.func)
        if _is_access(called):
            array, role = node.args[:2]
            role = role.value if isinstance(role, ast.Constant) else self.names[role.id]
            self.found.update(Use(argument, role, WRITES[called]) for argument in self._sources(array))
        elif isinstance(called, FunctionType) and called.__module__.partition(".")[0] == PACKAGE:
            given = [self._sources(part) for part in node.args]
            if any(given):
                _follow(called, dict(zip(_parameters(called), given, strict=True)), self.found)

    def _branches(self, test, body, otherwise):
        """The branches that may run. If the test reads values of the closure only, it is one of the two."""
        try:
            known = eval(compile(ast.Expression(test), "<test>", "eval"), {"__builtins__": {}}, self.names)
        except NameError:
            return [*body, *otherwise]
        return body if known else otherwise

    def _bind(self, target, value):
        if isinstance(target, ast.Tuple):
            parts = value.elts if isinstance(value, ast.Tuple) else [value] * len(target.elts)
            for part, one in zip(target.elts, parts, strict=True):
                self._bind(part, one)
        elif isinstance(target, ast.Name):
            self.arrays[target.id] = self.arrays.get(target.id, set()) | self._sources(value)

    def _sources(self, node):
        """The kernel's arguments that the value of an expression may be, or be a part of."""
        if isinstance(node, ast.Name):
            return self.arrays.get(node.id, set())
        if isinstance(node, ast.Subscript | ast.Starred):
            return self._sources(node.value)
        if isinstance(node, ast.Attribute):
            return self._sources(node.value) if node.attr == "T" else set()
        if isinstance(node, ast.IfExp):
            parts = self._branches(node.test, [node.body], [node.orelse])
            return set().union(*map(self._sources, parts))
        if isinstance(node, ast.Call):
            called = self._value(node.func)
            if _is_access(called) or called in ALLOCATES:
                return set()
            method = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            return set().union(*map(self._sources, [*method, *node.args]))  # it may return a part of one of them
        return set()

    def _value(self, node):
        """The value of a name of the closure, or of an attribute of a module; None for every other expression."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(module := self._value(node.value), ModuleType):
            return getattr(module, node.attr, None)
        return None


def _is_access(called):
    return any(called is function for function in WRITES)
