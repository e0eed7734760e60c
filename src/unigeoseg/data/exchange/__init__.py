"""Exchange with other formats: export, import, GeoSeg-Bench."""
