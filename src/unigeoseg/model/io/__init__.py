"""Model directories: checkpoints, names, quantisation, and conversion of foreign weights."""
