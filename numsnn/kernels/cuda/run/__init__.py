"""How kernels are started, and how their work is cut."""
