"""Launches kernels, cuts their work into tiles, and owns the GPU's memory and streams."""
