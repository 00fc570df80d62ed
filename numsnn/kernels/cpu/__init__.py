"""The kernels of the CPU, compiled with Numba and distributed over all cores. `kernels.contract` lists the functions.

`inline` has the functions that are compiled into kernels, `run` launches kernels and cuts their work into tiles, and
`ways` has the routes of convolutions and matrix products. These folders have no twins on other devices.
"""
