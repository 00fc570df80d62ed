"""Functions that are compiled into kernels of other files; see the package."""
