"""The CUDA kernels, compiled with Numba, with the names and arguments of the CPU's. `kernels.contract` lists them.

`inline` has the functions that are compiled into kernels, `run` launches kernels and owns the GPU's memory and streams,
and `ways` has the routes of convolutions and matrix products. These folders have no twins on other devices.
"""
