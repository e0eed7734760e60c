"""Reports of scores."""
