"""Rasters and vectors: pixels that carry their grid. Numpy and rasterio, never torch."""
