"""Training: batches, the loop, recipes."""
