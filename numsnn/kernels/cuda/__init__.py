"""The CUDA kernels, compiled with Numba, with the names and arguments of the CPU's. `kernels.contract` lists them.

`inline` has what several rooms share: functions that are compiled into their kernels, and the cuts and launches that
belong to these. `run` launches kernels, adds up the sums of tiles, and owns the GPU's memory and streams. `ways` has
the routes of convolutions and matrix products. These folders have no twins on other devices.
"""
