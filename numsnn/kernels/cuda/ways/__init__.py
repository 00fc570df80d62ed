"""The algorithms for convolutions and matrix products. `route` chooses one for each call."""
