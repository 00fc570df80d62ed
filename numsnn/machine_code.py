"""Keeps machine code on disk, and loads it only if nothing that it was compiled from has changed.

Numba's own cache checks the file of a kernel and its closure. A kernel also depends on functions of other files that
are compiled into it, on the numbers of modules that these read, and on LLVM instructions that other files write. The
cache key of this module contains all of this. After an edit, the next process compiles what the edit concerns, and
nothing else.

Numba lists the files of a kernel in an index. Two processes that compile at once may both number their files alike,
and then one finds the code of the other under its own key. Here, every key has a file of its own name, which holds the
key and a checksum, so that code is loaded only if it is whole and the code of this key.

Numba names a compiled function by its qualified name, its types and a number that counts the functions of a process.
Functions that a factory makes, such as the same step for another reset, have the same qualified name. Two processes
could give two of them the same name, each within a kernel of its own; a third process that loaded both kernels then ran
the function of the first one in both. So every process counts from a random number on (`_count_anew`).

If no folder can be written, or the disk is full, machine code is kept in memory only, and a warning says so once. If a
file of the cache is damaged, the kernel is compiled again.
"""

import atexit
import hashlib
import itertools
import os
import pickle
import secrets
import shutil
import tempfile
import types
import uuid
import warnings
from contextlib import suppress
from functools import cache
from glob import escape
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import caching
from numba.core.bytecode import FunctionIdentity
from numba.core.serialize import dumps

FORM = 2
"""Number of the form of the files. Those of another form are not loaded."""

KERNELS = []
"""Numba's dispatchers of all kernels of the package, in the order in which `keep` registered them."""

NUMBERS = bool | int | float | complex | np.generic

claims: Any = None
"""The claims (`ahead.claims`) of a process that shares the work of compiling with others; None in every other one."""

MOST_DEPTH = 40
"""The depth to which a digest follows functions into the functions they call. The package itself needs about ten."""


def _count_anew():
    """Let Numba count the functions that this process compiles from a random number on."""
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(60))


_count_anew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_anew)


def keep(dispatcher, cache_class=caching.FunctionCache, sources=()):
    """Keep the machine code of a kernel on disk, under a key that covers everything that it is compiled from.

    Args:
        dispatcher: result of Numba's decorator without a cache.
        cache_class: Numba's cache class for the device.
        sources: files whose whole text belongs to the key. They write LLVM instructions or declare overloads, which
            the kernel's own code does not show.

    Returns:
        the dispatcher.
    """
    if hasattr(dispatcher, "_cache"):  # with NUMBA_DISABLE_JIT=1 the dispatcher is the Python function itself
        try:
            dispatcher._cache = _fresh(cache_class)(dispatcher.py_func, tuple(sources))
        except OSError as error:  # not even a temporary folder can be made
            _say_once("private", "no folder for machine code can be written: every process compiles", error)
        else:
            KERNELS.append(dispatcher)
    return dispatcher


def folders() -> list[str]:
    """Return the folders in which the machine code of the imported kernels is kept."""
    return sorted({dispatcher._cache.cache_path for dispatcher in KERNELS})


@cache
def _fresh(base):
    """A subclass of Numba's cache class with the key, the folders and the error handling of this module."""

    class Implementation(base._impl_class):
        _locator_classes = (*base._impl_class._locator_classes, _PrivateFolder)

    class Fresh(base):
        _impl_class = Implementation

        def __init__(self, function, sources):
            self._sources = sources
            super().__init__(function)
            stamp = self._impl.locator.get_source_stamp()
            self._cache_file = _Files(self.cache_path, self._impl.filename_base, stamp)
            self._shared = not isinstance(self._impl.locator, _PrivateFolder)

        def _index_key(self, signature, codegen):
            own = digest(self._py_func), *map(_text_digest, self._sources)
            extra = super()._index_key(signature, codegen)[3:]  # CUDA's cache adds launch settings to the key
            return signature, codegen.magic_tuple(), own, *extra

        def load_overload(self, signature, target_context):
            key = self._index_key(signature, target_context.codegen())
            found = self._load(signature, target_context)
            if found is None and claims is not None and self._shared:
                name = self._cache_file.path(key).name
                claims.take(name)
                found = self._load(signature, target_context)  # another process may have compiled it meanwhile
                if found is not None:
                    claims.release(name)
            return found

        def _load(self, signature, target_context):
            try:
                return super().load_overload(signature, target_context)
            except Exception as error:  # what Numba makes of the contents of a file can raise exceptions of any type
                message = f"machine code in {self.cache_path} cannot be read and is compiled anew"
                _say_once("damaged", message, error, "If this comes again, delete this folder")
                return None

        def save_overload(self, signature, data):
            try:
                super().save_overload(signature, data)
            except OSError as error:
                message = f"machine code cannot be kept in {self.cache_path}: every process compiles"
                _say_once("unwritten", message, error)
            finally:
                if claims is not None:
                    claims.release(self._cache_file.path(self._index_key(signature, data.codegen)).name)

    return Fresh


