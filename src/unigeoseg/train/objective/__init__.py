"""The training objective and its validation."""
