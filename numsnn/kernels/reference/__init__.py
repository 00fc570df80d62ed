"""The reference kernels: plain NumPy, for any float dtype. `kernels.contract` lists the functions.

Read these first. Their docstrings document the functions of every device, and the tests compare the compiled kernels
with them. In all docstrings, "output" means that the function writes the result to this argument.
"""