class _Files:
    """The files with the machine code of a function, in place of Numba's class of the same methods.

    A file begins with the checksum of what follows: the pickled key, as text, and code. Its name holds what Numba calls
    the function, a digest of the stamp of its source file, and a digest of the key.

    Args:
        folder: the folder.
        name: what Numba calls the function.
        stamp: what tells the versions of its source file apart.
    """

    def __init__(self, folder, name, stamp):
        self._folder, self._name = Path(folder), name
        self._stamp = hashlib.sha256(repr(stamp).encode()).hexdigest()[:8]
        self._tidy = False

    def path(self, key):
        """The path of the file of a key."""
        return self._folder / f"{self._name}.{self._stamp}.{hashlib.sha256(_text(key).encode()).hexdigest()[:24]}.nbc"

    def load(self, key):
        """The machine code of a key, or None if there is no file of it.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file is damaged, or is that of another key.
        """
        text, path = _text(key), self.path(key)
        if not path.exists():
            return None
        if not path.is_file():  # a pipe would never end
            raise OSError(f"{path.name} is not a file")
        content = path.read_bytes()
        size = hashlib.sha256().digest_size
        if hashlib.sha256(content[size:]).digest() != content[:size]:
            raise ValueError(f"{path.name} does not match its checksum")
        found, code = pickle.loads(content[size:])
        if found != text:
            raise ValueError(f"{path.name} holds the machine code of another kernel")
        return code

    def save(self, key, code):
        """Write the file of a key as a whole, or raise an OSError."""
        if not self._tidy:
            self._tidy = True
            self._remove(kept=f"{self._name}.{self._stamp}.")
        text, path = _text(key), self.path(key)
        content = dumps((text, code))
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:16]}")
        try:
            temporary.write_bytes(hashlib.sha256(content).digest() + content)
            os.replace(temporary, path)
        except OSError:
            _unlink(temporary)
            raise

    def flush(self):
        """Remove all files of the function."""
        self._remove(kept=None)

    def _remove(self, kept):
        """Remove the files of the function, except those whose names begin with `kept`."""
        for path in self._folder.glob(f"{escape(self._name)}.*"):
            if kept is None or not path.name.startswith(kept):
                _unlink(path)


def _text(key):
    """A key as text."""
    return f"form {FORM}, numba {numba.__version__}: {key!r}"


def _unlink(path):
    """Remove a file if it is there and can be removed."""
    with suppress(OSError):
        path.unlink()


class _PrivateFolder(caching._SourceFileBackedLocatorMixin, caching._CacheLocator):
    """The folder for machine code if no other can be written: a temporary folder of this process."""

    def __init__(self, function, file):
        self._py_file, self._lineno = file, function.__code__.co_firstlineno

    def get_cache_path(self):
        return _private_folder()

    @classmethod
    def from_function(cls, function, file):
        return cls(function, file)


@cache
def _private_folder():
    folder = tempfile.mkdtemp(prefix="numsnn-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _say_once("private", "no folder for machine code can be written: every process compiles")
    return folder


_said = set()


def _say_once(what, message, error=None, hint="Set NUMBA_CACHE_DIR to a folder that can be written"):
    if what not in _said:
        _said.add(what)
        reason = "" if error is None else f" ({type(error).__name__}: {' '.join(str(error).split())})"
        warnings.warn(f"numsnn: {message}{reason}. {hint}", RuntimeWarning, stacklevel=3)


# --- the key ---------------------------------------------------------------------------------------------------------


@cache
def _text_digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def digest(function) -> str:
    """A hash of what a function is compiled from, as far as Python can see it.

    It covers the code, the closure, the numbers of modules that the function reads, and the same for every function
    that it calls.
    """
    found = hashlib.sha256()
    _add(found, function, {}, 0)
    return found.hexdigest()


def _add(found, value, seen, depth):
    """Add one value to the hash. `seen` maps functions already added to their numbers, so that recursion ends."""
    if isinstance(value, NUMBERS | str | bytes | np.dtype | None):
        found.update(f"{type(value).__name__} {value!r};".encode())
        return
    if depth > MOST_DEPTH:
        found.update(b"too deep;")
    elif isinstance(value, types.CodeType):
        found.update(value.co_code)
        for part in (value.co_consts, value.co_names, value.co_varnames):
            _add(found, part, seen, depth + 1)
    elif isinstance(value, tuple | list | frozenset | set):
        parts = sorted(value, key=repr) if isinstance(value, frozenset | set) else value
        found.update(f"{type(value).__name__} {len(value)}:".encode())
        for part in parts:
            _add(found, part, seen, depth + 1)
    elif isinstance(value, dict):
        _add(found, tuple(value.items()), seen, depth + 1)
    elif isinstance(value, types.FunctionType):
        _add_function(found, value, seen, depth)
    elif isinstance(value, np.ndarray):
        found.update(f"array {value.dtype} {value.shape}:".encode() + value.tobytes())
    elif isinstance(value, types.ModuleType):
        found.update(f"module {value.__name__};".encode())
    else:
        inner = getattr(value, "py_func", None) or getattr(value, "_defn", None)  # of a kernel or of an intrinsic
        if isinstance(inner, types.FunctionType):
            _add_function(found, inner, seen, depth)
        else:
            named = value if hasattr(value, "__qualname__") else type(value)
            found.update(f"{named.__module__}.{named.__qualname__};".encode())


def _add_function(found, function, seen, depth):
    """Add a function to the hash: code, defaults, closure, and the values that it reads from its own module and from
    the modules that it names."""
    if function in seen:
        found.update(f"again {seen[function]};".encode())
        return
    seen[function] = len(seen)
    _add(found, function.__code__, seen, depth + 1)
    _add(found, function.__defaults__ or (), seen, depth + 1)
    for cell in function.__closure__ or ():
        _add(found, cell.cell_contents, seen, depth + 1)
    names = sorted(_names(function.__code__))
    for name in names:
        value = function.__globals__.get(name)
        _add(found, value, seen, depth + 1)
        if isinstance(value, types.ModuleType):
            for attribute in names:
                part = vars(value).get(attribute)
                if _ours(value.__name__) or _ours(getattr(part, "__module__", None)) or isinstance(part, NUMBERS):
                    _add(found, part, seen, depth + 1)


def _ours(module):
    """Whether `module` is the name of this package or of one of its modules."""
    return (module or "").partition(".")[0] == __package__


def _names(code):
    """The names of globals and attributes in a code object, including those in its inner functions."""
    inner = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))
