"""Scenes of any size in bounded memory: windows in, blended blocks out, files as they come."""
