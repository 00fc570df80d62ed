"""Ways to compute a convolution or matrix product; `route` chooses among them."""
