"""The CUDA target: the CPU target's twins by name and argument, as Numba CUDA kernels; see `kernels.contract`.

`inline` holds what is compiled into kernels, `run` starts them and owns the device's memory and streams, `ways` has the
different ways to compute a convolution or matrix product. None of these has a twin in other targets.
"""
