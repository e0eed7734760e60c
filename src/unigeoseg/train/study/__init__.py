"""Ablation studies: what is changed, run, and compared."""
