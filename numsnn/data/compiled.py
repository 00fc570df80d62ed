"""Functions that Numba compiles at their first call, so that importing `numsnn.data` does not load Numba."""

from __future__ import annotations

import functools
from collections.abc import Callable


class Compiled:
    """A function that Numba compiles when it is first called. It does not hold Python's interpreter lock while it runs.

    The machine code is cached on disk. Tests use `python`, the function that is not compiled.
    """

    def __init__(self, function: Callable) -> None:
        functools.update_wrapper(self, function)
        self.python = function
        self._fast: Callable | None = None

    def __call__(self, *arguments):
        if self._fast is None:
            from numba import njit

            from ..machine_code import keep

            self._fast = keep(njit(nogil=True, error_model="numpy")(self.python))
        return self._fast(*arguments)


compiled = Compiled
