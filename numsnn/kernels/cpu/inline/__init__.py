"""Functions that are compiled into the kernels of other files. The docstring of `cpu` describes the folders."""
