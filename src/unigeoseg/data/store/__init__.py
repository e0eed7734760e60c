"""Datasets on disk: the schema of rows, shards, and how they are read."""
