"""The network of UniGeoSeg: torch modules, their configuration, weights and inputs."""
