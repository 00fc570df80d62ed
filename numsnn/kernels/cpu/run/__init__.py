"""Launches kernels, and cuts their work into tiles."""
