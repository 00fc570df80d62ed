"""Functions that are compiled into the kernels of other files. The docstring of `cuda` describes the folders."""
