"""Systems under test: models of ours, baselines, others."""
