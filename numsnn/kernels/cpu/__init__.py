"""The CPU target: kernels compiled with Numba, spread over all cores; `kernels.contract` lists its functions.

`inline` holds what is compiled into kernels, `run` starts them and cuts their work into tiles, `ways` has the different
ways to compute a convolution or matrix product. None of these has a twin in other targets.
"""
