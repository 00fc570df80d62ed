"""What PSG and PDA do (`ablation`, `evidence`), what they cost (`cost`), and whether a change of the code changed
results (`same_bits`)."""
