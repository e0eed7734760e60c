"""GeoSeg-Bench-Open: selection, index and review."""
