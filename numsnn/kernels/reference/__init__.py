"""The reference target: every kernel in plain NumPy, for any float dtype. The text to read first, and the oracle the
compiled targets are tested against; `kernels.contract` lists its functions."""
