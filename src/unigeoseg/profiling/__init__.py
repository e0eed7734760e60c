"""Measured speed: a tile, a scene, the data engine, training."""
