"""Prediction on scenes: from a prompt to georeferenced masks and files."""
