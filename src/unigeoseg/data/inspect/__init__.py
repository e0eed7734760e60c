"""Inspection of a dataset: verification, statistics, samples to look at."""
